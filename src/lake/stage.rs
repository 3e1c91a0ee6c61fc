//! Parquet before it is visible: rows are written, synced and hashed, and no reader knows of them yet.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self as std_io, Write};
use std::path::Path;

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Date32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::ledger::{StagedFile, TableFiles};
use super::{LakeError, TABLES_DIR, io, store};
use crate::evidence::Table;
use crate::model::{Day, Digest, hex};

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

/// Columns that differ in every row and are searched for: statistics, but no dictionary.
const UNIQUE_COLUMNS: [&str; 8] = [
    "event_uid",
    "action_uid",
    "request_uid",
    "shared_event_uid",
    "raw_sha256",
    "_row_digest",
    "_leaf",
    "src_offset",
];

/// Stages the rows of one table of one epoch.
pub(super) fn stage(
    root: &Path,
    table: &'static Table,
    batch: &RecordBatch,
    epoch: i64,
    writer: &str,
) -> Result<TableFiles, LakeError> {
    let mut files = Vec::new();
    for (number, (values, rows)) in split(table, batch).into_iter().enumerate() {
        let folder: String = table
            .partition_by
            .iter()
            .map(|column| format!("{column}={}/", values[*column]))
            .collect();
        let path = format!("{folder}part-{epoch:012}-{number:04}-{writer}.zstd.parquet");
        files.push(write(root, table, path, values, &rows)?);
    }
    Ok(TableFiles {
        table: table.name.to_owned(),
        rows: batch.num_rows() as i64,
        prev_epoch_with_adds: 0,
        files,
    })
}

/// The rows by the values of their partition columns, in the order of those values.
fn split(table: &Table, batch: &RecordBatch) -> Vec<(BTreeMap<String, String>, RecordBatch)> {
    let mut groups: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
    let columns: Vec<Vec<String>> = table
        .partition_by
        .iter()
        .map(|column| partition_values(batch, column))
        .collect();
    for row in 0..batch.num_rows() {
        let key = columns.iter().map(|column| column[row].clone()).collect();
        groups.entry(key).or_default().push(row as u32);
    }
    let whole = groups.len() == 1;
    groups
        .into_iter()
        .map(|(key, rows)| {
            let values = table
                .partition_by
                .iter()
                .map(|column| (*column).to_owned())
                .zip(key)
                .collect();
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

/// A partition column's values as Delta writes them into paths.
fn partition_values(batch: &RecordBatch, column: &str) -> Vec<String> {
    let array = batch
        .column_by_name(column)
        .expect("a table is partitioned by its own columns");
    match array.data_type() {
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>();
            days.values()
                .iter()
                .map(|day| Day(*day).to_string())
                .collect()
        }
        _ => {
            let texts = array.as_string::<i32>();
            (0..texts.len())
                .map(|row| texts.value(row).to_owned())
                .collect()
        }
    }
}

fn write(
    root: &Path,
    table: &'static Table,
    path: String,
    partition_values: BTreeMap<String, String>,
    rows: &RecordBatch,
) -> Result<StagedFile, LakeError> {
    let full = root.join(TABLES_DIR).join(table.name).join(&path);
    if let Some(parent) = full.parent() {
        store::create_dir(parent)?;
    }
    let leaves = rows
        .column_by_name("_leaf")
        .expect("every table has the ledger columns")
        .as_primitive::<Int64Type>();
    let leaf_min = leaves.values().iter().copied().min().unwrap_or(0);
    let leaf_max = leaves.values().iter().copied().max().unwrap_or(0);
    // Delta keeps partition values in its log and the folder's name, not in the file.
    let kept: Vec<usize> = rows
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !table.partition_by.contains(&field.name().as_str()))
        .map(|(index, _)| index)
        .collect();
    let rows = rows
        .project(&kept)
        .expect("the indices come from this batch's schema");
    let parquet = |source| LakeError::Parquet {
        table: table.name,
        source,
    };
    let file = File::create(&full).map_err(io("cannot create", &full))?;
    let counted = Counted::new(file);
    let mut writer =
        ArrowWriter::try_new(counted, rows.schema(), Some(properties())).map_err(parquet)?;
    writer.write(&rows).map_err(parquet)?;
    let counted = writer.into_inner().map_err(parquet)?;
    counted.file.sync_all().map_err(io("cannot sync", &full))?;
    store::sync_dir(&full)?;
    Ok(StagedFile {
        path,
        partition_values,
        size: counted.bytes,
        rows: rows.num_rows() as i64,
        sha256: hex(&counted.digest.finish()),
        leaf_min,
        leaf_max,
    })
}

fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("1 is a level of zstd");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(64))
        .set_created_by(concat!("keytrail ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in LONG_COLUMNS {
        let path = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for column in UNIQUE_COLUMNS {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    properties.build()
}

/// A file that counts and hashes what is written to it, so that it need not be read again.
struct Counted {
    file: File,
    bytes: u64,
    digest: Digest,
}

impl Counted {
    fn new(file: File) -> Self {
        Self {
            file,
            bytes: 0,
            digest: Digest::default(),
        }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std_io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std_io::Result<()> {
        self.file.flush()
    }
}
