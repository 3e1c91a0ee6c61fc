//! Parquet before it is visible: rows are written, synced and hashed, and no reader knows of them yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use arrow::array::{Array, AsArray, PrimitiveArray, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::ledger::{StagedFile, TableFiles};
use super::store::FileWriter;
use super::{LakeError, Place, TABLES_DIR, io, rows};
use crate::evidence::Table;
use crate::failpoint;
use crate::model::{Day, Sha256Digest, hex};

/// Columns whose values are long or differ in every row: a dictionary of them is a second copy, and their smallest and
/// largest value helps no query but would put log content into file footers.
const LONG_COLUMNS: [&str; 6] = [
    "params_json",
    "raw_json",
    "raw",
    "error_message",
    "sql",
    "why_json",
];

/// Columns with random values: a dictionary of them is a second copy, and the smallest and largest of a thousand
/// random values exclude nothing.
const RANDOM_COLUMNS: [&str; 6] = [
    "event_uid",
    "action_uid",
    "request_uid",
    "shared_event_uid",
    "raw_sha256",
    "_row_digest",
];

/// Columns that grow from row to row: statistics, but no dictionary.
const GROWING_COLUMNS: [&str; 2] = ["_leaf", "src_offset"];

/// A partition's rows wait until there are so many, and only then have a file of their own open: logs of a hundred days
/// in one epoch must not hold a hundred writers, each with the buffers of every column.
const WAITING_ROWS: usize = 4096;

/// Where an epoch's files go, and whose they are.
#[derive(Clone, Debug)]
pub struct Staging {
    pub(super) root: Place,
    /// Tells this writer's files from another's.
    pub(super) writer: String,
}

impl Staging {
    /// Files for the rows of `table` in `epoch`; none is created before there is a row.
    pub fn begin(&self, table: &'static Table, epoch: i64) -> TableStaging<'_> {
        TableStaging {
            staging: self,
            table,
            epoch,
            partitions: BTreeMap::new(),
            leaves: Vec::new(),
        }
    }
}

/// The staged files of one table, and what its rows add to the tree.
#[derive(Clone, Debug)]
pub struct StagedTable {
    pub(super) files: TableFiles,
    /// Leaf and digest of each row, in the order in which they came.
    pub(super) leaves: Vec<(i64, Sha256Digest)>,
}

/// The files of one table of one epoch in the making: one for each partition. Rows come in batches and are encoded as
/// they come, so that the memory they took can be used for the next ones.
#[derive(Debug)]
pub struct TableStaging<'a> {
    staging: &'a Staging,
    table: &'static Table,
    epoch: i64,
    /// By the values of the partition columns, in the order of the table's columns.
    partitions: BTreeMap<Vec<String>, Partition>,
    leaves: Vec<(i64, Sha256Digest)>,
}

impl TableStaging<'_> {
    /// Adds the rows of `batch`, which has every column of the table.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let placed = rows::placed(batch).expect("every table has the ledger columns");
        self.leaves.extend(placed);
        // In slices: finding a row's partition among all those of its slice must stay cheap whatever days it brings.
        for begin in (0..batch.num_rows()).step_by(WAITING_ROWS) {
            let rows = WAITING_ROWS.min(batch.num_rows() - begin);
            self.add_slice(&batch.slice(begin, rows))?;
        }
        Ok(())
    }

    fn add_slice(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        for (values, rows) in split(self.table, batch) {
            let number = self.partitions.len();
            let partition = match self.partitions.entry(values) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let path = path(
                        self.table,
                        new.key(),
                        self.epoch,
                        number,
                        &self.staging.writer,
                    );
                    new.insert(Partition::new(path))
                }
            };
            partition.add(rows);
            if partition.open.is_some() || partition.waiting_rows >= WAITING_ROWS {
                partition.write(&self.staging.root, self.table)?;
            }
        }
        Ok(())
    }

    /// Writes what is left and syncs every file. None if there was no row.
    pub fn finish(self) -> Result<Option<StagedTable>, LakeError> {
        let mut files = Vec::new();
        for (values, mut partition) in self.partitions {
            partition.write(&self.staging.root, self.table)?;
            let columns = self.table.partition_by.iter();
            let values = columns.map(|column| (*column).to_owned()).zip(values);
            files.push(partition.finish(self.table, values.collect())?);
        }
        if files.is_empty() {
            return Ok(None);
        }
        Ok(Some(StagedTable {
            files: TableFiles {
                table: self.table.name.to_owned(),
                rows: files.iter().map(|file| file.rows).sum(),
                prev_epoch_with_adds: 0,
                schema_sha256: hex(&self.table.schema_sha256()),
                files,
            },
            leaves: self.leaves,
        }))
    }
}

/// The rows of one partition: those that wait, and the file of those that do not.
#[derive(Debug)]
struct Partition {
    path: String,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    open: Option<ArrowWriter<FileWriter>>,
    rows: i64,
    leaf_min: i64,
    leaf_max: i64,
}

impl Partition {
    const fn new(path: String) -> Self {
        Self {
            path,
            waiting: Vec::new(),
            waiting_rows: 0,
            open: None,
            rows: 0,
            leaf_min: i64::MAX,
            leaf_max: i64::MIN,
        }
    }

    fn add(&mut self, rows: RecordBatch) {
        let leaves = rows
            .column_by_name("_leaf")
            .expect("every table has the ledger columns")
            .as_primitive::<Int64Type>();
        for leaf in leaves.values() {
            self.leaf_min = self.leaf_min.min(*leaf);
            self.leaf_max = self.leaf_max.max(*leaf);
        }
        self.waiting_rows += rows.num_rows();
        self.rows += rows.num_rows() as i64;
        self.waiting.push(rows);
    }

    /// Encodes the rows that wait, into the file that is opened for the first of them.
    fn write(&mut self, root: &Place, table: &'static Table) -> Result<(), LakeError> {
        self.waiting_rows = 0;
        for rows in std::mem::take(&mut self.waiting) {
            let rows = without_partition_columns(table, &rows);
            let writer = match &mut self.open {
                Some(writer) => writer,
                closed => closed.insert(open(full_path(root, table, &self.path), table, &rows)?),
            };
            writer.write(&rows).map_err(parquet(table))?;
        }
        Ok(())
    }

    fn finish(
        self,
        table: &'static Table,
        partition_values: BTreeMap<String, String>,
    ) -> Result<StagedFile, LakeError> {
        let writer = self.open.expect("a partition is made for its first row");
        let file = writer.into_inner().map_err(parquet(table))?;
        let (size, sha256) = file.finish()?;
        failpoint::reach("parquet.written").map_err(io("cannot write", &self.path))?;
        Ok(StagedFile {
            path: self.path,
            partition_values,
            size,
            rows: self.rows,
            sha256: hex(&sha256),
            leaf_min: self.leaf_min,
            leaf_max: self.leaf_max,
        })
    }
}

/// Where the file of a partition stands below its table.
fn path(table: &Table, values: &[String], epoch: i64, number: usize, writer: &str) -> String {
    let folder: String = table
        .partition_by
        .iter()
        .zip(values)
        .map(|(column, value)| format!("{column}={value}/"))
        .collect();
    format!("{folder}part-{epoch:012}-{number:04}-{writer}.zstd.parquet")
}

pub(super) fn full_path(root: &Place, table: &Table, path: &str) -> Place {
    root.join(TABLES_DIR).join(table.name).join(path)
}

/// A file of `table` for rows of the schema of `rows`.
pub(super) fn open(
    full: Place,
    table: &'static Table,
    rows: &RecordBatch,
) -> Result<ArrowWriter<FileWriter>, LakeError> {
    ArrowWriter::try_new(FileWriter::new(full), rows.schema(), Some(properties()))
        .map_err(parquet(table))
}

pub(super) fn parquet(table: &'static Table) -> impl Fn(ParquetError) -> LakeError {
    move |source| LakeError::Parquet {
        table: table.name,
        source,
    }
}

/// Delta keeps partition values in its log and the folder's name, not in the file.
fn without_partition_columns(table: &Table, rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let fields = schema.fields().iter().enumerate();
    let kept: Vec<usize> = fields
        .filter(|(_, field)| !table.partition_by.contains(&field.name().as_str()))
        .map(|(index, _)| index)
        .collect();
    rows.project(&kept)
        .expect("the indices come from this batch's schema")
}

/// The rows of `batch` by the values of their partition columns, in the order in which those come first.
fn split(table: &Table, batch: &RecordBatch) -> Vec<(Vec<String>, RecordBatch)> {
    let columns: Vec<PartitionColumn<'_>> = table
        .partition_by
        .iter()
        .map(|column| PartitionColumn::of(batch, column))
        .collect();
    // The first row and the rows of each group. There are few: as many as days and providers meet in one batch.
    let mut groups: Vec<(usize, Vec<u32>)> = Vec::new();
    for row in 0..batch.num_rows() {
        let same = |first: usize| columns.iter().all(|column| column.same(first, row));
        match groups.iter_mut().find(|(first, _)| same(*first)) {
            Some((_, rows)) => rows.push(row as u32),
            None => groups.push((row, vec![row as u32])),
        }
    }
    let whole = groups.len() == 1;
    groups
        .into_iter()
        .map(|(first, rows)| {
            let values = columns.iter().map(|column| column.text(first)).collect();
            let rows = if whole {
                batch.clone()
            } else {
                take_record_batch(batch, &UInt32Array::from(rows))
                    .expect("the row numbers come from this batch")
            };
            (values, rows)
        })
        .collect()
}

/// A column that a table is partitioned by.
enum PartitionColumn<'a> {
    Days(&'a PrimitiveArray<Date32Type>),
    Texts(&'a StringArray),
}

impl<'a> PartitionColumn<'a> {
    fn of(batch: &'a RecordBatch, column: &str) -> Self {
        let array = batch
            .column_by_name(column)
            .expect("a table is partitioned by its own columns");
        match array.data_type() {
            DataType::Date32 => Self::Days(array.as_primitive()),
            _ => Self::Texts(array.as_string()),
        }
    }

    fn same(&self, a: usize, b: usize) -> bool {
        match self {
            Self::Days(days) => days.value(a) == days.value(b),
            Self::Texts(texts) => texts.value(a) == texts.value(b),
        }
    }

    /// The value as Delta writes it into paths.
    fn text(&self, row: usize) -> String {
        match self {
            Self::Days(days) => Day(days.value(row)).to_string(),
            Self::Texts(texts) => texts.value(row).to_owned(),
        }
    }
}

fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("1 is a level of zstd");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(64))
        .set_created_by(concat!("keytrail ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in LONG_COLUMNS.into_iter().chain(RANDOM_COLUMNS) {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for column in GROWING_COLUMNS {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    properties.build()
}
