//! The page of a finding answers what somebody asks who has nothing else: the questions of an alert, for every finding
//! of a small estate, and word for word for those of its stories.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::investigate::{labels, lake, lines, text, word};
use super::keytrail;

/// The parts of the page, one for each question: what, why, who, who really, by which hops, what next, how far, on what
/// proof, what to do, what is unknown.
const QUESTIONS: [&str; 10] = [
    "what",
    "why",
    "who",
    "how_known",
    "hops",
    "next",
    "reach",
    "events",
    "contain",
    "unknown",
];

fn findings() -> Vec<Value> {
    let sql = "SELECT finding_uid, detector, sql, event_count FROM finding ORDER BY finding_uid";
    lines(&["sql", "--data", &lake(), sql]).0
}

fn total(page: &[Value], section: &str) -> Option<i64> {
    let said = page
        .iter()
        .find(|cell| word(cell, "section") == section && word(cell, "field") == "total");
    said.map(|cell| word(cell, "value").parse().unwrap())
}

#[test]
fn every_page_answers_the_ten_questions() {
    let findings = findings();
    assert!(findings.len() >= 3, "{findings:?}");
    for finding in &findings {
        let uid = word(finding, "finding_uid");
        let (page, code) = lines(&["investigate", uid, "--data", &lake()]);
        assert_eq!(code, Some(0), "{uid}");
        for question in QUESTIONS {
            let total = total(&page, question);
            // Nobody stands before an identity that acts with a key of its own, and all may be known.
            let may_be_none = ["hops", "unknown", "reach"].contains(&question);
            assert!(
                total.is_some_and(|total| may_be_none || total > 0),
                "{uid}: {question}"
            );
        }
        let shown = |field: &str| {
            page.iter()
                .find(|cell| word(cell, "section") == "what" && word(cell, "field") == field)
                .map(|cell| word(cell, "value"))
        };
        for field in ["summary", "confidence", "controls", "attacks", "sql"] {
            assert!(
                shown(field).is_some_and(|text| !text.is_empty()),
                "{uid}: {field}"
            );
        }
    }
}

#[test]
fn the_sql_of_a_finding_returns_its_events_and_no_others() {
    for finding in findings() {
        let uid = word(&finding, "finding_uid");
        let events = |sql: &str| -> BTreeSet<String> {
            let rows = lines(&["sql", "--data", &lake(), sql]).0;
            rows.iter()
                .map(|row| word(row, "event_uid").to_owned())
                .collect()
        };
        let named = events(&format!(
            "SELECT event_uid FROM finding_events WHERE finding_uid = '{uid}'"
        ));
        assert!(!named.is_empty(), "{uid}");
        assert_eq!(events(word(&finding, "sql")), named, "{uid}");
    }
}

#[test]
fn pages_of_stories_are_what_they_were() {
    let stories: Vec<Value> = fs::read_to_string(labels())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|label: &Value| label["detector"].is_string())
        .collect();
    assert_eq!(stories.len(), 3);
    let found = lines(&[
        "sql",
        "--data",
        &lake(),
        "SELECT finding_uid, detector, identity_uid FROM finding",
    ])
    .0;
    for story in &stories {
        let finding = found.iter().find(|finding| {
            ["detector", "identity_uid"]
                .iter()
                .all(|member| word(finding, member) == word(story, member))
        });
        let uid = word(finding.unwrap(), "finding_uid");
        let output = keytrail(&["investigate", uid, "--data", &lake(), "-o", "table"]);
        let page = text(&output.stdout);
        let file = Path::new("tests/it/pages").join(format!("{}.txt", word(story, "story")));
        if std::env::var_os("KEYTRAIL_BLESS").is_some() {
            fs::create_dir_all("tests/it/pages").unwrap();
            fs::write(&file, &page).unwrap();
        }
        let was = fs::read_to_string(&file).unwrap_or_default();
        for (number, (now, was)) in page.lines().zip(was.lines()).enumerate() {
            assert_eq!(now, was, "{}:{}", file.display(), number + 1);
        }
        assert_eq!(
            page.lines().count(),
            was.lines().count(),
            "{}",
            file.display()
        );
    }
}
