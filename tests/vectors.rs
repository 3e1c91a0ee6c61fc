//! Every folder below `tests/vectors/` is a case of attribution: records, and what must be said of each of them. `V-…`
//! are the vectors of the specification, `R-…` hold a rule that none of those would miss.
//!
//! `records.json` is an array of raw records. `expected.json` lists columns of events by event id, or by `#index` for
//! records without an id, rows that other tables must or must not have, and numbers of rows. Columns that are not
//! listed are not compared; of `attribution_reasons` only the listed ones must be there, and of JSON texts the listed
//! members. `what` says in a sentence what the case is about and `rules` which rules it would catch being broken; both
//! are for readers. Each case is run in the order of the file, reversed, shuffled, and spread over lanes that are handed
//! out one after the other: the final word on every event must be the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;
#[path = "support/final_rows.rs"]
mod final_rows;
#[path = "support/folders.rs"]
mod folders;
#[path = "support/orders.rs"]
mod orders;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use final_rows::{Final, Row};
use folders::folders;
use keytrail::model::RawRecord;
use orders::{LANES, message, of_arrival, over_lanes, run, shuffled};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How many shuffled orders each case is run in.
const SEEDS: u64 = 20;

#[test]
fn every_vector_is_answered_in_every_order() {
    let folders = folders(Path::new("tests/vectors"));
    let mut lines = Vec::new();
    let mut right = 0;
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy();
        let found = check(folder).unwrap_or_else(|error| vec![error]);
        if found.is_empty() {
            right += 1;
        }
        lines.extend(found.iter().map(|line| format!("{name}: {line}")));
    }
    println!("{right}/{} vectors", folders.len());
    assert!(!folders.is_empty(), "tests/vectors holds no case");
    assert!(
        lines.is_empty(),
        "{right}/{} vectors\n{}",
        folders.len(),
        lines.join("\n")
    );
}

/// Everything that is wrong with the case in `folder`. An error when its files cannot be read.
fn check(folder: &Path) -> Result<Vec<String>, String> {
    let records: Vec<Box<RawValue>> = read(&folder.join("records.json"))?;
    let expected: Value = read(&folder.join("expected.json"))?;
    let records: Vec<RawRecord> = records
        .iter()
        .enumerate()
        .map(|(index, record)| message(index, record.get()))
        .collect();
    let in_order = run(&records);
    let mut lines = in_order.complaints();
    events(&expected["events"], &in_order, &mut lines);
    for (table, rows) in members(&expected["rows"]) {
        for wanted in rows.as_array().into_iter().flatten() {
            if let Err(closest) = holds(&in_order, table, wanted) {
                lines.push(format!("{table}: no row {wanted}; {closest}"));
            }
        }
    }
    for (table, rows) in members(&expected["absent"]) {
        for unwanted in rows.as_array().into_iter().flatten() {
            if holds(&in_order, table, unwanted).is_ok() {
                lines.push(format!("{table}: a row {unwanted}, which must not be"));
            }
        }
    }
    for (table, count) in members(&expected["counts"]) {
        let found = rows_of(&in_order, table).len() as u64;
        if count.as_u64() != Some(found) {
            lines.push(format!("{table}: found {found} rows, expected {count}"));
        }
    }
    other_orders(&records, &in_order, &mut lines);
    Ok(lines)
}

/// Compares the events that `expected` lists.
fn events(expected: &Value, found: &Final, lines: &mut Vec<String>) {
    let mut by_index = BTreeMap::new();
    for (uid, row) in &found.rows {
        if let Some(offset) = row.get("src_offset").and_then(Value::as_u64) {
            by_index.insert(format!("#{offset}"), uid.as_str());
        }
    }
    for (key, columns) in members(expected) {
        let uid = by_index.get(key).copied().unwrap_or(key);
        let Some(row) = found.rows.get(uid) else {
            let rejects = serde_json::to_string(found.table("rejects")).unwrap();
            lines.push(format!("event {key}: no row; rejects {rejects}"));
            continue;
        };
        for (column, wanted) in members(columns) {
            match row.get(column) {
                None => lines.push(format!("event {key}: {column}: no such column")),
                Some(value) if agrees(column, value, wanted) => {}
                Some(value) => lines.push(format!(
                    "event {key}: {column}: found {value}, expected {wanted}"
                )),
            }
        }
    }
}

/// Runs `records` in other orders. All differences of the first order that differs are told, of the others only that
/// they differ.
fn other_orders(records: &[RawRecord], in_order: &Final, lines: &mut Vec<String>) {
    let reversed: Vec<RawRecord> = records.iter().rev().cloned().collect();
    let mut orders = vec![("reversed".to_owned(), reversed)];
    for seed in 1..=SEEDS {
        orders.push((format!("shuffled by seed {seed}"), shuffled(records, seed)));
    }
    orders.push((format!("over {LANES} lanes"), over_lanes(records)));
    let mut differing: Vec<String> = Vec::new();
    for (order, records) in &orders {
        let differences = run(records).differences(in_order, &of_arrival);
        if differences.is_empty() {
            continue;
        }
        if differing.is_empty() {
            lines.extend(differences.iter().map(|line| format!("{order}: {line}")));
        }
        differing.push(order.clone());
    }
    if differing.len() > 1 {
        lines.push(format!("differs too: {}", differing[1..].join(", ")));
    }
}

/// Whether `table` has a row with all the values of `wanted`; if not, what the row most like it has instead.
fn holds(found: &Final, table: &str, wanted: &Value) -> Result<(), String> {
    let mut closest: Option<Vec<String>> = None;
    for row in rows_of(found, table) {
        let mut wrong = Vec::new();
        for (column, value) in members(wanted) {
            let known = row.get(column).unwrap_or(&Value::Null);
            if !agrees(column, known, value) {
                wrong.push(format!("{column} {known}"));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        if closest.as_ref().is_none_or(|best| wrong.len() < best.len()) {
            closest = Some(wrong);
        }
    }
    Err(match closest {
        Some(wrong) => format!("the closest has {}", wrong.join(", ")),
        None => "the table is empty".to_owned(),
    })
}

fn rows_of(found: &Final, table: &str) -> Vec<Row> {
    if table == "activity" {
        return found.rows.values().cloned().collect();
    }
    found
        .table(table)
        .iter()
        .map(|row| row.clone().into_iter().collect())
        .collect()
}

/// Equal values; of the rules that fired, at least those that are wanted, and of a JSON text, at least those members.
fn agrees(column: &str, found: &Value, wanted: &Value) -> bool {
    match (column, found, wanted) {
        ("attribution_reasons", Value::Array(found), Value::Array(wanted)) => {
            wanted.iter().all(|rule| found.contains(rule))
        }
        (_, Value::String(found), Value::Object(wanted)) => {
            let found: Value = serde_json::from_str(found).unwrap_or_default();
            wanted.iter().all(|(name, value)| found[name] == *value)
        }
        _ => found == wanted,
    }
}

/// The members of an object; none of anything else.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| (name.as_str(), value))
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}
