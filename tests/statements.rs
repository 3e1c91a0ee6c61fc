//! What people state changes what is said afterwards, and a restart changes nothing of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use keytrail::engine::{Engine, EpochContext, EvidenceEpoch, Loaded, News};
use keytrail::model::{
    Asset, Day, Decision, Facts, Micros, Observed, Position, RawRecord, Stated, Statement, Triage,
};
use serde_json::json;

const USER: &str = "aws:user:AIDAQWERTYUIOPASDFGH1";
const HOME: &str = "198.51.100.10";

/// 2026-01-01.
const BEGIN: Micros = Micros(1_767_225_600_000_000);

/// A call of the user `backup`.
fn call(at: Micros, ip: &str, operation: &str) -> serde_json::Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": "AIDAQWERTYUIOPASDFGH1",
            "arn": "arn:aws:iam::111122223333:user/backup",
            "accountId": "111122223333",
            "userName": "backup",
            "accessKeyId": "AKIAQWERTYUIOPASDFG1",
        },
        "eventTime": at.to_string(),
        "eventID": format!("{ip} {operation} {}", at.0),
        "eventSource": "s3.amazonaws.com",
        "eventName": operation,
        "awsRegion": "eu-west-1",
        "sourceIPAddress": ip,
        "userAgent": "Boto3/1.34.0",
        "readOnly": true,
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
    })
}

/// A call each hour, of so many days.
fn history(days: i64) -> Vec<serde_json::Value> {
    (0..days * 24)
        .map(|hour| call(BEGIN.plus(hour * Micros::HOUR), HOME, "GetObject"))
        .collect()
}

fn day(days: i64, minutes: i64) -> Micros {
    BEGIN.plus(days * Micros::DAY + minutes * Micros::MINUTE)
}

/// An epoch: what is stated at its beginning, and what is called in it.
type Part = (Vec<Statement>, Vec<serde_json::Value>);

/// Everything that is told of `parts`, in order; with a restart before each of them, if `restarts`.
fn told(parts: &[Part], restarts: bool) -> (Vec<News>, Vec<EvidenceEpoch>) {
    let mut engine = Engine::new(estate::params());
    let (mut written, mut news, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    let mut offset = 0;
    let lane: Arc<str> = Arc::from("case");
    for (epoch, (statements, calls)) in (1..).zip(parts) {
        let records: Vec<RawRecord> = calls
            .iter()
            .map(|record| {
                offset += 1;
                RawRecord {
                    position: Position {
                        topic: lane.clone(),
                        partition: 0,
                        offset,
                    },
                    lane: lane.clone(),
                    appended_at: None,
                    payload: Some(record.to_string().into_bytes()),
                }
            })
            .collect();
        let lanes = if records.is_empty() {
            Vec::new()
        } else {
            vec![lane.clone()]
        };
        let context = EpochContext {
            statements: statements.clone(),
            ..estate::context(epoch, &lanes, epoch as usize == parts.len())
        };
        let mut evidence = estate::apply(&mut engine, &records, &context);
        news.append(&mut evidence.news);
        epochs.push(evidence);
        if restarts {
            written.push(engine.state(epoch % 2 == 1).to_bytes());
            if epoch % 2 == 1 {
                written.drain(..written.len() - 1);
            }
            engine = Engine::restore(estate::params(), &Loaded(written.clone())).unwrap();
        }
    }
    (news, epochs)
}

/// The same with and without restarts.
fn findings(parts: &[Part]) -> Vec<News> {
    let (news, _) = told(parts, false);
    assert_eq!(news, told(parts, true).0, "a restart changes what is told");
    news
}

fn decided(finding: &News, about: &str, decision: Decision, until: Option<Day>) -> Statement {
    Statement {
        uid: format!("st-{}-{}", finding.finding_uid, decision.name()),
        at: finding.first_event_time.plus(Micros::HOUR),
        author: "ines.kram".to_owned(),
        what: Stated::Triage(Triage {
            finding_uid: finding.finding_uid.to_string(),
            revision: 1,
            detector: finding.detector.to_owned(),
            identity_uid: USER.to_owned(),
            decision,
            reason: "the new office".to_owned(),
            about: Some(about.to_owned()),
            until,
            observed: vec![Observed {
                dimension: "network".to_owned(),
                value: about.to_owned(),
            }],
        }),
    }
}

fn of(news: &[News], detector: &str) -> Vec<News> {
    let own = news.iter().filter(|news| news.detector == detector);
    let mut own: Vec<News> = own.cloned().collect();
    own.dedup_by(|later, first| later.finding_uid == first.finding_uid);
    own
}

/// A network that nobody confirmed makes the next one less surprising; one that was confirmed does not.
#[test]
fn what_was_confirmed_is_normal() {
    // What follows lets the event's turn come before anybody decides about it.
    let office = [
        call(day(30, 40), "203.0.113.9", "GetObject"),
        call(day(31, 0), HOME, "GetObject"),
    ];
    let thief = call(day(32, 40), "192.0.2.77", "GetObject");
    let first = findings(&[(vec![], history(30)), (vec![], office.to_vec())]);
    let first = of(&first, "unusual-origin");
    assert_eq!(first.len(), 1, "{first:?}");
    let parts = |decision| {
        let stated = decided(&first[0], "203.0.113.0/24", decision, None);
        [
            (vec![], history(30)),
            (vec![], office.to_vec()),
            (vec![stated], vec![]),
            (vec![], vec![thief.clone()]),
        ]
    };
    let found = |decision| of(&findings(&parts(decision)), "unusual-origin").len();
    assert_eq!(found(Decision::FalsePositive), 1);
    assert_eq!(found(Decision::Benign), 2);
}

#[test]
fn others_like_it_are_not_told_until_it_is_reopened() {
    let new_act = |days, operation| {
        vec![
            call(day(days, 40), HOME, operation),
            call(day(days + 1, 0), HOME, "GetObject"),
        ]
    };
    let first = findings(&[
        (vec![], history(200)),
        (vec![], new_act(200, "ListBuckets")),
    ]);
    let first = of(&first, "first-operation");
    assert_eq!(first.len(), 1, "{first:?}");
    let until = Some(day(230, 0).day());
    let stated = |decision, until| vec![decided(&first[0], "new acts", decision, until)];
    let parts = [
        (vec![], history(200)),
        (vec![], new_act(200, "ListBuckets")),
        (stated(Decision::FalsePositive, until), vec![]),
        (vec![], new_act(203, "GetBucketAcl")),
        (stated(Decision::Reopened, None), vec![]),
        (vec![], new_act(206, "GetBucketPolicy")),
    ];
    let all = of(&findings(&parts), "first-operation");
    let suppressed: Vec<bool> = all.iter().map(|news| news.suppressed).collect();
    assert_eq!(suppressed.first(), Some(&false));
    assert_eq!(suppressed.get(1), Some(&true), "{all:?}");
    assert!(suppressed[2..].iter().all(|suppressed| !suppressed));
    assert!(all.len() > 2, "{all:?}");
}

fn owner(name: &str, at: Micros, owner: &str) -> Statement {
    Statement {
        uid: format!("st-{owner}"),
        at,
        author: "ines.kram".to_owned(),
        what: Stated::Inventory(vec![Asset {
            identity: name.to_owned(),
            facts: Facts {
                owner: Some(owner.to_owned()),
                ..Facts::default()
            },
        }]),
    }
}

/// Owners and tenants of the versions of the user, as the rows have them.
fn versions(epochs: &[EvidenceEpoch]) -> Vec<(String, String)> {
    let text = |batch: &RecordBatch, name: &str, row| {
        let column = batch.column_by_name(name).unwrap();
        arrow::util::display::array_value_to_string(column, row).unwrap()
    };
    let mut versions = Vec::new();
    for epoch in epochs {
        for (table, batch) in &epoch.batches {
            let own = |row: &usize| {
                let uids = batch.column_by_name("identity_uid").unwrap();
                uids.as_string::<i32>().value(*row) == USER
            };
            if table.name == "identities" {
                let rows = (0..batch.num_rows()).filter(own);
                versions.extend(
                    rows.map(|row| (text(batch, "owner", row), text(batch, "tenant_uid", row))),
                );
            }
        }
    }
    versions
}

#[test]
fn an_owner_is_known_by_every_name_and_before_the_identity_acts() {
    let arn = "arn:aws:iam::111122223333:user/backup";
    let parts = [
        (vec![owner(USER, day(0, 0), "ines")], vec![]),
        (vec![], history(1)),
        (vec![owner(arn, day(1, 0), "tom")], vec![]),
        // What holds since earlier is no news.
        (vec![owner(USER, day(-9, 0), "ada")], vec![]),
    ];
    let (_, epochs) = told(&parts, true);
    let account = "111122223333";
    let expected = [("ines", ""), ("ines", account), ("tom", account)];
    let expected: Vec<_> = expected
        .map(|(owner, tenant)| (owner.to_owned(), tenant.to_owned()))
        .into();
    assert_eq!(versions(&epochs), expected);
    assert_eq!(versions(&told(&parts, false).1), expected);
}
