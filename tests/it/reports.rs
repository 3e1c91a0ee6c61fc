//! Reports say what the lake says, and whoever changes one is found out.

use std::fs;
use std::path::Path;

use keytrail::report::REPORTS;
use serde_json::{Value, json};

use super::investigate::{lake, lines, text, word};
use super::keytrail;
use super::statements::{done, own_lake, rows};

pub(super) fn verified(file: &Path, data: &str) -> Result<(), String> {
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
    let busiest = rows(
        &data,
        "SELECT nhi_uid FROM events WHERE nhi_uid IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    );
    let one = format!("identity={}", word(&busiest[0], "nhi_uid"));
    for name in REPORTS.map(|report| report.name) {
        for form in ["md", "html", "csv", "json", "xlsx", "oscal.json"] {
            let file = dir.path().join(format!("{name}.{form}"));
            let shown = file.display().to_string();
            let mut args = vec!["report", name, "--data", &data, "-o", &shown];
            args.extend(["--by", "ines.kram"]);
            if name == "identity" {
                args.extend(["-p", &one]);
            }
            done(&args);
            done(&["report", "verify", &shown]);
            verified(&file, &data).unwrap();
        }
    }
    let listed = keytrail(&["report"]);
    let listed = text(&listed.stdout);
    assert!(
        REPORTS.iter().all(|report| listed.contains(report.name)),
        "{listed}"
    );
    assert!(listed.contains("takes high, low, medium"), "{listed}");
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
pub(super) fn call(name: &str, account: &str, days_ago: i64, hour: i64) -> Value {
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
