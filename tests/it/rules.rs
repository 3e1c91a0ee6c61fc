//! Sigma rules through the program itself: what `rules check` and `rules test` say, and what a replay finds with a hundred
//! rules beside the detectors.

use std::collections::BTreeMap;
use std::fs;

use rsigma_parser::{SigmaRule, parse_sigma_yaml};
use serde_json::Value;

use super::investigate::{lake, lines, replayed, text, word};
use super::{keytrail, plain_sigma};

#[test]
fn a_hundred_rules_are_checked() {
    let output = keytrail(&["rules", "check", "tests/rules/hundred"]);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("100 run, 0 left out, 0 broken"));
    let told = text(&output.stdout);
    assert!(told.contains("refused.yml: Refused (cloudtrail)"), "{told}");
}

#[test]
fn examples_are_run_and_one_that_is_wrong_fails() {
    let output = keytrail(&["rules", "test", "deploy/rules"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains(", 0 failed"));

    let dir = tempfile::tempdir().unwrap();
    let name = "secret-read-from-new-network";
    let rule = fs::read(format!("deploy/rules/{name}.yml")).unwrap();
    fs::write(dir.path().join(format!("{name}.yml")), rule).unwrap();
    let examples = fs::read_to_string(format!("deploy/rules/{name}.examples.ndjson")).unwrap();
    let wrong = examples.replace("\"match\": true", "\"match\": false");
    fs::write(dir.path().join(format!("{name}.examples.ndjson")), wrong).unwrap();
    let output = keytrail(&["rules", "test", &dir.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(
        told.contains("examples.ndjson:1: a secret from elsewhere: it matches, and must not"),
        "{told}"
    );
}

/// As Kubernetes mounts a ConfigMap: the file is a link through a hidden link to a hidden folder. And a link to the folder itself.
#[test]
fn linked_folders_are_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("..2026_11_27");
    fs::create_dir(&real).unwrap();
    fs::copy("tests/rules/hundred/refused.yml", real.join("refused.yml")).unwrap();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
    };
    link("..2026_11_27", "..data");
    link("..data/refused.yml", "refused.yml");
    link(".", "again");
    let output = keytrail(&["rules", "check", &dir.path().display().to_string()]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("1 run, 0 left out, 0 broken"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_broken_rule_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let rule = dir.path().join("broken.yml");
    fs::write(
        &rule,
        "title: Broken\nlogsource: { product: aws }\ndetection:\n    a:\n        eventName|holds: x\n    condition: a\n",
    )
    .unwrap();
    let config = dir.path().join("keytrail.toml");
    fs::write(
        &config,
        format!("[detect.sigma]\nrules = [{:?}]\n", dir.path()),
    )
    .unwrap();
    let (config, data) = (config.display().to_string(), dir.path().join("lake"));
    let data = data.display().to_string();
    let checked = keytrail(&["config", "check", "--config", &config]);
    for output in [replayed(&config, &data), checked] {
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(
            told.contains(&format!("{}:5: Unknown modifier 'holds'", rule.display())),
            "{told}"
        );
    }
    assert!(!std::path::Path::new(&data).exists(), "nothing was begun");
}

/// The findings of the detectors stay what they are; those of each rule count exactly the events that it matches.
#[test]
fn a_hundred_rules_run_beside_the_detectors() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("keytrail.toml"), dir.path().join("lake"));
    fs::write(
        &config,
        "[detect.sigma]\nrules = [\"tests/rules/hundred\"]\n",
    )
    .unwrap();
    let (config, data) = (config.display().to_string(), data.display().to_string());
    let output = replayed(&config, &data);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let others =
        "SELECT finding_uid, event_count FROM finding WHERE detector <> 'sigma' ORDER BY 1";
    let rows = |data: &str, sql: &str| lines(&["sql", "--data", data, sql]).0;
    assert_eq!(rows(&data, others), rows(&lake(), others));

    let judged = rows(
        &data,
        "SELECT a.log_source, r.raw_json FROM activity a JOIN raw_events r ON a.event_uid = r.event_uid \
         WHERE NOT array_has(a.flags, 'late') AND NOT array_has(a.flags, 'future')",
    );
    let found: BTreeMap<String, i64> = rows(
        &data,
        "SELECT title, sum(event_count) AS events FROM finding WHERE detector = 'sigma' GROUP BY 1",
    )
    .iter()
    .map(|row| {
        (
            word(row, "title").to_owned(),
            row["events"].as_i64().unwrap(),
        )
    })
    .collect();
    assert_eq!(found, plainly(&judged));
    assert!(found.len() > 30, "{found:?}");
}

/// How many of `judged` each rule matches, by a plain evaluation.
fn plainly(judged: &[Value]) -> BTreeMap<String, i64> {
    let mut matched = BTreeMap::new();
    let rules: Vec<SigmaRule> = fs::read_dir("tests/rules/hundred")
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .map(|text| parse_sigma_yaml(&text).unwrap().rules.remove(0))
        .collect();
    for row in judged {
        let record = serde_json::from_str(word(row, "raw_json")).unwrap();
        for rule in &rules {
            let service = match word(row, "log_source") {
                "azure_activity" => "activitylogs",
                "entra_audit" => "auditlogs",
                "entra_signin" => "signinlogs",
                "graph_activity" => "microsoftgraphactivitylogs",
                other => other,
            };
            let meant = rule.logsource.service.as_deref() == Some(service);
            if meant && plain_sigma::matches(&rule.detection, &record) {
                *matched.entry(rule.title.clone()).or_default() += 1;
            }
        }
    }
    matched
}
