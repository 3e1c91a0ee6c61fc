//! The program as people and scripts meet it: exit codes, streams, messages.

use std::fs;
use std::process::{Command, Output, Stdio};

use super::{estate, keytrail, write_estate};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_begins_with_examples_and_ends_with_exit_codes() {
    let output = keytrail(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    assert!(text.starts_with("Examples:"), "{text}");
    assert!(text.trim_end().ends_with("in doubt"), "{text}");
}

#[test]
fn faults_end_with_their_own_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("bad.toml"), "[lake]\nepoch_agee = \"5s\"\n").unwrap();
    fs::write(path("log.json"), "{}").unwrap();
    let check = |arguments: &[&str], code: i32, says: &str| {
        let output = keytrail(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(says),
            "{arguments:?}: {}",
            stderr(&output)
        );
    };
    fs::write(
        path("unsafe.toml"),
        "[kafka.properties]\n\"auto.offset.reset\" = \"latest\"\n",
    )
    .unwrap();
    check(&["nonsense"], 2, "nonsense");
    check(
        &[
            "demo",
            "--no-console",
            "--data",
            &dir.path().display().to_string(),
        ],
        2,
        "is not an earlier demo's lake",
    );
    check(
        &["--config", &path("unsafe.toml"), "config", "check"],
        3,
        "auto.offset.reset",
    );
    check(
        &["--config", &path("bad.toml"), "config", "check"],
        3,
        "did you mean `epoch_age`",
    );
    check(&["run"], 3, "lake.url is not set");
    check(
        &["sql", "--data", &path("none"), "SELECT 1"],
        4,
        "there is no lake in",
    );
    check(
        &["replay", "--from", &path("none"), "--data", &path("lake")],
        4,
        "none",
    );
    check(&["verify", "--data", &path("none")], 6, "problems");
    check(
        &["query", "dormant-identity", "--data", &path("none")],
        2,
        "did you mean dormant-identities?",
    );
    check(
        &[
            "run",
            "--brokers",
            "127.0.0.1:1",
            "--topic",
            "t",
            "--data",
            &path("lake"),
        ],
        4,
        "broker",
    );
}

#[test]
fn replay_counts_sql_answers_and_pipes_get_ndjson() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let lake = dir.path().join("lake").display().to_string();
    let totals = write_estate(estate::estate(12, 12, 3, 300), &logs);
    fs::write(logs.join("zz.json"), "{\"neither\":\"nor\"}").unwrap();
    let output = keytrail(&[
        "replay",
        "--from",
        &logs.display().to_string(),
        "--data",
        &lake,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let sum = format!(
        "{} elements = {} events + {} duplicates + 1 rejected + 0 ignored",
        totals.elements + 1,
        totals.distinct,
        totals.duplicates
    );
    assert!(stderr(&output).contains(&sum), "{}", stderr(&output));
    let output = keytrail(&["sql", "--data", &lake, "SELECT count(*) AS n FROM events"]);
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["n"], totals.distinct);
    for arguments in [
        ["verify", "--data", &lake].as_slice(),
        &["findings", "--data", &lake],
        &["findings", "list", "--data", &lake, "-o", "table"],
        &["query", "identities", "--data", &lake],
    ] {
        let output = keytrail(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
    let output = keytrail(&["findings", "show", "kf-none", "--data", &lake]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let id = line_of(&lake, "SELECT event_uid AS id FROM activity LIMIT 1");
    let proof = dir.path().join("row.tlog-proof").display().to_string();
    let output = keytrail(&["prove", &id, "--data", &lake, "--output", &proof]);
    assert!(output.status.success(), "{}", stderr(&output));
    let note = fs::read_to_string(dir.path().join("lake/ledger/key-000001.note")).unwrap();
    let key = note.lines().nth(4).unwrap();
    for arguments in [
        ["verify", "--data", &lake].as_slice(),
        &["verify", "--json", "--data", &lake],
        &["verify-proof", &proof, "--key", key],
        &["prove", &id, "--data", &lake],
        &["sql", "--data", &lake, "SELECT * FROM events"],
        &["findings", "list", "--data", &lake],
        &["query"],
        &["query", "identities", "--data", &lake],
        &["rejects", "top", "--data", &lake],
        &["decode", &logs.display().to_string()],
        &["config", "print"],
        &["config", "schema"],
    ] {
        assert_eq!(read_by_nobody(arguments), Some(0), "{arguments:?}");
    }
}

/// The first value that `sql` gives, as text.
fn line_of(lake: &str, sql: &str) -> String {
    let output = keytrail(&["sql", "--data", lake, sql]);
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    line["id"].as_str().unwrap().to_owned()
}

/// How the program ends whose output nobody reads, as `| head` does once it has enough.
fn read_by_nobody(arguments: &[&str]) -> Option<i32> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_keytrail"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.wait().unwrap().code()
}

#[test]
fn decode_says_what_each_message_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mixed.json");
    fs::write(&file, "{\"Records\":[]}\n{\"a\":1}\n").unwrap();
    let output = keytrail(&["decode", &file.display().to_string()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("empty_envelope") && text.contains("unknown_kind"),
        "{text}"
    );
    assert!(
        stderr(&output).contains("0 events, 1 rejects, 1 ignored"),
        "{}",
        stderr(&output)
    );
}
