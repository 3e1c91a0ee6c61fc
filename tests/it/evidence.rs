//! Evidence for auditors: who is drawn, what is said of each, and in which period.

use std::fs;
use std::path::Path;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::investigate::{lake, lines, text, word};
use super::keytrail;
use super::reports::{call, verified};
use super::statements::{done, rows};

/// What a report says, made with `values`.
fn made(name: &str, data: &str, values: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    let shown = file.display().to_string();
    let mut args = vec!["report", name, "--data", data, "-o", &shown];
    args.extend(values.iter().flat_map(|value| ["-p", value]));
    done(&args);
    verified(&file, data).unwrap();
    serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
}

fn part<'r>(report: &'r Value, title: &str) -> &'r Value {
    let parts = report["parts"].as_array().unwrap();
    let found = parts.iter().find(|part| part["title"] == title);
    found.unwrap_or_else(|| panic!("{title}"))
}

fn cells<'r>(part: &'r Value, column: &str) -> Vec<&'r str> {
    let columns = part["columns"].as_array().unwrap();
    let place = columns.iter().position(|name| name == column).unwrap();
    let rows = part["rows"].as_array().unwrap().iter();
    rows.map(|row| row[place].as_str().unwrap()).collect()
}

/// Who is drawn follows from the seed alone, and everything else in the pack is about those.
#[test]
fn an_evidence_pack_is_about_whom_the_seed_draws() {
    let data = lake();
    let pack = made("evidence-pack", &data, &["sample=4", "actions=2"]);
    let drawn = cells(&pack["parts"][0], "identity_uid");
    assert_eq!(drawn.len(), 4);
    // Anybody can draw them again, without a lake.
    let machines = rows(&data, "SELECT identity_uid FROM machine_ever");
    let mut machines: Vec<&str> = machines
        .iter()
        .map(|row| word(row, "identity_uid"))
        .collect();
    let population = machines.len().to_string();
    assert_eq!(
        cells(&pack["parts"][0], "population"),
        [population.as_str(); 4]
    );
    machines.sort_by_cached_key(|uid| <[u8; 16]>::from(Md5::digest(format!("1 {uid}"))));
    let mut expected = machines[..4].to_vec();
    expected.sort_unstable();
    assert_eq!(drawn, expected);
    let other = made("evidence-pack", &data, &["sample=4", "seed=2"]);
    assert_ne!(drawn, cells(&other["parts"][0], "identity_uid"));

    for title in [
        "Changes, and the tickets that allow them",
        "Credentials",
        "Use, by month",
        "Actions booked on them, drawn among all",
        "Findings, and what was decided",
        "Decisions about access",
    ] {
        let about = cells(part(&pack, title), "identity_uid");
        assert!(about.iter().all(|uid| drawn.contains(uid)), "{title}");
    }
    let actions = part(&pack, "Actions booked on them, drawn among all");
    let booked_on = cells(actions, "identity_uid");
    let booked = |uid: &&str| booked_on.iter().filter(|one| *one == uid).count();
    assert!(!booked_on.is_empty() && booked_on.iter().all(|uid| booked(uid) <= 2));
    let mut events = cells(actions, "event_uid");
    // Each action can be proven.
    let proof = keytrail(&["prove", events.remove(0), "--data", &data]);
    assert!(proof.status.success(), "{}", text(&proof.stderr));
    let use_by_month = part(&pack, "Use, by month");
    assert!(!cells(use_by_month, "successes").is_empty());
}

#[test]
fn the_history_of_one_identity_needs_the_identity() {
    let data = lake();
    let output = keytrail(&["report", "identity", "--data", &data]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("needs -p identity=ID"), "{told}");
    let busiest = rows(
        &data,
        "SELECT nhi_uid FROM events WHERE nhi_uid IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    );
    let uid = word(&busiest[0], "nhi_uid");
    let report = made("identity", &data, &[&format!("identity={uid}")]);
    assert_eq!(cells(&report["parts"][0], "identity_uid"), [uid]);
    for title in [
        "Use, by month",
        "Operations of late",
        "What it reached of late",
    ] {
        assert!(
            !part(&report, title)["rows"].as_array().unwrap().is_empty(),
            "{title}"
        );
    }
    for (values, reason) in [
        ("identity=aws:user:NOBODY", "knows no such identity"),
        ("identity=", "one identity_uid"),
        ("identity=a\nb", "one identity_uid"),
    ] {
        let output = keytrail(&["report", "identity", "--data", &data, "-p", values]);
        assert_eq!(output.status.code(), Some(2), "{values}");
        let told = text(&output.stderr);
        assert!(told.contains(reason), "{told}");
    }
}

/// The same lake gives the same ids, and every row is an observation.
#[test]
fn oscal_tells_every_row_under_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake();
    let oscal = |name: &str| -> Value {
        let file = dir.path().join(format!("{name}.oscal.json"));
        let shown = file.display().to_string();
        done(&["report", "evidence-pack", "--data", &data, "-o", &shown]);
        serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()
    };
    let (one, again) = (oscal("one"), oscal("again"));
    let result = |report: &Value| report["assessment-results"]["results"][0].clone();
    let observations = |report: &Value| result(report)["observations"].clone();
    assert_eq!(observations(&one), observations(&again));
    assert_eq!(
        one["assessment-results"]["uuid"],
        again["assessment-results"]["uuid"]
    );
    let pack = made("evidence-pack", &data, &[]);
    let parts = pack["parts"].as_array().unwrap().iter();
    let told: usize = parts
        .map(|part| part["rows"].as_array().unwrap().len())
        .sum();
    assert_eq!(observations(&one).as_array().unwrap().len(), told);
    assert_eq!(result(&one)["findings"], Value::Null, "no verdict of ours");
}

/// The tenant whose logs are whole, and the one whose logs are missing from 20 to 39 days before the end.
const WHOLE: &str = "111122223333";
const GAPS: &str = "444455556666";

/// Sixty days up to 2026-10-30. `GONE` is deleted at noon of 2026-09-30, which ticket CHG-7 allows; `DAILY` was to be kept.
fn lake_with_known_answers(dir: &Path) -> String {
    let mut calls = Vec::new();
    for days_ago in 0..60 {
        calls.push(call("DAILY", WHOLE, days_ago, 8));
        calls.push(call("ADMIN", WHOLE, days_ago, 9));
        if days_ago > 30 {
            calls.push(call("GONE", WHOLE, days_ago, 10));
        }
        if !(20..40).contains(&days_ago) {
            calls.push(call("OTHER", GAPS, days_ago, 9));
        }
    }
    let mut deletion = call("ADMIN", WHOLE, 30, 12);
    deletion["eventSource"] = json!("iam.amazonaws.com");
    deletion["eventName"] = json!("DeleteUser");
    deletion["readOnly"] = json!(false);
    deletion["requestParameters"] = json!({ "userName": "GONE" });
    calls.push(deletion);
    calls.sort_by_key(|call| call["eventTime"].as_str().unwrap().to_owned());
    let text: Vec<String> = calls.iter().map(Value::to_string).collect();
    let path = |name: &str| dir.join(name).display().to_string();
    let (logs, data, tickets) = (path("logs.ndjson"), path("lake"), path("tickets.csv"));
    fs::write(&logs, text.join("\n")).unwrap();
    done(&["replay", "--from", &logs, "--data", &data]);
    fs::write(
        &tickets,
        "ticket,approver,approved,identity,action\nCHG-7,ines,2026-09-01,aws:user:AIDAGONE,delete\n",
    )
    .unwrap();
    done(&["inventory", "tickets", &tickets, "--data", &data]);
    let kept = ["--decision", "keep", "--by", "ines"];
    done(
        &[
            &["review", "decide", "aws:user:AIDADAILY", "--data", &data],
            &kept[..],
        ]
        .concat(),
    );
    data
}

fn asked(data: &str, name: &str, values: &[&str]) -> Vec<Value> {
    let mut args = vec!["query", name, "--data", data];
    args.extend(values.iter().flat_map(|value| ["-p", value]));
    let (rows, code) = lines(&args);
    assert_eq!(code, Some(0), "{name} {values:?}");
    rows
}

#[test]
fn a_period_bounds_what_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake_with_known_answers(dir.path());

    // Who was deleted is there up to the day of it.
    let drawn = |first: &str| -> Vec<String> {
        let rows = asked(&data, "evidence-sample", &[first]);
        let uids = rows.iter().map(|row| word(row, "identity_uid").to_owned());
        uids.collect()
    };
    let all = ["ADMIN", "DAILY", "GONE", "OTHER"].map(|name| format!("aws:user:AIDA{name}"));
    assert_eq!(drawn("first_day=2026-09-30"), all);
    assert_eq!(
        drawn("first_day=2026-10-01"),
        [&all[..2], &all[3..]].concat()
    );
    assert!(drawn("last_day=2026-08-01").is_empty());

    let changes = |first: &str, last: &str| {
        let values = ["identity=aws:user:AIDAGONE", first, last];
        asked(&data, "evidence-changes", &values)
    };
    let on_the_day = changes("first_day=2026-09-30", "last_day=2026-09-30");
    assert_eq!(on_the_day.len(), 1);
    let told = ["action", "ticket", "approver"].map(|column| word(&on_the_day[0], column));
    assert_eq!(told, ["delete", "CHG-7", "ines"]);
    assert!(changes("first_day=2026-10-01", "last_day=2026-10-30").is_empty());
    assert!(changes("first_day=2026-08-01", "last_day=2026-09-29").is_empty());

    let months = asked(&data, "evidence-use", &["identity=aws:user:AIDAOTHER"]);
    let months: Vec<(&str, i64)> = months
        .iter()
        .map(|row| (word(row, "month"), row["days_used"].as_i64().unwrap()))
        .collect();
    assert_eq!(months, [("2026-09-01", 20), ("2026-10-01", 20)]);

    let decided = |last: &str| {
        asked(
            &data,
            "evidence-decisions",
            &["identity=aws:user:AIDADAILY", last],
        )
    };
    let kept = decided("last_day=9999-12-31");
    assert_eq!((kept.len(), word(&kept[0], "decision")), (1, "keep"));
    assert!(decided("last_day=2026-01-01").is_empty());

    let keys = asked(
        &data,
        "evidence-credentials",
        &["identity=aws:user:AIDADAILY"],
    );
    assert_eq!(word(&keys[0], "credential_uid"), "aws:key:AKIADAILY");
    let none = asked(
        &data,
        "evidence-credentials",
        &["identity=aws:user:AIDADAILY", "last_day=2026-08-31"],
    );
    assert!(none.is_empty());
}

#[test]
fn a_log_that_was_silent_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake_with_known_answers(dir.path());
    let days = |first: &str, last: &str| -> Vec<(i64, i64)> {
        let values = ["identity=aws:user:AIDAOTHER", first, last];
        let rows = asked(&data, "evidence-coverage", &values);
        let day = |row: &Value, column: &str| row[column].as_i64().unwrap();
        let both = |row| {
            (
                day(row, "days_with_events"),
                day(row, "days_without_events"),
            )
        };
        rows.iter().map(both).collect()
    };
    assert_eq!(
        days("first_day=0001-01-01", "last_day=9999-12-31"),
        [(40, 20)]
    );
    assert_eq!(
        days("first_day=2026-09-20", "last_day=2026-09-22"),
        [(1, 2)]
    );
    assert_eq!(
        days("first_day=2026-09-25", "last_day=2026-09-26"),
        [(0, 2)]
    );
    assert_eq!(
        days("first_day=2026-08-01", "last_day=2026-08-31"),
        [(0, 0); 0]
    );
}

#[test]
fn a_period_that_is_none_is_refused() {
    let data = lake();
    for (first, reason) in [
        ("first_day=20260801", "is no day like"),
        ("first_day=2026-08-32", "is no day like"),
        ("first_day=9999-12-31", "ends before it begins"),
        ("first=2026-08-01", "it takes actions, first_day, identity"),
    ] {
        let args = [
            "report",
            "evidence-pack",
            "--data",
            &data,
            "-p",
            "last_day=2026-08-31",
            "-p",
            first,
        ];
        let output = keytrail(&args);
        assert_eq!(output.status.code(), Some(2), "{first}");
        let told = text(&output.stderr);
        assert!(told.contains(reason), "{told}");
    }
}
