//! Files of a table read, held against what the ledger says of them, and written again as one sorted run.
//!
//! Nothing becomes visible here, and nothing is removed. Every row is compared before and after, all its columns, by a
//! sum that does not depend on order; the files are read back for that from where they were written.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::super::ledger::StagedFile;
use super::super::store::FileWriter;
use super::super::{LakeError, Place, io, stage, store};
use super::merge::Merge;
use super::record::{AddedFile, Kind};
use super::sums::{Sums, column, steps};
use super::visible::VisibleFile;
use crate::evidence::Table;
use crate::model::{Digest, hex};

/// Rows that are read, compared and written at once.
pub(super) const BATCH_ROWS: usize = 1_024;

/// Files to be put in the place of others, or taken away.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) root: Place,
    pub(super) writer: String,
    pub(super) table: &'static Table,
    pub(super) kind: Kind,
    /// The number that the record will have if nobody else comes first.
    pub(super) number: i64,
    pub(super) files: Vec<VisibleFile>,
    /// A file of a run is about so large.
    pub(super) target_bytes: u64,
}

/// What a job came to. Its files are written, synced and not visible.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) added: Vec<AddedFile>,
    pub(super) rows: i64,
    pub(super) rows_sum: String,
    pub(super) leaves: Vec<[i64; 3]>,
}

impl Job {
    /// Does it. `None` if `stop` was raised: what was written is removed again.
    pub(super) fn run(&self, stop: &AtomicBool) -> Result<Option<Rewritten>, LakeError> {
        if self.kind == Kind::Remove {
            return self.leaving(stop);
        }
        let mut written = Vec::new();
        let done = self.rewrite(stop, &mut written);
        if !matches!(done, Ok(Some(_))) {
            self.discard(&written);
        }
        done
    }

    fn rewrite(
        &self,
        stop: &AtomicBool,
        written: &mut Vec<String>,
    ) -> Result<Option<Rewritten>, LakeError> {
        let mut before = Sums::default();
        let mut merge = Merge::new(self, &mut before)?;
        let mut run = Run::new(self, merge.schema.clone());
        while let Some(batch) = merge.next(&mut before)? {
            if stop.load(Ordering::Relaxed) {
                written.extend(run.paths());
                return Ok(None);
            }
            let added = run.write(&batch);
            written.extend(run.paths());
            added?;
        }
        let finished = run.finish();
        written.extend(run.paths());
        finished?;
        let mut after = Sums::default();
        for added in &run.added {
            let mut reader = self.open(&added.file.path, &added.file.sha256)?;
            while let Some(batch) = next_batch(&mut reader, self.table)? {
                after.add(&batch)?;
            }
        }
        if before != after {
            return Err(LakeError::Damaged {
                what: format!("{} of {} files", self.kind.name(), self.files.len()),
                reason: format!(
                    "{} rows became {} others of table {}; nothing was committed",
                    before.rows, after.rows, self.table.name
                ),
            });
        }
        Ok(Some(Rewritten {
            added: run.added,
            rows: before.rows,
            rows_sum: hex(&before.ledger),
            leaves: Vec::new(),
        }))
    }

    /// The leaves of rows that are to go.
    fn leaving(&self, stop: &AtomicBool) -> Result<Option<Rewritten>, LakeError> {
        let mut sums = Sums::default();
        let mut leaves = Vec::new();
        for file in &self.files {
            let mut reader = self.open(&file.file.path, &file.file.sha256)?;
            while let Some(batch) = next_batch(&mut reader, self.table)? {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                sums.add(&batch)?;
                leaves.extend_from_slice(
                    column(&batch, "_leaf").as_primitive::<Int64Type>().values(),
                );
            }
        }
        leaves.sort_unstable();
        Ok(Some(Rewritten {
            added: Vec::new(),
            rows: sums.rows,
            rows_sum: hex(&sums.ledger),
            leaves: steps(&leaves),
        }))
    }

    /// Removes files that nobody will ever name. One that stays is found by its age.
    pub(super) fn discard(&self, paths: &[String]) {
        for path in paths {
            drop(store::remove(&stage::full_path(
                &self.root, self.table, path,
            )));
        }
    }

    /// A reader of a file that is what the ledger says it is.
    pub(super) fn open(
        &self,
        path: &str,
        sha256: &str,
    ) -> Result<ParquetRecordBatchReader, LakeError> {
        open_checked(&self.root, self.table, path, sha256)
    }
}

/// A reader of the file at `path`, whose bytes have the hash `sha256`.
pub(in crate::lake) fn open_checked(
    root: &Place,
    table: &'static Table,
    path: &str,
    sha256: &str,
) -> Result<ParquetRecordBatchReader, LakeError> {
    let full = stage::full_path(root, table, path);
    if !full.local() {
        let missing = || LakeError::Damaged {
            what: full.display().to_string(),
            reason: "it is missing".to_owned(),
        };
        let bytes = store::read(&full)?.ok_or_else(missing)?;
        check_hash(&full, &crate::model::sha256(&bytes), sha256)?;
        return ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes))
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
            .map_err(stage::parquet(table));
    }
    let mut file = File::open(full.file_path()).map_err(io("cannot open", &full))?;
    let mut digest = Digest::default();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(io("cannot read", &full))?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
    }
    check_hash(&full, &digest.finish(), sha256)?;
    file.rewind().map_err(io("cannot read", &full))?;
    ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
        .map_err(stage::parquet(table))
}

fn check_hash(file: &Place, found: &[u8], wanted: &str) -> Result<(), LakeError> {
    if hex(found) == wanted {
        return Ok(());
    }
    Err(LakeError::Damaged {
        what: file.display().to_string(),
        reason: "its hash is not the one in the ledger".to_owned(),
    })
}

pub(super) fn next_batch(
    reader: &mut ParquetRecordBatchReader,
    table: &'static Table,
) -> Result<Option<RecordBatch>, LakeError> {
    reader
        .next()
        .transpose()
        .map_err(|error| stage::parquet(table)(error.into()))
}

impl Job {
    pub(super) fn broken(&self, error: &arrow::error::ArrowError) -> LakeError {
        LakeError::Damaged {
            what: format!("rows of {}", self.table.name),
            reason: error.to_string(),
        }
    }
}

/// A sorted run in the making: files one after the other.
struct Run<'a> {
    job: &'a Job,
    schema: SchemaRef,
    open: Option<(ArrowWriter<FileWriter>, AddedFile)>,
    added: Vec<AddedFile>,
    begun: Vec<String>,
}

impl<'a> Run<'a> {
    fn new(job: &'a Job, schema: SchemaRef) -> Self {
        Self {
            job,
            schema,
            open: None,
            added: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// Paths of files that were begun since the last call.
    fn paths(&mut self) -> Vec<String> {
        std::mem::take(&mut self.begun)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if self.open.is_none() {
            self.open = Some(self.begin(batch)?);
        }
        let (writer, added) = self.open.as_mut().expect("it was just opened");
        writer
            .write(batch)
            .map_err(stage::parquet(self.job.table))?;
        let span = |name| {
            let values = column(batch, name).as_primitive::<Int64Type>().values();
            let min = values.iter().min().copied().unwrap_or(i64::MAX);
            (min, values.iter().max().copied().unwrap_or(i64::MIN))
        };
        let ((leaf_min, leaf_max), (epoch_min, epoch_max)) = (span("_leaf"), span("_epoch"));
        added.file.rows += batch.num_rows() as i64;
        added.file.leaf_min = added.file.leaf_min.min(leaf_min);
        added.file.leaf_max = added.file.leaf_max.max(leaf_max);
        added.epoch_min = added.epoch_min.min(epoch_min);
        added.epoch_max = added.epoch_max.max(epoch_max);
        if writer.bytes_written() + writer.in_progress_size() >= self.job.target_bytes as usize {
            self.finish()?;
        }
        Ok(())
    }

    fn begin(
        &mut self,
        batch: &RecordBatch,
    ) -> Result<(ArrowWriter<FileWriter>, AddedFile), LakeError> {
        let job = self.job;
        let values = &job.files[0].file.partition_values;
        let folder: String = job
            .table
            .partition_by
            .iter()
            .filter_map(|column| Some(format!("{column}={}/", values.get(*column)?)))
            .collect();
        let (number, part, writer) = (job.number, self.added.len(), &job.writer);
        let path = format!("{folder}upkeep-{number:012}-{part:04}-{writer}.zstd.parquet");
        self.begun.push(path.clone());
        debug_assert_eq!(batch.schema().fields(), self.schema.fields());
        let full = stage::full_path(&job.root, job.table, &path);
        let writer = stage::open(full, job.table, batch)?;
        let file = StagedFile {
            path,
            partition_values: values.clone(),
            size: 0,
            rows: 0,
            sha256: String::new(),
            leaf_min: i64::MAX,
            leaf_max: i64::MIN,
        };
        let added = AddedFile {
            file,
            epoch_min: i64::MAX,
            epoch_max: i64::MIN,
        };
        Ok((writer, added))
    }

    /// Syncs the file that is open, if one is.
    fn finish(&mut self) -> Result<(), LakeError> {
        let Some((writer, mut added)) = self.open.take() else {
            return Ok(());
        };
        let table = self.job.table;
        let file = writer.into_inner().map_err(stage::parquet(table))?;
        let (size, sha256) = file.finish()?;
        added.file.size = size;
        added.file.sha256 = hex(&sha256);
        self.added.push(added);
        Ok(())
    }
}
