//! `keytrail findings list|show`.

use anyhow::Result;
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use clap::Args;

use super::{Exit, Lake, Output, block_on, print_answer};
use crate::query::{Format, Session};

#[derive(Debug, Args)]
pub(super) struct Findings {
    /// List every finding in its latest revision, the gravest first; or show one with its reasons and events
    #[arg(default_value = "list", value_parser = ["list", "show"])]
    what: String,
    /// List those too of which somebody decided that nobody is told (`[[detect.suppress]]`)
    #[arg(long)]
    suppressed: bool,
    /// Id of the finding to show, or its beginning
    #[arg(required_if_eq("what", "show"))]
    id: Option<String>,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

/// Whether somebody is to be told: nobody decided otherwise, or that has ended.
const TOLD: &str = "(suppressed_until IS NULL OR suppressed_until <= current_date())";

/// The list: every finding, or those of which somebody is to be told.
fn list_sql(suppressed: bool) -> String {
    let (column, told) = if suppressed {
        (", suppression", "true")
    } else {
        ("", TOLD)
    };
    format!(
        "SELECT finding_uid, severity, detector, status, first_event_time, event_count, identity_uid, title{column} \
         FROM finding WHERE {told} ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 \
         WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 4 END, first_event_time"
    )
}

impl Findings {
    pub(super) fn run(self) -> Result<()> {
        let format = self.output.format();
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            match self.id {
                Some(id) if self.what == "show" => show(&session, &id, format).await,
                _ => list(&session, self.suppressed, format).await,
            }
        })
    }
}

/// Lists findings, and says on the side how many it leaves out.
async fn list(session: &Session, suppressed: bool, format: Format) -> Result<()> {
    print_answer(session, &list_sql(suppressed), format).await?;
    let sql = format!("SELECT count(*) AS suppressed FROM finding WHERE NOT {TOLD}");
    let (_, batches) = session.sql(&sql).await?;
    let count = batches.first().map_or(0, |batch| {
        batch.column(0).as_primitive::<Int64Type>().value(0)
    });
    if count > 0 && !suppressed {
        eprintln!("{count} suppressed findings are left out; --suppressed shows them");
    }
    Ok(())
}

async fn show(session: &Session, id: &str, format: Format) -> Result<()> {
    let wanted: String = id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    let sql = format!(
        "SELECT finding_uid, severity, confidence, status, detector, identity_uid, tenant_uid, title, summary, \
         why_json, first_event_time, last_event_time, event_count, array_to_string(controls, ', ') AS controls, \
         array_to_string(attacks, ', ') AS attacks, suppression, sql FROM finding \
         WHERE starts_with(finding_uid, '{wanted}') ORDER BY finding_uid LIMIT 2"
    );
    let (schema, batches) = session.sql(&sql).await?;
    let rows: usize = batches
        .iter()
        .map(arrow::record_batch::RecordBatch::num_rows)
        .sum();
    if rows != 1 {
        let text = if rows == 0 {
            format!("no finding begins with {id:?}; `keytrail findings list` shows them")
        } else {
            format!("several findings begin with {id:?}; give more of the id")
        };
        return Err(Exit(2, text).into());
    }
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() == 1) else {
        return Ok(());
    };
    let mut events = String::new();
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        let text = match column.data_type() {
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
                let column = arrow::compute::cast(column, &DataType::Utf8)?;
                column.as_string::<i32>().value(0).to_owned()
            }
            _ => arrow::util::display::array_value_to_string(column, 0)?,
        };
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
