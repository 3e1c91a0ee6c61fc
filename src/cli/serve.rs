//! `keytrail serve`: the lake for other tools.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::replay::settings;
use super::{Exit, Global, lake_of, wait_for_signal};
use crate::config::{self, Config, ConfigError};
use crate::lake::{self, Inbox, Place, Watch};
use crate::pipeline::{self, Settings};
use crate::serve;
use crate::serve::{Audit, Limits, Role, STACK, Server, User};
use crate::telemetry::Event;

/// How often it is looked whether what was asked waits for a writer that there is not.
const LOOK: Duration = Duration::from_secs(5);

/// For how long nobody must have written the lake before the server does.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The lake, instead of lake.url: a folder, or an address like s3://bucket/lake
    #[arg(long, env = "KEYTRAIL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen, instead of serve.postgres; port 0 takes any
    #[arg(long, value_name = "HOST:PORT")]
    postgres: Option<SocketAddr>,
}

impl Serve {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let config = global.load()?;
        let lake = lake_of(self.data, &config)?;
        let job = lake::first_job(&lake)
            .ok_or_else(|| Exit(4, format!("{} holds no lake", lake.display())))?;
        let served = served(&config, &lake, self.postgres)?;
        let tls = served.tls.is_some();
        let audit = Audit::begin(&lake)?;
        let writing = settings(&config, lake.clone(), config.identity.lateness)?;
        let writing = Settings { job, ..writing };
        let span = config.lake.lease.duration() * 2;
        let mut writer = Writer {
            watch: Watch::new(&lake, span)?,
            settings: writing,
            free_since: None,
        };
        std::thread::Builder::new()
            .name("inbox".to_owned())
            .spawn(move || {
                loop {
                    std::thread::sleep(LOOK);
                    if let Err(error) = writer.look(Instant::now()) {
                        let reason = format!("{error:#}");
                        Event::AuditWaits { reason: &reason }.tell();
                    }
                }
            })?;
        // Two partitions for each query, and a thread for each.
        let queries = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2 * served.limits.queries_max.max(1))
            .thread_name("query")
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        let handle = queries.handle().clone();
        let connections = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        let ended = connections.block_on(async move {
            let server = Server::bind(served, audit, handle).await?;
            let address = server.address()?;
            Event::Serving { address, tls }.tell();
            global.say(format_args!(
                "psql \"host={} port={} dbname=keytrail user=NAME\"",
                address.ip(),
                address.port()
            ));
            server.run(wait_for_signal()).await;
            Ok(())
        });
        queries.shutdown_background();
        ended
    }
}

fn invalid(key: &str, reason: &str) -> ConfigError {
    ConfigError::Invalid {
        origin: key.to_owned(),
        reason: reason.to_owned(),
        suggestion: String::new(),
    }
}

/// What is served, from the configuration.
fn served(config: &Config, lake: &Path, address: Option<SocketAddr>) -> Result<serve::Settings> {
    let set = &config.serve;
    let parse = || {
        let wrong = |_| {
            invalid(
                "serve.postgres",
                "an address and a port are needed, like 127.0.0.1:5433",
            )
        };
        set.postgres.parse().map_err(wrong)
    };
    let address = address.map_or_else(parse, Ok)?;
    let tls = match (&set.tls_certificate, &set.tls_key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        _ => {
            let reason = "serve.tls_certificate and serve.tls_key go together";
            return Err(invalid("serve", reason).into());
        }
    };
    let users = set.logins()?.into_iter().map(|(name, password, role)| {
        let role = match role {
            config::Role::Viewer => Role::Viewer,
            config::Role::Analyst => Role::Analyst,
            config::Role::Auditor => Role::Auditor,
        };
        (name, User { password, role })
    });
    Ok(serve::Settings {
        lake: Place::of(lake)?,
        address,
        tls,
        users: users.collect(),
        limits: Limits {
            query_time_max: set.query_time_max.duration(),
            rows_max: set.rows_max,
            memory_max: set.memory_bytes_max,
            queries_max: set.queries_max,
            connections_max: set.connections_max,
            idle_time_max: set.idle_time_max.duration(),
        },
    })
}

/// Makes epochs of what waits in the inbox of a lake that nobody writes.
struct Writer {
    settings: Settings,
    watch: Watch,
    free_since: Option<Instant>,
}

impl Writer {
    /// Takes what waits if nobody has held the lease for a while: a service that starts again comes first.
    fn look(&mut self, now: Instant) -> Result<()> {
        let free = self.watch.free(now)?;
        if !free || !Inbox::waiting(&self.settings.lake)? {
            self.free_since = None;
            return Ok(());
        }
        let since = *self.free_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= GRACE {
            self.free_since = None;
            pipeline::take_statements(&self.settings)?;
        }
        Ok(())
    }
}
