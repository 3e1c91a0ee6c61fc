//! `[enrich]`: what files say of addresses stands in the rows, and a file that cannot be read stops the start.

use std::fs;

use serde_json::json;

use super::investigate::{lines, text};
use super::keytrail;

#[test]
fn rows_say_where_addresses_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let files = |names: &[&str]| {
        let paths: Vec<String> = names
            .iter()
            .map(|name| format!("tests/enrich/{name}"))
            .collect();
        format!("{paths:?}")
    };
    let settings = format!(
        "[enrich]\nmmdb = {}\nranges = {}\n",
        files(&["asn.mmdb", "country.mmdb"]),
        files(&["aws.json", "azure.json", "hosted.json", "own.txt"])
    );
    fs::write(path("keytrail.toml"), settings).unwrap();
    let record = |number: usize, address: &str| {
        json!({
            "eventVersion": "1.11", "eventID": format!("event-{number}"), "eventTime": "2026-11-02T03:14:15Z",
            "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "sourceIPAddress": address,
            "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLEEXAMPLE01", "accountId": "111122223333"},
        })
        .to_string()
    };
    let addresses = [
        "203.0.113.7",
        "192.0.2.130",
        "10.0.0.1",
        "s3.amazonaws.com",
        "203.0.112.99",
    ];
    let log: Vec<String> = (0..)
        .zip(addresses)
        .map(|(number, address)| record(number, address))
        .collect();
    fs::write(path("log.ndjson"), log.join("\n")).unwrap();
    let output = keytrail(&[
        "replay",
        "--config",
        &path("keytrail.toml"),
        "--from",
        &path("log.ndjson"),
        "--data",
        &path("lake"),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let sql = "SELECT source_asn, source_country, source_range FROM activity ORDER BY event_uid";
    let (rows, _) = lines(&["sql", "--data", &path("lake"), sql]);
    let row = |asn: Option<u32>, country: Option<&str>, range: Option<&str>| json!({"source_asn": asn, "source_country": country, "source_range": range});
    let expected = [
        row(Some(64500), Some("DE"), Some("aws/EC2/eu-central-1")),
        row(None, Some("FR"), Some("hosted/actions")),
        row(None, None, None),
        row(None, None, None),
        row(None, None, None),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_file_that_is_missing_or_of_another_kind_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("keytrail.toml");
    for (settings, expected) in [
        (
            "mmdb = [\"tests/enrich/own.txt\"]",
            "own.txt: it is no MMDB database",
        ),
        (
            "ranges = [\"tests/enrich/none.json\"]",
            "cannot read tests/enrich/none.json",
        ),
        ("ranges = [\"tests/enrich/asn.mmdb\"]", "it is no text"),
    ] {
        fs::write(&config, format!("[enrich]\n{settings}\n")).unwrap();
        let output = keytrail(&["config", "check", "--config", &config.display().to_string()]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}
