//! What a simulation promises, checked by parsing all that it writes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

const START: Micros = Micros(1_793_491_200_000_000);

fn params(seed: u64) -> Params {
    Params {
        seed,
        identities: 60,
        days: 90,
        start: START,
        events_max: Some(20_000),
        late_per_mille: 20,
        duplicate_per_mille: 10,
        records_per_object: 200,
    }
}

/// Every record of a simulation with its topic and time of delivery, and every label.
struct Everything {
    records: Vec<(&'static str, Micros, Value)>,
    labels: Vec<Label>,
    totals: Totals,
    stories: Vec<Story>,
}

fn everything(params: Params) -> Everything {
    let mut simulation = Simulation::new(params);
    let mut records = Vec::new();
    let mut labels = Vec::new();
    for batch in simulation.by_ref() {
        labels.extend(batch.labels);
        for message in batch.messages {
            let value: Value = serde_json::from_slice(&message.payload).expect("payloads are JSON");
            let elements = elements(message.topic, value);
            assert_eq!(elements.len(), message.elements as usize);
            for element in elements {
                records.push((message.topic, message.time, element));
            }
        }
    }
    Everything {
        records,
        labels,
        totals: simulation.totals(),
        stories: simulation.stories().to_vec(),
    }
}

fn elements(topic: &str, mut value: Value) -> Vec<Value> {
    let member = match topic {
        "cloudtrail-s3" => "Records",
        "cloudtrail-eventbridge" => return vec![value["detail"].take()],
        _ => "records",
    };
    match value[member].take() {
        Value::Array(elements) => elements,
        other => panic!("{topic} holds {other}"),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The id by which a label names the record.
fn uid(topic: &str, record: &Value) -> String {
    let pointer = if topic.starts_with("cloudtrail") {
        "/eventID"
    } else if topic == "azure-eventhub" {
        "/correlationId"
    } else if text(record, "/category") == "MicrosoftGraphActivityLogs" {
        "/properties/requestId"
    } else {
        "/properties/id"
    };
    let uid = text(record, pointer);
    assert!(!uid.is_empty(), "{record}");
    uid.to_owned()
}

/// When the record says that it happened, as text that sorts.
fn happened<'a>(topic: &str, record: &'a Value) -> &'a str {
    let pointers: &[&str] = if topic.starts_with("cloudtrail") {
        &["/eventTime"]
    } else {
        &["/properties/createdDateTime", "/time"]
    };
    let mut times = pointers.iter().map(|pointer| text(record, pointer));
    let time = times.find(|time| !time.is_empty());
    &time.expect("records have a time")[..19]
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let bytes = |seed: u64| -> Vec<Vec<u8>> {
        let simulation = Simulation::new(Params {
            days: 3,
            ..params(seed)
        });
        simulation
            .flat_map(|batch| batch.messages)
            .map(|message| message.payload)
            .collect()
    };
    let first = bytes(1);
    assert!(first.len() > 100);
    assert_eq!(first, bytes(1));
    assert_ne!(first, bytes(2));
}

#[test]
fn totals_labels_and_records_agree() {
    let all = everything(params(3));
    let totals = all.totals;
    assert_eq!(all.records.len() as u64, totals.elements);
    assert_eq!(totals.distinct + totals.duplicates, totals.elements);
    assert_eq!(totals.per_topic.iter().sum::<u64>(), totals.elements);
    assert!(totals.duplicates > 0 && totals.late > 0);
    let mut copies: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for (topic, _, record) in &all.records {
        copies.entry(uid(topic, record)).or_default().push(record);
    }
    assert_eq!(copies.len() as u64, totals.distinct);
    for (uid, records) in &copies {
        assert!(records.len() <= 2, "{uid} comes {} times", records.len());
        assert!(records.iter().all(|record| record == &records[0]), "{uid}");
    }
    let labelled: BTreeSet<&String> = all.labels.iter().map(|label| &label.event_uid).collect();
    assert_eq!(
        labelled.len(),
        all.labels.len(),
        "an event is labelled twice"
    );
    let written: BTreeSet<&String> = copies.keys().collect();
    assert_eq!(labelled, written);
}

#[test]
fn shares_of_the_logs_are_about_80_12_and_8() {
    let totals = everything(params(4)).totals;
    let check = |count: u64, low: u64, high: u64| {
        let share = count * 100 / totals.elements;
        assert!((low..=high).contains(&share), "{share} of 100: {totals:?}");
    };
    check(totals.per_topic[0] + totals.per_topic[1], 74, 86);
    check(totals.per_topic[2], 8, 16);
    check(totals.per_topic[3], 5, 12);
    check(totals.per_topic[1], 1, 9);
    assert!((14_000..28_000).contains(&totals.elements), "{totals:?}");
}

#[test]
fn every_temporary_key_was_issued_at_its_creation_date() {
    let all = everything(params(5));
    let mut issued = BTreeSet::new();
    for (_, _, record) in &all.records {
        let key = text(record, "/responseElements/credentials/accessKeyId");
        issued.insert((key.to_owned(), text(record, "/eventTime").to_owned()));
        if text(record, "/eventName") == "ConsoleLogin" {
            let person = text(record, "/userIdentity/principalId");
            issued.insert((person.to_owned(), text(record, "/eventTime").to_owned()));
        }
    }
    let mut used = 0;
    for (_, _, record) in &all.records {
        let key = text(record, "/userIdentity/accessKeyId");
        if !key.starts_with("ASIA") || !text(record, "/userIdentity/invokedBy").is_empty() {
            continue;
        }
        let created = text(
            record,
            "/userIdentity/sessionContext/attributes/creationDate",
        );
        let console = text(record, "/userIdentity/type") == "IAMUser";
        let holder = if console {
            text(record, "/userIdentity/principalId")
        } else {
            key
        };
        let issue = (holder.to_owned(), created.to_owned());
        assert!(issued.contains(&issue), "nobody issued {issue:?}: {record}");
        assert!(created <= text(record, "/eventTime"), "{record}");
        used += 1;
    }
    assert!(used > 1_000, "{used}");
}

/// An estate in which there is room for everything.
fn whole(seed: u64) -> Everything {
    everything(Params {
        identities: 100,
        events_max: Some(60_000),
        ..params(seed)
    })
}

fn named<'a>(all: &'a Everything, name: &str) -> &'a Story {
    let story = all.stories.iter().find(|story| story.name == name);
    story.expect("the estate has all stories")
}

#[test]
fn stories_happen_once_and_where_they_say() {
    let all = whole(6);
    let names: BTreeSet<&str> = all.stories.iter().map(|story| story.name).collect();
    let expected = [
        "account-crossing",
        "agent-outside",
        "cloud-crossing",
        "encrypted-objects",
        "federated-backdoor",
        "left-behind",
        "outlived-session",
        "own-key",
        "published-credentials",
        "revived-application",
        "shared-key",
        "sleeper-key",
        "stolen-instance-role",
        "strange-network",
        "strange-subject",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    for story in &all.stories {
        let told: Vec<&Label> = all
            .labels
            .iter()
            .filter(|label| label.story == Some(story.name))
            .collect();
        assert!(told.len() >= 4, "{}", story.name);
        let first = told
            .iter()
            .find(|label| label.event_uid == story.first_event_uid);
        let first = first.expect("the event that gives it away is one of the story's");
        assert_eq!(first.identity_uid, story.identity_uid, "{}", story.name);
    }
}

/// The events of the identity that `story` is about, by name, between its first and its last.
fn operations<'a>(all: &'a Everything, story: &str) -> Vec<&'a str> {
    let story = named(all, story);
    let life = life(all, story);
    let of_story = life
        .iter()
        .filter(|(_, _, label)| label.story == Some(story.name));
    of_story
        .map(|(_, record, _)| text(record, "/eventName"))
        .collect()
}

#[test]
fn thieves_do_what_the_stories_say() {
    let all = whole(12);
    let stolen = operations(&all, "stolen-instance-role");
    let stopped = stolen.iter().position(|name| *name == "StopLogging");
    let became = stolen.iter().rposition(|name| *name == "AssumeRole");
    assert!(became.is_some() && became < stopped, "{stolen:?}");
    let copies = operations(&all, "encrypted-objects");
    assert!(copies.iter().filter(|name| **name == "CopyObject").count() > 600);
    let subject = operations(&all, "strange-subject");
    let order = ["CreateRole", "AttachRolePolicy", "AssumeRole"];
    let places = order.map(|name| subject.iter().position(|known| *known == name));
    assert!(
        places[0] < places[1] && places[1] < places[2],
        "{subject:?}"
    );
    let secrets = operations(&all, "own-key");
    assert_eq!(
        secrets
            .iter()
            .filter(|name| **name == "GetSecretValue")
            .count(),
        5
    );
}

#[test]
fn a_key_that_was_switched_off_is_used_no_more() {
    let all = whole(13);
    let mut ended = BTreeMap::new();
    for (_, _, record) in &all.records {
        if text(record, "/eventName") == "UpdateAccessKey" {
            let key = text(record, "/requestParameters/accessKeyId");
            ended.insert(key, text(record, "/eventTime"));
        }
    }
    // The outlived one, the rotated one, the retired one.
    assert_eq!(ended.len(), 3, "{ended:?}");
    let mut before = 0;
    for (_, _, record) in &all.records {
        if let Some(at) = ended.get(text(record, "/userIdentity/accessKeyId")) {
            assert!(text(record, "/eventTime") < *at, "{record}");
            before += 1;
        }
    }
    assert!(before > 100, "{before}");
}

#[test]
fn the_sleeper_sleeps_for_more_than_35_days() {
    let all = everything(params(7));
    let sleeper = &all.stories[0].identity_uid;
    let own: BTreeSet<&String> = all
        .labels
        .iter()
        .filter(|label| &label.identity_uid == sleeper && label.story.is_none())
        .map(|label| &label.event_uid)
        .collect();
    let latest = all
        .records
        .iter()
        .filter(|(topic, _, record)| own.contains(&uid(topic, record)))
        .map(|(topic, _, record)| happened(topic, record))
        .max()
        .expect("the sleeper acts before it sleeps");
    assert!(latest < START.plus(21 * Micros::DAY).to_string().as_str());
    let told = all
        .records
        .iter()
        .find(|(topic, _, record)| uid(topic, record) == all.stories[0].first_event_uid)
        .map(|(topic, _, record)| happened(topic, record))
        .expect("the story is in the log");
    assert!(told > START.plus(56 * Micros::DAY).to_string().as_str());
}

/// The records of `story`'s identity in the order in which they happened, each with its label.
fn life<'a>(all: &'a Everything, story: &Story) -> Vec<(&'static str, &'a Value, &'a Label)> {
    let own: BTreeMap<&str, &Label> = all
        .labels
        .iter()
        .filter(|label| label.identity_uid == story.identity_uid)
        .map(|label| (label.event_uid.as_str(), label))
        .collect();
    let mut life: Vec<_> = all
        .records
        .iter()
        .filter_map(|(topic, _, record)| {
            let label = own.get(uid(topic, record).as_str())?;
            Some((*topic, record, *label))
        })
        .collect();
    life.sort_by_key(|row| happened(row.0, row.1));
    life
}

#[test]
fn the_pivot_knows_only_azure_until_it_changes_its_token() {
    let all = everything(params(10));
    let story = &all.stories[3];
    let life = life(&all, story);
    let (aws, azure): (Vec<_>, Vec<_>) = life
        .into_iter()
        .partition(|(topic, ..)| topic.starts_with("cloudtrail"));
    let first = aws[0].1;
    assert_eq!(text(first, "/eventID"), story.first_event_uid);
    let crossed = text(first, "/eventTime");
    let before = |(topic, record, _): &(&'static str, &Value, &Label)| -> Option<String> {
        let time = happened(topic, record);
        (time < crossed).then(|| time[..13].to_owned())
    };
    let hours: BTreeSet<String> = azure.iter().filter_map(before).collect();
    assert!(hours.len() >= 60, "{}", hours.len());
    let day = |index: i64| START.plus(index * Micros::DAY).to_string();
    assert!(hours.first().is_some_and(|hour| *hour < day(1)));
    assert!(crossed > day(15).as_str(), "{crossed}");
    assert!(azure.iter().all(|(_, _, label)| label.story.is_none()));
    for (_, _, label) in aws {
        assert_eq!(label.story, Some("cloud-crossing"));
        assert_eq!(label.nhi_uid.as_ref(), Some(&story.identity_uid));
    }
}

#[test]
fn the_pivot_shows_a_token_of_its_tenant() {
    let all = everything(params(11));
    let story = &all.stories[3];
    let (tenant, object) = story
        .identity_uid
        .strip_prefix("entra:sp:")
        .and_then(|rest| rest.split_once('/'))
        .expect("the pivot is a service principal");
    let mut life = life(&all, story);
    life.retain(|(topic, ..)| topic.starts_with("cloudtrail"));
    let (_, first, label) = life.remove(0);
    assert_eq!(label.acting_uid, story.identity_uid);
    let account = text(first, "/recipientAccountId");
    let provider = format!("arn:aws:iam::{account}:oidc-provider/sts.windows.net/{tenant}/");
    let audience = text(first, "/responseElements/audience");
    assert!(audience.starts_with("api://"), "{audience}");
    let principal = format!("{provider}:{audience}:{object}");
    let check = |pointer: &str, expected: &str| assert_eq!(text(first, pointer), expected);
    check("/eventName", "AssumeRoleWithWebIdentity");
    check("/userIdentity/type", "WebIdentityUser");
    check("/userIdentity/principalId", &principal);
    check("/userIdentity/userName", object);
    check("/userIdentity/identityProvider", &provider);
    check("/responseElements/provider", &provider);
    check("/responseElements/subjectFromWebIdentityToken", object);
    for (_, record, label) in life {
        let federation = "/userIdentity/sessionContext/webIdFederationData/federatedProvider";
        if text(record, "/eventID") == story.first_event_uid {
            continue;
        }
        assert_eq!(text(record, federation), provider);
        assert_eq!(text(record, "/recipientAccountId"), account);
        let role = text(
            record,
            "/userIdentity/sessionContext/sessionIssuer/principalId",
        );
        assert_eq!(label.acting_uid, format!("aws:role:{role}"));
    }
}

#[test]
fn messages_leave_in_order_and_no_record_is_later_than_a_quarter_of_an_hour() {
    let all = everything(Params {
        days: 10,
        late_per_mille: 200,
        ..params(8)
    });
    let mut before = Micros::MIN;
    for (topic, time, record) in &all.records {
        assert!(*time >= before);
        before = *time;
        let allowed = time.plus(-15 * Micros::MINUTE).to_string();
        assert!(happened(topic, record) >= &allowed[..19], "{record}");
        assert!(
            happened(topic, record) <= &time.to_string()[..19],
            "{record}"
        );
    }
}

#[test]
fn small_and_short_estates_do_without_stories() {
    let check = |identities: u32, days: u32, expected: usize| {
        let simulation = Simulation::new(Params {
            identities,
            days,
            ..params(9)
        });
        assert_eq!(simulation.stories().len(), expected, "{identities} {days}");
        let batches = simulation.count();
        assert_eq!(batches, days as usize * 24 + 1);
    };
    check(0, 1, 0);
    check(5, 20, 0);
    check(60, 10, 0);
    check(9, 60, 0);
    check(60, 18, 0);
    check(60, 20, 3);
    check(60, 60, 4);
    check(10, 60, 4);
    check(100, 45, 13);
    check(100, 60, 15);
}
