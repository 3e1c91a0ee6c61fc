//! Stored rows, read back from parquet.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::ledger::Manifest;
use super::{LakeError, Place, TABLES_DIR, store};
use crate::evidence::{StoredRows, Table};
use crate::model::{Sha256Digest, hex, sha256};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 4096;

/// The batches of a parquet file, all columns or those named.
pub(super) fn batches(
    bytes: Bytes,
    columns: Option<&[&str]>,
) -> Result<ParquetRecordBatchReader, String> {
    let text = |error: parquet::errors::ParquetError| error.to_string();
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(text)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    builder.with_batch_size(BATCH_ROWS).build().map_err(text)
}

/// Leaf and digest of each row of a batch, as they are stored. None if it has no such columns.
pub(super) fn placed(batch: &RecordBatch) -> Option<Vec<(i64, Sha256Digest)>> {
    let leaves = batch
        .column_by_name("_leaf")?
        .as_primitive_opt::<Int64Type>()?;
    let digests = arrow::compute::cast(batch.column_by_name("_row_digest")?, &DataType::Binary);
    let digests = digests.ok()?;
    let digests = digests.as_binary_opt::<i32>()?;
    (0..batch.num_rows())
        .map(|row| {
            let whole = leaves.is_valid(row) && digests.is_valid(row);
            let digest = digests.value(row).try_into().ok()?;
            whole.then_some((leaves.value(row), digest))
        })
        .collect()
}

/// The canonical bytes of the one row of `batch`, which has every column of the table called `table`.
pub fn canonical_row(table: &str, batch: &RecordBatch) -> Result<Vec<u8>, LakeError> {
    crate::evidence::table(table)
        .ok_or_else(|| "there is no such table".to_owned())
        .and_then(|table| canonical(table, batch))
        .map_err(|reason| LakeError::Damaged {
            what: format!("the row of {table}"),
            reason,
        })
}

/// A row of an older build had not the last of the columns, and they read as null now: its digest says how many it had.
pub(super) fn canonical(table: &Table, batch: &RecordBatch) -> Result<Vec<u8>, String> {
    let digest = placed(batch).and_then(|placed| Some(placed.first()?.1));
    let digest = digest.ok_or("it has no leaf or digest")?;
    let mut batch = batch.clone();
    for column in (table.columns)().iter().rev() {
        let bytes = StoredRows::new(table, &batch)?.bytes(0);
        let bytes = bytes.ok_or("a list in it has an empty place")?;
        if sha256(&bytes) == digest {
            return Ok(bytes);
        }
        match batch.schema().index_of(column.name) {
            Ok(last) if batch.column(last).is_null(0) => drop(batch.remove_column(last)),
            _ => break,
        }
    }
    Err("its columns do not give its digest: it was altered".to_owned())
}

/// The leaves that `manifest` added to a tree of `first`, in order, from the files that it staged.
pub(super) fn leaves(
    root: &Place,
    manifest: &Manifest,
    first: u64,
) -> Result<Vec<Sha256Digest>, LakeError> {
    let size = u64::try_from(manifest.tree_size).unwrap_or(0);
    let mut leaves = Leaves::new(first, size);
    for table in &manifest.tables {
        for file in &table.files {
            let path = root.join(TABLES_DIR).join(&table.table).join(&file.path);
            let damaged = |reason: String| LakeError::Damaged {
                what: path.display().to_string(),
                reason,
            };
            let bytes = store::read(&path)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
            if hex(&sha256(&bytes)) != file.sha256 {
                let reason = "its hash is not the one in the manifest".to_owned();
                return Err(damaged(reason));
            }
            let columns = ["_leaf", "_row_digest"];
            for batch in batches(bytes.into(), Some(&columns)).map_err(damaged)? {
                let batch = batch.map_err(|error: ArrowError| damaged(error.to_string()))?;
                let placed = placed(&batch);
                leaves.add(placed.ok_or_else(|| damaged("it has no leaves".to_owned()))?);
            }
        }
    }
    leaves.finish().map_err(|reason| LakeError::Damaged {
        what: format!("the rows of epoch {}", manifest.epoch),
        reason,
    })
}

/// Leaves in the order of the tree, from rows in any order.
#[derive(Debug)]
pub(super) struct Leaves {
    first: u64,
    places: Vec<Option<Sha256Digest>>,
    wrong: Option<i64>,
}

impl Leaves {
    /// Room for the leaves from `first` on, in a tree of `size`.
    pub(super) fn new(first: u64, size: u64) -> Self {
        let places = usize::try_from(size.saturating_sub(first)).unwrap_or(0);
        Self {
            first,
            places: vec![None; places],
            wrong: None,
        }
    }

    /// Puts rows in their places.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = (i64, Sha256Digest)>) {
        for (leaf, digest) in rows {
            let place = u64::try_from(leaf)
                .ok()
                .and_then(|leaf| usize::try_from(leaf.checked_sub(self.first)?).ok())
                .and_then(|place| self.places.get_mut(place));
            match place {
                Some(place @ None) => *place = Some(digest),
                _ => self.wrong = self.wrong.or(Some(leaf)),
            }
        }
    }

    /// All of them. Fails if a place is empty, taken twice, or not there.
    pub(super) fn finish(self) -> Result<Vec<Sha256Digest>, String> {
        if let Some(leaf) = self.wrong {
            return Err(format!(
                "leaf {leaf} is no place of this epoch, or taken twice"
            ));
        }
        let first = self.first;
        let count = self.places.len();
        let leaves: Vec<Sha256Digest> = self.places.into_iter().map_while(|place| place).collect();
        if leaves.len() == count {
            Ok(leaves)
        } else {
            Err(format!("no row has leaf {}", first + leaves.len() as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_taken_once() {
        let rows = |leaves: &[i64]| {
            let mut places = Leaves::new(5, 8);
            places.add(leaves.iter().map(|leaf| (*leaf, [*leaf as u8; 32])));
            places.finish()
        };
        assert_eq!(rows(&[7, 5, 6]).unwrap(), [[5; 32], [6; 32], [7; 32]]);
        for wrong in [&[5, 7][..], &[5, 6, 7, 7], &[4, 5, 6], &[5, 6, 8], &[-1]] {
            assert!(rows(wrong).is_err(), "{wrong:?}");
        }
    }
}
