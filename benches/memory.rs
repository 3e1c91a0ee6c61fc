//! What the engine remembers of an identity, with every detector on: bytes of state, and memory of the process.
//!
//! `cargo bench --bench memory -- 2000 120` (identities and days; 500 and 60 unless given).

use std::sync::Arc;

use keytrail::engine::{Engine, EpochContext};
use keytrail::model::{Micros, Position, RawRecord};
use keytrail::simulate::{self, Simulation, TOPICS};

#[path = "../tests/support/estate.rs"]
mod estate;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let identities = numbers.next().unwrap_or(500);
    let days = numbers.next().unwrap_or(60);
    let params = simulate::Params {
        events_max: None,
        records_per_object: 200,
        ..estate::estate(1, identities, days, 0)
    };
    let before = resident();
    let mut engine = Engine::new(estate::params());
    let mut events = 0_u64;
    for (hour, batch) in Simulation::new(params).enumerate() {
        let elements = batch
            .messages
            .iter()
            .map(|message| u64::from(message.elements));
        events += elements.sum::<u64>();
        let records: Vec<RawRecord> = batch.messages.into_iter().map(record).collect();
        estate::apply(&mut engine, &records, &epoch(hour));
    }
    let after = resident();
    let state = engine.state(true).to_bytes().len() as u64;
    println!("{events} events of {identities} identities over {days} days");
    for (what, count) in engine.sizes() {
        println!("  {what}: {count}");
    }
    let each = u64::from(identities);
    println!("state: {state} bytes, {} an identity", state / each);
    println!(
        "memory: {} MB more than before, {} kB an identity",
        (after - before) / 1_000_000,
        (after - before) / each / 1_000
    );
}

/// A message as a record of one partition of its topic.
fn record(message: simulate::Message) -> RawRecord {
    RawRecord {
        position: Position {
            topic: Arc::from(message.topic),
            partition: 0,
            offset: message.time.0,
        },
        lane: Arc::from(message.topic),
        appended_at: Some(message.time),
        payload: Some(message.payload),
    }
}

/// An hour is an epoch.
fn epoch(hour: usize) -> EpochContext {
    EpochContext {
        epoch: i64::try_from(hour).unwrap_or(i64::MAX - 1) + 1,
        now: estate::START.plus(400 * Micros::DAY),
        lanes: TOPICS.map(Arc::from).to_vec(),
        idle: Vec::new(),
        seal: false,
        statements: Vec::new(),
    }
}

/// Bytes of the process that are in memory, as Linux counts them; 0 elsewhere.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes =
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}
