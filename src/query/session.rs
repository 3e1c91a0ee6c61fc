//! A session over one lake as of one epoch: every table shows the rows up to it, so that two tables never disagree.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::Statement;
use deltalake::DeltaTableBuilder;
use url::Url;

use super::QueryError;
use crate::evidence::{TABLES, Table};
use crate::lake::{TABLES_DIR, has_log};

/// Memory that one query may use before it fails.
const MEMORY_MAX: usize = 4 << 30;

/// The views, in the order in which they build on each other.
const VIEWS: [(&str, &str); 8] = [
    ("events", include_str!("../../queries/views/events.sql")),
    (
        "secret_reads",
        include_str!("../../queries/views/secret_reads.sql"),
    ),
    (
        "blast_radius",
        include_str!("../../queries/views/blast_radius.sql"),
    ),
    ("lineage", include_str!("../../queries/views/lineage.sql")),
    ("identity", include_str!("../../queries/views/identity.sql")),
    (
        "credential",
        include_str!("../../queries/views/credential.sql"),
    ),
    ("finding", include_str!("../../queries/views/finding.sql")),
    (
        "identity_usage",
        include_str!("../../queries/views/identity_usage.sql"),
    ),
];

/// A read-only SQL session.
pub struct Session {
    context: SessionContext,
    epoch: i64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Opens the lake in `root` as of its last published epoch.
    pub async fn open(root: &Path) -> Result<Self, QueryError> {
        let tables = root.join(TABLES_DIR);
        if !tables.is_dir() {
            return Err(QueryError::NoLake(root.to_owned()));
        }
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(MEMORY_MAX, 1.0)
            .build_arc()?;
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(2);
        let context = SessionContext::new_with_config_rt(config, runtime);
        let mut session = Self { context, epoch: 0 };
        // The row of an epoch is committed last: who sees it in `epochs` sees all of it.
        let (epochs, others): (Vec<&'static Table>, Vec<&'static Table>) =
            TABLES.into_iter().partition(|table| table.name == "epochs");
        for table in epochs {
            session.register(&tables, table, i64::MAX).await?;
        }
        session.epoch = session.published().await?;
        let epoch = session.epoch;
        for table in others {
            session.register(&tables, table, epoch).await?;
        }
        for (name, sql) in VIEWS {
            let view = session.context.sql(sql).await?.into_view();
            session.context.register_table(name, view)?;
        }
        Ok(session)
    }

    /// The epoch as of which this session reads.
    pub const fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Makes `batches` a table of this session alone, in place of one of that name.
    pub fn register_rows(
        &self,
        name: &str,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<(), QueryError> {
        self.context.deregister_table(name)?;
        let table = MemTable::try_new(schema, vec![batches])?;
        self.context.register_table(name, Arc::new(table))?;
        Ok(())
    }

    async fn register(
        &self,
        tables: &Path,
        table: &'static Table,
        epoch: i64,
    ) -> Result<(), QueryError> {
        let folder = tables.join(table.name);
        if !has_log(&folder) {
            let empty = MemTable::try_new(table.schema(), vec![vec![]])?;
            self.context.register_table(table.name, Arc::new(empty))?;
            return Ok(());
        }
        let failed = |source| QueryError::Delta {
            table: table.name,
            source: Box::new(source),
        };
        let mut delta = DeltaTableBuilder::from_url(folder_url(&folder)?)
            .and_then(DeltaTableBuilder::build)
            .map_err(failed)?;
        delta.load().await.map_err(failed)?;
        let provider = delta.table_provider().await?;
        let view = self
            .context
            .read_table(provider)?
            .filter(col("_epoch").lt_eq(lit(epoch)))?
            .into_view();
        self.context.register_table(table.name, view)?;
        Ok(())
    }

    async fn published(&self) -> Result<i64, QueryError> {
        let batches = self
            .context
            .sql("SELECT coalesce(max(_epoch), 0) AS epoch FROM epochs")
            .await?
            .collect()
            .await?;
        let batch = &batches[0];
        Ok(batch.column(0).as_primitive::<Int64Type>().value(0))
    }

    /// Answers one SELECT. Everything that would change something, or read a file, is refused before it is planned.
    pub async fn sql(&self, text: &str) -> Result<(SchemaRef, Vec<RecordBatch>), QueryError> {
        let text = read_only(text)?;
        let options = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let frame = self.context.sql_with_options(&text, options).await?;
        let schema = Arc::clone(frame.schema().inner());
        let batches = frame.collect().await?;
        Ok((schema, batches))
    }
}

/// The statement's own text, if it is one query or an explanation of one.
fn read_only(text: &str) -> Result<String, QueryError> {
    let text = text.trim().trim_end_matches(';').trim();
    let statements = DFParser::parse_sql(text)?;
    if statements.len() != 1 {
        return Err(QueryError::NotReadOnly(format!(
            "{} statements were given",
            statements.len()
        )));
    }
    match &statements[0] {
        DfStatement::Statement(statement) => match statement.as_ref() {
            Statement::Query(_)
            | Statement::ShowTables { .. }
            | Statement::ShowColumns { .. }
            | Statement::ShowFunctions { .. }
            | Statement::ExplainTable { .. } => (),
            _ => return Err(QueryError::NotReadOnly(first_word(text))),
        },
        DfStatement::Explain(_) => (),
        _ => return Err(QueryError::NotReadOnly(first_word(text))),
    }
    Ok(text.to_owned())
}

fn first_word(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    format!("{} is refused", word.to_ascii_uppercase())
}

fn folder_url(folder: &Path) -> Result<Url, QueryError> {
    let absolute: PathBuf = std::path::absolute(folder)?;
    Url::from_directory_path(&absolute).map_err(|()| QueryError::NoLake(absolute))
}
