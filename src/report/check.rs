//! Whether a report is what it was when it was made.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::VERSION;
use super::render::{MARK, MARK_END};
use super::{Document, Form, Part, render, rows_sha256, sidecar};
use crate::query::{QueryError, Session, views_sha256};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It says what the lake says.
    Same,
    /// What is wrong.
    Differs(String),
}

/// Why a file holds no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It cannot be read.
    Io(String),
    /// It does not agree with itself.
    Changed(String),
}

/// The report in the file at `path`, if the file agrees with itself: every cell, and the hash over all of them.
///
/// # Errors
///
/// A sentence that says what does not agree, or why the file cannot be read.
pub fn read(path: &Path) -> Result<Document, Unread> {
    let shown = path.display();
    let bytes = |path: &Path| {
        std::fs::read(path).map_err(|error| Unread::Io(format!("{}: {error}", path.display())))
    };
    let form = Form::of(path).ok_or_else(|| {
        Unread::Io(format!(
            "{shown} is neither .md, .html, .csv, .json, .xlsx nor .oscal.json"
        ))
    })?;
    let own = bytes(path)?;
    let beside = form.needs_sidecar().then(|| bytes(&sidecar(path)));
    let beside = beside.transpose()?;
    checked(&shown.to_string(), &own, beside.as_deref(), form).map_err(Unread::Changed)
}

/// Why a report that asks something else than this build is none of this build's.
const OTHER: &str =
    "its question is not the one of this build: somebody changed it, or another build made it";

fn checked(shown: &str, own: &[u8], beside: Option<&[u8]>, form: Form) -> Result<Document, String> {
    let document = match (form, beside) {
        (Form::Md | Form::Html, _) => parse(&embedded(own).ok_or_else(|| {
            format!("{shown} holds no report of Keytrail: its last line is missing or cut")
        })?)?,
        (_, Some(beside)) => parse(beside)?,
        (_, None) => parse(own)?,
    };
    let again = render(&document, form)?;
    if again != own {
        let told = "it is not what the report says there";
        return Err(if form == Form::Xlsx {
            format!("{shown}: {told}; a workbook that was opened and saved is another one")
        } else {
            format!("{shown}:{}: {told}", first_difference(&again, own))
        });
    }
    for part in &document.parts {
        if rows_sha256(&part.columns, &part.rows) != part.rows_sha256 {
            return Err(format!(
                "{shown}: its rows do not have the hash that it names"
            ));
        }
    }
    Ok(document)
}

/// Makes the report again. `session` sees the lake as of the report's epoch, `earlier` as of the one to which it is compared.
/// Who made it and when is what it says; nothing proves that.
///
/// # Errors
///
/// Whatever the lake cannot answer.
pub async fn compare(
    document: &Document,
    session: &Session,
    earlier: Option<&Session>,
) -> Result<Checked, QueryError> {
    let from = &document.provenance;
    let differs = |reason: &str| Ok(Checked::Differs(reason.to_owned()));
    let Some(definition) = super::report(&from.report) else {
        return differs("this build makes no such report");
    };
    if from.views_sha256 != views_sha256() {
        return differs(OTHER);
    }
    let who = (from.made_by.as_str(), from.made_at.as_str());
    // It is asked what this build asks: a question that the file brings along could answer anything.
    let again = super::make(&definition, &from.params, session, earlier, who).await;
    let mut again = match again {
        Err(QueryError::Question(_)) => return differs(OTHER),
        again => again?,
    };
    again.provenance.build.clone_from(&from.build);
    if again.provenance.ledger != from.ledger {
        return differs("the ledger is another one than that of the report");
    }
    if again.parts.len() != document.parts.len() {
        return differs("it has other parts than those of this build");
    }
    for (ours, told) in again.parts.iter().zip(&document.parts) {
        if let Some(reason) = other(ours, told) {
            return differs(&reason);
        }
    }
    if again != *document {
        return differs(
            "its counts, its changes or what it says of the logs are others in the lake",
        );
    }
    Ok(Checked::Same)
}

/// What is another in a part of the report than in `ours`.
fn other(ours: &Part, told: &Part) -> Option<String> {
    if (&ours.title, &ours.columns) != (&told.title, &told.columns) {
        return Some(format!(
            "{:?}: the question gives other columns",
            told.title
        ));
    }
    if let Some(place) = first_other(&ours.rows, &told.rows) {
        let title = &told.title;
        return Some(format!(
            "{title:?}: row {} is another one in the lake",
            place + 1
        ));
    }
    (ours.sql != told.sql).then(|| OTHER.to_owned())
}

fn first_other(rows: &[Vec<String>], others: &[Vec<String>]) -> Option<usize> {
    let longest = rows.len().max(others.len());
    (0..longest).find(|place| rows.get(*place) != others.get(*place))
}

fn parse(bytes: &[u8]) -> Result<Document, String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        provenance: Version,
    }
    #[derive(serde::Deserialize)]
    struct Version {
        v: u32,
    }
    let wrong = |error: serde_json::Error| format!("the report does not parse: {error}");
    let version = serde_json::from_slice::<Versioned>(bytes).map_err(wrong)?;
    if version.provenance.v != VERSION {
        let v = version.provenance.v;
        return Err(format!(
            "another build made it: it has form {v}, and this build reads {VERSION}"
        ));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(wrong)?;
    let whole = |part: &Part| part.rows.iter().all(|row| row.len() == part.columns.len());
    if document.parts.is_empty() || !document.parts.iter().all(whole) {
        return Err(
            "the report does not parse: it has no part, or a row that is not whole".to_owned(),
        );
    }
    Ok(document)
}

/// The report at the end of a text.
fn embedded(own: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(own).ok()?;
    let last = text.trim_end().lines().next_back()?;
    let encoded = last.strip_prefix(MARK)?.strip_suffix(MARK_END)?;
    STANDARD.decode(encoded).ok()
}

/// The line in which two texts first differ, from 1.
fn first_difference(one: &[u8], other: &[u8]) -> usize {
    let lines = |text| <[u8]>::split(text, |byte| *byte == b'\n');
    let same = lines(one)
        .zip(lines(other))
        .take_while(|(one, other)| one == other);
    same.count() + 1
}
