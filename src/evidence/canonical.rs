//! Canonical bytes of rows that were stored: written again from a batch, and read back into values.
//!
//! What a builder hashes as a row is made, a reader must be able to hash from the columns alone. The two ways meet in
//! [`Canon`] and are held together by tests over every table.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Int32Array, Int64Array,
    ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::Table;
use super::table::DIGEST_DOMAIN;
use crate::model::{Canon, Day, Micros, Sha256Digest, hex};

/// The columns of one batch, ready to be hashed row by row.
#[derive(Debug)]
pub struct StoredRows {
    domain: Vec<u8>,
    columns: Vec<Values>,
    canon: Canon,
}

/// One column by its type.
#[derive(Debug)]
enum Values {
    Text(StringArray),
    Time(TimestampMicrosecondArray),
    Date(Date32Array),
    Long(Int64Array),
    Int(Int32Array),
    Truth(BooleanArray),
    Hash(BinaryArray),
    Texts(ListArray, StringArray),
}

impl StoredRows {
    /// The rows of `batch`, which has the columns of `table`; ledger columns and others are passed over. Columns are only
    /// ever added behind the others, so a batch that lacks the last ones holds rows of an older build, whose digests name
    /// the schema of that.
    ///
    /// Fails with the name of a column that is missing before another, or of a type that does not fit.
    pub fn new(table: &Table, batch: &RecordBatch) -> Result<Self, String> {
        let known = (table.columns)();
        let found: Vec<Option<&ArrayRef>> = known
            .iter()
            .map(|column| batch.column_by_name(column.name))
            .collect();
        let had = found.iter().take_while(|array| array.is_some()).count();
        if had == 0 || found[had..].iter().any(Option::is_some) {
            return Err(format!("column {} is missing", known[had].name));
        }
        let columns = known.iter().zip(found.into_iter().flatten());
        let columns = columns.map(|(column, array)| {
            // Another writer may have chosen another form of the same type.
            let array = cast(array, &column.data_type)
                .map_err(|error| format!("column {}: {error}", column.name))?;
            Ok(Values::of(&array, &column.data_type))
        });
        Ok(Self {
            columns: columns.collect::<Result<_, String>>()?,
            domain: table.digest_domain(&known[..had]),
            canon: Canon::default(),
        })
    }

    /// The digest of one row. None if it holds what no row can be built with.
    pub fn digest(&mut self, row: usize) -> Option<Sha256Digest> {
        self.canon.begin(&self.domain);
        for column in &self.columns {
            column.write(row, &mut self.canon)?;
        }
        Some(self.canon.digest())
    }

    /// The canonical bytes of one row. None if it holds what no row can be built with.
    pub fn bytes(&self, row: usize) -> Option<Vec<u8>> {
        let mut canon = Canon::whole();
        canon.begin(&self.domain);
        for column in &self.columns {
            column.write(row, &mut canon)?;
        }
        Some(canon.bytes().to_vec())
    }
}

impl Values {
    fn of(array: &dyn Array, data_type: &DataType) -> Self {
        match data_type {
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Time(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::Int64 => Self::Long(array.as_primitive::<Int64Type>().clone()),
            DataType::Int32 => Self::Int(array.as_primitive::<Int32Type>().clone()),
            DataType::Boolean => Self::Truth(array.as_boolean().clone()),
            DataType::Binary => Self::Hash(array.as_binary::<i32>().clone()),
            DataType::List(_) => {
                let list = array.as_list::<i32>().clone();
                let texts = list.values().as_string::<i32>().clone();
                Self::Texts(list, texts)
            }
            _ => Self::Text(array.as_string::<i32>().clone()),
        }
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Text(array) => array,
            Self::Time(array) => array,
            Self::Date(array) => array,
            Self::Long(array) => array,
            Self::Int(array) => array,
            Self::Truth(array) => array,
            Self::Hash(array) => array,
            Self::Texts(array, _) => array,
        }
    }

    fn write(&self, row: usize, canon: &mut Canon) -> Option<()> {
        if self.array().is_null(row) {
            canon.absent();
            return Some(());
        }
        match self {
            Self::Text(array) => canon.text(array.value(row).as_bytes()),
            Self::Time(array) => canon.integer(array.value(row)),
            Self::Date(array) => canon.integer(i64::from(array.value(row))),
            Self::Long(array) => canon.integer(array.value(row)),
            Self::Int(array) => canon.integer(i64::from(array.value(row))),
            Self::Truth(array) => canon.integer(i64::from(array.value(row))),
            Self::Hash(array) => canon.text(array.value(row)),
            Self::Texts(list, texts) => {
                let offsets = list.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                // A list holds texts only: an empty place in it would otherwise pass for an empty text.
                if range.clone().any(|index| texts.is_null(index)) {
                    return None;
                }
                canon.list(range.map(|index| texts.value(index).as_bytes()));
            }
        }
        Some(())
    }
}

/// The table and the values that canonical `bytes` hold, as JSON values by column. None if they are not of a table of
/// this version of the program, or of an older one that had its first columns.
pub fn read_canonical(bytes: &[u8]) -> Option<(&'static Table, Vec<(&'static str, Value)>)> {
    let rest = bytes.strip_prefix(DIGEST_DOMAIN)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let table = super::table(std::str::from_utf8(&rest[..end]).ok()?)?;
    let mut rest = &rest[end + 1..];
    let schema = take(&mut rest, 32)?.try_into().ok()?;
    let columns = table.columns_of(schema)?;
    let mut values = Vec::new();
    for column in (table.columns)().into_iter().take(columns) {
        let value = match take(&mut rest, 1)? {
            [0] => Value::Null,
            [1] => value(&mut rest, &column.data_type)?,
            _ => return None,
        };
        values.push((column.name, value));
    }
    rest.is_empty().then_some((table, values))
}

fn value(rest: &mut &[u8], data_type: &DataType) -> Option<Value> {
    Some(match data_type {
        DataType::Utf8 => Value::from(text(rest)?),
        DataType::Binary => {
            let length = usize::try_from(integer(rest)?).ok()?;
            Value::from(hex(take(rest, length)?))
        }
        DataType::List(_) => {
            let mut texts = Vec::new();
            for _ in 0..integer(rest)? {
                texts.push(Value::from(text(rest)?));
            }
            Value::from(texts)
        }
        DataType::Timestamp(..) => Value::from(Micros(integer(rest)?).to_string()),
        DataType::Date32 => Value::from(Day(i32::try_from(integer(rest)?).ok()?).to_string()),
        DataType::Boolean => Value::from(integer(rest)? != 0),
        _ => Value::from(integer(rest)?),
    })
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(integer(rest)?).ok()?;
    std::str::from_utf8(take(rest, length)?).ok()
}

fn integer(rest: &mut &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(take(rest, 8)?.try_into().ok()?))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::super::table::LEDGER_COLUMNS;
    use super::*;
    use crate::evidence::{Ledger, LifecycleRow, Lifecycles, Rejects, RejectsRow, Rows};
    use crate::model::sha256;

    fn batch(rows: &mut dyn Rows) -> RecordBatch {
        rows.finish(Ledger {
            epoch: 1,
            first_leaf: 0,
            step: 1,
        })
    }

    fn check(rows: &mut dyn Rows) {
        let table = rows.table();
        let batch = batch(rows);
        let mut stored = StoredRows::new(table, &batch).unwrap();
        let digests = batch.column_by_name("_row_digest").unwrap();
        for row in 0..batch.num_rows() {
            let digest = stored.digest(row).unwrap();
            assert_eq!(digests.as_binary::<i32>().value(row), digest);
            let bytes = stored.bytes(row).unwrap();
            assert_eq!(sha256(&bytes), digest);
            let (read, values) = read_canonical(&bytes).unwrap();
            assert_eq!(read.name, table.name);
            assert_eq!(values.len(), table.columns().len() - LEDGER_COLUMNS.len());
            // No byte is without a meaning: one more or one less is no row.
            assert!(read_canonical(&bytes[..bytes.len() - 1]).is_none());
        }
    }

    #[test]
    fn what_is_read_back_has_the_digest_it_was_given() {
        let mut rejects = Rejects::default();
        let long = "x".repeat(3_000);
        for raw in ["", "{}", &long] {
            rejects.push(&RejectsRow {
                src_topic: "logs",
                src_partition: 3,
                src_offset: -1,
                src_index: 0,
                stage: "decode",
                code: "unknown_kind",
                detail: "dé",
                fingerprint: "f",
                raw_sha256: [7; 32],
                raw,
                event_date: Day(20_000),
            });
        }
        check(&mut rejects);
        let mut lifecycles = Lifecycles::default();
        for controls in [vec![], vec!["a", ""], vec!["AC-2"]] {
            lifecycles.push(&LifecycleRow {
                event_time: Micros(1_785_542_400_000_000),
                event_uid: "e",
                action: "create",
                target_identity_uid: None,
                target_credential_uid: Some("c"),
                actor_identity_uid: "who",
                detail_json: "{}",
                approval_ref: None,
                controls,
            });
        }
        check(&mut lifecycles);
    }
}
