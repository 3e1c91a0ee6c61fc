//! Reports say what the lake says, and whoever changes one is found out.

use std::fs;
use std::path::Path;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::investigate::{lake, lines, text, word};
use super::keytrail;
use super::statements::{done, own_lake, rows};

const NAMES: [&str; 8] = [
    "access-review",
    "coverage",
    "dormancy",
    "evidence-pack",
    "lifecycle",
    "rotation",
    "third-party",
    "unattributed",
];

fn verified(file: &Path, data: &str) -> Result<(), String> {
    let file = file.display().to_string();
    let output = keytrail(&["report", "verify", &file, "--data", data]);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(6) => Err(text(&output.stderr).to_owned()),
        other => panic!("{other:?}: {}", text(&output.stderr)),
    }
}

#[test]
fn every_report_in_every_form_is_what_the_lake_says() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake();
    for name in NAMES {
        for form in ["md", "html", "csv", "json", "xlsx", "oscal.json"] {
            let file = dir.path().join(format!("{name}.{form}"));
            let shown = file.display().to_string();
            done(&[
                "report",
                name,
                "--data",
                &data,
                "-o",
                &shown,
                "--by",
                "ines.kram",
            ]);
            done(&["report", "verify", &shown]);
            verified(&file, &data).unwrap();
        }
    }
    let listed = keytrail(&["report"]);
    let listed = text(&listed.stdout);
    assert!(NAMES.iter().all(|name| listed.contains(name)), "{listed}");
    let unknown = keytrail(&["report", "dormant", "--data", &data]);
    assert_eq!(unknown.status.code(), Some(2));
    let told = text(&unknown.stderr);
    assert!(told.contains("did you mean dormancy?"), "{told}");
}

#[test]
fn a_changed_cell_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake();
    // Which identity the last row is about: it stands in no question and no heading.
    let file = dir.path().join("review.json");
    let shown = file.display().to_string();
    done(&["report", "access-review", "--data", &data, "-o", &shown]);
    let honest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let columns = honest["parts"][0]["columns"].as_array().unwrap();
    let place = columns.iter().position(|name| name == "identity_uid");
    let last = honest["parts"][0]["rows"]
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    let cell = last[place.unwrap()].as_str().unwrap();
    // No form writes letters and digits in another way.
    let words = cell.split(|c: char| !c.is_ascii_alphanumeric());
    let cell = words.max_by_key(|word| word.len()).unwrap();
    for form in ["md", "html", "csv", "json"] {
        let file = dir.path().join(format!("review.{form}"));
        let shown = file.display().to_string();
        done(&["report", "access-review", "--data", &data, "-o", &shown]);
        let whole = fs::read_to_string(&file).unwrap();
        let at = whole.rfind(cell).unwrap();
        let changed = format!("{}x{}", &whole[..at], &whole[at..]);
        fs::write(&file, changed).unwrap();
        let reason = verified(&file, &data).unwrap_err();
        assert!(reason.contains("review."), "{reason}");
    }
    let file = dir.path().join("review.xlsx");
    let shown = file.display().to_string();
    done(&["report", "access-review", "--data", &data, "-o", &shown]);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let reason = verified(&file, &data).unwrap_err();
    assert!(reason.contains("review.xlsx"), "{reason}");
}

/// Who changes cells and hash alike makes a file that agrees with itself; the lake does not agree with it.
#[test]
fn a_forged_report_is_found_by_the_lake() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake();
    let file = dir.path().join("review.json");
    let shown = file.display().to_string();
    done(&["report", "access-review", "--data", &data, "-o", &shown]);
    let honest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    type Change = fn(&mut Value);
    let forge = |change: Change| {
        let mut forged = honest.clone();
        change(&mut forged);
        let part = &mut forged["parts"][0];
        let rows = serde_json::to_vec(&json!([part["columns"], part["rows"]])).unwrap();
        let hash = keytrail::model::hex(&keytrail::model::sha256(&rows));
        part["rows_sha256"] = Value::from(hash);
        // As the program writes it: the order of members is part of the file.
        let document: keytrail::report::Document = serde_json::from_value(forged).unwrap();
        let text = keytrail::report::render(&document, keytrail::report::Form::Json).unwrap();
        fs::write(&file, text).unwrap();
        done(&["report", "verify", &shown]);
        verified(&file, &data).unwrap_err()
    };
    let changes: [(Change, &str); 9] = [
        (
            |report| report["parts"][0]["rows"][0][0] = Value::from("keep"),
            "row 1 is another one",
        ),
        (
            |report| drop(report["parts"][0]["rows"].as_array_mut().unwrap().pop()),
            "is another one",
        ),
        (
            |report| report["parts"][0]["sql"] = Value::from("SELECT 'keep' AS recommendation"),
            "its question is not",
        ),
        (
            |report| report["provenance"]["ledger"]["prev_hash"] = Value::from("00"),
            "ledger is another",
        ),
        // What stands around the rows is held to the lake too.
        (
            |report| report["tally"] = json!([["keep", 99]]),
            "its counts",
        ),
        (
            |report| report["provenance"]["logs"]["gaps"] = Value::from(7),
            "its counts",
        ),
        (
            |report| report["parts"][0]["caveats"] = json!([]),
            "its counts",
        ),
        (
            |report| report["provenance"]["ledger"] = json!({}),
            "no epoch 0",
        ),
        (
            |report| report["provenance"]["ledger"]["epoch"] = Value::from("999"),
            "no epoch 999",
        ),
    ];
    for (change, expected) in changes {
        let reason = forge(change);
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

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
        "Actions, drawn among all",
        "Findings, and what was decided",
        "Decisions about access",
    ] {
        let about = cells(part(&pack, title), "identity_uid");
        assert!(about.iter().all(|uid| drawn.contains(uid)), "{title}");
    }
    let actions = part(&pack, "Actions, drawn among all");
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

/// The numbers of days that a pack says are those of the table.
#[test]
fn the_logs_behind_a_pack_are_told_with_their_gaps() {
    let data = lake();
    let pack = made(
        "evidence-pack",
        &data,
        &["first_day=2026-08-02", "last_day=2026-08-05"],
    );
    let logs = part(&pack, "Logs that could have shown it");
    let days = |column| -> Vec<i64> {
        let cells = cells(logs, column).into_iter();
        cells.map(|cell| cell.parse().unwrap()).collect()
    };
    let both = days("days_with_events")
        .into_iter()
        .zip(days("days_without_events"));
    let both: Vec<(i64, i64)> = both.collect();
    assert!(!both.is_empty());
    assert!(
        both.iter().all(|(with, without)| with + without <= 4),
        "{both:?}"
    );
    assert!(both.iter().any(|(with, _)| *with > 0), "{both:?}");
}

#[test]
fn the_history_of_one_identity_needs_the_identity() {
    let data = lake();
    let output = keytrail(&["report", "identity", "--data", &data]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("needs -p identity=VALUE"), "{told}");
    let busiest = rows(
        &data,
        "SELECT nhi_uid FROM events WHERE nhi_uid IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    );
    let uid = word(&busiest[0], "nhi_uid");
    let report = made("identity", &data, &[&format!("identity={uid}")]);
    assert_eq!(cells(&report["parts"][0], "identity_uid"), [uid]);
    for title in [
        "Use, by month",
        "Operations that it uses",
        "What it reached",
    ] {
        assert!(
            !part(&report, title)["rows"].as_array().unwrap().is_empty(),
            "{title}"
        );
    }
    let nobody = made("identity", &data, &["identity=aws:user:NOBODY"]);
    assert!(cells(&nobody["parts"][0], "identity_uid").is_empty());
    assert!(cells(part(&nobody, "Use, by month"), "identity_uid").is_empty());
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

#[test]
fn what_cannot_be_verified_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = lake();
    let file = dir.path().join("report.txt").display().to_string();
    for args in [
        &["report", "dormancy", "--data", &data, "-o", &file][..],
        &["report", "dormancy", &file, "--data", &data],
        &["report", "verify", &file, "--data", &data, "-p", "days=3"],
    ] {
        assert_eq!(keytrail(args).status.code(), Some(2), "{args:?}");
    }
    let missing = dir.path().join("none.md").display().to_string();
    let output = keytrail(&["report", "verify", &missing, "--data", &data]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_report_of_then_stays_and_the_difference_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = own_lake(dir.path());
    let then = rows(
        &data,
        "SELECT CAST(committed_time AS VARCHAR) AS at FROM epochs ORDER BY epoch DESC LIMIT 1",
    );
    let then = format!("{}Z", word(&then[0], "at").trim_end_matches('Z'));
    let before = dir.path().join("before.json");
    let shown = before.display().to_string();
    done(&["report", "access-review", "--data", &data, "-o", &shown]);
    let read = |file: &Path| -> Value { serde_json::from_slice(&fs::read(file).unwrap()).unwrap() };
    let unowned = read(&before)["parts"][0]["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row[0] == "find an owner")
        .unwrap()
        .clone();
    let uid = unowned[1].as_str().unwrap();
    let owners = dir.path().join("owners.json");
    fs::write(
        &owners,
        json!([{ "identity": uid, "owner": "ines.kram" }]).to_string(),
    )
    .unwrap();
    let owners = owners.display().to_string();
    done(&["inventory", "import", &owners, "--data", &data]);

    // What was known then has not changed, and the file of then is still true.
    verified(&before, &data).unwrap();
    let again = dir.path().join("again.json");
    let shown = again.display().to_string();
    done(&[
        "report",
        "access-review",
        "--data",
        &data,
        "-o",
        &shown,
        "--as-of",
        &then,
    ]);
    assert_eq!(
        read(&again)["parts"][0]["rows"],
        read(&before)["parts"][0]["rows"]
    );

    let now = dir.path().join("now.md");
    let shown = now.display().to_string();
    done(&[
        "report",
        "access-review",
        "--data",
        &data,
        "-o",
        &shown,
        "--since",
        &then,
    ]);
    let text = fs::read_to_string(&now).unwrap();
    assert!(text.contains("0 came, 0 went, 1 moved"), "{text}");
    assert!(
        text.contains(&format!("moved: {uid} from find an owner to")),
        "{text}"
    );
    verified(&now, &data).unwrap();
}

/// A call of the user `name` in `account`, on the day that is so many days before the last one.
fn call(name: &str, account: &str, days_ago: i64, hour: i64) -> Value {
    let last = chrono::DateTime::parse_from_rfc3339("2026-10-30T00:00:00Z").unwrap();
    let at = last - chrono::TimeDelta::days(days_ago) + chrono::TimeDelta::hours(hour);
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": format!("AIDA{name}"),
            "arn": format!("arn:aws:iam::{account}:user/{name}"), "accountId": account,
            "userName": name, "accessKeyId": format!("AKIA{name}"),
        },
        "eventTime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "eventID": format!("{name}-{days_ago}-{hour}"),
        "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "eu-west-1",
        "sourceIPAddress": "198.51.100.10", "userAgent": "Boto3/1.34.0", "readOnly": true,
        "eventType": "AwsApiCall", "recipientAccountId": account,
    })
}

/// Known answers: each class once, and a tenant whose logs have a gap.
#[test]
fn dormancy_is_exact_and_gaps_are_no_sleep() {
    const WHOLE: &str = "111122223333";
    const GAPS: &str = "444455556666";
    let dir = tempfile::tempdir().unwrap();
    let mut calls = Vec::new();
    for days_ago in 0..300 {
        calls.push(call("DAILY", WHOLE, days_ago, 8));
        // The logs of this tenant are missing for twenty days.
        if !(20..40).contains(&days_ago) {
            calls.push(call("OTHER", GAPS, days_ago, 9));
        }
    }
    for (name, account, last) in [
        ("IDLE", WHOLE, 60),
        ("DORMANT", WHOLE, 100),
        ("STALE", WHOLE, 200),
        ("UNSEEN", GAPS, 100),
    ] {
        calls.extend((last..300).map(|days_ago| call(name, account, days_ago, 10)));
    }
    calls.sort_by_key(|call| call["eventTime"].as_str().unwrap().to_owned());
    let text: Vec<String> = calls.iter().map(Value::to_string).collect();
    let (logs, data) = (dir.path().join("logs.ndjson"), dir.path().join("lake"));
    fs::write(&logs, text.join("\n")).unwrap();
    let (logs, data) = (logs.display().to_string(), data.display().to_string());
    done(&["replay", "--from", &logs, "--data", &data]);
    let (found, _) = lines(&["query", "dormancy", "--data", &data, "-p", "active=yes"]);
    let mut classes: Vec<(&str, &str)> = found
        .iter()
        .map(|row| (word(row, "identity_uid"), word(row, "dormancy_class")))
        .collect();
    classes.sort_unstable();
    assert_eq!(
        classes,
        [
            ("aws:user:AIDADAILY", "active"),
            ("aws:user:AIDADORMANT", "dormant"),
            ("aws:user:AIDAIDLE", "idle"),
            ("aws:user:AIDAOTHER", "active"),
            ("aws:user:AIDASTALE", "stale"),
            ("aws:user:AIDAUNSEEN", "insufficient_history"),
        ]
    );
    let file = dir.path().join("dormancy.md");
    let shown = file.display().to_string();
    done(&["report", "dormancy", "--data", &data, "-o", &shown]);
    let text = fs::read_to_string(&file).unwrap();
    for line in [
        "* 1 dormant\n",
        "* 1 idle\n",
        "* 1 insufficient\\_history\n",
        "* 1 stale\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
