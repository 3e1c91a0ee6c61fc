//! Attribution at scale, on generated histories: chains, twins, orders of arrival, bystanders, floods.
//!
//! Everything is drawn by seed, and the seed stands in every failure. The vectors of the specification have a file of
//! their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/chains.rs"]
mod chains;
#[path = "support/estate.rs"]
mod estate;
#[path = "support/final_rows.rs"]
mod final_rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chains::{Caller, Estate, Expected, Message, Session, Twin};
use estate::{START, apply, context, params};
use final_rows::{Final, Row, list, text, texts};
use keytrail::engine::{Engine, EvidenceEpoch, Params};
use keytrail::model::{Micros, Position, RawRecord};
use serde_json::Value;

const LANE: &str = "logs/0";

/// How late an event may come, in seconds: the default of the program.
const LATENESS: u64 = 20 * 60;

/// The columns that are compared where histories are large.
const COLUMNS: [&str; 14] = [
    "acting_uid",
    "action_uid",
    "actor_type",
    "attribution_confidence",
    "attribution_reasons",
    "attribution_status",
    "chain",
    "chain_depth",
    "event_uid",
    "identity_kind",
    "identity_uid",
    "nhi_uid",
    "origin_uid",
    "workload_uid",
];

/// How many differences a failure shows.
const SHOWN: usize = 20;

#[test]
fn chains() {
    const CHAINS: u64 = 10_000;
    let mut drawn = Estate::new(1, 1, 40, 50);
    let mut depths = BTreeMap::new();
    for number in 0..CHAINS {
        let depth = 1 + drawn.below(12);
        *depths.entry(depth).or_insert(0) += 1;
        drawn.chain(number * 3, depth);
    }
    let messages = drawn.take();
    let rows = run(
        &messages,
        params(),
        5_000,
        Final::keeping(&COLUMNS, &["rejects"]),
    );
    let mut wrong = rows.complaints();
    let mut deepest = 0;
    for (uid, expected) in &drawn.expected {
        let Some(row) = rows.rows.get(uid) else {
            wrong.push(format!("event {uid}: no row"));
            continue;
        };
        deepest = deepest.max(list(row, "chain").len());
        wrong.extend(unlike(uid, row, expected));
    }
    for (uid, copy) in &drawn.copies {
        let row = rows.rows.get(uid).cloned().unwrap_or_default();
        if text(&row, "action_uid") != copy.action || text(&row, "acting_uid") != copy.acting {
            wrong.push(format!("event {uid}: {row:?} is no copy like {copy:?}"));
        }
    }
    println!(
        "{CHAINS} chains, {} records, {} answers and {} copies checked, {deepest} nodes in the longest chain, chains by depth {depths:?}, {} wrong",
        messages.len(),
        drawn.expected.len(),
        drawn.copies.len(),
        wrong.len()
    );
    assert_eq!(rows.rows.len(), messages.len(), "every record has a row");
    assert!((13..=16).contains(&deepest), "{deepest}");
    none_of(&wrong, "seed 1");
}

/// How the row of event `uid` differs from what was drawn.
fn unlike(uid: &str, row: &Row, expected: &Expected) -> Vec<String> {
    let mut wrong = Vec::new();
    let acting = expected.chain.last().unwrap();
    let mut wanted = vec![
        ("identity_uid", expected.identity.as_str()),
        ("origin_uid", expected.identity.as_str()),
        ("nhi_uid", expected.identity.as_str()),
        ("identity_kind", expected.kind),
        ("acting_uid", acting.as_str()),
        ("actor_type", "nhi"),
        ("attribution_confidence", "exact"),
        ("attribution_status", "final"),
    ];
    if let Some(workload) = &expected.workload {
        wanted.push(("workload_uid", workload.as_str()));
    }
    for (column, value) in wanted {
        if text(row, column) != value {
            let found = text(row, column);
            wrong.push(format!(
                "event {uid}: {column}: found {found}, expected {value}"
            ));
        }
    }
    if list(row, "chain") != expected.chain {
        let (found, wanted) = (list(row, "chain"), &expected.chain);
        wrong.push(format!(
            "event {uid}: chain: found {found:?}, expected {wanted:?}"
        ));
    }
    wrong
}

#[test]
fn twins() {
    const BYSTANDERS: u64 = 1_000;
    const ACTS: u64 = 100;
    let mut drawn = Estate::new(2, 1, 40, 50);
    for number in 0..500 {
        drawn.twin_by_token(number * 40, number);
        drawn.twin_by_subject(number * 40 + 20, 500 + number);
    }
    for number in 0..BYSTANDERS * ACTS {
        drawn.bystander(number / 5, number % BYSTANDERS);
    }
    let messages = drawn.take();
    let rows = run(
        &messages,
        params(),
        5_000,
        Final::keeping(&COLUMNS, &["links"]),
    );
    let mut wrong = rows.complaints();
    wrong.extend(wrong_actors(&drawn.twins, &rows));
    let mut owners = BTreeMap::new();
    for (number, twin) in drawn.twins.iter().enumerate() {
        owners.extend(twin.names.iter().map(|name| (name.as_str(), number)));
    }
    let links: BTreeSet<(&str, &str)> = rows
        .table("links")
        .iter()
        .map(|link| (end(link, "from_uid"), end(link, "to_uid")))
        .collect();
    let tied = |twin: &Twin| {
        twin.tied.iter().all(|(one, other)| {
            let (one, other) = (one.as_str(), other.as_str());
            links.contains(&(one, other)) || links.contains(&(other, one))
        })
    };
    let untied: Vec<&Twin> = drawn.twins.iter().filter(|twin| !tied(twin)).collect();
    wrong.extend(
        untied
            .iter()
            .map(|twin| format!("no link between {:?}", twin.tied)),
    );
    let mut false_links = 0;
    for (from, to) in &links {
        let stranger = [from, to]
            .into_iter()
            .any(|end| drawn.bystanders.contains(*end));
        let two_twins = matches!((owners.get(from), owners.get(to)), (Some(a), Some(b)) if a != b);
        if stranger || two_twins {
            false_links += 1;
            wrong.push(format!("a link from {from} to {to}"));
        }
    }
    println!(
        "{} twins, {} without their links, {} links, {false_links} false, {} acts of {} bystanders",
        drawn.twins.len(),
        untied.len(),
        links.len(),
        BYSTANDERS * ACTS,
        drawn.bystanders.len()
    );
    none_of(&wrong, "seed 1");
}

/// Events of twins that are not attributed to the twin.
fn wrong_actors(twins: &[Twin], rows: &Final) -> Vec<String> {
    let mut wrong = Vec::new();
    for (uid, actor) in twins.iter().flat_map(|twin| &twin.actors) {
        let row = rows.rows.get(uid);
        let found = row.map_or("no row", |row| text(row, "identity_uid"));
        if found != actor.as_str() {
            wrong.push(format!(
                "event {uid}: identity_uid: found {found}, expected {actor}"
            ));
        }
    }
    wrong
}

#[test]
fn arrival_order() {
    const SEEDS: u64 = 100;
    let mut events = 0;
    for seed in 1..=SEEDS {
        let (mut drawn, messages) = mixed(1, seed);
        assert!(
            (200..=600).contains(&messages.len()),
            "seed {seed}: {} events",
            messages.len()
        );
        events += messages.len();
        let in_order = run(&messages, on_time(), usize::MAX, Final::default());
        let mut arriving: Vec<(u64, Message)> = messages
            .into_iter()
            .map(|message| (message.at + drawn.below(LATENESS), message))
            .collect();
        arriving.sort_by_key(|(arrival, _)| *arrival);
        let shuffled: Vec<Message> = arriving.into_iter().map(|(_, message)| message).collect();
        let size = 20 + drawn.below(80) as usize;
        let found = run(&shuffled, on_time(), size, Final::default());
        none_of(
            &found.differences(&in_order, &of_arrival),
            &format!("seed {seed}"),
        );
    }
    println!("{SEEDS} histories, {events} events, each in order and shuffled within the lateness");
}

#[test]
fn one_answer() {
    const SEEDS: u64 = 20;
    let mut by_status: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=SEEDS {
        let (mut drawn, messages) = mixed(1, seed);
        let mut delivered = Vec::new();
        for message in messages {
            // Some issue events are in trails that nobody reads; some records come twice.
            let lost = message.issues && drawn.below(5) == 0;
            let twice = drawn.below(20) == 0;
            if !lost && twice {
                delivered.push(message.clone());
            }
            if !lost {
                delivered.push(message);
            }
        }
        let distinct: BTreeSet<&str> = delivered.iter().map(|m| m.uid.as_str()).collect();
        let rows = run(&delivered, on_time(), 50, Final::default());
        assert_eq!(rows.rows.len(), distinct.len(), "seed {seed}");
        none_of(&rows.complaints(), &format!("seed {seed}"));
        for row in rows.rows.values() {
            let status = text(row, "attribution_status").to_owned();
            *by_status.entry(status).or_default() += 1;
        }
    }
    println!("{SEEDS} histories with missing issue events: {by_status:?}");
    assert!(
        by_status.contains_key("unattributed"),
        "a lost parent leaves its mark"
    );
}

#[test]
fn unrelated_events_change_nothing() {
    const SEEDS: u64 = 20;
    let mut events = 0;
    for seed in 1..=SEEDS {
        let (_, own) = mixed(1, seed);
        let (_, others) = mixed(2, seed + SEEDS);
        let alone = run(&own, on_time(), 50, Final::default());
        events += own.len();
        let mut both: Vec<Message> = own.into_iter().chain(others).collect();
        both.sort_by_key(|message| message.at);
        let mut together = run(&both, on_time(), 50, Final::default());
        together.rows.retain(|uid, _| alone.rows.contains_key(uid));
        none_of(
            &together.differences(&alone, &of_arrival),
            &format!("seed {seed}"),
        );
    }
    println!("{SEEDS} pairs of estates, {events} events unchanged");
}

/// Keys that are issued and never used, and keys that are used and were never issued: state stays within its bounds,
/// and what a bound drops is said.
#[test]
fn flood() {
    const BOUND: usize = 50_000;
    let keys: u64 = std::env::var("KEYTRAIL_TEST_FLOOD")
        .ok()
        .map_or(200_000, |text| text.parse().unwrap());
    let mut limits = params();
    limits.attribute.sessions_max = BOUND;
    limits.attribute.pending_max = BOUND;
    let mut engine = Engine::new(limits);
    let mut drawn = Estate::new(3, 1, 10, 10);
    let mut open = BTreeSet::new();
    let (mut sent, mut rows, mut amended, mut evicted) = (0, 0, 0, 0);
    let (mut sessions, mut pending) = (0, 0);
    let (mut number, mut epoch) = (0, 0);
    while number < keys {
        let end = keys.min(number + 3_000);
        while number < end {
            one_use_key(&mut drawn, number);
            number += 1;
        }
        epoch += 1;
        let messages = drawn.take();
        let records = records(&messages, sent);
        sent += messages.len();
        let context = context(epoch, &[Arc::from(LANE)], number == keys);
        let evidence = apply(&mut engine, &records, &context);
        // As after every epoch: what changed is remembered until it is written.
        drop(engine.state(false));
        let (more_rows, more_amended) = follow(&evidence, &mut open);
        rows += more_rows;
        amended += more_amended;
        evicted = evidence.counts.evicted;
        let sizes = engine.sizes();
        sessions = sessions.max(sizes["sessions"]);
        pending = pending.max(sizes["pending"]);
        assert!(sizes["sessions"] <= BOUND, "epoch {epoch}: {sizes:?}");
        assert!(sizes["pending"] <= BOUND, "epoch {epoch}: {sizes:?}");
    }
    println!(
        "{keys} one-use keys, {sent} records: at most {sessions} sessions and {pending} waiting, {amended} amendments, {evicted} dropped and counted, {}",
        peak_memory()
    );
    assert_eq!(rows, sent, "every record has a row");
    assert!(open.is_empty(), "{} events are still pending", open.len());
    if keys > 2 * BOUND as u64 {
        assert!(evicted > 0, "what a bound drops is counted");
    }
}

/// Issues one key that nobody uses and, every second time, uses one that nobody issued.
fn one_use_key(drawn: &mut Estate, number: u64) {
    let at = 1 + number / 200;
    let (account, index) = (number % 10, number / 10 % 10);
    let user = drawn.user(account, index);
    let role = drawn.role(account, index);
    drawn.assume(at, &Caller::User(user), &role, None);
    if number.is_multiple_of(2) {
        // Nobody assumes this role, so no session of it can be taken for this one.
        let unknown = Session {
            role: drawn.role(account, 1_000 + index),
            name: format!("unknown-{number}"),
            key: drawn.fresh_key(),
            since: at - 1,
            delivered: false,
        };
        drawn.use_of(at, &Caller::Session(unknown));
    }
}

/// Counts rows and amendments of `evidence`, and keeps in `open` the events whose last word is that they wait.
fn follow(evidence: &EvidenceEpoch, open: &mut BTreeSet<String>) -> (usize, usize) {
    let mut counts = (0, 0);
    for name in ["activity", "amendments"] {
        for (table, batch) in &evidence.batches {
            if table.name != name {
                continue;
            }
            let (uids, statuses) = (
                texts(batch, "event_uid"),
                texts(batch, "attribution_status"),
            );
            for row in 0..batch.num_rows() {
                if statuses.value(row) == "pending" {
                    open.insert(uids.value(row).to_owned());
                } else {
                    open.remove(uids.value(row));
                }
            }
            if name == "activity" {
                counts.0 += batch.num_rows();
            } else {
                counts.1 += batch.num_rows();
            }
        }
    }
    counts
}

/// The most memory that this process has had, where the system tells.
fn peak_memory() -> String {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
            Some(line.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .unwrap_or_else(|| "memory unknown".to_owned())
}

/// Chains, twins and bystanders of estate `number`, a few hours of them.
fn mixed(number: u64, seed: u64) -> (Estate, Vec<Message>) {
    let mut drawn = Estate::new(number, seed, 4, 12);
    for _ in 0..20 + drawn.below(10) {
        let (at, depth) = (drawn.below(7_200), 1 + drawn.below(10));
        drawn.chain(at, depth);
    }
    for twin in 0..5 {
        let at = drawn.below(7_200);
        drawn.twin_by_token(at, twin);
        drawn.twin_by_subject(at, 5 + twin);
    }
    for act in 0..60 {
        let at = drawn.below(10_000);
        drawn.bystander(at, act % 12);
    }
    let messages = drawn.take();
    (drawn, messages)
}

/// Parameters with the lateness that these histories are shuffled by.
fn on_time() -> Params {
    let mut params = params();
    params.lateness = LATENESS as i64 * Micros::SECOND;
    params
}

/// Applies `messages` in epochs of `size` and adds their rows to `rows`.
fn run(messages: &[Message], params: Params, size: usize, mut rows: Final) -> Final {
    let lanes: [Arc<str>; 1] = [Arc::from(LANE)];
    let mut engine = Engine::new(params);
    let mut done = 0;
    let mut epoch = 0;
    while done < messages.len() {
        let end = messages.len().min(done.saturating_add(size));
        epoch += 1;
        let records = records(&messages[done..end], done);
        let context = context(epoch, &lanes, end == messages.len());
        rows.add(&apply(&mut engine, &records, &context));
        done = end;
    }
    rows
}

/// `messages` as records of one partition, the first of them at offset `first`.
fn records(messages: &[Message], first: usize) -> Vec<RawRecord> {
    let topic: Arc<str> = Arc::from("logs");
    let lane: Arc<str> = Arc::from(LANE);
    let mut records = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let happened = START.plus(message.at as i64 * Micros::SECOND);
        records.push(RawRecord {
            position: Position {
                topic: topic.clone(),
                partition: 0,
                offset: (first + index) as i64,
            },
            lane: lane.clone(),
            // Long enough after the event that no order of arrival makes it one of the future.
            appended_at: Some(happened.plus(LATENESS as i64 * Micros::SECOND)),
            payload: Some(message.text.clone().into_bytes()),
        });
    }
    records
}

/// Columns that say how a record came and not what happened.
fn of_arrival(column: &str) -> bool {
    column.starts_with("src_") || ["decoder", "flags", "raw_sha256"].contains(&column)
}

fn end<'a>(link: &'a serde_json::Map<String, Value>, column: &str) -> &'a str {
    link.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn none_of(wrong: &[String], seed: &str) {
    let shown = &wrong[..wrong.len().min(SHOWN)];
    assert!(
        wrong.is_empty(),
        "{seed}: {} wrong\n{}",
        wrong.len(),
        shown.join("\n")
    );
}
