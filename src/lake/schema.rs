//! A table that an older build created gets the columns it lacks.
//!
//! Columns are only ever added, behind those that are there, and rows may lack them: so rows of an older build read as
//! null there, and their digests still name the schema under which they were made, which is the new one's beginning.

use arrow::datatypes::DataType;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake::kernel::transaction::CommitProperties;
use deltalake::kernel::{StructField, StructType};
use deltalake::{DeltaTable, DeltaTableError};

use super::LakeError;
use crate::evidence::Table;

/// The columns of `table` that `delta` lacks. The error says why it cannot become that table.
fn missing(delta: &DeltaTable, table: &Table) -> Result<Vec<StructField>, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let wanted: StructType = table
        .schema()
        .as_ref()
        .try_into_kernel()
        .map_err(|error: arrow::error::ArrowError| told(&error))?;
    let snapshot = delta.snapshot().map_err(|error| told(&error))?;
    let found = snapshot.schema();
    for field in found.fields() {
        let Some(same) = wanted.field(field.name()) else {
            return Err(format!(
                "it has a column {:?} that this build does not know; run the build that wrote it",
                field.name()
            ));
        };
        if same.data_type() != field.data_type() {
            let arrow: Result<DataType, _> = field.data_type().try_into_arrow();
            let found = arrow.map_or_else(|_| "another type".to_owned(), |found| found.to_string());
            return Err(format!("its column {:?} is {found}", field.name()));
        }
    }
    let missing: Vec<StructField> = wanted
        .fields()
        .filter(|field| found.field(field.name()).is_none())
        .cloned()
        .collect();
    match missing.iter().find(|field| !field.is_nullable()) {
        Some(field) => Err(format!(
            "its rows lack the column {:?}, which every row must have",
            field.name()
        )),
        None => Ok(missing),
    }
}

/// Gives `delta` the columns of `table` that it lacks.
pub(super) async fn upgrade(
    delta: DeltaTable,
    table: &'static Table,
) -> Result<DeltaTable, LakeError> {
    let missing = missing(&delta, table).map_err(|reason| LakeError::Schema {
        table: table.name,
        reason,
    })?;
    if missing.is_empty() {
        return Ok(delta);
    }
    let properties = CommitProperties::default()
        .with_create_checkpoint(false)
        .with_cleanup_expired_logs(Some(false));
    let added = delta
        .add_columns()
        .with_fields(missing)
        .with_commit_properties(properties)
        .await;
    added.map_err(|error: DeltaTableError| LakeError::Delta {
        table: table.name,
        source: Box::new(error),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::RecordBatch;

    use super::super::ledger::{Manifest, StateFile, TableFiles};
    use super::super::stage::Staging;
    use super::super::tables::LakeTable;
    use super::super::{Place, rows};
    use super::*;
    use crate::evidence::{ColumnDoc, StoredRows};

    static OLD: Table = table(|| vec![column("name", false)]);
    static NEW: Table = table(|| vec![column("name", false), column("place", true)]);
    static STRICT: Table = table(|| vec![column("name", false), column("place", false)]);

    const fn table(columns: fn() -> Vec<ColumnDoc>) -> Table {
        Table {
            name: "people",
            doc: "One person.",
            partition_by: &[],
            columns,
        }
    }

    fn column(name: &'static str, nullable: bool) -> ColumnDoc {
        ColumnDoc {
            name,
            data_type: DataType::Utf8,
            nullable,
            doc: String::new(),
        }
    }

    /// An epoch with one row of `table`, staged in `root`.
    fn epoch(
        root: &Path,
        table: &'static Table,
        epoch: i64,
        values: &[&str],
    ) -> (Manifest, TableFiles) {
        let staging = Staging {
            root: Place::of(root).unwrap(),
            writer: "w".to_owned(),
        };
        let mut columns: Vec<ArrayRef> = values
            .iter()
            .map(|value| Arc::new(StringArray::from(vec![*value])) as ArrayRef)
            .collect();
        columns.push(Arc::new(Int64Array::from(vec![epoch])));
        columns.push(Arc::new(Int64Array::from(vec![epoch - 1])));
        columns.push(Arc::new(BinaryArray::from_vec(vec![&[7; 32]])));
        let batch = RecordBatch::try_new(table.schema(), columns.clone()).unwrap();
        let digest = StoredRows::new(table, &batch).unwrap().digest(0).unwrap();
        columns.pop();
        columns.push(Arc::new(BinaryArray::from_vec(vec![&digest])));
        let batch = RecordBatch::try_new(table.schema(), columns).unwrap();
        let mut rows = staging.begin(table, epoch);
        rows.add(&batch).unwrap();
        let mut files = rows.finish().unwrap().unwrap().files;
        files.prev_epoch_with_adds = epoch - 1;
        let manifest = Manifest {
            v: Manifest::form(),
            job: "main".to_owned(),
            epoch,
            writer: "w".to_owned(),
            prev_manifest_sha256: String::new(),
            created_ms: epoch,
            build: String::new(),
            params_sha256: String::new(),
            inputs: Vec::new(),
            statements: Vec::new(),
            counts_json: String::new(),
            watermark_us: None,
            idle: Vec::new(),
            sealed: false,
            tables: vec![files.clone()],
            state: StateFile {
                path: String::new(),
                sha256: String::new(),
                base_epoch: 1,
            },
            tree_size: epoch,
            root_hash: None,
            key: None,
            upkeep: None,
        };
        (manifest, files)
    }

    async fn open(root: &Path, table: &'static Table) -> Result<LakeTable, LakeError> {
        let mut opened = LakeTable::open(&Place::of(root)?, table, "main").await?;
        opened.upgrade().await?;
        Ok(opened)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn b14_a_new_column_is_null_in_old_rows_and_both_kinds_of_rows_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let (first, files) = epoch(root, &OLD, 1, &["Ada"]);
        let mut old = open(root, &OLD).await.unwrap();
        assert!(old.roll_forward(&first, &files).await.unwrap());
        let mut new = open(root, &NEW).await.unwrap();
        let (second, files) = epoch(root, &NEW, 2, &["Bob", "Rome"]);
        assert!(new.roll_forward(&second, &files).await.unwrap());
        // Opening it again changes nothing, and the transaction of epochs stands where it stood.
        let again = open(root, &NEW).await.unwrap();
        let third = open(root, &NEW).await.unwrap();
        assert_eq!(again.delta.version(), third.delta.version());
        assert_eq!(again.epoch().await.unwrap(), 2);
        let context = deltalake::datafusion::prelude::SessionContext::new();
        let provider = again.delta.table_provider().await.unwrap();
        context.register_table("people", provider).unwrap();
        let sql =
            "SELECT _epoch, name, arrow_cast(place, 'Utf8') AS place FROM people ORDER BY _epoch";
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let mut places = BTreeMap::new();
        for batch in &batches {
            let epochs = batch.column(0).as_primitive::<Int64Type>();
            let found = batch.column(2).as_string::<i32>();
            for row in 0..batch.num_rows() {
                let place = found.iter().nth(row).flatten().map(str::to_owned);
                places.insert(epochs.value(row), place);
            }
        }
        assert_eq!(
            places,
            BTreeMap::from([(1, None), (2, Some("Rome".to_owned()))])
        );
        // Each row still has its digest, from the columns of its file and from those that a query gives.
        for manifest in [&first, &second] {
            let path = &manifest.tables[0].files[0].path;
            let bytes = std::fs::read(root.join("tables/people").join(path)).unwrap();
            let stored = rows::batches(bytes.into(), None)
                .unwrap()
                .next()
                .unwrap()
                .unwrap();
            let (_, digest) = rows::placed(&stored).unwrap()[0];
            assert_eq!(
                StoredRows::new(&NEW, &stored).unwrap().digest(0),
                Some(digest)
            );
            let sql = format!("SELECT * FROM people WHERE _epoch = {}", manifest.epoch);
            let asked = context.sql(&sql).await.unwrap().collect().await.unwrap();
            let bytes = rows::canonical(&NEW, &asked[0]).unwrap();
            assert_eq!(crate::model::sha256(&bytes), digest);
            // A row that lacks its first column, or has another value there, is no row of any build.
            let mut without = stored.clone();
            drop(without.remove_column(0));
            assert!(StoredRows::new(&NEW, &without).is_err());
            let mut columns = stored.columns().to_vec();
            columns[0] = Arc::new(StringArray::from(vec!["Eve"]));
            let altered = RecordBatch::try_new(stored.schema(), columns).unwrap();
            assert!(rows::canonical(&NEW, &altered).is_err());
        }
        // Each row's digest names its own schema, and the new build knows which beginning of its own that is.
        assert_ne!(OLD.schema_sha256(), NEW.schema_sha256());
        assert_eq!(NEW.columns_of(&OLD.schema_sha256()), Some(1));
        assert_eq!(NEW.columns_of(&NEW.schema_sha256()), Some(2));
        assert_eq!(NEW.columns_of(&STRICT.schema_sha256()), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn b14_an_older_build_and_a_column_that_old_rows_lack_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path(), &OLD).await.unwrap();
        let error = open(dir.path(), &STRICT).await.unwrap_err();
        assert!(error.to_string().contains("\"place\""), "{error}");
        open(dir.path(), &NEW).await.unwrap();
        let error = open(dir.path(), &OLD).await.unwrap_err();
        assert!(
            error.to_string().contains("run the build that wrote it"),
            "{error}"
        );
    }
}
