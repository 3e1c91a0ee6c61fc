//! Documentation that is generated must be what the code says. `KEYTRAIL_BLESS=1 cargo test` writes it anew.

use std::fs;
use std::path::Path;

use keytrail::config::schema_json;
use keytrail::evidence::TABLES;

fn check(path: &str, expected: &str) {
    if std::env::var_os("KEYTRAIL_BLESS").is_some() {
        if let Some(parent) = Path::new(path).parent() {
            fs::create_dir_all(parent).unwrap();
        }
        fs::write(path, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is stale; KEYTRAIL_BLESS=1 cargo test --test it schemas writes it anew"
    );
}

#[test]
fn table_schemas_are_what_the_code_says() {
    for table in TABLES {
        let mut text = serde_json::to_string_pretty(&table.document()).unwrap();
        text.push('\n');
        check(&format!("schemas/tables/{}.json", table.name), &text);
    }
}

#[test]
fn the_configuration_schema_is_what_the_code_says() {
    check("schemas/config.schema.json", &schema_json());
}

#[test]
fn the_sample_configuration_is_valid() {
    let config =
        keytrail::config::load(Some(Path::new("deploy/keytrail.toml")), std::iter::empty());
    let config = config.unwrap();
    assert!(!config.kafka.topics.is_empty() && !config.lake.url.is_empty());
}

#[test]
fn controls_are_those_that_detectors_name() {
    let params = super::estate::params().detect;
    let detectors = keytrail::detect::detectors(&params);
    let sweeps = keytrail::detect::sweeps(&params);
    let mut own: Vec<_> = detectors
        .iter()
        .map(|detector| (detector.name(), detector.controls()))
        .collect();
    own.extend(sweeps.iter().map(|sweep| (sweep.name(), sweep.controls())));
    check_controls("detector", own.into_iter());
}

#[test]
fn controls_are_those_that_changes_name() {
    let own = keytrail::model::Action::ALL
        .iter()
        .map(|action| (action.name(), action.controls()));
    check_controls("lifecycle", own);
}

/// `schemas/controls.toml` lists under `section` exactly what the code names, and for each the controls that it names.
fn check_controls<'a>(section: &str, own: impl ExactSizeIterator<Item = (&'a str, &'a [&'a str])>) {
    let text = fs::read_to_string("schemas/controls.toml").unwrap();
    let table: toml::Table = text.parse().unwrap();
    let listed = table[section].as_table().unwrap();
    assert_eq!(listed.len(), own.len());
    for (name, controls) in own {
        let mut named: Vec<&str> = listed[name]
            .as_table()
            .unwrap()
            .values()
            .flat_map(|list| list.as_array().unwrap())
            .map(|id| id.as_str().unwrap())
            .collect();
        let mut own = controls.to_vec();
        named.sort_unstable();
        own.sort_unstable();
        assert_eq!(named, own, "{name}");
    }
}

#[test]
fn tests_judge_with_the_thresholds_that_users_have() {
    let defaults = keytrail::config::Config::default().detect.params();
    let ours = super::estate::params().detect;
    assert_eq!(format!("{defaults:?}"), format!("{ours:?}"));
}
