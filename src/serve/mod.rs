//! The lake for other tools, read-only: SQL over PostgreSQL's protocol.
//!
//! Every connection has its own session. What it may say is listed, not what it may not: queries, a few settings of clients,
//! and transactions, which mean that the epoch stays. Everything else is refused, and every query is audited before it runs.

mod answer;
mod audit;
mod connection;
mod functions;
mod login;
mod parse;
mod postgres;
mod refusal;
mod rules;
mod running;
mod session;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::lake::Place;

pub use audit::Audit;
pub use postgres::Server;

/// Stack of a thread that reads, plans or runs what clients say: an expression of all tokens that a statement may have is a
/// tree as deep as that.
pub const STACK: usize = 64 << 20;

/// The version of PostgreSQL whose ways clients find here.
const VERSION: &str = "16.6";

/// Why the server cannot begin.
#[derive(Debug, Error)]
pub enum ServeError {
    #[error("serve.postgres: cannot listen at {address}: {source}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("serve.{key}: {path}: {reason}")]
    Tls {
        key: &'static str,
        path: PathBuf,
        reason: String,
    },
    #[error(
        "serve.postgres: {0} can be reached from other machines, so serve.tls_certificate and serve.tls_key must be set"
    )]
    Plain(SocketAddr),
    #[error("serve.users: nobody may log in; name a user with a password and a role")]
    NoUsers,
}

impl ServeError {
    /// Whether the configuration must be mended, rather than something outside.
    pub const fn configuration(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::Plain(_) | Self::NoUsers)
    }
}

/// What is served, where, to whom, and how much of it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub lake: Place,
    pub address: SocketAddr,
    /// Files with the certificates and the key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub users: BTreeMap<String, User>,
    pub limits: Limits,
}

/// Who may log in.
#[derive(Clone)]
pub struct User {
    pub password: String,
    pub role: Role,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What a user may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything but the records themselves and what others asked.
    Viewer,
    /// Everything but what others asked.
    Analyst,
    Auditor,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }

    /// Tables that are not there for it.
    pub const fn hidden(self) -> &'static [&'static str] {
        match self {
            Self::Viewer => &["raw_events", "rejects", "query_audit"],
            Self::Analyst => &["query_audit"],
            Self::Auditor => &[],
        }
    }
}

/// Bounds on what one query, and all of them, may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the moment a query comes until its last row has gone out.
    pub query_time_max: Duration,
    pub rows_max: usize,
    /// Of one session's queries, in bytes.
    pub memory_max: usize,
    /// Queries that run at once; others wait.
    pub queries_max: usize,
    pub connections_max: usize,
    /// A connection that says nothing for so long is closed.
    pub idle_time_max: Duration,
}
