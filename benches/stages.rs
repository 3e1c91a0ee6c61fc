//! Decode and engine alone, one thread each, in memory.
//!
//! `cargo bench --bench stages -- 200000` (events; 100,000 unless given).

use std::sync::Arc;
use std::time::Instant;

use keytrail::engine::{Engine, EpochContext};
use keytrail::model::{DecodedRecord, Micros};
use keytrail::{decode, simulate};

#[path = "../tests/support/estate.rs"]
mod estate;

fn main() {
    let events: u64 = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    let mut params: simulate::Params = estate::estate(1, 5_000, 3, events);
    params.records_per_object = 200;
    let records = estate::records(params, 1);
    let bytes: usize = records.iter().map(keytrail::model::RawRecord::bytes).sum();
    let decoding = estate::decoding();

    let begun = Instant::now();
    let opened: Vec<_> = records
        .iter()
        .map(|record| decode::open(record, &decoding))
        .collect();
    let opening = begun.elapsed();
    let begun = Instant::now();
    let decoded: Vec<DecodedRecord<'_>> = opened.iter().map(decode::Opened::decode).collect();
    let decode = begun.elapsed();
    let elements: usize = decoded.iter().map(|record| record.pieces.len()).sum();

    let lanes: Vec<Arc<str>> = estate::lanes(&records);
    let mut engine = Engine::new(estate::params());
    let context = EpochContext {
        epoch: 1,
        now: estate::START.plus(400 * Micros::DAY),
        lanes,
        idle: Vec::new(),
        seal: true,
    };
    let begun = Instant::now();
    let evidence = engine.apply(&decoded, &context);
    let apply = begun.elapsed();
    let begun = Instant::now();
    let state = engine.state(true).to_bytes().len();
    let write = begun.elapsed();

    println!("{elements} records, {:.0} MB", bytes as f64 / 1e6);
    for (what, took) in [
        ("open (unwrap, hash, redact)", opening),
        ("decode", decode),
        ("engine, rows and digests included", apply),
    ] {
        let seconds = took.as_secs_f64();
        println!(
            "{what}: {:.0} events/s, {:.2} µs each",
            elements as f64 / seconds,
            seconds * 1e6 / elements as f64
        );
    }
    println!(
        "state: {state} bytes in {write:?}, {} identities, {} rows",
        engine.sizes()["identities"],
        evidence.tree_size
    );
}
