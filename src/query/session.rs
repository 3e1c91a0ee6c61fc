//! A session over one lake as of one epoch: every table shows the rows up to it, so that two tables never disagree.

use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{LogicalPlan, col, lit};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, collect, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::{DFParser, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::Statement;
use futures::{StreamExt, future, stream};

use super::QueryError;
use super::published::Published;
use crate::evidence::{TABLES, Table};
use crate::lake::{self, Place, TABLES_DIR};
use crate::model::{Micros, hex, sha256};

/// Memory that one query may use before it fails.
const MEMORY_MAX: usize = 4 << 30;

/// Parts that the plan of one statement may have. Those of the largest question have a few hundred.
const PARTS_MAX: usize = 10_000;

/// How much more than its memory a query may put onto the disk.
const SPILL_TIMES: u64 = 16;

/// Name of the catalog in which the tables and views stand, in its schema `public`.
pub const CATALOG: &str = "keytrail";

/// What a session may take and see.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Memory of its queries, in bytes.
    pub memory_max: usize,
    /// Tables that are not there for it.
    pub hidden: &'static [&'static str],
}

impl Default for Access {
    fn default() -> Self {
        Self {
            memory_max: MEMORY_MAX,
            hidden: &[],
        }
    }
}

/// The views, in the order in which they build on each other.
const VIEWS: [(&str, &str); 14] = [
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
    ("session", include_str!("../../queries/views/session.sql")),
    ("identity", include_str!("../../queries/views/identity.sql")),
    (
        "credential",
        include_str!("../../queries/views/credential.sql"),
    ),
    (
        "machine_ever",
        include_str!("../../queries/views/machine_ever.sql"),
    ),
    ("machine", include_str!("../../queries/views/machine.sql")),
    (
        "credential_holder",
        include_str!("../../queries/views/credential_holder.sql"),
    ),
    ("change", include_str!("../../queries/views/change.sql")),
    (
        "attestation",
        include_str!("../../queries/views/attestation.sql"),
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
    /// Opens the lake that `data` names as of its last published epoch.
    pub async fn open(data: &Path) -> Result<Self, QueryError> {
        Self::open_at(&Place::of(data)?).await
    }

    /// Opens the lake that `data` names as of `epoch`: what it said then.
    ///
    /// # Errors
    ///
    /// That the lake has no such epoch, besides those of [`Session::open`].
    pub async fn open_as_of(data: &Path, epoch: i64) -> Result<Self, QueryError> {
        let session = Self::open_until(&Place::of(data)?, epoch, Access::default()).await?;
        if epoch > 0 && session.epoch == epoch {
            return Ok(session);
        }
        Err(QueryError::NoEpoch {
            epoch,
            last: session.epoch,
        })
    }

    /// The last epoch that was committed at or before `time`, if there was one.
    pub async fn epoch_at(&self, time: Micros) -> Result<Option<i64>, QueryError> {
        let sql = format!(
            "SELECT coalesce(max(epoch), 0) AS epoch FROM epochs WHERE committed_time <= TIMESTAMP '{time}'"
        );
        let (_, batches) = self.sql(&sql).await?;
        let epoch = batches.first().map_or(0, |batch| {
            batch.column(0).as_primitive::<Int64Type>().value(0)
        });
        Ok(Some(epoch).filter(|epoch| *epoch > 0))
    }

    /// Opens the lake at `root` as of its last published epoch.
    pub async fn open_at(root: &Place) -> Result<Self, QueryError> {
        Self::open_for(root, Access::default()).await
    }

    /// The same for somebody who may see and take no more than `access` says.
    pub async fn open_for(root: &Place, access: Access) -> Result<Self, QueryError> {
        Self::open_until(root, i64::MAX, access).await
    }

    async fn open_until(root: &Place, until: i64, access: Access) -> Result<Self, QueryError> {
        let tables = root.join(TABLES_DIR);
        if !lake::holds_files(&tables)? {
            return Err(QueryError::NoLake(root.into()));
        }
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_limit(access.memory_max, 1.0)
            .with_max_temp_directory_size(access.memory_max as u64 * SPILL_TIMES)
            .build_arc()?;
        let config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, "public")
            .with_target_partitions(2);
        let context = SessionContext::new_with_config_rt(config, runtime);
        let mut session = Self { context, epoch: 0 };
        // The row of an epoch is committed last: who sees it in `epochs` sees all of it.
        let (epochs, others): (Vec<&'static Table>, Vec<&'static Table>) =
            TABLES.into_iter().partition(|table| table.name == "epochs");
        for table in epochs {
            session.register(&tables, table, until).await?;
        }
        session.epoch = session.published().await?;
        let epoch = session.epoch;
        let hidden = |table: &&Table| access.hidden.contains(&table.name);
        for table in others.into_iter().filter(|table| !hidden(table)) {
            session.register(&tables, table, epoch).await?;
        }
        for (name, sql) in VIEWS {
            let view = session.context.sql(sql).await?.into_view();
            session.context.register_table(name, view)?;
        }
        Ok(session)
    }

    /// The context, for whoever adds functions and catalogs to it. What is planned in it by other ways than
    /// [`Session::plan`] is not checked.
    pub const fn context(&self) -> &SessionContext {
        &self.context
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
        tables: &Place,
        table: &'static Table,
        epoch: i64,
    ) -> Result<(), QueryError> {
        let folder = tables.join(table.name);
        if !lake::has_log(&folder)? {
            let empty = MemTable::try_new(table.schema(), vec![vec![]])?;
            self.context.register_table(table.name, Arc::new(empty))?;
            return Ok(());
        }
        let failed = |source| QueryError::Delta {
            table: table.name,
            source: Box::new(source),
        };
        let mut delta = lake::unloaded(&folder)?.map_err(failed)?;
        delta.load().await.map_err(failed)?;
        let provider = delta.table_provider().await?;
        let rows = self
            .context
            .read_table(provider)?
            .filter(col("_epoch").lt_eq(lit(epoch)))?;
        let view = with_new_columns(rows, table)?.into_view();
        self.context
            .register_table(table.name, Arc::new(Published(view)))?;
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
        let frame = self.context.sql_with_options(&text, reading()).await?;
        let schema = Arc::clone(frame.schema().inner());
        let context = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await?;
        let batches = collect(Arc::clone(&plan), context).await?;
        if lost_rows(plan.as_ref()) {
            return Err(QueryError::LostRows);
        }
        Ok((schema, batches))
    }

    /// Plans one statement. A plan that would change something or write a file is refused.
    pub async fn plan(&self, statement: Statement) -> Result<LogicalPlan, QueryError> {
        let statement = DfStatement::Statement(Box::new(statement));
        let plan = self.context.state().statement_to_plan(statement).await?;
        bounded(&plan)?;
        reading().verify_plan(&plan)?;
        Ok(plan)
    }

    /// The answer of a plan, batch by batch. One that may lack rows ends with an error.
    pub async fn stream(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream, QueryError> {
        reading().verify_plan(&plan)?;
        let frame = self.context.execute_logical_plan(plan).await?;
        let context = Arc::new(frame.task_ctx());
        let plan = yielding(frame.create_physical_plan().await?)?;
        let batches = execute_stream(Arc::clone(&plan), context)?;
        let schema = batches.schema();
        let end = stream::once(async move {
            let lost = || DataFusionError::ResourcesExhausted(QueryError::LostRows.to_string());
            lost_rows(plan.as_ref()).then(|| Err(lost()))
        });
        let all = batches.chain(end.filter_map(future::ready));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
    }
}

/// That a plan has no more than [`PARTS_MAX`] parts.
fn bounded(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut parts = 0;
    plan.apply_with_subqueries(|_| {
        parts += 1;
        Ok(if parts > PARTS_MAX {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    if parts > PARTS_MAX {
        return Err(QueryError::TooLarge);
    }
    Ok(())
}

/// The same plan, in which what makes much of little gives way after each of its batches. DataFusion counts what is read, and a
/// product of three tables may go on for hours without reading anything: nobody could stop it.
fn yielding(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let wrapped = plan.transform_up(|node| {
        let makes_much = node.name().ends_with("JoinExec") || node.name() == "UnnestExec";
        Ok(if makes_much {
            Transformed::yes(Arc::new(CooperativeExec::new(node)) as _)
        } else {
            Transformed::no(node)
        })
    });
    Ok(wrapped?.data)
}

/// Reads, and nothing else.
fn reading() -> SQLOptions {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
}

/// Whether a nested loop join ran out of memory and went on by way of a disk: in DataFusion 55 it may lose rows then
/// (apache/datafusion 24676, 24745).
fn lost_rows(plan: &dyn ExecutionPlan) -> bool {
    let spilled = || plan.metrics().and_then(|metrics| metrics.spill_count());
    let own = plan.name() == "NestedLoopJoinExec" && spilled().is_some_and(|count| count > 0);
    own || plan
        .children()
        .into_iter()
        .any(|child| lost_rows(child.as_ref()))
}

/// `rows` with the columns that the table has in this build and not yet in the lake: they hold nothing.
fn with_new_columns(rows: DataFrame, table: &Table) -> Result<DataFrame, QueryError> {
    let there = rows.schema().clone();
    let mut rows = rows;
    for field in table.schema().fields() {
        if !there.has_column_with_unqualified_name(field.name()) {
            let nothing = lit(ScalarValue::try_from(field.data_type())?);
            rows = rows.with_column(field.name(), nothing)?;
        }
    }
    Ok(rows)
}

/// Names the views on which every answer rests.
pub fn views_sha256() -> String {
    let all: Vec<&str> = VIEWS.iter().flat_map(|(name, sql)| [*name, *sql]).collect();
    hex(&sha256(all.join("\n").as_bytes()))
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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    /// A pool that holds nothing makes the join go by way of the disk; one that holds everything does not.
    #[tokio::test]
    async fn a_join_that_spilled_is_noticed() {
        let spilled = async |bytes: usize| {
            let runtime = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0);
            let config = SessionConfig::new()
                .with_target_partitions(1)
                .with_batch_size(16);
            let context = SessionContext::new_with_config_rt(config, runtime.build_arc().unwrap());
            for (name, rows) in [("one", 200), ("other", 90)] {
                let values = (0..rows).map(|row: i64| row % 7);
                let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
                let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
                context.register_batch(name, batch).unwrap();
            }
            let sql = "SELECT one.v FROM one JOIN other ON one.v > other.v";
            let frame = context.sql(sql).await.unwrap();
            let tasks = Arc::new(frame.task_ctx());
            let plan = frame.create_physical_plan().await.unwrap();
            collect(Arc::clone(&plan), tasks).await.unwrap();
            lost_rows(plan.as_ref())
        };
        assert!(spilled(64).await);
        assert!(!spilled(1 << 20).await);
    }
}
