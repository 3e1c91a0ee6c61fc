//! What time and hostile records may do to decoder, engine and state: each test is a row of the fault matrix, by name.
//!
//! `KEYTRAIL_TEST_IDENTITY_EVENTS` sets how many distinct addresses, agents and sessions one identity shows (20000 unless
//! set; the matrix asks for 1000000). `KEYTRAIL_BLESS=1` writes the golden state of a form that has none yet.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray};
use cpu_time::ThreadTime;
use estate::{Rows, START, apply, context, decoding, lanes, params, records};
use keytrail::decode;
use keytrail::engine::{Engine, EpochContext, EvidenceEpoch, Loaded, Params, StateError};
use keytrail::model::{Decoded, Micros, Position, RawRecord, hex, sha256};

/// A CloudTrail record of the role `worker`.
fn event(number: usize, at: Micros, key: &str, ip: &str, agent: &str, operation: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROAEXAMPLEWORKER001:worker","arn":"arn:aws:sts::210987654321:assumed-role/worker/worker","accountId":"210987654321","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLEWORKER001","arn":"arn:aws:iam::210987654321:role/worker","accountId":"210987654321","userName":"worker"}},"attributes":{{"creationDate":"2026-08-01T00:00:00Z","mfaAuthenticated":"false"}}}}}},"eventTime":"{at}","eventSource":"iam.amazonaws.com","eventName":"{operation}","awsRegion":"eu-west-1","sourceIPAddress":"{ip}","userAgent":"{agent}","requestParameters":null,"responseElements":null,"requestID":"r-{number}","eventID":"{number:08x}-4c1e-4a7b-9d52-8e3f6a0b0051","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"210987654321","eventCategory":"Management"}}"#
    )
}

fn record(lane: &str, offset: usize, appended_at: Option<Micros>, text: String) -> RawRecord {
    RawRecord {
        position: Position {
            topic: Arc::from(lane),
            partition: 0,
            offset: offset as i64,
        },
        lane: Arc::from(lane),
        appended_at,
        payload: Some(text.into_bytes()),
    }
}

/// A quiet role that acts every hour from one place, for `days`.
fn habit(days: usize) -> Vec<RawRecord> {
    (0..days * 24)
        .map(|hour| {
            let at = START.plus(hour as i64 * Micros::HOUR);
            let text = event(
                hour,
                at,
                "ASIAEXAMPLEHABIT0001",
                "203.0.113.7",
                "boto3/1",
                "GetUser",
            );
            record("trail", hour, Some(at), text)
        })
        .collect()
}

fn at(epoch: i64, now: Micros, lanes: &[&str], idle: &[&str]) -> EpochContext {
    let names = |lanes: &[&str]| lanes.iter().map(|lane| Arc::from(*lane)).collect();
    EpochContext {
        epoch,
        now,
        lanes: names(lanes),
        idle: names(idle),
        seal: false,
        statements: Vec::new(),
    }
}

fn flags(evidence: &EvidenceEpoch) -> Vec<String> {
    let mut flags = Vec::new();
    for (table, batch) in &evidence.batches {
        if table.name == "activity" {
            let column = batch.column_by_name("flags").unwrap().as_list::<i32>();
            for row in 0..column.len() {
                let texts = column.value(row);
                let texts = texts.as_string::<i32>();
                flags.push(texts.iter().flatten().collect::<Vec<_>>().join(","));
            }
        }
    }
    flags
}

#[test]
fn e2_absence_is_noticed_by_the_clock_alone_and_at_the_same_epoch_on_replay() {
    let run = || {
        let mut engine = Engine::new(params());
        let history = habit(60);
        let mut evidence = apply(
            &mut engine,
            &history,
            &at(1, START.plus(60 * Micros::DAY), &["trail"], &[]),
        );
        let mut watermarks = vec![evidence.watermark];
        // Then the role breaks its habit, and nothing comes after that: no event moves the watermark past it.
        let burst = START.plus(60 * Micros::DAY);
        let text = event(
            9_000,
            burst,
            "ASIAEXAMPLEOTHER0001",
            "198.51.100.9",
            "curl/8",
            "CreateAccessKey",
        );
        let flood = [record("trail", 2_000, Some(burst), text)];
        let mut found = Vec::new();
        for epoch in 2..=6 {
            let now = burst.plus((epoch - 1) * 10 * Micros::MINUTE);
            let input = if epoch == 2 { &flood[..] } else { &[] };
            let idle: &[&str] = if epoch > 2 { &["trail"] } else { &[] };
            evidence = apply(&mut engine, input, &at(epoch, now, &["trail"], idle));
            watermarks.push(evidence.watermark);
            found.extend(evidence.news.iter().map(|news| (epoch, news.detector)));
        }
        (watermarks, found)
    };
    let (watermarks, found) = run();
    assert!(watermarks.is_sorted(), "{watermarks:?}");
    let at = found
        .iter()
        .find(|(_, detector)| *detector == "unusual-origin");
    // Lateness is twenty minutes: the fourth epoch is cut thirty minutes after the event.
    assert_eq!(at.unwrap().0, 4, "{found:?}");
    assert_eq!(run(), (watermarks, found));
}

#[test]
fn e3_an_idle_lane_that_brings_a_burst_of_old_events_moves_nothing_back() {
    let mut engine = Engine::new(params());
    let lanes = ["trail", "late"];
    let now = START.plus(31 * Micros::DAY);
    let first = apply(&mut engine, &habit(30), &at(1, now, &lanes, &["late"]));
    let passed = first.watermark.unwrap();
    let old: Vec<RawRecord> = (0..50)
        .map(|number| {
            let time = START.plus(5 * Micros::DAY + number as i64 * Micros::MINUTE);
            let text = event(
                5_000 + number,
                time,
                "ASIAEXAMPLELATE00001",
                "203.0.113.7",
                "boto3/1",
                "GetUser",
            );
            record("late", number, Some(now), text)
        })
        .collect();
    let second = apply(&mut engine, &old, &at(2, now, &lanes, &[]));
    assert_eq!(
        second.watermark,
        Some(passed),
        "never back, and not stuck either"
    );
    assert_eq!(second.counts.late, 50);
    assert_eq!(second.counts.total().accepted, 50);
    assert!(flags(&second).iter().all(|flags| flags.contains("late")));
    assert!(second.news.is_empty(), "{:?}", second.news);
    // The identity was active all the time: usage of the old day is added to, and nothing sleeps.
    let third = apply(
        &mut engine,
        &[],
        &at(3, now.plus(Micros::DAY), &lanes, &lanes),
    );
    assert!(third.news.is_empty() && third.watermark > Some(passed));
}

#[test]
fn e4_times_that_cannot_be_are_flagged_or_refused_and_move_no_watermark() {
    let mut engine = Engine::new(params());
    let now = START.plus(11 * Micros::DAY);
    let first = apply(&mut engine, &habit(10), &at(1, now, &["trail"], &[]));
    let normal = event(
        7_000,
        now,
        "ASIAEXAMPLEHABIT0001",
        "203.0.113.7",
        "boto3/1",
        "GetUser",
    );
    let with = |number: usize, time: &str| {
        let text = normal.replace(&now.to_string(), time);
        let text = text.replace("00001b58-", &format!("{number:08x}-"));
        record("trail", number, Some(now), text)
    };
    let strange = [
        with(8_000, "2199-01-01T00:00:00Z"),
        with(8_001, "2999-01-01T00:00:00Z"),
        with(8_002, "1970-01-01T00:00:00Z"),
        with(8_003, "2016-12-31T23:59:60Z"),
        with(8_004, ""),
        with(8_005, "9223372036854775807"),
        with(8_006, "-1"),
    ];
    let second = apply(&mut engine, &strange, &at(2, now, &["trail"], &[]));
    // A record without a time has that of its message: as far as that, and no further.
    assert!(second.watermark <= Some(now.plus(-params().lateness)));
    assert!(second.watermark >= first.watermark);
    let total = second.counts.total();
    assert_eq!(total.elements, 7);
    assert_eq!(total.accepted + total.rejected, 7, "{total:?}");
    let flags = flags(&second);
    assert!(
        flags.iter().any(|flags| flags.contains("future")),
        "{flags:?}"
    );
    assert!(
        flags.iter().any(|flags| flags.contains("late")),
        "{flags:?}"
    );
    // A forged year has not expired anything: the next event of the day is judged as usual.
    let text = event(
        8_100,
        now,
        "ASIAEXAMPLEHABIT0001",
        "203.0.113.7",
        "boto3/1",
        "GetUser",
    );
    let third = apply(
        &mut engine,
        &[record("trail", 9_000, Some(now), text)],
        &at(3, now, &["trail"], &[]),
    );
    assert_eq!(third.watermark, Some(now.plus(-params().lateness)));
    assert_eq!(third.counts.late, 0);
}

#[test]
fn e7_what_a_thousand_identities_cost_is_bounded() {
    let records = records(estate::estate(3, 400, 5, 8_000), 2);
    let mut engine = Engine::new(params());
    apply(&mut engine, &records, &context(1, &lanes(&records), true));
    let state = engine.state(true).to_bytes().len();
    let identities = engine.sizes()["identities"];
    println!(
        "{identities} identities, {} bytes of state each",
        state / identities
    );
    // Sessions, waiting events and ids of five days included. benches/README.md has the figures for a million.
    assert!(
        state / identities < 20_000,
        "{state} bytes for {identities}"
    );
}

#[test]
fn e8_one_identity_with_countless_addresses_agents_and_sessions_stays_small_and_is_found() {
    let events: usize = std::env::var("KEYTRAIL_TEST_IDENTITY_EVENTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20_000);
    let mut small = params();
    small.attribute.sessions_max = 5_000;
    small.attribute.pending_max = 5_000;
    small.duplicates_max = 5_000;
    small.waiting_max = 5_000;
    let mut engine = Engine::new(small);
    apply(
        &mut engine,
        &habit(60),
        &at(1, START.plus(60 * Micros::DAY), &["trail"], &[]),
    );
    let begin = START.plus(60 * Micros::DAY);
    let mut found = Vec::new();
    let mut sizes = Vec::new();
    let mut evicted = 0;
    for part in 0..10 {
        let flood: Vec<RawRecord> = (0..events / 10)
            .map(|number| {
                let number = part * events / 10 + number;
                // A million distinct /24 networks, agents and keys within two days.
                let time = begin.plus(number as i64 * (2 * Micros::DAY / events as i64));
                let ip = format!(
                    "{}.{}.{}.9",
                    20 + number / 65_536,
                    number / 256 % 256,
                    number % 256
                );
                let (key, agent) = (format!("ASIA{number:016}"), format!("agent{number}/1"));
                let text = event(100_000 + number, time, &key, &ip, &agent, "CreateAccessKey");
                record("trail", 10_000 + number, Some(time), text)
            })
            .collect();
        let now = begin.plus((part as i64 + 1) * Micros::DAY / 5);
        let evidence = apply(
            &mut engine,
            &flood,
            &at(2 + part as i64, now, &["trail"], &[]),
        );
        evicted = evidence.counts.evicted;
        found.extend(evidence.news);
        sizes.push(engine.state(true).to_bytes().len());
        assert!(
            engine.sizes()["situations"] <= 64 * 3,
            "{:?}",
            engine.sizes()
        );
    }
    let origins: Vec<_> = found
        .iter()
        .filter(|news| {
            news.detector == "unusual-origin" && news.identity_uid.contains("AROAEXAMPLEWORKER001")
        })
        .collect();
    assert!(
        !origins.is_empty(),
        "the first strange network is a finding"
    );
    assert!(origins[0].severity == "high", "{}", origins[0].severity);
    assert!(evicted > 0, "what was forgotten is counted");
    println!("{events} events, state {sizes:?}, {:?}", engine.sizes());
    let (middle, end) = (sizes[4], sizes[9]);
    assert!(
        end < middle + middle / 5,
        "it does not grow with what comes: {sizes:?}"
    );
    assert!(end < 32 << 20, "{sizes:?}");
}

// ── State ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// What golden state is made of: the records of a snapshot, those of a delta, and the lanes of these and of what comes next.
fn golden_input() -> (Vec<RawRecord>, Vec<RawRecord>, Vec<Arc<str>>) {
    let mut first = records(estate::estate(77, 10, 12, 360), 2);
    first.truncate(first.len() * 2 / 3);
    let second = first.split_off(first.len() / 2);
    let lanes = lanes(&[first.clone(), second.clone(), next_records()].concat());
    (first, second, lanes)
}

/// Snapshot and delta of this build.
fn golden_state() -> (Vec<u8>, Vec<u8>) {
    let (first, second, lanes) = golden_input();
    let mut engine = Engine::new(params());
    apply(&mut engine, &first, &context(1, &lanes, false));
    let snapshot = engine.state(true).to_bytes();
    apply(&mut engine, &second, &context(2, &lanes, false));
    (snapshot, engine.state(false).to_bytes())
}

/// The records that follow on golden state. They are kept beside it, because the simulator changes: each line of the file is
/// topic, partition, offset, time of arrival in microseconds, and payload.
fn next_records() -> Vec<RawRecord> {
    let packed = fs::read("tests/state/next.ndjson.zst").unwrap();
    let lines = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let record = |line: &str| {
        let (topic, partition, offset, time, payload): (String, i32, i64, i64, String) =
            serde_json::from_str(line).unwrap();
        RawRecord {
            lane: Arc::from(format!("{topic}/{partition}")),
            position: Position {
                topic: Arc::from(topic),
                partition,
                offset,
            },
            appended_at: Some(Micros(time)),
            payload: Some(payload.into_bytes()),
        }
    };
    lines.lines().map(record).collect()
}

/// What an engine remembers, and what it says about the records that come next, in words that outlive columns and forms.
fn told(engine: &mut Engine) -> String {
    let mut told = String::new();
    for (name, size) in engine.sizes() {
        writeln!(told, "{name} {size}").unwrap();
    }
    let (_, _, lanes) = golden_input();
    let evidence = apply(engine, &next_records(), &context(3, &lanes, true));
    let mut rows = Rows::default();
    rows.add(&evidence);
    for (table, digests) in &rows.digests {
        writeln!(told, "rows of {table} {}", digests.len()).unwrap();
    }
    let total = evidence.counts.total();
    writeln!(
        told,
        "accepted {} duplicate {}",
        total.accepted, total.duplicate
    )
    .unwrap();
    writeln!(told, "leaves {}", evidence.tree_size).unwrap();
    let mut found: Vec<_> = evidence
        .news
        .iter()
        .map(|news| news.finding_uid.to_string())
        .collect();
    found.sort();
    found.dedup();
    for uid in found {
        writeln!(told, "finding {uid}").unwrap();
    }
    told
}

fn forms() -> Vec<PathBuf> {
    let mut forms: Vec<PathBuf> = fs::read_dir("tests/state")
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    forms.retain(|form| form.is_dir());
    forms.sort();
    forms
}

/// `KEYTRAIL_BLESS=1 cargo test --test bounds golden` writes the files of a form that has none. Those that are there are
/// never written again: that they load is what they are for.
#[test]
fn e6_golden_state_of_every_form_loads_and_continues() {
    let (snapshot, delta) = golden_state();
    let form = snapshot[0];
    let folder = Path::new("tests/state").join(format!("form-{form}"));
    if std::env::var_os("KEYTRAIL_BLESS").is_some() && !folder.exists() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("snapshot.bin"), &snapshot).unwrap();
        fs::write(folder.join("delta.bin"), &delta).unwrap();
        let mut engine = Engine::restore(params(), &Loaded(vec![snapshot.clone(), delta])).unwrap();
        let digest = hex(&sha256(&engine.state(true).to_bytes()));
        fs::write(folder.join("restored.sha256"), format!("{digest}\n")).unwrap();
        fs::write(folder.join("told.txt"), told(&mut engine)).unwrap();
    }
    assert!(
        folder.is_dir(),
        "form {form} has no golden files yet: KEYTRAIL_BLESS=1"
    );
    for folder in forms() {
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        let loaded = Loaded(vec![read("snapshot.bin"), read("delta.bin")]);
        let mut engine = Engine::restore(params(), &loaded).unwrap();
        if loaded.0[0][0] == form {
            let digest = hex(&sha256(&engine.state(true).to_bytes()));
            let expected = String::from_utf8(read("restored.sha256")).unwrap();
            assert_eq!(digest, expected.trim(), "{}", folder.display());
        }
        let expected = String::from_utf8(read("told.txt")).unwrap();
        assert_eq!(told(&mut engine), expected, "{}", folder.display());
    }
}

/// What was made of an older form when it was read is not made again by every restart until the next snapshot.
#[test]
fn e6_an_upgraded_engine_survives_restarts() {
    let (_, _, lanes) = golden_input();
    let next = next_records();
    let (first, second) = next.split_at(next.len() / 2);
    for folder in forms() {
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        let mut written = vec![read("snapshot.bin"), read("delta.bin")];
        let mut engine = Engine::restore(params(), &Loaded(written.clone())).unwrap();
        apply(&mut engine, first, &context(3, &lanes, false));
        written.push(engine.state(false).to_bytes());
        let mut restarted = Engine::restore(params(), &Loaded(written)).unwrap();
        let mut ends = Vec::new();
        for engine in [&mut engine, &mut restarted] {
            apply(engine, second, &context(4, &lanes, false));
            ends.push(hex(&sha256(&engine.state(true).to_bytes())));
        }
        assert_eq!(ends[0], ends[1], "{}", folder.display());
    }
}

#[test]
fn e6_state_that_is_cut_longer_older_or_newer_is_refused() {
    let (snapshot, _) = golden_state();
    let restore = |bytes: Vec<u8>| Engine::restore(params(), &Loaded(vec![bytes])).map(drop);
    restore(snapshot.clone()).unwrap();
    for cut in (0..snapshot.len()).step_by(97) {
        let error = restore(snapshot[..cut].to_vec()).unwrap_err();
        let right = match cut {
            0 => matches!(error, StateError::Empty),
            _ => matches!(error, StateError::Damaged(_)),
        };
        assert!(right, "cut at {cut}: {error}");
    }
    let longer = [snapshot.clone(), vec![0]].concat();
    assert!(matches!(restore(longer), Err(StateError::Longer(1))));
    for form in [0, 1, 2, snapshot[0] + 1, u8::MAX] {
        let mut other = snapshot.clone();
        other[0] = form;
        let error = restore(other).unwrap_err();
        assert!(
            matches!(error, StateError::UnknownForm(found) if found == form),
            "{error}"
        );
        assert!(
            error.to_string().contains("run the build that wrote it"),
            "{error}"
        );
    }
}

// ── Hostile records ────────────────────────────────────────────────────────────────────────────────────────────────────

/// What a message comes to: codes of rejects, `event`, or reasons for being ignored.
fn outcomes(payload: Vec<u8>) -> Vec<String> {
    outcomes_within(payload, &decoding())
}

fn outcomes_within(payload: Vec<u8>, params: &decode::Params) -> Vec<String> {
    let raw = RawRecord {
        payload: Some(payload),
        ..record("hostile", 0, Some(START), String::new())
    };
    let opened = decode::open(&raw, params);
    let pieces = opened.decode().pieces;
    pieces
        .iter()
        .map(|piece| match &piece.decoded {
            Decoded::Event(_) => "event".to_owned(),
            Decoded::Reject(reject) => reject.code.code().to_owned(),
            Decoded::Ignored(reason) => reason.reason().to_owned(),
        })
        .collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn good() -> String {
    event(
        1,
        START,
        "ASIAEXAMPLEHABIT0001",
        "203.0.113.7",
        "boto3/1",
        "GetUser",
    )
}

/// The least time that this thread works on `work` in three tries.
fn quickest(mut work: impl FnMut()) -> Duration {
    (0..3)
        .map(|_| {
            let started = ThreadTime::now();
            work();
            started.elapsed()
        })
        .min()
        .unwrap()
}

#[test]
fn g1_compressed_bombs_are_refused_before_they_burst() {
    // A mebibyte that wants to be a gibibyte.
    let bomb = gzip(&vec![b' '; 4 << 20]).repeat(256);
    assert!(bomb.len() < 2 << 20);
    // Less than the default, because unoptimised code takes long to unpack 64 MiB.
    let mut params = decoding();
    params.limits.decompressed_bytes_max = 8 << 20;
    let outcomes_of = |payload: &[u8]| outcomes_within(payload.to_vec(), &params);
    let took = quickest(|| assert_eq!(outcomes_of(&bomb), ["too_large"]));
    println!("bomb of {} bytes refused in {took:?}", bomb.len());
    assert!(took < Duration::from_secs(10), "{took:?}");
    let nested = gzip(&gzip(&gzip(good().as_bytes())));
    assert_eq!(outcomes(nested), ["too_large"]);
    assert_eq!(outcomes_of(&gzip(&bomb)), ["too_large"]);
    let whole = gzip(good().as_bytes());
    assert_eq!(outcomes(whole.clone()), ["event"]);
    assert_eq!(
        outcomes(whole[..whole.len() - 9].to_vec()),
        ["bad_compression"]
    );
    let trailing = [whole.clone(), b"rubbish".to_vec()].concat();
    assert!(
        !outcomes(trailing).contains(&"event".to_owned()),
        "what follows could be anything"
    );
    // Two members are one message, as `cat a.gz b.gz` makes them.
    let two = [whole.clone(), gzip(b"\n"), whole].concat();
    assert_eq!(outcomes(two).len(), 2);
}

#[test]
fn g2_depth_size_numbers_and_text_that_break_parsers_are_survived() {
    let deep = format!(
        "{{\"a\":{}{}}}",
        "[".repeat(1_000_000),
        "]".repeat(1_000_000)
    );
    assert_eq!(outcomes(deep.into_bytes()), ["too_large"]);
    let mut wide = String::from("{");
    for member in 0..300_000 {
        write!(wide, "\"m{member}\":1,").unwrap();
    }
    wide.push_str("\"z\":1}");
    assert_eq!(outcomes(wide.into_bytes()), ["unknown_kind"]);
    let with = |member: &str| {
        good()
            .replacen("\"requestParameters\":null", member, 1)
            .into_bytes()
    };
    let digits = "9".repeat(1_000_000);
    assert_eq!(
        outcomes(with(&format!("\"requestParameters\":{{\"n\":{digits}}}"))),
        ["event"]
    );
    for number in ["1e400", "-0", "-0.0", "1E-400", "18446744073709551616"] {
        let member = format!("\"requestParameters\":{{\"n\":{number}}}");
        assert_eq!(outcomes(with(&member)), ["event"], "{number}");
    }
    for text in ["NaN", "Infinity", "01", "+1", "0x10"] {
        let member = format!("\"requestParameters\":{{\"n\":{text}}}");
        let got = outcomes(with(&member));
        assert!(
            got.iter()
                .all(|code| code == "not_json" || code == "truncated"),
            "{text}: {got:?}"
        );
    }
    // Half a surrogate pair is no text; it may be refused or replaced, never read as another character.
    let lone = outcomes(with("\"requestParameters\":{\"n\":\"\\ud800\"}"));
    assert_eq!(lone.len(), 1, "{lone:?}");
    assert_eq!(
        outcomes(with("\"requestParameters\":{\"n\":\"\\u0000\\u001b[2J\"}")),
        ["event"]
    );
    assert_eq!(
        outcomes([b"\xef\xbb\xbf", good().as_bytes()].concat()),
        ["event"]
    );
    let mut broken = good().into_bytes();
    let at = broken
        .windows(7)
        .position(|window| window == b"boto3/1")
        .unwrap();
    broken[at] = 0xff;
    assert_eq!(outcomes(broken), ["not_utf8"]);
    let mut nul = good().into_bytes();
    nul.insert(1, 0);
    assert!(!outcomes(nul).contains(&"event".to_owned()));
}

#[test]
fn g3_an_identity_that_is_told_twice_is_refused() {
    let twice = good().replacen(
        "\"userIdentity\":",
        "\"userIdentity\":{\"type\":\"Root\",\"accountId\":\"1\"},\"userIdentity\":",
        1,
    );
    assert_eq!(outcomes(twice.into_bytes()), ["duplicate_key"]);
    for member in [
        "accessKeyId",
        "AccessKeyId",
        "ACCESSKEYID",
        "\\u0061ccessKeyId",
    ] {
        let twice = good().replacen(
            "\"accessKeyId\":",
            &format!("\"{member}\":\"AKIAOTHER\",\"accessKeyId\":"),
            1,
        );
        assert_eq!(outcomes(twice.into_bytes()), ["duplicate_key"], "{member}");
    }
    // The rest of the batch is kept.
    let bad = good().replacen(
        "\"accessKeyId\":",
        "\"accessKeyId\":\"AKIAOTHER\",\"accessKeyId\":",
        1,
    );
    let batch = format!("{{\"Records\":[{},{bad},{}]}}", good(), good());
    assert_eq!(
        outcomes(batch.into_bytes()),
        ["event", "duplicate_key", "event"]
    );
}

#[test]
fn g4_time_grows_with_the_size_of_hostile_records_and_not_with_its_square() {
    let wide = |members: usize| {
        let mut text = String::from("{");
        for member in 0..members {
            write!(text, "\"{member:08}\":1,").unwrap();
        }
        text.push_str("\"z\":1}");
        text.into_bytes()
    };
    let nested = |objects: usize| {
        let inner = "{\"a\":{\"b\":\"c\"}},".repeat(objects);
        let member = format!("\"requestParameters\":{{\"n\":[{inner}0]}}");
        good()
            .replacen("\"requestParameters\":null", &member, 1)
            .into_bytes()
    };
    let agent = |length: usize| {
        good()
            .replacen("boto3/1", &"a/ (".repeat(length), 1)
            .into_bytes()
    };
    let quotes = |length: usize| {
        let text = "\\\\\\\"password\\\\\\\":\\\\\\\"x".repeat(length);
        good().replacen("boto3/1", &text, 1).into_bytes()
    };
    let secrets = |length: usize| {
        good()
            .replacen("boto3/1", &"AKIA-----BEGIN eyJ.".repeat(length), 1)
            .into_bytes()
    };
    let check = |name: &str, small: Vec<u8>, large: Vec<u8>| {
        let size = large.len() as f64 / small.len() as f64;
        let few = quickest(|| drop(outcomes(small.clone())));
        let many = quickest(|| drop(outcomes(large.clone())));
        let ratio = many.as_secs_f64() / few.as_secs_f64().max(1e-6);
        println!("{name}: {size:.1} times the size, {ratio:.1} times the time ({many:?})");
        // A square would be `size` times as much again.
        assert!(ratio < size * 3.0, "{name}: {few:?} and {many:?}");
    };
    check("members", wide(4_000), wide(64_000));
    check("objects", nested(4_000), nested(64_000));
    check("user agent", agent(2_000), agent(32_000));
    check("escaped quotes", quotes(1_000), quotes(16_000));
    check("shapes of secrets", secrets(2_000), secrets(32_000));
}

/// The engine's maps are hashed with a seed that nobody knows: ids of one shape cost no more than others.
#[test]
fn g4_ids_of_one_shape_cost_the_engine_no_more_than_their_number() {
    let run = |events: usize| {
        let flood: Vec<RawRecord> = (0..events)
            .map(|number| {
                let time = START.plus(number as i64 * Micros::SECOND);
                let text = event(
                    number,
                    time,
                    &format!("ASIA{:016}", number * 65_536),
                    "203.0.113.7",
                    "boto3/1",
                    "GetUser",
                );
                record("trail", number, Some(time), text)
            })
            .collect();
        quickest(|| {
            let mut engine = Engine::new(params());
            apply(
                &mut engine,
                &flood,
                &at(1, START.plus(Micros::DAY), &["trail"], &[]),
            );
        })
    };
    let (few, many) = (run(1_000), run(8_000));
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!("8 times the events, {ratio:.1} times the time");
    assert!(ratio < 24.0, "{few:?} and {many:?}");
}

/// Whatever the limits are set to, the engine says what they cost.
#[test]
fn limits_of_the_engine_are_counted_in_the_row_of_the_epoch() {
    let tiny = Params {
        duplicates_max: 50,
        waiting_max: 50,
        profiles_max: 4,
        ..params()
    };
    let records = records(estate::estate(5, 30, 10, 900), 2);
    let mut engine = Engine::new(tiny);
    let evidence = apply(&mut engine, &records, &context(1, &lanes(&records), true));
    assert!(evidence.counts.evicted > 100, "{}", evidence.counts.evicted);
    let told: serde_json::Value = serde_json::from_str(&evidence.counts.to_json()).unwrap();
    assert_eq!(told["evicted"], evidence.counts.evicted);
    let sizes = engine.sizes();
    assert!(
        sizes["duplicates"] <= 50 && sizes["profiles"] <= 4 && sizes["waiting"] <= 50,
        "{sizes:?}"
    );
}
