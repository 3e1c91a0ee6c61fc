//! What every table has in common: the ledger columns, row digests, and the form in which a table is written down.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::model::{Canon, Digest, Sha256Digest};

/// Names the canonical form, so that a digest of another form can never be mistaken for one of this.
pub(super) const DIGEST_DOMAIN: &[u8] = b"keytrail/row/v1\0";

/// The columns that place a row in the ledger. They are not part of its digest: the same row has the same digest in
/// whichever epoch it was committed.
pub(super) const LEDGER_COLUMNS: [(&str, DataType, &str); 3] = [
    (
        "_epoch",
        DataType::Int64,
        "The epoch that committed the row.",
    ),
    (
        "_leaf",
        DataType::Int64,
        "The row's index among all rows of all tables, in ledger order.",
    ),
    (
        "_row_digest",
        DataType::Binary,
        "SHA-256 over the row's canonical bytes, ledger columns aside.",
    ),
];

/// One column as documentation and schema see it.
#[derive(Clone, Debug)]
pub struct ColumnDoc {
    pub name: &'static str,
    pub data_type: DataType,
    pub nullable: bool,
    pub doc: String,
}

/// A table as the rest of the program sees it.
pub struct Table {
    pub name: &'static str,
    /// What one row is.
    pub doc: &'static str,
    /// Columns whose values are folders. Only dates we compute and providers: never text that an attacker writes.
    pub partition_by: &'static [&'static str],
    pub(crate) columns: fn() -> Vec<ColumnDoc>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.name).finish()
    }
}

/// A table's documentation, as `schemas/tables/*.json` holds it.
#[derive(Debug, serde::Serialize)]
pub struct TableDoc {
    table: &'static str,
    row: String,
    partition_by: Vec<&'static str>,
    columns: Vec<ColumnJson>,
}

#[derive(Debug, serde::Serialize)]
struct ColumnJson {
    name: &'static str,
    #[serde(rename = "type")]
    data_type: String,
    nullable: bool,
    description: String,
}

impl Table {
    /// Every column, ledger columns last.
    pub fn columns(&self) -> Vec<ColumnDoc> {
        let mut columns = (self.columns)();
        columns.extend(LEDGER_COLUMNS.map(|(name, data_type, doc)| ColumnDoc {
            name,
            data_type,
            nullable: false,
            doc: doc.to_owned(),
        }));
        columns
    }

    /// The Arrow schema, ledger columns included.
    pub fn schema(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns()
            .into_iter()
            .map(|column| Field::new(column.name, column.data_type, column.nullable))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// SHA-256 over names, types and nullability of the columns: rows of another schema have other digests.
    pub fn schema_sha256(&self) -> Sha256Digest {
        schema_sha256(&(self.columns)())
    }

    /// How many of the table's first columns make the schema `schema_sha256`: that of rows which an older build wrote.
    /// Columns are only ever added behind those that are there.
    pub fn columns_of(&self, schema_sha256: &Sha256Digest) -> Option<usize> {
        let mut digest = Digest::default();
        for (index, column) in (self.columns)().iter().enumerate() {
            digest.update(column_line(column).as_bytes());
            if digest.clone().finish() == *schema_sha256 {
                return Some(index + 1);
            }
        }
        None
    }

    /// The documentation of the table.
    pub fn document(&self) -> TableDoc {
        let columns = self.columns().into_iter().map(|column| ColumnJson {
            name: column.name,
            data_type: type_name(&column.data_type),
            nullable: column.nullable,
            description: column.doc,
        });
        TableDoc {
            table: self.name,
            row: self.doc.trim().to_owned(),
            partition_by: self.partition_by.to_vec(),
            columns: columns.collect(),
        }
    }

    /// What every digest begins with of a row of this table that has `columns`: the table's, or its first, where an older
    /// build knew no more.
    pub(super) fn digest_domain(&self, columns: &[ColumnDoc]) -> Vec<u8> {
        let mut domain = DIGEST_DOMAIN.to_vec();
        domain.extend_from_slice(self.name.as_bytes());
        domain.push(0);
        domain.extend_from_slice(&schema_sha256(columns));
        domain
    }
}

fn schema_sha256(columns: &[ColumnDoc]) -> Sha256Digest {
    let mut digest = Digest::default();
    for column in columns {
        digest.update(column_line(column).as_bytes());
    }
    digest.finish()
}

/// A column as its schema's hash has it.
fn column_line(column: &ColumnDoc) -> String {
    format!("{} {} {}\n", column.name, column.data_type, column.nullable)
}

/// A column's type as Delta names it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_owned(),
        DataType::Int64 => "long".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::List(_) => "array<string>".to_owned(),
        other => other.to_string(),
    }
}

/// Where the rows of a batch stand in the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Ledger {
    pub epoch: i64,
    /// Leaf index of the batch's first row.
    pub first_leaf: i64,
    /// How much further the leaf of each next row is.
    pub step: i64,
}

/// Rows in the making of one table.
pub trait Rows {
    /// The table they belong to.
    fn table(&self) -> &'static Table;
    /// How many there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rows as one Arrow batch with their ledger columns, leaving none behind.
    fn finish(&mut self, ledger: Ledger) -> RecordBatch;
}

/// The part of a table's builder that does not depend on its columns.
#[derive(Debug)]
pub(super) struct Digests {
    domain: Vec<u8>,
    pub(super) canon: Canon,
    rows: Vec<Sha256Digest>,
}

impl Digests {
    pub(super) fn new(table: &Table) -> Self {
        Self {
            domain: table.digest_domain(&(table.columns)()),
            canon: Canon::default(),
            rows: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.canon.begin(&self.domain);
    }

    pub(super) fn end(&mut self) {
        self.rows.push(self.canon.digest());
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The batch of `columns` with the ledger columns behind them.
    pub(super) fn finish(
        &mut self,
        table: &Table,
        mut columns: Vec<ArrayRef>,
        ledger: Ledger,
    ) -> RecordBatch {
        let rows = std::mem::take(&mut self.rows);
        let leaves = (0..rows.len() as i64).map(|row| ledger.first_leaf + row * ledger.step);
        columns.push(Arc::new(Int64Array::from_value(ledger.epoch, rows.len())));
        columns.push(Arc::new(Int64Array::from_iter_values(leaves)));
        columns.push(Arc::new(BinaryArray::from_iter_values(rows)));
        RecordBatch::try_new(table.schema(), columns)
            .expect("the builders and the schema come from one list of columns")
    }
}

/// Declares a table: its row struct, its builder and its documentation from one list of columns.
macro_rules! table {
    (
        $(#[doc = $table_doc:literal])+
        $builder:ident, $row:ident, $name:literal, partition_by: [$($part:literal),*],
        { $( $(#[doc = $doc:literal])+ $column:ident : $kind:ty, )+ }
    ) => {
        $(#[doc = $table_doc])+
        #[derive(Debug)]
        pub struct $row<'a> {
            $( $(#[doc = $doc])+ pub $column: <$kind as $crate::evidence::column::Column>::Value<'a>, )+
        }

        /// Collects rows and their digests.
        #[derive(Debug)]
        pub struct $builder {
            digests: $crate::evidence::table::Digests,
            $( $column: <$kind as $crate::evidence::column::Column>::Builder, )+
        }

        /// The table as the rest of the program sees it.
        pub(super) static TABLE: $crate::evidence::Table = $crate::evidence::Table {
            name: $name,
            doc: concat!($($table_doc,)+),
            partition_by: &[$($part),*],
            columns: || vec![
                $( $crate::evidence::ColumnDoc {
                    name: stringify!($column),
                    data_type: <$kind as $crate::evidence::column::Column>::data_type(),
                    nullable: <$kind as $crate::evidence::column::Column>::NULLABLE,
                    doc: concat!($($doc,)+).trim().to_owned(),
                }, )+
            ],
        };

        impl Default for $builder {
            fn default() -> Self {
                Self {
                    digests: $crate::evidence::table::Digests::new(&TABLE),
                    $( $column: Default::default(), )+
                }
            }
        }

        impl $builder {
            /// Adds a row.
            pub fn push(&mut self, row: &$row<'_>) {
                use $crate::evidence::column::Column;
                self.digests.begin();
                $( <$kind as Column>::append(&mut self.$column, &row.$column, &mut self.digests.canon); )+
                self.digests.end();
            }
        }

        impl $crate::evidence::Rows for $builder {
            fn table(&self) -> &'static $crate::evidence::Table {
                &TABLE
            }

            fn len(&self) -> usize {
                self.digests.len()
            }

            fn finish(&mut self, ledger: $crate::evidence::Ledger) -> arrow::record_batch::RecordBatch {
                use $crate::evidence::column::Column;
                let columns = vec![ $( <$kind as Column>::finish(&mut self.$column), )+ ];
                self.digests.finish(&TABLE, columns, ledger)
            }
        }
    };
}

pub(super) use table;
