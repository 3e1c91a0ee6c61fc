//! The engine alone, on simulated estates: what must hold for every seed, every cut and every restart.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;

use std::collections::BTreeSet;

use estate::{Rows, apply, context, lanes, params, records};
use keytrail::engine::{Engine, Loaded};
use keytrail::model::RawRecord;

/// Seeds of the quick properties. One failing seed is printed with the assertion.
const SEEDS: u64 = 100;

/// Applies `records` cut into epochs of `sizes` records, over and over; restarts from state before each epoch in
/// `restarts`.
fn run(records: &[RawRecord], sizes: &[usize], restart_every: Option<i64>) -> Rows {
    let lanes = lanes(records);
    let mut engine = Engine::new(params());
    let mut rows = Rows::default();
    let mut written = Loaded::default();
    let mut rest = records;
    let mut epoch = 0;
    while epoch == 0 || !rest.is_empty() {
        epoch += 1;
        let size = sizes[(epoch as usize - 1) % sizes.len()].min(rest.len());
        let (now, later) = rest.split_at(size);
        rest = later;
        let evidence = apply(&mut engine, now, &context(epoch, &lanes, rest.is_empty()));
        for counts in evidence.counts.partitions.values() {
            assert!(counts.balanced(), "{counts:?}");
        }
        rows.add(&evidence);
        // A snapshot first, then deltas, a snapshot again now and then.
        let snapshot = epoch % 5 == 1;
        if snapshot {
            written.0.clear();
        }
        written.0.push(engine.state(snapshot).to_bytes());
        if restart_every.is_some_and(|every| epoch % every == 0) {
            engine = Engine::restore(params(), &written).unwrap();
        }
    }
    rows
}

#[test]
fn rows_do_not_depend_on_where_epochs_are_cut() {
    for seed in 1..=SEEDS {
        let records = records(estate::estate(seed, 12, 20, 700), 3);
        let whole = run(&records, &[usize::MAX], None);
        assert!(whole.count("activity") > 300, "seed {seed}");
        let cut = run(&records, &[1 + seed as usize % 7, 13, 40], None);
        assert_eq!(whole, cut, "seed {seed}");
    }
}

#[test]
fn a_restart_from_state_changes_nothing() {
    for seed in 1..=SEEDS / 4 {
        let records = records(estate::estate(seed, 12, 20, 700), 2);
        let straight = run(&records, &[17], None);
        let restarted = run(&records, &[17], Some(1 + seed as i64 % 4));
        assert_eq!(straight, restarted, "seed {seed}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let records = records(estate::estate(7, 30, 30, 2_000), 4);
    let state = |_: u8| {
        let mut engine = Engine::new(params());
        apply(&mut engine, &records, &context(1, &lanes(&records), true));
        engine.state(true).to_bytes()
    };
    assert_eq!(state(1), state(2));
}

#[test]
fn interleaving_of_lanes_does_not_change_what_is_judged() {
    for seed in 1..=SEEDS / 10 {
        let params = estate::estate(seed, 20, 40, 3_000);
        let in_order = records(params.clone(), 2);
        // All of one partition before the next: the most uneven way in which a broker can hand them out.
        let mut by_lane = in_order.clone();
        by_lane.sort_by(|a, b| a.lane.cmp(&b.lane));
        let (a, b) = (run(&in_order, &[50], None), run(&by_lane, &[50], None));
        for table in ["findings", "finding_events", "identities", "credentials"] {
            assert_eq!(
                a.digests.get(table),
                b.digests.get(table),
                "seed {seed} {table}"
            );
        }
        assert_eq!(a.sums, b.sums, "seed {seed}");
    }
}

/// With everything that can happen to a machine identity. `KEYTRAIL_TEST_SEEDS` says how many seeds; the check in CI has
/// time for two.
#[test]
fn stories_and_traps_are_judged_alike_however_they_arrive() {
    let seeds = std::env::var("KEYTRAIL_TEST_SEEDS").map_or(2, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        let whole = records(estate::estate(seed, 100, 50, 20_000), 2);
        let mut by_lane = whole.clone();
        by_lane.sort_by(|a, b| a.lane.cmp(&b.lane));
        let a = run(&whole, &[usize::MAX], None);
        let b = run(&whole, &[97, 701, 1 + seed as usize % 50], Some(3));
        let c = run(&by_lane, &[501, 33], None);
        assert!(a.count("findings") > 50, "seed {seed}");
        for table in ["findings", "finding_events"] {
            let digests = [&a, &b, &c].map(|rows| rows.digests.get(table));
            assert_eq!(digests[0], digests[1], "seed {seed}: {table} when cut");
            assert_eq!(digests[0], digests[2], "seed {seed}: {table} by lane");
        }
    }
}

/// Everybody who has a hand in a story.
fn involved(params: keytrail::simulate::Params) -> BTreeSet<String> {
    keytrail::simulate::Simulation::new(params)
        .flat_map(|batch| batch.involved().cloned().collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_planted_story_is_found_and_nothing_is_said_of_others() {
    for seed in 1..=3 {
        let params = estate::estate(seed, 100, 90, 60_000);
        let stories = keytrail::simulate::Simulation::new(params.clone())
            .stories()
            .to_vec();
        assert_eq!(stories.len(), 15, "seed {seed}");
        let involved = involved(params.clone());
        let records = records(params, 3);
        let mut engine = Engine::new(estate::params());
        let evidence = apply(&mut engine, &records, &context(1, &lanes(&records), true));
        for story in &stories {
            let found = evidence.news.iter().any(|news| {
                news.detector == story.detector && *news.identity_uid == *story.identity_uid
            });
            assert!(found, "seed {seed}: {} was not found", story.name);
        }
        let others: Vec<_> = evidence
            .news
            .iter()
            .filter(|news| !involved.contains(&*news.identity_uid))
            .map(|news| (news.finding_uid.to_string(), news.summary.clone()))
            .collect();
        assert!(others.is_empty(), "seed {seed}: {others:#?}");
    }
}
