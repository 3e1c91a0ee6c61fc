//! Sums over rows that do not depend on their order, to see that the rows after are the rows before.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};

use super::super::LakeError;
use crate::model::{Digest, sha256};

/// Sums over rows that do not depend on their order: SHA-256 of each row, added up.
#[derive(Default)]
pub(in crate::lake) struct Sums {
    pub(in crate::lake) rows: i64,
    /// Over every column, in a form that only this process knows.
    whole: [u8; 32],
    /// Over epoch, leaf and digest, in a form that records keep.
    pub(in crate::lake) ledger: [u8; 32],
    converter: Option<(SchemaRef, RowConverter)>,
}

impl PartialEq for Sums {
    fn eq(&self, other: &Self) -> bool {
        (self.rows, self.whole, self.ledger) == (other.rows, other.whole, other.ledger)
    }
}

impl Sums {
    /// Adds every row of `batch`.
    pub(in crate::lake) fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let broken = |error: arrow::error::ArrowError| LakeError::Damaged {
            what: "rows".to_owned(),
            reason: error.to_string(),
        };
        let schema = batch.schema();
        let converter = match &mut self.converter {
            Some((known, converter)) if *known == schema => converter,
            other => {
                let fields = schema.fields().iter();
                let fields = fields.map(|field| SortField::new(field.data_type().clone()));
                let converter = RowConverter::new(fields.collect()).map_err(broken)?;
                &mut other.insert((schema, converter)).1
            }
        };
        let rows = converter.convert_columns(batch.columns()).map_err(broken)?;
        for row in &rows {
            add_up(&mut self.whole, sha256(row.as_ref()));
        }
        let epochs = column(batch, "_epoch").as_primitive::<Int64Type>();
        let leaves = column(batch, "_leaf").as_primitive::<Int64Type>();
        let digests = column(batch, "_row_digest").as_binary::<i32>();
        for row in 0..batch.num_rows() {
            let mut digest = Digest::default();
            digest.update(&epochs.value(row).to_be_bytes());
            digest.update(&leaves.value(row).to_be_bytes());
            digest.update(digests.value(row));
            add_up(&mut self.ledger, digest.finish());
        }
        self.rows += batch.num_rows() as i64;
        Ok(())
    }
}

/// Adds two numbers of 256 bits; what does not fit is dropped.
fn add_up(sum: &mut [u8; 32], other: [u8; 32]) {
    let mut carry = 0;
    for (byte, other) in sum.iter_mut().zip(other).rev() {
        let total = u16::from(*byte) + u16::from(other) + carry;
        *byte = total as u8;
        carry = total >> 8;
    }
}

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a Arc<dyn Array> {
    batch
        .column_by_name(name)
        .expect("every table has the ledger columns")
}

/// Numbers in order as first, step and count.
pub(super) fn steps(sorted: &[i64]) -> Vec<[i64; 3]> {
    let mut steps: Vec<[i64; 3]> = Vec::new();
    for value in sorted {
        match steps.last_mut() {
            Some([first, step, 1]) => {
                *step = value - *first;
                *steps.last_mut().expect("it was just looked at") = [*first, *step, 2];
            }
            Some([first, step, count]) if *first + *step * *count == *value => *count += 1,
            _ => steps.push([*value, 1, 1]),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn rows(values: &[(i64, &str)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("text", DataType::Utf8, false),
            Field::new("_epoch", DataType::Int64, false),
            Field::new("_leaf", DataType::Int64, false),
            Field::new("_row_digest", DataType::Binary, false),
        ]);
        let texts = StringArray::from_iter_values(values.iter().map(|(_, text)| text));
        let leaves: Vec<i64> = values.iter().map(|(leaf, _)| *leaf).collect();
        let epochs = Int64Array::from_value(1, values.len());
        let digests = BinaryArray::from_iter_values(leaves.iter().map(|leaf| leaf.to_be_bytes()));
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(texts),
                Arc::new(epochs),
                Arc::new(Int64Array::from(leaves)),
                Arc::new(digests),
            ],
        )
        .unwrap()
    }

    fn sums(batches: &[RecordBatch]) -> Sums {
        let mut sums = Sums::default();
        for batch in batches {
            sums.add(batch).unwrap();
        }
        sums
    }

    #[test]
    fn order_and_batches_do_not_matter_and_everything_else_does() {
        let whole = sums(&[rows(&[(1, "a"), (2, "b"), (3, "c")])]);
        assert!(whole == sums(&[rows(&[(3, "c")]), rows(&[(2, "b"), (1, "a")])]));
        for other in [
            rows(&[(1, "a"), (2, "b")]),
            rows(&[(1, "a"), (2, "b"), (3, "c"), (3, "c")]),
            rows(&[(1, "a"), (2, "c"), (3, "b")]),
            rows(&[(1, "a"), (1, "a"), (3, "c")]),
        ] {
            assert!(whole != sums(&[other]));
        }
        // The part that records keep knows leaves and digests, not texts.
        let swapped = sums(&[rows(&[(1, "b"), (2, "a"), (3, "c")])]);
        assert_eq!(whole.ledger, swapped.ledger);
        assert_ne!(
            whole.ledger,
            sums(&[rows(&[(1, "a"), (2, "b"), (4, "c")])]).ledger
        );
    }

    #[test]
    fn leaves_are_told_in_steps() {
        let leaves = [1, 3, 5, 7, 8, 20, 22];
        let steps = steps(&leaves);
        assert_eq!(steps[0], [1, 2, 4]);
        let told: Vec<i64> = steps
            .iter()
            .flat_map(|[first, step, count]| (0..*count).map(move |n| first + n * step))
            .collect();
        assert_eq!(told, leaves);
    }
}
