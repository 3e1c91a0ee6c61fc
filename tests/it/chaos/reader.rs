//! A reader who never rests: whatever happens to the writer, all tables are of one epoch, and none goes back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use keytrail::evidence::TABLES;
use keytrail::query::Session;

use super::super::wait;

/// What a reader has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) looks: u64,
    /// How many different epochs.
    pub(super) epochs: u64,
    /// What was wrong.
    pub(super) wrong: Vec<String>,
}

/// A reader in a thread of its own.
#[derive(Debug)]
pub(super) struct Reader {
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Reader {
    /// Reads the lake again and again, from before it is there.
    pub(super) fn start(lake: &Path) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (lake, told) = (lake.to_owned(), Arc::clone(&enough));
        let thread = std::thread::spawn(move || read(&lake, &told));
        Self { enough, thread }
    }

    /// Ends it, and holds what it saw to the promise.
    pub(super) fn end(self, fault: &str) -> Seen {
        self.enough.store(true, Ordering::SeqCst);
        let seen = self.thread.join().unwrap();
        assert_eq!(seen.wrong, [] as [String; 0], "{fault}");
        seen
    }
}

fn read(lake: &Path, enough: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut last = 0;
    while !enough.load(Ordering::SeqCst) {
        match wait(look(lake)) {
            Ok((epoch, size, rows)) => {
                seen.looks += 1;
                seen.epochs += u64::from(epoch > last);
                if epoch < last {
                    seen.wrong.push(format!("epoch {epoch} after {last}"));
                }
                // Every row of every table is a leaf: a table that stands at another epoch than the others shows here.
                if size != rows {
                    let wrong = format!("epoch {epoch}: {rows} rows in all tables, {size} leaves");
                    seen.wrong.push(wrong);
                }
                last = last.max(epoch);
            }
            // Before the first epoch the tables are only being made.
            Err(_) if last == 0 => (),
            Err(error) => seen.wrong.push(format!("after epoch {last}: {error}")),
        }
    }
    seen
}

/// The epoch of a new session, the leaves that its last row of `epochs` tells, and the rows that all its tables have.
async fn look(lake: &Path) -> Result<(i64, i64, i64), keytrail::query::QueryError> {
    let session = Session::open(lake).await?;
    let rows: Vec<String> = TABLES
        .iter()
        .map(|table| format!("(SELECT count(*) FROM {})", table.name))
        .collect();
    let sql = format!(
        "SELECT (SELECT coalesce(max(tree_size), 0) FROM epochs) AS size, {} AS found",
        rows.join(" + ")
    );
    let (_, batches) = session.sql(&sql).await?;
    let number = |column: usize| {
        let column = batches[0].column(column);
        column.as_primitive::<Int64Type>().value(0)
    };
    Ok((session.epoch(), number(0), number(1)))
}
