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
