//! Every row of every file that a table shows: its digest recomputed from its columns, and found at its leaf, once.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::shown::ShownFile;
use super::tree::Corrected;
use super::{Problem, Read, Verdict, epoch_of};
use crate::evidence::StoredRows;
use crate::lake::log::{Files, Hash, TileId, WIDTH, leaf_hash};
use crate::lake::{Place, TABLES_DIR, rows, store};
use crate::model::{Sha256Digest, hex, sha256};

/// How many rows of one file are told one by one.
const ROWS_TOLD: usize = 10;

/// What a file's check came to.
#[derive(Default)]
struct Outcome {
    bytes: u64,
    rows: i64,
    problems: Vec<Problem>,
    /// Problems beyond those that are told.
    more: u64,
    /// Whether it was read to its end: what it should hold is otherwise not missing but unreadable.
    whole: bool,
}

struct Check<'a> {
    root: &'a Place,
    files: &'a Files,
    corrected: Option<&'a Corrected>,
    read: &'a [Read],
    size: u64,
    /// One bit for each leaf that a row was found for.
    found: Vec<AtomicU64>,
}

/// Checks the rows of all files that tables show. Without a tree (`corrected` is none) rows are held to their own digests
/// and leaves only.
pub(super) fn check(
    root: &Place,
    files: &Files,
    corrected: Option<&Corrected>,
    read: &[Read],
    shown: &[ShownFile],
    retired: &[[i64; 3]],
    verdict: &mut Verdict,
) {
    let size = read.last().map_or(0, |last| last.manifest.tree_size);
    let size = u64::try_from(size).unwrap_or(0);
    let mut found = Vec::new();
    found.resize_with(size.div_ceil(64) as usize, AtomicU64::default);
    let check = Check {
        root,
        files,
        corrected,
        read,
        size,
        found,
    };
    let outcomes = check.all(shown);
    let mut unread = Vec::new();
    for (file, outcome) in shown.iter().zip(outcomes) {
        verdict.files += 1;
        verdict.bytes += outcome.bytes;
        verdict.rows += outcome.rows;
        verdict.more_problems += outcome.more;
        outcome
            .problems
            .into_iter()
            .for_each(|problem| verdict.add(problem));
        if !outcome.whole {
            unread.extend(file.leaves());
        }
    }
    verdict.retired = check.retire(retired);
    check.missing(&unread, verdict);
}

impl Check<'_> {
    /// Checks the files on every core.
    fn all(&self, files: &[ShownFile]) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(BTreeMap::new());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(file) = files.get(index) else {
                            return;
                        };
                        let outcome = self.file(file);
                        let mut outcomes = outcomes.lock().unwrap_or_else(|held| held.into_inner());
                        outcomes.insert(index, outcome);
                    }
                });
            }
        });
        let outcomes = outcomes
            .into_inner()
            .unwrap_or_else(|held| held.into_inner());
        outcomes.into_values().collect()
    }

    fn file(&self, file: &ShownFile) -> Outcome {
        let mut outcome = Outcome::default();
        let what = file.what();
        let path = self
            .root
            .join(TABLES_DIR)
            .join(file.table.name)
            .join(&file.path);
        let wrong = |row: Option<u64>, reason: String| Problem {
            what: what.clone(),
            epoch: file.epoch,
            table: Some(file.table.name.to_owned()),
            row,
            reason,
        };
        let bytes = match store::read(&path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                outcome
                    .problems
                    .push(wrong(None, "it is missing".to_owned()));
                return outcome;
            }
            Err(error) => {
                outcome.problems.push(wrong(None, error.to_string()));
                return outcome;
            }
        };
        outcome.bytes = bytes.len() as u64;
        let altered = match &file.sha256 {
            Some(sha256_then) => *sha256_then != hex(&sha256(&bytes)),
            None => outcome.bytes != file.size,
        };
        // A damaged file may make its reader give up in any way; that too is an answer.
        let rows = catch_unwind(AssertUnwindSafe(|| {
            self.rows(file, bytes, &mut outcome, &wrong)
        }))
        .unwrap_or_else(|_| Err("it cannot be read as parquet".to_owned()));
        outcome.whole = rows.is_ok();
        if let Err(reason) = rows {
            outcome.problems.push(wrong(None, reason));
        }
        if altered {
            let reason = "its hash is not the one in the manifest".to_owned();
            outcome.problems.push(wrong(None, reason));
        }
        outcome
    }

    fn rows(
        &self,
        file: &ShownFile,
        bytes: Vec<u8>,
        outcome: &mut Outcome,
        wrong: &dyn Fn(Option<u64>, String) -> Problem,
    ) -> Result<(), String> {
        let mut placed = Vec::new();
        let mut row = 0;
        let told = |outcome: &mut Outcome, row: u64, reason: String| {
            if outcome.problems.len() < ROWS_TOLD {
                outcome.problems.push(wrong(Some(row), reason));
            } else {
                outcome.more += 1;
            }
        };
        for batch in rows::batches(bytes.into(), None)? {
            let batch = batch.map_err(|error| error.to_string())?;
            let batch = with_partition(file, &batch)?;
            let mut stored = StoredRows::new(file.table, &batch)?;
            let claimed = rows::placed(&batch).ok_or("a row has no leaf or digest")?;
            let epochs = batch
                .column_by_name("_epoch")
                .and_then(|column| column.as_primitive_opt::<Int64Type>())
                .ok_or("it has no epochs")?;
            for (index, (leaf, digest)) in claimed.into_iter().enumerate() {
                let computed = stored.digest(index);
                if computed != Some(digest) {
                    let reason = "its columns do not give its digest: it was altered".to_owned();
                    told(outcome, row, reason);
                }
                let epoch = epochs.value(index);
                if u64::try_from(leaf).map(|leaf| epoch_of(self.read, leaf)) != Ok(epoch) {
                    let reason = format!("it says epoch {epoch}, which does not have leaf {leaf}");
                    told(outcome, row, reason);
                }
                placed.push((leaf, computed.unwrap_or(digest), row));
                row += 1;
            }
        }
        outcome.rows = row as i64;
        placed.sort_unstable();
        let mut tile = (u64::MAX, Vec::new());
        for (leaf, digest, row) in placed {
            if let Err(reason) = self.place(leaf, &digest, &mut tile) {
                told(outcome, row, reason);
            }
        }
        Ok(())
    }

    /// Holds a digest to its leaf, and marks the leaf as found.
    fn place(
        &self,
        leaf: i64,
        digest: &Sha256Digest,
        tile: &mut (u64, Vec<Hash>),
    ) -> Result<(), String> {
        let place = u64::try_from(leaf).ok().filter(|leaf| *leaf < self.size);
        let place =
            place.ok_or_else(|| format!("leaf {leaf} is not in the tree: the row is extra"))?;
        let index = place / WIDTH as u64;
        if self.corrected.is_some() && tile.0 != index {
            *tile = (index, self.tile(index));
        }
        if let Some(expected) = tile.1.get((place % WIDTH as u64) as usize)
            && *expected != leaf_hash(digest)
        {
            return Err(format!("it is not the row that was signed as leaf {leaf}"));
        }
        let bit = 1 << (place % 64);
        let before = self.found[(place / 64) as usize].fetch_or(bit, Ordering::Relaxed);
        if before & bit != 0 {
            return Err(format!(
                "it is there a second time: leaf {leaf} has a row already"
            ));
        }
        Ok(())
    }

    /// Leaf hashes of a tile, as far as they are known.
    fn tile(&self, index: u64) -> Vec<Hash> {
        if let Some(right) = self.corrected.and_then(|corrected| corrected.get(&index)) {
            return right.clone();
        }
        let id = TileId::holding(0, index * WIDTH as u64, self.size);
        let stored = [id.path(), id.full_path()]
            .into_iter()
            .find_map(|path| self.files.read(&path).ok().flatten());
        let bytes = stored.unwrap_or_default();
        bytes.as_chunks::<32>().0.to_vec()
    }

    /// Takes leaves whose rows were removed on purpose as found, where no row is. Gives how many there are.
    fn retire(&self, retired: &[[i64; 3]]) -> u64 {
        let mut count = 0;
        for [first, step, leaves] in retired {
            let step = usize::try_from(*step).unwrap_or(1).max(1);
            let places = u64::try_from(*first).unwrap_or(self.size)..self.size;
            let leaves = usize::try_from(*leaves).unwrap_or(0);
            for place in places.step_by(step).take(leaves) {
                let bit = 1 << (place % 64);
                let before = self.found[(place / 64) as usize].fetch_or(bit, Ordering::Relaxed);
                count += u64::from(before & bit == 0);
            }
        }
        count
    }

    /// Tells of leaves that no row was found for.
    fn missing(&self, unread: &[(u64, u64)], verdict: &mut Verdict) {
        let within = |(begin, end): &(u64, u64), leaf: u64| (*begin..=*end).contains(&leaf);
        for (word, bits) in self.found.iter().enumerate() {
            let mut empty = !bits.load(Ordering::Relaxed);
            while empty != 0 {
                let leaf = word as u64 * 64 + u64::from(empty.trailing_zeros());
                empty &= empty - 1;
                if leaf >= self.size || unread.iter().any(|span| within(span, leaf)) {
                    continue;
                }
                let epoch = epoch_of(self.read, leaf);
                let (table, file) = self.home(epoch, leaf);
                verdict.add(Problem {
                    what: file,
                    epoch,
                    table,
                    row: None,
                    reason: format!("the row that was signed as leaf {leaf} is missing"),
                });
            }
        }
    }

    /// The table and the file that held `leaf` when it was committed; several tables may share a span of leaves.
    fn home(&self, epoch: i64, leaf: u64) -> (Option<String>, String) {
        let leaf = i64::try_from(leaf).unwrap_or(i64::MAX);
        let manifest = self.read.iter().find(|read| read.manifest.epoch == epoch);
        let tables = manifest.map(|read| read.manifest.tables.as_slice());
        let mut homes = tables.into_iter().flatten().flat_map(|files| {
            let held = files.files.iter();
            held.filter(|file| (file.leaf_min..=file.leaf_max).contains(&leaf))
                .map(|file| {
                    (
                        files.table.clone(),
                        format!("tables/{}/{}", files.table, file.path),
                    )
                })
        });
        match homes.next() {
            Some((table, file)) => (Some(table), file),
            None => (None, format!("leaf {leaf}")),
        }
    }
}

/// The batch with its partition columns, which a file does not hold, as texts.
fn with_partition(file: &ShownFile, batch: &RecordBatch) -> Result<RecordBatch, String> {
    if file.partition_values.is_empty() {
        return Ok(batch.clone());
    }
    let mut fields: Vec<Arc<Field>> = batch.schema().fields().to_vec();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (name, value) in &file.partition_values {
        if batch.column_by_name(name).is_none() {
            fields.push(Arc::new(Field::new(name, DataType::Utf8, true)));
            let values = std::iter::repeat_n(value.as_str(), batch.num_rows());
            columns.push(Arc::new(StringArray::from_iter_values(values)));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
        .map_err(|error| error.to_string())
}

impl ShownFile {
    pub(super) fn what(&self) -> String {
        format!("tables/{}/{}", self.table.name, self.path)
    }
}
