//! `keytrail findings list|show|triage`.

mod triage;

use anyhow::Result;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use clap::Args;

use super::{Exit, Global, Lake, Output, block_on, print_answer};
use crate::query::{Format, Session};

#[derive(Debug, Args)]
pub(super) struct Findings {
    /// List every finding in its latest revision, the gravest first; show one with its reasons and events; or say what one
    /// turned out to be
    #[arg(default_value = "list", value_parser = ["list", "show", "triage"])]
    what: String,
    /// List those too that are suppressed, that somebody decided to be benign or false, or that were taken back
    #[arg(long, visible_alias = "suppressed")]
    all: bool,
    /// Id of the finding, or its beginning
    #[arg(required_if_eq_any([("what", "show"), ("what", "triage")]))]
    id: Option<String>,
    #[command(flatten)]
    triage: triage::Triage,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

/// Whether somebody is to be told: nobody decided otherwise, or that has ended.
const TOLD: &str = "status <> 'retracted' AND NOT settled \
    AND (suppressed_until IS NULL OR suppressed_until <= current_date())";

/// The list: every finding, or those of which somebody is to be told.
fn list_sql(all: bool) -> String {
    let (column, told) = if all {
        (", suppression", "true")
    } else {
        ("", TOLD)
    };
    format!(
        "SELECT finding_uid, severity, detector, status, first_event_time, event_count, identity_uid, title, decision{column} \
         FROM finding WHERE {told} ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 \
         WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 4 END, first_event_time, finding_uid"
    )
}

impl Findings {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let format = self.output.format();
        if let Some(id) = self.id.as_deref().filter(|_| self.what == "triage") {
            return self.triage.run(global, &self.lake.data, id);
        }
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            match self.id {
                Some(id) if self.what == "show" => show(&session, &id, format).await,
                _ => list(&session, self.all, format).await,
            }
        })
    }
}

/// Lists findings, and says on the side how many it leaves out.
async fn list(session: &Session, all: bool, format: Format) -> Result<()> {
    print_answer(session, &list_sql(all), format).await?;
    let sql = format!("SELECT count(*) AS others FROM finding WHERE NOT ({TOLD})");
    let (_, batches) = session.sql(&sql).await?;
    let count = batches.first().map_or(0, |batch| {
        batch.column(0).as_primitive::<Int64Type>().value(0)
    });
    if count > 0 && !all {
        eprintln!(
            "{count} findings are left out that are suppressed, settled or taken back; --all shows them"
        );
    }
    Ok(())
}

/// The finding whose id begins with `id`, with the columns of `columns`: one row.
async fn find(session: &Session, id: &str, columns: &str) -> Result<(SchemaRef, RecordBatch)> {
    let wanted: String = id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let sql = format!(
        "SELECT {columns} FROM finding WHERE starts_with(finding_uid, '{wanted}') ORDER BY finding_uid LIMIT 2"
    );
    let (schema, batches) = session.sql(&sql).await?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if rows != 1 {
        let text = if rows == 0 {
            format!("no finding begins with {id:?}; `keytrail findings list` shows them")
        } else {
            format!("several findings begin with {id:?}; give more of the id")
        };
        return Err(Exit(2, text).into());
    }
    let one = batches.into_iter().find(|batch| batch.num_rows() == 1);
    one.map(|batch| (schema, batch))
        .ok_or_else(|| Exit(2, format!("no finding begins with {id:?}")).into())
}

/// The text of a column of one row.
fn text(batch: &RecordBatch, column: usize) -> Result<String> {
    let column = batch.column(column);
    Ok(match column.data_type() {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            let column = arrow::compute::cast(column, &DataType::Utf8)?;
            column.as_string::<i32>().value(0).to_owned()
        }
        _ => arrow::util::display::array_value_to_string(column, 0)?,
    })
}

async fn show(session: &Session, id: &str, format: Format) -> Result<()> {
    let columns = "finding_uid, severity, confidence, status, detector, identity_uid, tenant_uid, title, summary, \
         why_json, first_event_time, last_event_time, event_count, array_to_string(controls, ', ') AS controls, \
         array_to_string(attacks, ', ') AS attacks, suppression, decision, decided_by, decided_time, decision_reason, sql";
    let (schema, batch) = find(session, id, columns).await?;
    let mut events = String::new();
    for (place, field) in schema.fields().iter().enumerate() {
        let text = text(&batch, place)?;
        if field.name() == "sql" {
            events.clone_from(&text);
        }
        eprintln!("{:>16}  {text}", field.name());
    }
    let columns = "SELECT event_time, operation, outcome, source_ip, tenant_uid, credential_uid, \
         array_to_string(chain, ' > ') AS chain, event_uid FROM (";
    print_answer(
        session,
        &format!("{columns}{events}) ORDER BY event_time, event_uid"),
        format,
    )
    .await
}
