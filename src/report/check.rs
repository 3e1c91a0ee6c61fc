//! Whether a report is what it was when it was made.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::render::{MARK, MARK_END};
use super::{Document, Form, render, rows_sha256, sidecar};
use crate::query::{QueryError, Session, bind, views_sha256};

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
            "{shown} is neither .md, .html, .csv, .json nor .xlsx"
        ))
    })?;
    let own = bytes(path)?;
    let beside = form.needs_sidecar().then(|| bytes(&sidecar(path)));
    let beside = beside.transpose()?;
    checked(&shown.to_string(), &own, beside.as_deref(), form).map_err(Unread::Changed)
}

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
    if rows_sha256(&document.columns, &document.rows) != document.provenance.rows_sha256 {
        return Err(format!(
            "{shown}: its rows do not have the hash that it names"
        ));
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
    // A question that the file brings along could answer anything.
    let ours = bind(&definition.question()?, &from.params);
    if ours.map_or(true, |sql| sql != from.sql) || from.views_sha256 != views_sha256() {
        return differs(
            "its question is not the one of this build: somebody changed it, or another build made it",
        );
    }
    let who = (from.made_by.as_str(), from.made_at.as_str());
    let mut again = super::make(&definition, &from.params, session, earlier, who).await?;
    again.provenance.build.clone_from(&from.build);
    if again.provenance.ledger != from.ledger {
        return differs("the ledger is another one than that of the report");
    }
    if again.columns != document.columns {
        return differs("the question gives other columns");
    }
    if let Some(place) = first_other(&again.rows, &document.rows) {
        return differs(&format!("row {} is another one in the lake", place + 1));
    }
    if again != *document {
        return differs(
            "its counts, its changes or what it says of the logs are others in the lake",
        );
    }
    Ok(Checked::Same)
}

fn first_other(rows: &[Vec<String>], others: &[Vec<String>]) -> Option<usize> {
    let longest = rows.len().max(others.len());
    (0..longest).find(|place| rows.get(*place) != others.get(*place))
}

fn parse(bytes: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("the report does not parse: {error}"))
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
