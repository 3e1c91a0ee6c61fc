//! Real logs, where they are at hand: `KEYTRAIL_TEST_CORPUS` names a folder with `cloudtrail/*.jsonl` and
//! `expected/lineage.json`, which lists keys, the record that issued each, and the records that used it. Nothing of it
//! is part of this project; without it this test says that it was skipped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;
#[path = "support/final_rows.rs"]
mod final_rows;
#[path = "support/orders.rs"]
mod orders;

use std::fs;
use std::io::Write;
use std::path::Path;

use final_rows::{Final, text};
use keytrail::model::RawRecord;
use orders::{LANES, message, of_arrival, over_lanes, run, shuffled};
use serde_json::Value;

const SEEDS: u64 = 50;

#[test]
fn every_issued_key_leads_to_its_issuer_in_every_order() {
    let Some(corpus) = std::env::var_os("KEYTRAIL_TEST_CORPUS") else {
        // Written past the test harness, which would keep it to itself.
        let skipped = "SKIPPED: real logs: KEYTRAIL_TEST_CORPUS names no folder of them\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    let corpus = Path::new(&corpus);
    let pairs: Vec<Value> =
        serde_json::from_slice(&fs::read(corpus.join("expected/lineage.json")).unwrap()).unwrap();
    let mut resolved = 0;
    let mut wrong = Vec::new();
    let mut files: Vec<&str> = pairs
        .iter()
        .map(|pair| pair["file"].as_str().unwrap())
        .collect();
    files.dedup();
    for file in files {
        let path = corpus.join(format!("cloudtrail/{file}.jsonl"));
        let records: Vec<RawRecord> = fs::read_to_string(path)
            .unwrap()
            .lines()
            .enumerate()
            .map(|(index, line)| message(index, line))
            .collect();
        let in_order = run(&records);
        for pair in pairs.iter().filter(|pair| pair["file"] == file) {
            let found = unresolved(pair, &in_order);
            resolved += usize::from(found.is_empty());
            wrong.extend(found);
        }
        wrong.extend(other_orders(file, &records, &in_order));
    }
    println!("{resolved}/{} pairs", pairs.len());
    assert!(
        wrong.is_empty(),
        "{resolved}/{} pairs\n{}",
        pairs.len(),
        wrong.join("\n")
    );
}

/// The uses of the pair's key that do not lead to the record that issued it.
fn unresolved(pair: &Value, found: &Final) -> Vec<String> {
    let key = pair["key"].as_str().unwrap();
    let lines = pair["lines"].as_array().unwrap();
    let used = found
        .rows
        .values()
        .any(|row| text(row, "session_uid") == key);
    if !used {
        return vec![format!("{key}: no use of it has a row that leads to it")];
    }
    lines
        .iter()
        .filter_map(|line| {
            let offset = line.as_u64().unwrap() - 1;
            let at = |row: &&final_rows::Row| row["src_offset"].as_u64() == Some(offset);
            let Some(row) = found.rows.values().find(at) else {
                // A second copy of a record has no row of its own.
                return None;
            };
            let proven = matches!(text(row, "attribution_confidence"), "exact" | "strong");
            let settled = text(row, "attribution_status") == "final";
            let linked = text(row, "session_uid") == key;
            (!(proven && settled && linked)).then(|| {
                format!(
                    "{key} line {line}: {} {} {}, session {}",
                    text(row, "operation"),
                    text(row, "attribution_confidence"),
                    text(row, "attribution_status"),
                    text(row, "session_uid"),
                )
            })
        })
        .collect()
}

/// How the final rows differ in other orders. Records that share an id but not their content are left out: which of
/// them keeps the id is for the order to say.
fn other_orders(file: &str, records: &[RawRecord], in_order: &Final) -> Vec<String> {
    let reversed: Vec<RawRecord> = records.iter().rev().cloned().collect();
    let mut orders = vec![("reversed".to_owned(), reversed)];
    for seed in 1..=SEEDS {
        orders.push((format!("shuffled by seed {seed}"), shuffled(records, seed)));
    }
    orders.push((format!("over {LANES} lanes"), over_lanes(records)));
    let expected = without_conflicts(in_order);
    let mut lines = Vec::new();
    for (order, records) in orders {
        let found = without_conflicts(&run(&records));
        let differences = found.differences(&expected, &of_arrival);
        if let Some(first) = differences.first() {
            lines.push(format!(
                "{file} {order}: {} differences, first {first}",
                differences.len()
            ));
        }
    }
    lines
}

fn without_conflicts(rows: &Final) -> Final {
    let conflicting: Vec<String> = rows
        .rows
        .keys()
        .filter_map(|uid| uid.split_once('~'))
        .map(|(base, _)| base.to_owned())
        .collect();
    let kept = rows
        .rows
        .iter()
        .filter(|(uid, _)| {
            let base = uid.split('~').next().unwrap_or(uid);
            !conflicting.iter().any(|conflict| conflict == base)
        })
        .map(|(uid, row)| (uid.clone(), row.clone()))
        .collect();
    let mut others = Final::default();
    others.rows = kept;
    others
}
