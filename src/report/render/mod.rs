//! A report as a file: for people who read (Markdown, HTML), for spreadsheets (CSV, Excel), for programs (JSON) and for tools of
//! auditors (OSCAL).

mod html;
mod markdown;
mod oscal;
mod xlsx;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Document, Part};
use crate::query::csv_field;

/// How the last line of Markdown and HTML begins, which holds the report again, for whoever checks it.
pub(super) const MARK: &str = "<!-- keytrail-report:";
pub(super) const MARK_END: &str = " -->";

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    Md,
    Html,
    Csv,
    Json,
    Xlsx,
    Oscal,
}

impl Form {
    /// The form that the name of a file says.
    pub fn of(path: &Path) -> Option<Self> {
        if path.file_name()?.to_str()?.ends_with(".oscal.json") {
            return Some(Self::Oscal);
        }
        match path.extension()?.to_str()? {
            "md" => Some(Self::Md),
            "html" => Some(Self::Html),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }

    /// Whether the report lies in a file of its own [beside](sidecar) one of this form, which has no place for it.
    pub const fn needs_sidecar(self) -> bool {
        matches!(self, Self::Csv | Self::Xlsx | Self::Oscal)
    }
}

/// The file beside one of another form that holds the report as JSON.
pub fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".report.json");
    PathBuf::from(name)
}

/// `document` as a file. The same document always gives the same bytes.
///
/// # Errors
///
/// Why it cannot have that form: more rows than a sheet has.
pub fn render(document: &Document, form: Form) -> Result<Vec<u8>, String> {
    let text = match form {
        Form::Md => markdown::render(document) + &own(document),
        Form::Html => html::render(document) + &own(document),
        Form::Csv => csv(document.subject()),
        Form::Oscal => oscal::render(document),
        Form::Json => json(document) + "\n",
        Form::Xlsx => return xlsx::render(document).map_err(|error| error.to_string()),
    };
    Ok(text.into_bytes())
}

fn json(document: &Document) -> String {
    serde_json::to_string_pretty(document).expect("texts and numbers always have a JSON form")
}

/// The line that holds the report.
fn own(document: &Document) -> String {
    let bytes = serde_json::to_vec(document).expect("texts and numbers always have a JSON form");
    format!("{MARK}{}{MARK_END}\n", STANDARD.encode(bytes))
}

/// Columns and rows of one part: a CSV file has place for one table.
fn csv(part: &Part) -> String {
    let cells = |row: &Vec<String>| row.iter().map(|cell| csv_field(cell)).collect::<Vec<_>>();
    std::iter::once(&part.columns)
        .chain(&part.rows)
        .map(|row| cells(row).join(",") + "\n")
        .collect()
}

/// What a reader calls a column: `last_success_time` → `last success time`.
fn heading(column: &str) -> String {
    column.replace('_', " ")
}

/// What stands below every report: the facts by name, in their order.
fn facts(document: &Document) -> Vec<(String, String)> {
    let from = &document.provenance;
    let ledger = |name: &str| from.ledger.get(name).cloned().unwrap_or_default();
    let params: Vec<String> = from
        .params
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let or_none = |text: String| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            text
        }
    };
    let mut facts = vec![
        ("question", document.subject().question.clone()),
        ("parameters", or_none(params.join(", "))),
        ("controls", or_none(document.controls().join(", "))),
        ("lake as of epoch", ledger("epoch")),
        ("committed", ledger("committed_time")),
        ("logs judged until", or_none(ledger("watermark_time"))),
        (
            "leaves and root of the tree",
            format!("{} {}", ledger("tree_size"), ledger("root_hash")),
        ),
        ("manifest before it", ledger("prev_hash")),
        (
            "logs",
            format!(
                "{} events of {} tenants, {} to {}; {} records that are no events, {} gaps",
                from.logs.events,
                from.logs.tenants,
                from.logs.since,
                from.logs.until,
                from.logs.rejects,
                from.logs.gaps
            ),
        ),
        ("made by", from.made_by.clone()),
        ("made", from.made_at.clone()),
        ("Keytrail", from.build.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    facts.extend(document.parts.iter().map(|part| {
        let name = format!("rows of “{}”", part.title);
        (
            name,
            format!("{}, hash {}", part.rows.len(), part.rows_sha256),
        )
    }));
    facts
}

/// What a report without rows says instead of them.
const NOTHING: &str =
    "Nothing: no row of the lake answers the question, as far as the logs above reach.";

/// The difference to the earlier epoch, as sentences.
fn difference(document: &Document) -> Vec<String> {
    let Some(changes) = &document.changes else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "Since epoch {}: {} came, {} went, {} moved.",
        changes.since_epoch,
        changes.came.len(),
        changes.went.len(),
        changes.moved.len()
    )];
    let came = changes.came.iter().map(|key| format!("came: {key}"));
    let went = changes.went.iter().map(|key| format!("went: {key}"));
    let moved = changes
        .moved
        .iter()
        .map(|(key, then, now)| format!("moved: {key} from {then} to {now}"));
    lines.extend(came.chain(went).chain(moved));
    lines
}
