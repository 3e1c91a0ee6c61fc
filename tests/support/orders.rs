//! One history in other orders of arrival: reversed, shuffled, spread over lanes. What is said of it in the end must not
//! depend on the order.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    unreachable_pub,
    reason = "in some test binaries it is the root's own module"
)]

use std::sync::Arc;

use keytrail::engine::{Engine, EpochContext};
use keytrail::model::{Micros, Position, RawRecord};
use oorandom::Rand64;

use super::estate;
use super::final_rows::Final;

/// Over how many lanes a history is spread.
pub const LANES: usize = 12;

/// 2035-01-01, after every event of every case.
const NOW: Micros = Micros(2_051_222_400_000_000);

/// No history lasts longer, so nothing is settled before its end.
const LATENESS: i64 = 40 * 365 * Micros::DAY;

/// A record of one line of a log.
pub fn message(index: usize, text: &str) -> RawRecord {
    RawRecord {
        position: Position {
            topic: Arc::from("vector"),
            partition: 0,
            offset: index as i64,
        },
        lane: Arc::from("vector/00"),
        appended_at: None,
        payload: Some(text.as_bytes().to_vec()),
    }
}

/// `records` in an order by chance.
pub fn shuffled(records: &[RawRecord], seed: u64) -> Vec<RawRecord> {
    let mut records = records.to_vec();
    let mut random = Rand64::new(u128::from(seed));
    for last in (1..records.len()).rev() {
        let other = random.rand_range(0..last as u64 + 1) as usize;
        records.swap(last, other);
    }
    records
}

/// `records` dealt out to lanes, all of one lane before the next.
pub fn over_lanes(records: &[RawRecord]) -> Vec<RawRecord> {
    let mut records = records.to_vec();
    for (index, record) in records.iter_mut().enumerate() {
        let lane = index % LANES;
        record.lane = Arc::from(format!("vector/{lane:02}"));
        record.position.partition = lane as i32;
    }
    records.sort_by_key(|record| record.position.partition);
    records
}

/// Decodes and applies `records` as one epoch, after which the input has ended.
pub fn run(records: &[RawRecord]) -> Final {
    let mut params = estate::params();
    params.lateness = LATENESS;
    let mut engine = Engine::new(params);
    let context = EpochContext {
        epoch: 1,
        now: NOW,
        lanes: estate::lanes(records),
        idle: Vec::new(),
        seal: true,
        statements: Vec::new(),
    };
    let mut rows = Final::default();
    rows.add(&estate::apply(&mut engine, records, &context));
    rows
}

/// Columns that say how a record came and not what happened.
pub fn of_arrival(column: &str) -> bool {
    column.starts_with("src_") || ["decoder", "flags", "raw_sha256"].contains(&column)
}
