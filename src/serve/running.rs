//! A query at work, and the limits of its answer.

use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use arrow_pg::datatypes::encode_recordbatch;
use datafusion::logical_expr::LogicalPlan;
use futures::{Stream, StreamExt, stream};
use pgwire::api::results::FieldInfo;
use pgwire::error::PgWireResult;
use pgwire::messages::data::DataRow;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::Role;
use super::refusal::{error, timed_out, told};
use crate::query::{QueryError, Session};

/// How many batches of an answer wait for the client.
const BATCHES_AHEAD: usize = 2;

/// What one query may take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) deadline: Instant,
    /// How long before its deadline it came.
    pub(super) time: Duration,
    pub(super) rows_max: usize,
    /// Bytes of an answer that is kept whole before it goes out.
    pub(super) bytes_max: usize,
    pub(super) role: Role,
}

/// A batch of an answer, or nothing after the last one. Who hears neither has not heard all of it.
type Part = Result<Option<RecordBatch>, QueryError>;

/// A query that runs where it can keep no connection waiting, whatever it does. It ends where it next gives way when nobody wants
/// its batches any more, and at its deadline even if a client has stopped to take them, and keeps its place until then.
pub(super) struct Running {
    parts: mpsc::Receiver<Part>,
    task: AbortHandle,
    bounds: Bounds,
    rows: usize,
    bytes: usize,
}

impl Running {
    pub(super) fn start(
        queries: &Handle,
        (session, plan): (Arc<Session>, LogicalPlan),
        bounds: Bounds,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let (sender, parts) = mpsc::channel(BATCHES_AHEAD);
        let task = queries.spawn(async move {
            let _permit = permit;
            // Without its last part the client's side knows that it was late.
            drop(timeout_at(bounds.deadline, answer(session, plan, &sender)).await);
        });
        Self {
            parts,
            task: task.abort_handle(),
            bounds,
            rows: 0,
            bytes: 0,
        }
    }

    /// The next batch, and nothing after the last one: a limit is an error.
    pub(super) async fn next(&mut self) -> PgWireResult<Option<RecordBatch>> {
        let Bounds {
            deadline,
            time,
            rows_max,
            bytes_max,
            role,
        } = self.bounds;
        let batch = match timeout_at(deadline, self.parts.recv()).await {
            Ok(Some(part)) => part.map_err(|error| told(role, &error))?,
            Ok(None) if Instant::now() < deadline => {
                return Err(error("XX000", "the query broke off"));
            }
            _ => return Err(timed_out(time)),
        };
        self.rows += batch.as_ref().map_or(0, RecordBatch::num_rows);
        if self.rows > rows_max {
            let reason =
                format!("the answer has more than {rows_max} rows (serve.rows_max): ask for fewer");
            return Err(error("54000", reason));
        }
        self.bytes += batch.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        if self.bytes > bytes_max {
            let reason = "the answer is larger than serve.memory_bytes_max: ask for less, or without preparing the statement";
            return Err(error("54000", reason));
        }
        Ok(batch)
    }

    /// The rows of `first` and of what follows, and an error in place of what would break a limit: never fewer rows.
    pub(super) fn rows(
        self,
        first: Option<RecordBatch>,
        fields: Arc<Vec<FieldInfo>>,
    ) -> impl Stream<Item = PgWireResult<DataRow>> + Send {
        let rest = stream::unfold((self, false), |(mut running, failed)| async move {
            // Whoever asks again after an error does not hear that it was all.
            let next = if failed {
                Err(error("XX000", "the query has failed"))
            } else {
                running.next().await
            };
            let next = next.transpose()?;
            let failed = next.is_err();
            Some((next, (running, failed)))
        });
        // After nothing comes nothing.
        let more = if first.is_some() { usize::MAX } else { 0 };
        let batches = stream::iter(first.map(Ok)).chain(rest.take(more));
        batches.flat_map(move |batch| {
            let rows: Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send + Sync> = match batch {
                Ok(batch) => encode_recordbatch(Arc::clone(&fields), batch),
                Err(error) => Box::new(std::iter::once(Err(error))),
            };
            stream::iter(rows)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends every batch and a last word, unless nobody listens.
async fn answer(session: Arc<Session>, plan: LogicalPlan, parts: &mpsc::Sender<Part>) {
    let mut batches = match session.stream(plan).await {
        Ok(batches) => batches,
        Err(error) => return drop(parts.send(Err(error)).await),
    };
    while let Some(batch) = batches.next().await {
        let failed = batch.is_err();
        let sent = parts.send(batch.map(Some).map_err(QueryError::from)).await;
        if failed || sent.is_err() {
            return;
        }
    }
    drop(parts.send(Ok(None)).await);
}
