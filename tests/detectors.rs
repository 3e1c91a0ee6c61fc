//! Every folder below `tests/detectors/<detector>/` is a case: what happened, and what that detector says about it.
//!
//! `events.json` lists steps: a record without time and id, the time of the first, and how often it is repeated at
//! which distance. A step that is `like` an earlier one has that one's record, `but` for what is merged into it
//! (RFC 7396). Records arrive in the order of their times, but for those of a step that says when it `arrives`.
//! `places.json`, if there is one, says where addresses are, and `inventory.json` what people know of identities. `expected.json` lists the detector's findings in their last
//! revision. Each detector has at least a case that fires, one that just does not, and a trap.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;
#[path = "support/folders.rs"]
mod folders;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use folders::folders;
use keytrail::correlate::{Place, Places};
use keytrail::detect;
use keytrail::engine::{Engine, EpochContext, Loaded, News, Params};
use keytrail::model::{Asset, FindingStatus, Micros, Position, RawRecord, Stated, Statement, Uid};
use serde_json::{Value, json};

#[test]
fn every_case_gives_what_it_must() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    let params = estate::params().detect;
    let detectors: Vec<_> = detect::detectors(&params)
        .iter()
        .map(|detector| detector.name())
        .collect();
    let sweeps: Vec<_> = detect::sweeps(&params)
        .iter()
        .map(|sweep| sweep.name())
        .collect();
    for names in [&detectors, &sweeps] {
        assert!(
            names.is_sorted_by(|one, next| one < next),
            "they are asked in the order of their names, and no two share one: {names:?}"
        );
    }
    for name in detectors.into_iter().chain(sweeps) {
        let folders = folders(&Path::new("tests/detectors").join(name));
        assert!(folders.len() >= 3, "{name} has fewer than three cases");
        let mut fires = 0;
        for case in folders {
            cases += 1;
            let expected = read(&case.join("expected.json"));
            fires += expected.as_array().unwrap().len();
            let found = findings(&case, name);
            if found != expected {
                wrong.push(format!(
                    "{}:\n  expected {expected}\n  found    {found}",
                    case.display()
                ));
            }
        }
        assert!(fires > 0, "{name} fires in no case");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    println!("{cases}/{cases} cases");
}

/// Each case in one epoch, and in many with a restart after each, gives the same revisions of the same findings.
#[test]
fn cuts_and_restarts_change_nothing() {
    let mut wrong = Vec::new();
    let mut revisions = 0;
    for detector in folders(Path::new("tests/detectors")) {
        for (turn, case) in folders(&detector).into_iter().enumerate() {
            let records = records(&read(&case.join("events.json")));
            let params = params(&case);
            let stated = stated(&case);
            let whole = news(&params, &stated, &records, &[]);
            // Uneven parts, the last of which holds what the case is about: most of what comes before is history.
            let last = records.len().saturating_sub(3 + turn);
            let cuts = [
                records.len() / 3,
                records.len() * 2 / 3,
                last,
                last + 1,
                last + 2,
            ];
            let parts = news(&params, &stated, &records, &cuts);
            revisions += whole.len();
            if whole != parts {
                wrong.push(format!("{}:\n  {whole:?}\n  {parts:?}", case.display()));
            }
        }
    }
    assert!(revisions > 100, "{revisions} revisions");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Where the addresses of one case are.
#[derive(Debug)]
struct Addresses(Vec<Value>);

impl Places for Addresses {
    fn find(&self, ip: IpAddr) -> Place {
        let ip = ip.to_string();
        let known = self.0.iter().find(|place| {
            let begins = place["begins"].as_str().unwrap();
            ip.starts_with(begins)
        });
        let text = |name: &str| known.and_then(|place| place[name].as_str()).map(Uid::from);
        Place {
            asn: known.and_then(|place| u32::try_from(place["asn"].as_u64()?).ok()),
            country: text("country"),
            range: text("range"),
        }
    }
}

/// Parameters as the defaults have them, with what the case says of addresses.
fn params(case: &Path) -> Params {
    let path = case.join("places.json");
    let places = path.exists().then(|| -> Arc<dyn Places> {
        Arc::new(Addresses(read(&path).as_array().unwrap().clone()))
    });
    Params {
        places,
        ..estate::params()
    }
}

/// What people know of identities in one case.
fn stated(case: &Path) -> Vec<Statement> {
    let path = case.join("inventory.json");
    let assets = path
        .exists()
        .then(|| serde_json::from_value::<Vec<Asset>>(read(&path)).unwrap());
    let statement = |assets| Statement {
        uid: "st-1".to_owned(),
        at: Micros(1_767_225_600_000_000),
        author: "ines.kram".to_owned(),
        what: Stated::Inventory(assets),
    };
    assets.map(statement).into_iter().collect()
}

/// Everything that is told of `records`, which are cut before each of `cuts`, with a restart at each.
fn news(params: &Params, stated: &[Statement], records: &[RawRecord], cuts: &[usize]) -> Vec<News> {
    let lanes = estate::lanes(records);
    let mut engine = Engine::new(params.clone());
    let mut written = Vec::new();
    let mut told = Vec::new();
    let ends = cuts.iter().copied().chain([records.len()]);
    let mut begin = 0;
    let mut stated = stated.to_vec();
    for (epoch, end) in (1..).zip(ends) {
        let end = end.clamp(begin, records.len());
        let last = end == records.len();
        let context = EpochContext {
            statements: std::mem::take(&mut stated),
            ..estate::context(epoch, &lanes, last)
        };
        told.extend(estate::apply(&mut engine, &records[begin..end], &context).news);
        if last {
            break;
        }
        written.push(engine.state(epoch == 1).to_bytes());
        engine = Engine::restore(params.clone(), &Loaded(written.clone())).unwrap();
        begin = end;
    }
    told
}

/// The findings of `detector` in their last revisions, as `expected.json` lists them.
fn findings(case: &Path, detector: &str) -> Value {
    let records = records(&read(&case.join("events.json")));
    let mut engine = Engine::new(params(case));
    let lanes = estate::lanes(&records);
    let context = EpochContext {
        statements: stated(case),
        ..estate::context(1, &lanes, true)
    };
    let evidence = estate::apply(&mut engine, &records, &context);
    assert_eq!(evidence.counts.total().rejected, 0, "{}", case.display());
    let mut last = BTreeMap::new();
    for news in evidence
        .news
        .iter()
        .filter(|news| news.detector == detector)
    {
        last.insert(news.finding_uid.clone(), news);
    }
    let mut found: Vec<_> = last.into_values().collect();
    found.sort_by_key(|news| news.first_event_time);
    found
        .iter()
        .map(|news| {
            let mut found = json!({
                "identity": news.identity_uid.as_ref(),
                "severity": news.severity,
                "first": news.first_event_time.to_string(),
                "events": news.event_count,
            });
            if news.status == FindingStatus::Retracted {
                found["status"] = Value::from(news.status.name());
            }
            found
        })
        .collect()
}

/// Expands the steps into records, in the order of time.
fn records(steps: &Value) -> Vec<RawRecord> {
    let mut events = Vec::new();
    let mut of_steps: Vec<Value> = Vec::new();
    for (place, step) in steps.as_array().unwrap().iter().enumerate() {
        let of_step = match step["like"].as_u64() {
            Some(earlier) => merged(of_steps[earlier as usize].clone(), &step["but"]),
            None => step["record"].clone(),
        };
        of_steps.push(of_step.clone());
        let from = time(&step["from"]).unwrap();
        let every = step["every_seconds"]
            .as_i64()
            .or(step["every_minutes"].as_i64().map(|minutes| minutes * 60))
            .unwrap_or(0);
        for turn in 0..step["times"].as_i64().unwrap_or(1) {
            let at = from + chrono::TimeDelta::seconds(every * turn);
            let mut record = of_step.clone();
            record["eventTime"] = Value::from(at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            record["eventID"] = Value::from(format!("step-{place}-turn-{turn}"));
            of_turn(&mut record, &turn.to_string());
            events.push((time(&step["arrives"]).unwrap_or(at), record));
        }
    }
    events.sort_by_key(|(arrives, _)| *arrives);
    events
        .into_iter()
        .enumerate()
        .map(|(offset, (_, record))| RawRecord {
            position: Position {
                topic: Arc::from("case"),
                partition: 0,
                offset: offset as i64,
            },
            lane: Arc::from("case"),
            appended_at: None,
            payload: Some(record.to_string().into_bytes()),
        })
        .collect()
}

fn time(member: &Value) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    let text = member.as_str()?;
    Some(chrono::DateTime::parse_from_rfc3339(text).unwrap())
}

/// `{turn}` gives every turn an address, an operation or an identity of its own.
fn of_turn(value: &mut Value, turn: &str) {
    match value {
        Value::String(text) => *text = text.replace("{turn}", turn),
        Value::Object(members) => members.values_mut().for_each(|value| of_turn(value, turn)),
        _ => (),
    }
}

/// `record` with `patch` merged into it.
fn merged(mut record: Value, patch: &Value) -> Value {
    if let Some(members) = patch.as_object() {
        for (name, value) in members {
            record[name] = match value {
                Value::Object(_) if record[name].is_object() => merged(record[name].take(), value),
                value => value.clone(),
            };
        }
    }
    record
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}
