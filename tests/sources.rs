//! Every folder below `tests/sources/<source>/` is a case: a record and what it must become.
//!
//! `expected.json` is `{"event": {…}}`, of which only the members that are listed are compared, or
//! `{"reject": "code"}`. A new case is a new folder.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;
#[path = "support/folders.rs"]
mod folders;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use folders::folders;
use keytrail::decode;
use keytrail::model::{AuditEvent, Decoded, Position, Principal, RawRecord};
use serde_json::Value;

const SOURCES: [&str; 6] = [
    "azure_activity",
    "cloudtrail",
    "entra_audit",
    "entra_signin",
    "graph_activity",
    "key_vault",
];

#[test]
fn every_case_becomes_what_it_must() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    for source in SOURCES {
        let folder = Path::new("tests/sources").join(source);
        let mut accepted = 0;
        let mut rejected = 0;
        for case in folders(&folder) {
            cases += 1;
            let expected: Value =
                serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
            if expected.get("reject").is_some() {
                rejected += 1;
            } else {
                accepted += 1;
            }
            if let Err(reason) = check(&case, source, &expected) {
                wrong.push(format!("{}: {reason}", case.display()));
            }
        }
        assert!(accepted > 0, "{source} has no case that is accepted");
        assert!(rejected > 0, "{source} has no case that is rejected");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    println!("{cases}/{cases} cases");
}

fn check(case: &Path, source: &str, expected: &Value) -> Result<(), String> {
    let record = RawRecord {
        position: Position {
            topic: Arc::from("case"),
            partition: 0,
            offset: 0,
        },
        lane: Arc::from("case"),
        appended_at: None,
        payload: Some(fs::read(case.join("record.json")).unwrap()),
    };
    let opened = decode::open(&record, &estate::decoding());
    let decoded = opened.decode();
    let [piece] = decoded.pieces.as_slice() else {
        return Err(format!("{} elements, not one", decoded.pieces.len()));
    };
    match (
        &piece.decoded,
        expected.get("event"),
        expected.get("reject"),
    ) {
        (Decoded::Event(event), Some(members), None) => {
            if event.source.name() != source {
                return Err(format!("read as {}", event.source.name()));
            }
            compare(event, members)
        }
        (Decoded::Reject(reject), None, Some(code)) if code == reject.code.code() => Ok(()),
        (decoded, ..) => Err(format!("expected {expected}, got {decoded:?}")),
    }
}

fn compare(event: &AuditEvent<'_>, members: &Value) -> Result<(), String> {
    for (name, expected) in members.as_object().ok_or("event is no object")? {
        let found = member(event, name).ok_or_else(|| format!("no member {name}"))?;
        if found != *expected {
            return Err(format!("{name} is {found}, not {expected}"));
        }
    }
    Ok(())
}

/// The member called `name` as `expected.json` writes it. `None` for a name that is not known here.
fn member(event: &AuditEvent<'_>, name: &str) -> Option<Value> {
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let (aws, azure) = match &event.principal {
        Principal::Aws(aws) => (Some(aws), None),
        Principal::Azure(azure) => (None, Some(azure)),
    };
    Some(match name {
        "event_uid" => Value::from(event.event_uid.as_ref()),
        "event_time" => Value::from(event.event_time.to_string()),
        "operation" => Value::from(event.operation.as_ref()),
        "service" => Value::from(event.service.as_ref()),
        "tenant_uid" => text(event.tenant_uid.as_deref()),
        "region" => text(event.region.as_deref()),
        "outcome" => Value::from(event.outcome.name()),
        "error_code" => text(event.error_code.as_deref()),
        "read_only" => event.read_only.map_or(Value::Null, Value::from),
        "request_uid" => text(event.request_uid.as_deref()),
        "action_uid" => Value::from(event.action_uid.as_ref()),
        "source_raw" => text(event.network.source_raw.as_deref()),
        "user_agent" => text(event.network.user_agent.as_deref()),
        "principal_id" => text(aws?.principal_id.as_deref()),
        "access_key_id" => text(aws?.access_key_id.as_deref()),
        "type" => Value::from(format!("{:?}", aws?.principal_type)),
        "issued_key" => text(
            event
                .issued
                .as_ref()
                .and_then(|issued| issued.key_id.as_deref()),
        ),
        "object_id" => text(azure?.object_id.as_deref()),
        "app_id" => text(azure?.app_id.as_deref()),
        "name" => text(azure?.name.as_deref()),
        "key_id" => text(azure?.key_id.as_deref()),
        "token_id" => text(azure?.token_id.as_deref()),
        "tenant_id" => text(azure?.tenant_id.as_deref()),
        "subject" => Value::from(format!("{:?}", azure?.subject)),
        "flags" => Value::from(event.flags.names().collect::<Vec<_>>()),
        "resources" => Value::from(
            event
                .resources
                .iter()
                .map(|resource| resource.to_string())
                .collect::<Vec<_>>(),
        ),
        _ => return None,
    })
}
