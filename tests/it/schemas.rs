//! Documentation that is generated must be what the code says. `KEYTRAIL_BLESS=1 cargo test` writes it anew.

use std::fs;
use std::path::Path;

use keytrail::config::schema_json;
use keytrail::detect::rules;
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
    own.push((rules::NAME, rules::CONTROLS));
    check_controls("detector", own.into_iter());
}

#[test]
fn controls_are_those_that_changes_name() {
    let own = keytrail::model::Action::ALL
        .iter()
        .map(|action| (action.name(), action.controls()));
    check_controls("lifecycle", own);
}

/// The page of detectors: what each asks in the words of its own file, what it bears on, and its thresholds.
#[test]
fn the_page_of_detectors_is_what_their_comments_say() {
    let params = super::estate::params().detect;
    let detectors = keytrail::detect::detectors(&params);
    let sweeps = keytrail::detect::sweeps(&params);
    let of_events = detectors.iter().map(|detector| {
        let (attacks, controls) = (detector.attacks(), detector.controls());
        (detector.name(), "every event", attacks, controls)
    });
    let of_days = sweeps
        .iter()
        .map(|sweep| (sweep.name(), "every day", sweep.attacks(), sweep.controls()));
    let mut all: Vec<_> = of_events.chain(of_days).collect();
    all.sort_unstable();
    let mut page = format!(
        "# What is detected\n\n{} detectors; generated from `src/detect`. Thresholds are set in `[detect.<name>]`; \
         `enabled = false` switches one off.\n",
        all.len()
    );
    for (name, asked, attacks, controls) in all {
        let file = format!("src/detect/{}.rs", name.replace('-', "_"));
        let source = fs::read_to_string(&file).unwrap();
        let comment: Vec<&str> = source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .collect();
        let comment = comment.join("\n");
        let (title, told) = comment.split_once(": ").unwrap();
        assert_eq!(title, format!("`{name}`"), "{file} begins with its name");
        page.push_str(&format!(
            "\n## {name}\n\n{}{}\n\nAsked of {asked}. ATT&CK: {}. Controls: {}.\n\n{}",
            told[..1].to_uppercase(),
            &told[1..],
            attacks.join(", "),
            controls.join(", "),
            thresholds(name)
        ));
    }
    check("src/docs/detectors.md", &page);
}

/// The thresholds of one detector as a table, in the order in which the configuration's source declares them.
fn thresholds(name: &str) -> String {
    let kind: String = name
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect();
    let source = fs::read_to_string("src/config/detect.rs").unwrap();
    let (_, section) = source.split_once(&format!("\n    {kind} {{\n")).unwrap();
    let declared = |threshold: &str| section.find(&format!(" {threshold}: "));
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    let defaults = serde_json::to_value(keytrail::config::Config::default().detect).unwrap();
    let mut rows: Vec<_> = defaults[name].as_object().unwrap().iter().collect();
    rows.retain(|(threshold, _)| *threshold != "enabled");
    rows.sort_by_key(|(threshold, _)| declared(threshold));
    let described = &schema["$defs"][kind]["properties"];
    let mut table = "| threshold | default | |\n| --- | --- | --- |\n".to_owned();
    for (threshold, default) in rows {
        let text = described[threshold]["description"].as_str().unwrap();
        table.push_str(&format!("| `{threshold}` | {default} | {text} |\n"));
    }
    table
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

#[test]
fn machines_are_those_that_sweeps_are_asked_about() {
    let view = fs::read_to_string("queries/views/machine_ever.sql").unwrap();
    let list = view.split("kind IN (").nth(1).unwrap();
    let list = list.split(')').next().unwrap();
    let kinds: Vec<&str> = list.split('\'').skip(1).step_by(2).collect();
    assert_eq!(kinds, keytrail::detect::sweep::KINDS);
}
