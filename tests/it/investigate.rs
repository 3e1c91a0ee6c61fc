//! `keytrail investigate` and `keytrail evaluate` over a small estate whose truth is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::keytrail;

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The folder with `lake` and `labels.ndjson`: twelve identities over twenty days, and three stories.
fn estate() -> &'static Path {
    static ESTATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = ESTATE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (logs, labels, lake) = (path("logs"), path("labels.ndjson"), path("lake"));
        for arguments in [
            [
                "simulate",
                "--identities",
                "12",
                "--days",
                "20",
                "--events",
                "600",
                "--out",
                &logs,
                "--labels",
                &labels,
            ]
            .as_slice(),
            &["replay", "--from", &logs, "--data", &lake],
        ] {
            let output = keytrail(arguments);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        dir
    });
    dir.path()
}

pub(super) fn lake() -> String {
    estate().join("lake").display().to_string()
}

pub(super) fn logs() -> String {
    estate().join("logs").display().to_string()
}

/// Replays the logs into `data` with the settings of `config`.
pub(super) fn replayed(config: &str, data: &str) -> std::process::Output {
    keytrail(&[
        "replay",
        "--config",
        config,
        "--from",
        &logs(),
        "--data",
        data,
    ])
}

pub(super) fn labels() -> PathBuf {
    estate().join("labels.ndjson")
}

/// The lines of NDJSON that a command prints when it is piped, and its exit code.
pub(super) fn lines(arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output = keytrail(arguments);
    let lines = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (lines, output.status.code())
}

fn one(sql: &str) -> Value {
    let (lines, code) = lines(&["sql", "--data", &lake(), sql]);
    assert_eq!(code, Some(0), "{sql}");
    lines.first().cloned().unwrap_or_else(|| panic!("{sql}"))
}

pub(super) fn word<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

/// What `investigate` says in `field` of the first row of `section` that has it; row 0 holds only the total.
fn told<'a>(lines: &'a [Value], section: &str, field: &str) -> Option<&'a str> {
    lines
        .iter()
        .find(|line| word(line, "section") == section && word(line, "field") == field)
        .map(|line| word(line, "value"))
}

fn investigated(id: &str) -> Vec<Value> {
    let (lines, code) = lines(&["investigate", id, "--data", &lake()]);
    assert_eq!(code, Some(0), "{id}");
    lines
}

#[test]
fn every_kind_of_id_is_investigated() {
    let session = one(
        "SELECT s.session_uid, s.issued_by_uid, s.issue_event_uid, e.event_uid FROM sessions s \
         JOIN events e ON e.session_uid = s.session_uid WHERE s.method = 'assume_role' \
         AND s.issued_by_session_uid IS NULL ORDER BY 1, 4 LIMIT 1",
    );
    let key = one(
        "SELECT credential_uid, identity_uid FROM credential WHERE kind = 'access_key' ORDER BY 1 LIMIT 1",
    );
    let finding = one("SELECT finding_uid, identity_uid FROM finding ORDER BY 1 LIMIT 1");

    let event = investigated(word(&session, "event_uid"));
    assert_eq!(
        told(&event, "what", "uid"),
        Some(word(&session, "event_uid"))
    );
    assert_eq!(told(&event, "how_known", "total"), Some("1"));
    assert!(told(&event, "how_known", "reasons").is_some());
    assert_eq!(
        told(&event, "hops", "issue_event_uid"),
        Some(word(&session, "issue_event_uid"))
    );
    assert!(told(&event, "hops", "with_credential").is_some());

    for id in [
        word(&session, "session_uid").to_owned(),
        format!(
            "aws:tkey:{}@2026-08-01T00:00:00Z",
            word(&session, "session_uid")
        ),
    ] {
        let lines = investigated(&id);
        assert_eq!(
            told(&lines, "what", "uid"),
            Some(word(&session, "session_uid"))
        );
        assert_eq!(
            told(&lines, "hops", "from_uid"),
            Some(word(&session, "issued_by_uid"))
        );
        assert_ne!(told(&lines, "events", "total"), Some("0"));
    }

    let uid = word(&key, "credential_uid");
    let lines = investigated(uid.rsplit(':').next().unwrap());
    assert_eq!(told(&lines, "what", "uid"), Some(uid));
    assert_eq!(
        told(&lines, "who", "identity_uid"),
        Some(word(&key, "identity_uid"))
    );
    assert_ne!(told(&lines, "credentials", "total"), Some("0"));

    let lines = investigated(&word(&finding, "finding_uid")[..12]);
    assert_eq!(
        told(&lines, "what", "uid"),
        Some(word(&finding, "finding_uid"))
    );
    assert_ne!(told(&lines, "events", "total"), Some("0"));
}

#[test]
fn an_identity_with_many_sessions_shows_some_and_counts_all() {
    let busy = one(
        "SELECT issued_by_uid, count(DISTINCT session_uid) AS n FROM sessions WHERE method = 'assume_role' \
         GROUP BY 1 ORDER BY n DESC, 1 LIMIT 1",
    );
    let uid = word(&busy, "issued_by_uid");
    let lines = investigated(uid.rsplit(':').next().unwrap());
    assert_eq!(told(&lines, "what", "uid"), Some(uid));
    let total: i64 = told(&lines, "sessions", "total").unwrap().parse().unwrap();
    let shown = lines
        .iter()
        .filter(|line| word(line, "section") == "sessions" && word(line, "field") == "session_uid")
        .count() as i64;
    assert!(total >= busy["n"].as_i64().unwrap(), "{total}");
    assert_eq!(shown, total.min(50));
    assert_ne!(told(&lines, "identities", "total"), Some("0"));
    assert_ne!(told(&lines, "reach", "total"), Some("0"));

    let output = keytrail(&["investigate", uid, "--data", &lake(), "-o", "table"]);
    let table = text(&output.stdout);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for title in [
        "The identity",
        "Who it is",
        "How that is known",
        "Sessions that grew out of it",
    ] {
        assert!(table.contains(title), "{title}: {table}");
    }
    if total > 50 {
        assert!(table.contains(&format!(": 50 of {total}")), "{table}");
    }
}

#[test]
fn what_is_not_there_or_not_clear_is_said() {
    let check = |id: &str, says: &str| {
        let output = keytrail(&["investigate", id, "--data", &lake()]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{id}: {error}");
        assert!(error.contains(says), "{id}: {error}");
    };
    check("kf-none", "nothing in this lake is called");
    check("", "nothing in this lake is called");
    check("x' OR '1'='1", "nothing in this lake is called");
    check("aws:user:", "give one of them: \"aws:user:AIDA");
    let output = keytrail(&["investigate", "--help"]);
    assert!(text(&output.stdout).starts_with("Examples:"));
}

#[test]
fn views_follow_sessions_and_chains() {
    let above = one(
        "SELECT count(*) AS n FROM sessions s LEFT JOIN lineage l ON l.root_uid = s.session_uid \
         AND l.direction = 'ancestor' AND l.depth = 1 AND l.node_uid = s.issued_by_uid \
         WHERE s.issued_by_uid IS NOT NULL AND l.root_uid IS NULL",
    );
    assert_eq!(above["n"], 0, "whoever obtained a session stands above it");
    let below = one(
        "SELECT count(*) AS n FROM sessions s LEFT JOIN lineage l ON l.root_uid = s.issued_by_uid \
         AND l.direction = 'descendant' AND l.via_session_uid = s.session_uid AND l.node_uid = s.identity_uid \
         WHERE s.issued_by_uid IS NOT NULL AND l.root_uid IS NULL",
    );
    assert_eq!(below["n"], 0, "and the session's identity below them");
    let reach = one(
        "WITH told AS (SELECT identity_uid, sum(events) AS n FROM blast_radius WHERE kind = 'service' GROUP BY 1), \
         used AS (SELECT identity_uid, count(*) AS n FROM ( \
           SELECT unnest(array_distinct(chain)) AS identity_uid FROM events WHERE outcome <> 'failure' \
         ) GROUP BY 1) \
         SELECT count(*) AS wrong FROM told t FULL JOIN used u ON u.identity_uid = t.identity_uid \
         WHERE t.n IS DISTINCT FROM u.n",
    );
    assert_eq!(reach["wrong"], 0, "every event of a chain has one service");
}

/// A role that a service obtained is known by its ARN until somebody uses it. Here that comes after the watermark has
/// passed, so the session is told twice; whoever asks what stands above it gets the last word alone.
#[test]
fn a_session_told_again_leaves_no_trace_of_the_first_word_in_lineage() {
    let record = |day: u32, id: u32, rest: Value| {
        let mut record = serde_json::json!({
            "eventVersion": "1.09", "eventTime": format!("2026-03-{day:02}T08:00:00Z"), "awsRegion": "eu-west-1",
            "eventID": format!("5e55a9e0-0000-4000-8000-{id:012}"), "recipientAccountId": "111122223333",
            "eventType": "AwsApiCall", "readOnly": true,
        });
        let members = rest.as_object().unwrap().clone();
        record.as_object_mut().unwrap().extend(members);
        format!("{record}\n")
    };
    let role = "arn:aws:iam::111122223333:role/app/resize";
    let issued = record(
        1,
        1,
        serde_json::json!({
            "userIdentity": {"type": "AWSService", "invokedBy": "lambda.amazonaws.com"},
            "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "sourceIPAddress": "lambda.amazonaws.com",
            "requestParameters": {"roleArn": role, "roleSessionName": "resize"},
            "responseElements": {"credentials": {"accessKeyId": "ASIAEXAMPLERESIZE001",
                "expiration": "Mar 1, 2026, 8:00:00 PM"}},
        }),
    );
    let between = |day: u32| {
        record(
            day,
            day + 10,
            serde_json::json!({
                "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLEOTHER00001", "userName": "other",
                    "arn": "arn:aws:iam::111122223333:user/other", "accountId": "111122223333",
                    "accessKeyId": "AKIAEXAMPLEOTHER0001"},
                "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets", "sourceIPAddress": "203.0.113.7",
            }),
        )
    };
    let used = record(
        6,
        2,
        serde_json::json!({
            "userIdentity": {"type": "AssumedRole", "principalId": "AROAEXAMPLERESIZE0001:resize",
                "arn": "arn:aws:sts::111122223333:assumed-role/resize/resize", "accountId": "111122223333",
                "accessKeyId": "ASIAEXAMPLERESIZE002", "sessionContext": {
                    "sessionIssuer": {"type": "Role", "principalId": "AROAEXAMPLERESIZE0001", "arn": role,
                        "accountId": "111122223333", "userName": "resize"},
                    "attributes": {"creationDate": "2026-03-06T07:00:00Z", "mfaAuthenticated": "false"}}},
            "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "sourceIPAddress": "203.0.113.8",
        }),
    );
    let dir = tempfile::tempdir().unwrap();
    let (logs, lake) = (dir.path().join("logs.ndjson"), dir.path().join("lake"));
    fs::write(&logs, issued + &between(3) + &between(5) + &used).unwrap();
    let (logs, lake) = (logs.display().to_string(), lake.display().to_string());
    let output = keytrail(&["replay", "--from", &logs, "--data", &lake]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = |sql: &str| lines(&["sql", "--data", &lake, sql]).0;
    let words = rows(
        "SELECT identity_uid, revision FROM sessions WHERE method <> 'console_sign_in' ORDER BY 2",
    );
    let identities: Vec<&str> = words.iter().map(|row| word(row, "identity_uid")).collect();
    let (by_arn, by_id) = (
        format!("aws:role-arn:{role}"),
        "aws:role:AROAEXAMPLERESIZE0001".to_owned(),
    );
    assert_eq!(identities, [by_arn.as_str(), by_id.as_str()], "{words:?}");
    let tied = rows("SELECT DISTINCT root_uid FROM lineage WHERE root_uid LIKE 'aws:role%'");
    let roots: Vec<&str> = tied.iter().map(|row| word(row, "root_uid")).collect();
    assert_eq!(roots, std::slice::from_ref(&by_id));
    // So does whoever asks what grew out of it.
    let start = "start=ASIAEXAMPLERESIZE001";
    let grown = lines(&["query", "session-descendants", "--data", &lake, "-p", start]).0;
    let identities: Vec<&str> = grown.iter().map(|row| word(row, "identity_uid")).collect();
    assert_eq!(identities, [by_id]);
}

#[test]
fn evidence_is_compared_with_the_truth() {
    let labels = labels();
    let evaluate = |labels: &Path| {
        lines(&[
            "evaluate",
            "--data",
            &lake(),
            "--labels",
            &labels.display().to_string(),
        ])
    };
    let events = |lines: &[Value], part: &str, name: &str, verdict: &str| -> i64 {
        lines
            .iter()
            .filter(|line| word(line, "part") == part && word(line, "name").starts_with(name))
            .filter(|line| word(line, "verdict").starts_with(verdict))
            .map(|line| line["events"].as_i64().unwrap())
            .sum()
    };
    let all: Vec<Value> = fs::read_to_string(&labels)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let stories = all
        .iter()
        .filter(|label| label["detector"].is_string())
        .count();
    let labelled = (all.len() - stories) as i64;

    let (told, code) = evaluate(&labels);
    for name in ["identity_uid", "nhi_uid", "acting_uid"] {
        for part in ["total", "provider", "reason"] {
            assert_eq!(events(&told, part, name, ""), labelled, "{part} {name}");
        }
        assert_eq!(events(&told, "total", name, "missing"), 0, "{name}");
        assert_eq!(events(&told, "total", name, "pending"), 0, "{name}");
    }
    let wrong = events(&told, "total", "identity_uid", "wrong");
    assert_eq!(wrong, 0, "of {labelled}");
    assert_eq!(code, Some(0));
    let found: Vec<&Value> = told
        .iter()
        .filter(|line| word(line, "part") == "story")
        .collect();
    assert_eq!(found.len(), stories);
    assert!(found.iter().all(|line| word(line, "verdict") == "found"));
    // Every finding is counted, and at least those of the stories are about an identity that has one.
    assert!(events(&told, "finding", "", "of_a_story") >= stories as i64);
    let (findings, _) = lines(&[
        "sql",
        "--data",
        &lake(),
        "SELECT count(*) AS n FROM finding",
    ]);
    assert_eq!(
        events(&told, "finding", "", ""),
        findings[0]["n"].as_i64().unwrap()
    );

    let mut lie = all[1].clone();
    lie["identity_uid"] = Value::from("aws:user:AIDANOBODY");
    let file = estate().join("lie.ndjson");
    fs::write(&file, format!("{lie}\n")).unwrap();
    let (told, code) = evaluate(&file);
    assert_eq!(events(&told, "total", "identity_uid", "wrong"), 1);
    assert_eq!(code, Some(1));

    fs::write(&file, "no labels\n").unwrap();
    assert_eq!(evaluate(&file).1, Some(2));
    assert_eq!(evaluate(&estate().join("none.ndjson")).1, Some(2));
}
