//! What people state by commands: decisions about findings, and inventories. `chaos::statements` has services and deaths.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::investigate::{lake, lines, text, word};
use super::keytrail;

/// A copy of the lake that tests share, to state things in.
pub(super) fn own_lake(dir: &Path) -> String {
    let data = dir.join("lake");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([lake(), data.display().to_string()])
        .status()
        .unwrap();
    assert!(copied.success());
    data.display().to_string()
}

pub(super) fn rows(data: &str, sql: &str) -> Vec<Value> {
    lines(&["sql", "--data", data, sql]).0
}

pub(super) fn done(args: &[&str]) -> String {
    let output = keytrail(args);
    let told = text(&output.stderr).to_owned();
    assert!(output.status.success(), "{args:?}: {told}");
    told
}

#[test]
fn a_benign_finding_is_settled_and_what_was_new_becomes_normal() {
    let dir = tempfile::tempdir().unwrap();
    let data = own_lake(dir.path());
    let found = rows(
        &data,
        "SELECT finding_uid, identity_uid, detector FROM finding WHERE detector = 'unusual-origin' ORDER BY 1",
    );
    let finding = word(&found[0], "finding_uid").to_owned();
    let before = lines(&["findings", "--data", &data]).0.len();
    let mut triage = vec!["findings", "triage", &finding[..14], "--data", &data];
    let refused = keytrail(&triage);
    assert_eq!(refused.status.code(), Some(2));
    triage.extend(["--decision", "benign", "--why", "the new office"]);
    let unknown = [&triage[..], &["--decision", "fine"]].concat();
    assert_eq!(keytrail(&unknown).status.code(), Some(2));
    triage.extend(["--until", "2999-01-01", "--by", "ines.kram"]);
    let told = done(&triage);
    assert!(told.contains(&format!("{finding} is benign")), "{told}");

    let decided = rows(&data, "SELECT * FROM triage");
    assert_eq!(decided.len(), 1, "{decided:?}");
    assert_eq!(word(&decided[0], "finding_uid"), finding);
    assert_eq!(word(&decided[0], "author"), "ines.kram");
    assert_eq!(word(&decided[0], "suppress_until"), "2999-01-01");
    assert_eq!(decided[0]["observed"][0], decided[0]["joined"][0]);
    let listed = keytrail(&["findings", "--data", &data]);
    assert_eq!(text(&listed.stdout).lines().count(), before - 1);
    let aside = text(&listed.stderr);
    assert!(aside.contains("1 findings are left out"), "{aside}");
    let all = lines(&["findings", "--all", "--data", &data]).0;
    assert_eq!(all.len(), before);
    let of_it = all.iter().find(|row| row["finding_uid"] == *finding);
    assert_eq!(of_it.unwrap()["decision"], "benign");

    // Somebody else sees it otherwise, and it is told again.
    done(&[
        "findings",
        "triage",
        &finding,
        "--decision",
        "reopened",
        "--why",
        "no office there",
        "--data",
        &data,
    ]);
    assert_eq!(lines(&["findings", "--data", &data]).0.len(), before);
    assert_eq!(rows(&data, "SELECT * FROM triage").len(), 2);
    done(&["verify", "--data", &data]);
}

#[test]
fn an_inventory_says_whose_an_identity_is_since_when() {
    let dir = tempfile::tempdir().unwrap();
    let data = own_lake(dir.path());
    let known = rows(
        &data,
        "SELECT identity_uid, arn_or_app_id FROM identity WHERE kind = 'iam_user' AND arn_or_app_id IS NOT NULL ORDER BY 1",
    );
    let (one, other) = (&known[0], &known[1]);
    let file = dir.path().join("owners.csv");
    let text = format!(
        "identity,owner,criticality,environment,expires\n{},ines.kram,high,production,\n{},tom.reuter,,,2020-01-01\n\
         aws:role:AROANOBODYSAWTHIS001,ute.falk,,,\n",
        word(one, "identity_uid"),
        word(other, "arn_or_app_id"),
    );
    fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let told = done(&[
        "inventory",
        "import",
        &file,
        "--as-of",
        "2026-01-01",
        "--data",
        &data,
    ]);
    assert!(told.contains("3 identities"), "{told}");
    let listed = lines(&["inventory", "list", "--data", &data]).0;
    assert_eq!(listed.len(), 3, "{listed:?}");
    let of = |uid: &str| {
        let row = listed.iter().find(|row| row["identity_uid"] == *uid);
        row.unwrap().clone()
    };
    let owned = of(word(one, "identity_uid"));
    assert_eq!(owned["owner"], "ines.kram");
    assert_eq!(owned["valid_from"], "2026-01-01T00:00:00Z");
    assert!(["medium", "high"].contains(&word(&owned, "risk_tier")));
    let by_arn = of(word(other, "identity_uid"));
    assert_eq!(by_arn["owner"], "tom.reuter");
    assert_eq!(of("aws:role:AROANOBODYSAWTHIS001")["owner"], "ute.falk");

    let lint = lines(&["inventory", "lint", "--data", &data]).0;
    let problem = |uid: &str| {
        let row = lint.iter().find(|row| row["identity_uid"] == *uid);
        row.map(|row| word(row, "problem").to_owned())
    };
    assert_eq!(
        problem("aws:role:AROANOBODYSAWTHIS001").as_deref(),
        Some("never seen to act")
    );
    let expired = problem(word(other, "identity_uid")).unwrap();
    assert_eq!(expired, "used after it expired");
    assert_eq!(problem(word(one, "identity_uid")), None);
    assert!(lint.iter().any(|row| row["problem"] == "not listed"));

    // A second import adds to the first, and says nothing where it has no cell.
    fs::write(
        dir.path().join("more.json"),
        format!(
            r#"{{"identity":"{}","purpose":"backups"}}"#,
            word(one, "identity_uid")
        ),
    )
    .unwrap();
    let more = dir.path().join("more.json").display().to_string();
    done(&["inventory", "import", &more, "--data", &data]);
    let versions = rows(
        &data,
        &format!(
            "SELECT owner, purpose, source FROM identities WHERE identity_uid = '{}' AND source = 'inventory' ORDER BY version",
            word(one, "identity_uid")
        ),
    );
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert_eq!(versions[1]["owner"], "ines.kram");
    assert_eq!(versions[1]["purpose"], "backups");
    // The same once more changes nothing.
    done(&["inventory", "import", &more, "--data", &data]);
    let again = rows(
        &data,
        "SELECT count(*) AS n FROM identities WHERE source = 'inventory'",
    );
    assert_eq!(again[0]["n"], 4);
    done(&["verify", "--data", &data]);
}

#[test]
fn a_file_with_faults_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("owners.csv");
    fs::write(&file, "identity,owner,criticality\na,ines,very\n,tom,low\n").unwrap();
    let (file, data) = (file.display().to_string(), lake());
    let output = keytrail(&["inventory", "import", &file, "--data", &data]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.contains("owners.csv:2: `criticality` is none of"),
        "{told}"
    );
    assert!(told.contains("owners.csv:3: `identity` is empty"), "{told}");
}
