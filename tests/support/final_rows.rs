//! The final word on every event: its activity row, overlaid by its last amendment, read out of evidence batches.
//!
//! Columns are read by their type and not by their name, so that a new column needs no change here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    unreachable_pub,
    reason = "in some test binaries it is the root's own module"
)]

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use keytrail::engine::EvidenceEpoch;
use keytrail::model::{Day, Micros, hex};
use serde_json::{Map, Value};

/// One row by column.
pub type Row = BTreeMap<String, Value>;

/// The place of a row in the ledger: it says nothing about the event.
const LEDGER: [&str; 3] = ["_epoch", "_leaf", "_row_digest"];

/// Columns of an amendment that are about the amendment and not about the event.
const AMENDMENT_ONLY: [&str; 2] = ["cause_event_uid", "revision"];

/// The final rows of all epochs that were added.
#[derive(Debug, Default)]
pub struct Final {
    /// By event id.
    pub rows: BTreeMap<String, Row>,
    /// Rows of all other tables, in the order in which they were written.
    pub tables: BTreeMap<String, Vec<Map<String, Value>>>,
    /// What the rows say against themselves: two rows of one event, amendments without a row or out of turn.
    pub wrong: Vec<String>,
    revisions: BTreeMap<String, i64>,
    columns: Option<&'static [&'static str]>,
    only_tables: Option<&'static [&'static str]>,
}

impl Final {
    /// Keeps only these columns of events, and only these other tables: for histories that are large.
    pub fn keeping(columns: &'static [&'static str], tables: &'static [&'static str]) -> Self {
        Self {
            columns: Some(columns),
            only_tables: Some(tables),
            ..Self::default()
        }
    }

    /// Adds the rows of one epoch.
    pub fn add(&mut self, evidence: &EvidenceEpoch) {
        // A row and its amendment may stand in one epoch, and the order of the tables is no contract.
        for (table, batch) in &evidence.batches {
            if table.name == "activity" {
                self.add_activity(batch);
            }
        }
        for (table, batch) in &evidence.batches {
            if table.name == "amendments" {
                self.add_amendments(batch);
            }
            let wanted = self
                .only_tables
                .is_none_or(|tables| tables.contains(&table.name));
            if wanted && table.name != "activity" {
                let known = self.tables.entry(table.name.to_owned()).or_default();
                for row in read(batch, &|_| true) {
                    known.push(row.into_iter().collect());
                }
            }
        }
    }

    /// The rows of `table`; none if it has none.
    pub fn table(&self, table: &str) -> &[Map<String, Value>] {
        self.tables
            .get(table)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// How these rows differ from `expected`, but for the columns that are `ignored`.
    pub fn differences(&self, expected: &Self, ignored: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (uid, row) in &expected.rows {
            let Some(found) = self.rows.get(uid) else {
                lines.push(format!("event {uid}: no row"));
                continue;
            };
            for (column, value) in row {
                let known = found.get(column).unwrap_or(&Value::Null);
                if !ignored(column) && known != value {
                    lines.push(format!(
                        "event {uid}: {column}: found {known}, expected {value}"
                    ));
                }
            }
        }
        for uid in self.rows.keys() {
            if !expected.rows.contains_key(uid) {
                lines.push(format!("event {uid}: a row that was not expected"));
            }
        }
        lines
    }

    /// What holds for every event of every history that has ended: one row, one answer, and a chain that runs from
    /// the origin to the identity whose permissions were used.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines = self.wrong.clone();
        for (uid, row) in &self.rows {
            let chain = list(row, "chain");
            let status = text(row, "attribution_status");
            let (acting, origin) = (text(row, "acting_uid"), text(row, "origin_uid"));
            let mut seen = BTreeSet::new();
            if chain.iter().any(|node| !seen.insert(*node)) {
                lines.push(format!(
                    "event {uid}: an id stands twice in chain {chain:?}"
                ));
            }
            if status == "pending" {
                lines.push(format!("event {uid}: pending after the end"));
            }
            if chain.last().copied() != Some(acting) {
                lines.push(format!(
                    "event {uid}: chain {chain:?} does not end with {acting}"
                ));
            }
            if status == "final" && chain.first().copied() != Some(origin) {
                lines.push(format!(
                    "event {uid}: chain {chain:?} does not begin with {origin}"
                ));
            }
            let depth = row.get("chain_depth").and_then(Value::as_u64);
            if depth != Some(chain.len().saturating_sub(1) as u64) {
                lines.push(format!(
                    "event {uid}: chain {chain:?} is not {depth:?} hops deep"
                ));
            }
        }
        lines
    }

    fn add_activity(&mut self, batch: &RecordBatch) {
        let rows = read(batch, &|column| self.keeps(column));
        for row in rows {
            let uid = text(&row, "event_uid").to_owned();
            let wrong = format!("event {uid}: two rows in activity");
            if self.rows.insert(uid, row).is_some() {
                self.wrong.push(wrong);
            }
        }
    }

    fn add_amendments(&mut self, batch: &RecordBatch) {
        let kept = |column: &str| column == "revision" || self.keeps(column);
        let amendments = read(batch, &kept);
        for amendment in amendments {
            let uid = text(&amendment, "event_uid").to_owned();
            let revision = amendment.get("revision").and_then(Value::as_i64).unwrap();
            let last = self.revisions.insert(uid.clone(), revision).unwrap_or(0);
            if revision <= last {
                self.wrong.push(format!(
                    "event {uid}: revision {revision} comes after revision {last}"
                ));
            }
            let Some(row) = self.rows.get_mut(&uid) else {
                self.wrong
                    .push(format!("event {uid}: an amendment without a row"));
                continue;
            };
            for (column, value) in amendment {
                let about_event = !AMENDMENT_ONLY.contains(&column.as_str());
                if about_event && let Some(known) = row.get_mut(&column) {
                    *known = value;
                }
            }
        }
    }

    fn keeps(&self, column: &str) -> bool {
        column == "event_uid" || self.columns.is_none_or(|columns| columns.contains(&column))
    }
}

/// The text in `column`; empty where there is none.
pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of the list in `column`; none where there is no list.
pub fn list<'a>(row: &'a Row, column: &str) -> Vec<&'a str> {
    match row.get(column) {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A column of texts as Arrow keeps it: for batches of which nothing else is wanted.
pub fn texts<'a>(batch: &'a RecordBatch, column: &str) -> &'a StringArray {
    batch.column_by_name(column).unwrap().as_string::<i32>()
}

/// Every row of `batch` with the columns that are `kept`, without its place in the ledger.
fn read(batch: &RecordBatch, kept: &dyn Fn(&str) -> bool) -> Vec<Row> {
    let schema = batch.schema();
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let name = field.name();
        if LEDGER.contains(&name.as_str()) || !kept(name) {
            continue;
        }
        for (index, row) in rows.iter_mut().enumerate() {
            row.insert(name.clone(), value(column.as_ref(), index));
        }
    }
    rows
}

/// One value as JSON: times as RFC 3339, days as `2026-08-01`, bytes as hex.
fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int32 => Value::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::Date32 => {
            let day = Day(column.as_primitive::<Date32Type>().value(row));
            Value::from(day.to_string())
        }
        DataType::Timestamp(..) => {
            let time = Micros(column.as_primitive::<TimestampMicrosecondType>().value(row));
            Value::from(time.to_string())
        }
        DataType::Binary => Value::from(hex(column.as_binary::<i32>().value(row))),
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            let values = (0..list.len()).map(|index| value(list.as_ref(), index));
            Value::from(values.collect::<Vec<Value>>())
        }
        other => panic!("no way is known to write {other:?} as JSON"),
    }
}
