//! What was asked, as rows of `query_audit`: stated to the writer of the lake before the first row of an answer goes out.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::lake::{Inbox, LakeError};
use crate::model::{AskedQuery, Micros, Stated, Statement, hex, sha256};

/// What is stated at once at most.
const AT_ONCE: usize = 1_000;

/// How much is kept of a statement, of why it was refused, and of what a client calls itself, in bytes.
const SQL_MAX: usize = 64 << 10;
const REASON_MAX: usize = 4 << 10;
const APPLICATION_MAX: usize = 256;

type Waiting = (AskedQuery, oneshot::Sender<Result<(), String>>);

/// Tells the lake who asked what.
#[derive(Clone, Debug)]
pub struct Audit {
    told: mpsc::UnboundedSender<Waiting>,
}

impl Audit {
    /// Begins to state what is asked to the lake that `data` names.
    pub fn begin(data: &Path) -> std::io::Result<Self> {
        let (told, mut asked) = mpsc::unbounded_channel::<Waiting>();
        let data = data.to_owned();
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                let mut waiting = Vec::new();
                // Whoever comes while one statement is written shares the next.
                while asked.blocking_recv_many(&mut waiting, AT_ONCE) > 0 {
                    let (queries, senders): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
                    let stated = state(&data, queries).map_err(|error| error.to_string());
                    for sender in senders {
                        // Who does not wait any more has left.
                        drop(sender.send(stated.clone()));
                    }
                }
            })?;
        Ok(Self { told })
    }

    /// Returns when it is durable that `query` was asked.
    ///
    /// # Errors
    ///
    /// Why it could not be made so. The query must not be answered then.
    pub(super) async fn tell(&self, mut query: AskedQuery) -> Result<(), String> {
        let cut = |text: &mut String, most| text.truncate(text.floor_char_boundary(most));
        cut(&mut query.sql, SQL_MAX);
        query
            .refused
            .iter_mut()
            .for_each(|text| cut(text, REASON_MAX));
        query
            .application
            .iter_mut()
            .for_each(|text| cut(text, APPLICATION_MAX));
        let (sender, stated) = oneshot::channel();
        let gone = || "the audit has ended".to_owned();
        self.told.send((query, sender)).map_err(|_| gone())?;
        stated.await.map_err(|_| gone())?
    }
}

fn state(data: &Path, queries: Vec<AskedQuery>) -> Result<(), LakeError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = Micros(chrono::Utc::now().timestamp_micros());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let text = format!("{} {} {count}", now.0, std::process::id());
    let statement = Statement {
        uid: format!("qa-{}", hex(&sha256(text.as_bytes())[..10])),
        at: now,
        author: "keytrail serve".to_owned(),
        what: Stated::Queries(queries),
    };
    Inbox::put(data, &statement)
}
