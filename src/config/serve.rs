//! What is served to other tools, and to whom.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ConfigError, Span, load};

/// SQL for other tools, over PostgreSQL's protocol: psql, psycopg, Grafana, DBeaver. Read-only.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// Where to listen, like `127.0.0.1:5433`. An address that other machines can reach needs TLS.
    pub postgres: String,
    /// File with the server's certificate and those above it, in PEM. With it nobody is served in clear.
    pub tls_certificate: Option<PathBuf>,
    /// File with its key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Who may log in, by name.
    pub users: BTreeMap<String, User>,
    /// How long one query may take, until its last row has gone out. `statement_timeout` makes it shorter, never longer.
    pub query_time_max: Span,
    /// How many rows one answer may have. An answer with more ends with an error.
    pub rows_max: usize,
    /// Memory for the queries of one connection, in bytes. Beyond it sorts and joins go by way of the disk, or fail.
    pub memory_bytes_max: usize,
    /// How many queries run at once. Others wait, within their time.
    pub queries_max: usize,
    /// How many clients are connected at once. Others are turned away.
    pub connections_max: usize,
    /// A client that says nothing for so long is cut off.
    pub idle_time_max: Span,
}

impl Default for Serve {
    fn default() -> Self {
        Self {
            postgres: "127.0.0.1:5433".to_owned(),
            tls_certificate: None,
            tls_key: None,
            users: BTreeMap::new(),
            query_time_max: Span::seconds(60),
            rows_max: 1_000_000,
            memory_bytes_max: 1 << 30,
            queries_max: 4,
            connections_max: 64,
            idle_time_max: Span::minutes(60),
        }
    }
}

/// One user.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The password, as `env:NAME` or `file:/path`.
    pub password: String,
    /// What the user may read.
    #[serde(default)]
    pub role: Role,
}

/// What a user may read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything but `raw_events`, `rejects` and `query_audit`.
    #[default]
    Viewer,
    /// Everything but `query_audit`.
    Analyst,
    /// Everything.
    Auditor,
}

impl Serve {
    /// Name, password and role of each user. Reads the passwords from where they are kept.
    pub fn logins(&self) -> Result<Vec<(String, String, Role)>, ConfigError> {
        let read = |(name, user): (&String, &User)| {
            let key = format!("serve.users.{name}.password");
            let password = load::secret(&key, &user.password)?;
            if password.is_empty() {
                let reason = "it is empty".to_owned();
                return Err(ConfigError::Secret { key, reason });
            }
            Ok((name.clone(), password, user.role))
        };
        self.users.iter().map(read).collect()
    }
}
