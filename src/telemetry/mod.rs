//! What the running program says: one enum of things that happen, each one log line of one level.
//!
//! `error!` means data may be wrong or lost; `warn!`, look when you have time; a retry that will happen is `info!`.
//! Lines go to stderr, data goes to stdout.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::model::Micros;

/// Sets logging up: human lines on a terminal, JSON otherwise. `KEYTRAIL_LOG` takes a filter like `keytrail=debug`.
///
/// Does nothing when logging is already set up, as in tests.
pub fn start(quiet: bool) {
    // What the libraries call errors are mostly questions that were answered with no; ours say what matters.
    let default = if quiet {
        "error,keytrail=warn,buoyant_kernel=off,rdkafka=off"
    } else {
        "error,keytrail=info,buoyant_kernel=off,rdkafka=off"
    };
    let filter =
        EnvFilter::try_from_env("KEYTRAIL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let started = if terminal {
        lines.with_target(false).try_init()
    } else {
        lines.json().try_init()
    };
    drop(started);
}

/// A thing that happens and that an operator may want to know.
#[derive(Debug)]
pub enum Event<'a> {
    /// The writer continues where the ledger ends.
    Resumed { epoch: i64, tables_moved: usize },
    /// An epoch is committed.
    Committed {
        epoch: i64,
        records: u64,
        elements: u64,
        bytes: u64,
        watermark: Option<Micros>,
        took: Duration,
    },
    /// A detector spoke.
    Finding {
        finding_uid: &'a str,
        status: &'a str,
        detector: &'a str,
        severity: &'a str,
        identity_uid: &'a str,
        title: &'a str,
    },
    /// A table commit did not go through at the first attempt and is looked at again.
    TableRetried { table: &'a str, reason: &'a str },
    /// Upkeep put files of a table in the place of others.
    KeptUp {
        kind: &'a str,
        table: &'a str,
        files_before: usize,
        files_after: usize,
        rows: i64,
        lost: bool,
    },
    /// A table got a Delta checkpoint.
    Checkpointed { table: &'a str },
    /// A file in the inbox holds no statement and was put aside.
    StatementRefused { name: &'a str, reason: &'a str },
    /// The inbox cannot be read or emptied. What waits there waits on.
    InboxTrouble { reason: &'a str },
    /// Files that nobody needs are gone.
    Swept {
        orphans: u64,
        replaced: u64,
        states: u64,
        bytes: u64,
    },
    /// Upkeep or a Delta checkpoint did not come off. What is committed stands all the same.
    UpkeepTrouble {
        what: &'a str,
        reason: &'a str,
        integrity: bool,
    },
    /// The broker reported something that passes by itself.
    BrokerTrouble { reason: &'a str },
    /// What signs the ledger from now on. A key that lies in the lake protects from mistakes and from whoever cannot
    /// read it, not from whoever can write the lake as its owner.
    Signing { verifier: &'a str, in_lake: bool },
    /// The ledger is signed by another key from that epoch on, endorsed by the one before.
    KeyRotated { verifier: &'a str, epoch: i64 },
    /// Nothing is signed, by configuration.
    Unsigned,
    /// Rejects could not be copied to their topic; it is tried again.
    MirrorTrouble { topic: &'a str, reason: &'a str },
    /// The lease of another writer, which did not give it back, is taken: that one crashed, or will be refused.
    LeaseTaken { from: &'a str },
    /// The lease could not be renewed; it is tried again.
    LeaseTrouble { reason: &'a str },
    /// This process waits beside the active writer.
    Standby,
    /// The active writer is gone, and this process writes from now on.
    TakingOver { epoch: i64, waited: Duration },
    /// The lake can be asked over PostgreSQL's protocol.
    Serving { address: SocketAddr, tls: bool },
    /// A client is not listened to.
    ClientRefused { peer: SocketAddr, reason: &'a str },
    /// A client did not log in.
    LoginFailed { peer: SocketAddr, user: &'a str },
    /// What was asked could not become rows yet.
    AuditWaits { reason: &'a str },
    /// A client could not be accepted; the next one is.
    AcceptFailed { reason: &'a std::io::Error },
    /// The source is told to stop: the epoch in the making is committed first.
    Stopping,
}

impl Event<'_> {
    /// Writes the line.
    pub fn tell(&self) {
        match self {
            Self::Resumed {
                epoch,
                tables_moved,
            } => tracing::info!(epoch, tables_moved, "resumed"),
            Self::Committed {
                epoch,
                records,
                elements,
                bytes,
                watermark,
                took,
            } => tracing::info!(
                epoch,
                records,
                elements,
                bytes,
                watermark = watermark.map(tracing::field::display),
                took_ms = took.as_millis() as u64,
                "committed"
            ),
            Self::Finding {
                finding_uid,
                status,
                detector,
                severity,
                identity_uid,
                title,
            } => tracing::info!(
                finding_uid,
                status,
                detector,
                severity,
                identity_uid,
                title,
                "finding"
            ),
            Self::TableRetried { table, reason } => {
                tracing::info!(table, reason, "looking again at a table commit");
            }
            Self::KeptUp {
                kind,
                table,
                files_before,
                files_after,
                rows,
                lost,
            } => tracing::info!(kind, table, files_before, files_after, rows, lost, "upkeep"),
            Self::Checkpointed { table } => tracing::info!(table, "delta checkpoint"),
            Self::StatementRefused { name, reason } => {
                tracing::warn!(name, reason, "no statement: put aside in inbox/refused");
            }
            Self::InboxTrouble { reason } => {
                tracing::warn!(reason, "the inbox cannot be read or emptied");
            }
            Self::Swept {
                orphans,
                replaced,
                states,
                bytes,
            } => tracing::info!(orphans, replaced, states, bytes, "removed files"),
            Self::UpkeepTrouble {
                what,
                reason,
                integrity: true,
            } => tracing::error!(what, reason, "upkeep found damage"),
            Self::UpkeepTrouble {
                what,
                reason,
                integrity: false,
            } => tracing::warn!(what, reason, "upkeep did not come off"),
            Self::BrokerTrouble { reason } => tracing::warn!(reason, "broker"),
            Self::Signing {
                verifier,
                in_lake: true,
            } => tracing::info!(
                verifier,
                "signing with a key in the lake's own folder: whoever can write the lake can sign too. Set \
                 integrity.signing_key to a key kept elsewhere, and keep this verifier"
            ),
            Self::Signing { verifier, .. } => tracing::info!(verifier, "signing"),
            Self::KeyRotated { verifier, epoch } => {
                tracing::warn!(verifier, epoch, "the ledger goes on with another key");
            }
            Self::Unsigned => tracing::warn!(
                "integrity.sign is false: nothing is signed, and `keytrail verify` will say so"
            ),
            Self::MirrorTrouble { topic, reason } => {
                tracing::warn!(topic, reason, "rejects are not copied yet");
            }
            Self::LeaseTaken { from } => {
                tracing::info!(
                    from,
                    "taking the lease of a writer that did not give it back"
                );
            }
            Self::LeaseTrouble { reason } => tracing::warn!(reason, "the lease was not renewed"),
            Self::Standby => tracing::info!("standing by: following the active writer"),
            Self::TakingOver { epoch, waited } => tracing::info!(
                epoch,
                waited_ms = waited.as_millis() as u64,
                "taking over: nobody holds the lease"
            ),
            Self::Serving { address, tls } => {
                tracing::info!(%address, tls, "serving SQL over PostgreSQL's protocol");
            }
            Self::ClientRefused { peer, reason } => {
                tracing::warn!(%peer, reason, "a client was turned away");
            }
            Self::LoginFailed { peer, user } => {
                tracing::warn!(%peer, user, "a login failed");
            }
            Self::AuditWaits { reason } => {
                tracing::warn!(reason, "what was asked waits in the inbox");
            }
            Self::AcceptFailed { reason } => {
                tracing::warn!(%reason, "a client could not be accepted");
            }
            Self::Stopping => tracing::info!("stopping: the open epoch is committed first"),
        }
    }
}
