//! Rows of several runs, merged by their sort key; files that are no run yet are sorted in memory first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, RecordBatchReader, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::super::LakeError;
use super::rewrite::{BATCH_ROWS, Job, next_batch};
use super::sums::Sums;

/// What a sorted run is sorted by: those of these columns that the table has, in this order, then the leaf.
const SORTED_BY: [&str; 11] = [
    "identity_uid",
    "target_identity_uid",
    "from_uid",
    "finding_uid",
    "event_time",
    "valid_from",
    "issued_time",
    "first_time",
    "first_seen_time",
    "revision",
    "hour",
];

/// Rows of one run, or of files that were sorted in memory, in their order.
struct Source {
    /// Files that follow, last first.
    files: Vec<(String, String)>,
    reader: Option<ParquetRecordBatchReader>,
    /// What was sorted in memory.
    memory: Vec<RecordBatch>,
    keys: Option<Rows>,
    /// Where the batch in hand stands in the window, and which of its rows is next.
    batch: usize,
    row: usize,
    rows: usize,
}

/// Rows of several runs, merged by their sort key.
pub(super) struct Merge<'a> {
    job: &'a Job,
    pub(super) schema: SchemaRef,
    converter: RowConverter,
    columns: Vec<usize>,
    sources: Vec<Source>,
    heap: BinaryHeap<Reverse<(Box<[u8]>, usize)>>,
    /// Batches from which rows are taken.
    window: Vec<RecordBatch>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(job: &'a Job, sums: &mut Sums) -> Result<Self, LakeError> {
        let first = &job.files[0].file;
        let schema = job.open(&first.path, &first.sha256)?.schema();
        let columns: Vec<usize> = SORTED_BY
            .into_iter()
            .chain(["_leaf"])
            .filter_map(|name| schema.index_of(name).ok())
            .collect();
        let fields = columns
            .iter()
            .map(|column| SortField::new(schema.field(*column).data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(|error| job.broken(&error))?;
        let mut merge = Self {
            job,
            converter,
            columns,
            sources: Vec::new(),
            heap: BinaryHeap::new(),
            window: Vec::new(),
            schema,
        };
        let mut runs = BTreeMap::<i64, Vec<(String, String)>>::new();
        let mut unsorted = Vec::new();
        for file in &job.files {
            let name = (file.file.path.clone(), file.file.sha256.clone());
            match file.run {
                Some((run, _)) => runs.entry(run).or_default().push(name),
                None => unsorted.push(name),
            }
        }
        for mut files in runs.into_values() {
            files.sort();
            files.reverse();
            merge.source(files, Vec::new());
        }
        if !unsorted.is_empty() {
            let memory = merge.sorted(&unsorted)?;
            merge.source(Vec::new(), memory);
        }
        for source in 0..merge.sources.len() {
            merge.refill(source, sums)?;
        }
        Ok(merge)
    }

    fn source(&mut self, files: Vec<(String, String)>, memory: Vec<RecordBatch>) {
        self.sources.push(Source {
            files,
            reader: None,
            memory,
            keys: None,
            batch: 0,
            row: 0,
            rows: 0,
        });
    }

    /// All rows of `files` in order, in batches, last first.
    fn sorted(&self, files: &[(String, String)]) -> Result<Vec<RecordBatch>, LakeError> {
        let mut batches = Vec::new();
        for (path, sha256) in files {
            let mut reader = self.job.open(path, sha256)?;
            while let Some(batch) = next_batch(&mut reader, self.job.table)? {
                batches.push(self.as_first(batch)?);
            }
        }
        let broken = |error| self.job.broken(&error);
        let all = concat_batches(&self.schema, &batches).map_err(broken)?;
        drop(batches);
        let keys = self
            .converter
            .convert_columns(&self.key_columns(&all))
            .map_err(broken)?;
        let mut order: Vec<u32> = (0..all.num_rows() as u32).collect();
        order.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
        let mut sorted = Vec::new();
        for rows in order.chunks(BATCH_ROWS) {
            let rows = UInt32Array::from(rows.to_vec());
            sorted.push(take_record_batch(&all, &rows).map_err(broken)?);
        }
        sorted.reverse();
        Ok(sorted)
    }

    fn key_columns(&self, batch: &RecordBatch) -> Vec<Arc<dyn Array>> {
        let columns = self.columns.iter();
        columns
            .map(|column| batch.column(*column).clone())
            .collect()
    }

    /// A batch whose columns are those of the first file: the plan never mixes schemas.
    fn as_first(&self, batch: RecordBatch) -> Result<RecordBatch, LakeError> {
        let same = |a: &SchemaRef, b: &SchemaRef| {
            let pairs = a.fields().iter().zip(b.fields());
            a.fields().len() == b.fields().len()
                && pairs.into_iter().all(|(a, b)| {
                    a.name() == b.name()
                        && a.data_type() == b.data_type()
                        && a.is_nullable() == b.is_nullable()
                })
        };
        if !same(&batch.schema(), &self.schema) {
            return Err(LakeError::Damaged {
                what: self.job.table.name.to_owned(),
                reason: "files of one schema have different columns".to_owned(),
            });
        }
        RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| self.job.broken(&error))
    }

    /// Gets the next batch of a source, if it has one, and counts its rows.
    fn refill(&mut self, number: usize, sums: &mut Sums) -> Result<(), LakeError> {
        loop {
            let source = &mut self.sources[number];
            let batch = if let Some(batch) = source.memory.pop() {
                Some(batch)
            } else if let Some(reader) = &mut source.reader {
                next_batch(reader, self.job.table)?
            } else {
                None
            };
            if let Some(batch) = batch {
                if batch.num_rows() == 0 {
                    continue;
                }
                let batch = self.as_first(batch)?;
                sums.add(&batch)?;
                let keys = self
                    .converter
                    .convert_columns(&self.key_columns(&batch))
                    .map_err(|error| self.job.broken(&error))?;
                self.window.push(batch);
                let at = self.window.len() - 1;
                let source = &mut self.sources[number];
                source.rows = keys.num_rows();
                (source.batch, source.row) = (at, 0);
                source.keys = Some(keys);
                self.offer(number);
                return Ok(());
            }
            let Some((path, sha256)) = source.files.pop() else {
                source.keys = None;
                return Ok(());
            };
            source.reader = Some(self.job.open(&path, &sha256)?);
        }
    }

    /// Puts the next row of a source among those of the others.
    fn offer(&mut self, number: usize) {
        let source = &self.sources[number];
        if let Some(keys) = &source.keys {
            let key = keys.row(source.row).as_ref().into();
            self.heap.push(Reverse((key, number)));
        }
    }

    /// The next rows; none at the end. Rows that are read are added to `sums`.
    pub(super) fn next(&mut self, sums: &mut Sums) -> Result<Option<RecordBatch>, LakeError> {
        let mut taken = Vec::with_capacity(BATCH_ROWS);
        while taken.len() < BATCH_ROWS {
            let Some(Reverse((_, number))) = self.heap.pop() else {
                break;
            };
            let source = &mut self.sources[number];
            taken.push((source.batch, source.row));
            source.row += 1;
            if source.row < source.rows {
                self.offer(number);
            } else {
                self.refill(number, sums)?;
            }
        }
        if taken.is_empty() {
            return Ok(None);
        }
        let window: Vec<&RecordBatch> = self.window.iter().collect();
        let rows =
            interleave_record_batch(&window, &taken).map_err(|error| self.job.broken(&error))?;
        self.forget_read();
        Ok(Some(rows))
    }

    /// Keeps only the batches that sources still read from.
    fn forget_read(&mut self) {
        let window = std::mem::take(&mut self.window);
        for source in &mut self.sources {
            if source.keys.is_some() {
                self.window.push(window[source.batch].clone());
                source.batch = self.window.len() - 1;
            }
        }
    }
}
