//! `[[detect.suppress]]`: findings of which nobody is told, and which are written all the same.

use std::fs;

use super::investigate::{labels, lake, lines, replayed, text, word};
use super::keytrail;

#[test]
fn a_suppressed_finding_is_written_and_not_told() {
    let story = fs::read_to_string(labels())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|label| label["detector"] == "unusual-origin")
        .unwrap();
    let identity = word(&story, "identity_uid");
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("keytrail.toml"), dir.path().join("lake"));
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let suppress = |until: &str| {
        let text = format!(
            "[[detect.suppress]]\ndetector = \"unusual-origin\"\nidentity = \"{}*\"\nauthor = \"ines.kram\"\n\
             reason = \"the new office\"\nuntil = \"{until}\"\n",
            &identity[..20]
        );
        fs::write(&config, text).unwrap();
    };
    suppress("2999-01-01");
    let output = replayed(&config, &data);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let all = "SELECT finding_uid, detector, identity_uid, suppression FROM finding ORDER BY 1";
    let (rows, usual) = (
        lines(&["sql", "--data", &data, all]).0,
        lines(&["sql", "--data", &lake(), all]).0,
    );
    let uids = |rows: &[serde_json::Value]| -> Vec<String> {
        rows.iter()
            .map(|row| word(row, "finding_uid").to_owned())
            .collect()
    };
    assert_eq!(uids(&rows), uids(&usual), "a decision changes no finding");
    let (suppressed, told): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| !row["suppression"].is_null());
    assert_eq!(suppressed.len(), 1, "{suppressed:?}");
    assert_eq!(
        word(&suppressed[0], "suppression"),
        "ines.kram until 2999-01-01: the new office"
    );
    assert!(usual.iter().all(|row| row["suppression"].is_null()));

    let listed = keytrail(&["findings", "list", "--data", &data]);
    assert_eq!(text(&listed.stdout).lines().count(), told.len());
    let aside = text(&listed.stderr);
    assert!(
        aside.contains("1 findings are left out that are suppressed"),
        "{aside}"
    );
    let (every, _) = lines(&["findings", "list", "--suppressed", "--data", &data]);
    assert_eq!(every.len(), told.len() + 1);
}

#[test]
fn a_suppression_without_an_end_or_a_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("keytrail.toml");
    let refused = |text: &str, expected: &str| {
        fs::write(&config, format!("[[detect.suppress]]\n{text}")).unwrap();
        let config = config.display().to_string();
        let output = keytrail(&["config", "check", "--config", &config]);
        let told = super::investigate::text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(expected), "{told}");
    };
    let by = "author = \"a\"\nreason = \"r\"\n";
    let until = "until = \"2026-12-31\"\n";
    refused(
        &format!("detector = \"dormant\"\n{by}"),
        "missing field `until`",
    );
    refused(&format!("{by}{until}"), "names a detector or an identity");
    for identity in ["*", "aws:*:x"] {
        refused(
            &format!("identity = \"{identity}\"\n{by}{until}"),
            "nearly everything",
        );
    }
    refused(
        &format!("detector = \"asleep\"\n{by}{until}"),
        "no detector \"asleep\"",
    );
    refused(
        &format!("detector = \"dormant\"\n{by}until = \"soon\"\n"),
        "is not a day",
    );
    refused(
        &format!("detector = \"dormant\"\nauthor = \" \"\nreason = \"r\"\n{until}"),
        "an author and a reason",
    );
}
