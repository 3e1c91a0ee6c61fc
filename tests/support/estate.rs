//! Simulated records and engines for tests: everything that more than one test needs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    unreachable_pub,
    reason = "in some test binaries it is the root's own module"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use keytrail::engine::{Engine, EpochContext, EvidenceEpoch, Params};
use keytrail::model::{DecodedRecord, Micros, Position, RawRecord, hex};
use keytrail::{attribute, decode, detect, simulate};

/// Midnight of 2026-08-01.
pub const START: Micros = Micros(1_785_542_400_000_000);

/// Limits as the defaults have them, small enough to be quick.
pub fn decoding() -> decode::Params {
    decode::Params {
        limits: decode::Limits {
            message_bytes_max: 8 << 20,
            decompressed_bytes_max: 64 << 20,
            ratio_max: 200,
            depth_max: 64,
            elements_max: 100_000,
            layers_max: 6,
        },
        redaction_key: decode::RedactionKey::none(),
    }
}

/// Parameters as the defaults have them.
pub fn params() -> Params {
    Params {
        attribute: attribute::Params {
            session_memory: 7 * Micros::DAY,
            sessions_max: 1_000_000,
            pending_max: 1_000_000,
        },
        detect: detectors(),
        rules: None,
        places: None,
        lateness: 20 * Micros::MINUTE,
        future_max: 10 * Micros::MINUTE,
        duplicates_max: 1_000_000,
        waiting_max: 4_000_000,
        profiles_max: 1_000_000,
    }
}

/// Every detector with its default thresholds: `schemas` tests hold these and the configuration's to each other.
pub fn detectors() -> detect::Params {
    detect::Params {
        concurrent_origins: Some(detect::ConcurrentOrigins {
            history_days_min: 14,
            active_hours_min: 50,
            bits_min: 7,
        }),
        cross_system: Some(detect::CrossSystem {
            history_days_min: 14,
            active_hours_min: 50,
            bits_min: 6,
        }),
        denied_burst: Some(detect::DeniedBurst {
            denials_min: 10,
            operations_min: 5,
            usual_hours: 3,
        }),
        dormant: Some(detect::Dormant {
            warn_days: 45,
            window_days: 90,
            stale_days: 180,
        }),
        dormant_privileged: Some(detect::DormantPrivileged {
            warn_days: 45,
            window_days: 90,
            stale_days: 180,
        }),
        evidence_tampering: Some(detect::EvidenceTampering { habit_days: 3 }),
        fan_out: Some(detect::FanOut {
            identities_min: 3,
            hours: 24,
            tenants_min: 2,
            residents_max: 3,
        }),
        first_operation: Some(detect::FirstOperation {
            history_days_min: 14,
            active_hours_min: 50,
            bits_min: 10,
            bits_min_joint: 7,
            bits_second_group: 5,
        }),
        human_use: Some(detect::HumanUse {
            history_days_min: 14,
            active_hours_min: 50,
        }),
        leaver: Some(detect::Leaver { days_max: 400 }),
        never_used: Some(detect::NeverUsed { days_min: 30 }),
        new_credential_use: Some(detect::NewCredentialUse {
            hours_max: 24,
            history_days_min: 14,
        }),
        new_trust: Some(detect::NewTrust {
            hours_max: 168,
            history_days_min: 14,
        }),
        off_home: Some(detect::OffHome {
            home_events_min: 3,
            home_age_hours_max: 24,
            history_days_min: 14,
            active_hours_min: 50,
            bits_min: 6,
        }),
        overdue_rotation: Some(detect::OverdueRotation {
            days_tier_3: 30,
            days_tier_2: 90,
            days: 180,
        }),
        privilege_escalation: Some(detect::PrivilegeEscalation {
            tier_min: 3,
            made_days_max: 7,
        }),
        reactivated: Some(detect::Reactivated {
            gap_days_min: 30,
            gap_factor: 4,
            active_days_min: 3,
            gap_days_min_young: 90,
        }),
        secret_sweep: Some(detect::SecretSweep {
            places_min: 3,
            places_min_young: 6,
            history_days_min: 14,
            reads_min: 5,
            usual_hours: 3,
        }),
        shared_credential: Some(detect::SharedCredential {
            workloads_min: 3,
            clients_min: 2,
            days_min: 3,
            idle_days_max: 2,
        }),
        stolen_service_role: Some(detect::StolenServiceRole {
            history_days_min: 14,
        }),
        unowned: Some(detect::Unowned { days_min: 7 }),
        unusual_origin: Some(detect::UnusualOrigin {
            history_days_min: 14,
            active_hours_min: 50,
            bits_min: 10,
            bits_min_joint: 7,
            bits_second_group: 5,
        }),
        volume_spike: Some(detect::VolumeSpike {
            history_days_min: 14,
            active_hours_min: 50,
            events_min: 500,
            usual_factor: 8,
            busiest_factor: 3,
        }),
        zombie_use: Some(detect::ZombieUse { grace_minutes: 10 }),
        suppress: Vec::new(),
    }
}

/// An estate of this seed and size.
pub fn estate(seed: u64, identities: u32, days: u32, events: u64) -> simulate::Params {
    simulate::Params {
        seed,
        identities,
        days,
        start: START,
        events_max: Some(events),
        late_per_mille: 30,
        duplicate_per_mille: 20,
        records_per_object: 20,
    }
}

/// Every message of an estate as a record of its topic, spread over `partitions` partitions.
pub fn records(params: simulate::Params, partitions: i32) -> Vec<RawRecord> {
    let mut next: BTreeMap<(&'static str, i32), i64> = BTreeMap::new();
    let mut records = Vec::new();
    for batch in simulate::Simulation::new(params) {
        for message in batch.messages {
            let partition = i32::try_from(records.len() % partitions as usize).unwrap();
            let offset = next.entry((message.topic, partition)).or_default();
            records.push(RawRecord {
                position: Position {
                    topic: Arc::from(message.topic),
                    partition,
                    offset: *offset,
                },
                lane: Arc::from(format!("{}/{partition}", message.topic)),
                appended_at: Some(message.time),
                payload: Some(message.payload),
            });
            *offset += 1;
        }
    }
    records
}

/// Every lane that `records` use.
pub fn lanes(records: &[RawRecord]) -> Vec<Arc<str>> {
    let mut lanes: Vec<_> = records.iter().map(|record| record.lane.clone()).collect();
    lanes.sort();
    lanes.dedup();
    lanes
}

/// The context of epoch `epoch`, cut long after every event.
pub fn context(epoch: i64, lanes: &[Arc<str>], seal: bool) -> EpochContext {
    EpochContext {
        epoch,
        now: START.plus(400 * Micros::DAY),
        lanes: lanes.to_vec(),
        idle: Vec::new(),
        seal,
        statements: Vec::new(),
    }
}

/// Decodes `records` and applies them as one epoch.
pub fn apply(engine: &mut Engine, records: &[RawRecord], context: &EpochContext) -> EvidenceEpoch {
    let params = decoding();
    let opened: Vec<_> = records
        .iter()
        .map(|record| decode::open(record, &params))
        .collect();
    let mut decoded: Vec<DecodedRecord<'_>> = opened.iter().map(decode::Opened::decode).collect();
    if let Some(rules) = &engine.params().rules {
        detect::rules::read(rules.as_ref(), &mut decoded);
    }
    engine.apply(&decoded, context)
}

/// Rows of all epochs, without their place in the ledger: sorted digests for most tables, sums for those whose rows
/// only add something.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub digests: BTreeMap<&'static str, Vec<String>>,
    pub sums: BTreeMap<String, Vec<i64>>,
}

impl Rows {
    /// Adds the rows of one epoch.
    pub fn add(&mut self, evidence: &EvidenceEpoch) {
        for (table, batch) in &evidence.batches {
            match table.name {
                "usage" => self.sum(
                    batch,
                    &["usage_date", "identity_uid", "relation", "credential_uid"],
                    &[
                        "successes",
                        "failures",
                        "reads",
                        "writes",
                        "operations",
                        "source_networks",
                        "tenants",
                    ],
                ),
                "coverage" => self.sum(
                    batch,
                    &["hour", "log_source", "tenant_uid", "region"],
                    &["events"],
                ),
                name => {
                    let digests = batch
                        .column_by_name("_row_digest")
                        .unwrap()
                        .as_binary::<i32>();
                    let known = self.digests.entry(name).or_default();
                    known.extend((0..digests.len()).map(|row| hex(digests.value(row))));
                }
            }
        }
        for digests in self.digests.values_mut() {
            digests.sort();
        }
    }

    fn sum(&mut self, batch: &arrow::record_batch::RecordBatch, keys: &[&str], values: &[&str]) {
        use arrow::datatypes::{Date32Type, Int64Type, TimestampMicrosecondType};
        for row in 0..batch.num_rows() {
            let mut key = String::new();
            for name in keys {
                let column = batch.column_by_name(name).unwrap();
                let text = match column.data_type() {
                    arrow::datatypes::DataType::Date32 => {
                        column.as_primitive::<Date32Type>().value(row).to_string()
                    }
                    arrow::datatypes::DataType::Timestamp(..) => column
                        .as_primitive::<TimestampMicrosecondType>()
                        .value(row)
                        .to_string(),
                    _ if column.is_null(row) => "-".to_owned(),
                    _ => column.as_string::<i32>().value(row).to_owned(),
                };
                key.push_str(&text);
                key.push('\n');
            }
            let sums = self
                .sums
                .entry(key)
                .or_insert_with(|| vec![0; values.len()]);
            for (sum, name) in sums.iter_mut().zip(values) {
                let column = batch.column_by_name(name).unwrap();
                *sum += column.as_primitive::<Int64Type>().value(row);
            }
        }
    }

    /// How many rows of `table` there are.
    pub fn count(&self, table: &str) -> usize {
        self.digests.get(table).map_or(0, Vec::len)
    }
}
