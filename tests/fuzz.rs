//! Bytes changed at random, over and over: whatever comes in, nothing panics, nothing grows without bound, and what is
//! read is what would be written.
//!
//! Each target begins with the files of `tests/fuzz/corpus/<target>/` and with what the rest of the tests has for it.
//! `KEYTRAIL_TEST_FUZZ_SECONDS` sets how long each target runs (2 unless set, 600 for an evening), and
//! `KEYTRAIL_TEST_FUZZ_SEED` where the changes begin (1 unless set). An input that fails is written to the target's folder
//! as `crash-…` and belongs there from then on: it is tried first.
//!
//! This needs no nightly compiler and has no feedback from the code it runs; what it lacks in cleverness, the seeds make up
//! for: they hold every source, envelope and form that is known.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/estate.rs"]
mod estate;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use estate::{START, apply, context, decoding, lanes, params, records};
use keytrail::decode;
use keytrail::engine::{Engine, Loaded};
use keytrail::model::{Decoded, Position, RawRecord, hex, sha256};

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Numbers from a seed; a failing run is made again by the same one.
struct Random(oorandom::Rand64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0.rand_range(0..end.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.0.rand_range(0..256) as u8
    }
}

/// What changes are made of besides chance: numbers at the edges of their types, and what each language is made of.
const PIECES: [&[u8]; 24] = [
    b"0",
    b"-1",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551615",
    b"1e400",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b":",
    b",",
    b"\n",
    b"null",
    b"\\u0000",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x00",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"{\"Records\":[",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"= ",
];

/// `input` with a few changes; parts of `other` may come into it.
fn changed(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let most = 1 + random.below(64);
        let span = random.below(most);
        let end = (at + span).min(bytes.len());
        match random.below(9) {
            0 if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] ^= 1 << random.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = at % bytes.len();
                bytes[at] = random.byte();
            }
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..end, piece.iter().copied());
            }
            5 => bytes.truncate(at),
            6 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            7 => {
                let from = random.below(other.len() + 1);
                let to = (from + random.below(256)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => {
                // A number in the text becomes another.
                let digits: Vec<usize> = (0..bytes.len())
                    .filter(|at| bytes[*at].is_ascii_digit())
                    .collect();
                if !digits.is_empty() {
                    let at = digits[random.below(digits.len())];
                    bytes[at] = b'0' + random.below(10) as u8;
                }
            }
        }
    }
    bytes.truncate(1 << 20);
    bytes
}

/// Runs `target` on the corpus, then on changes of it, until the time is over.
fn fuzz(name: &str, seeds: Vec<Vec<u8>>, target: impl Fn(&[u8])) {
    let folder = Path::new("tests/fuzz/corpus").join(name);
    let run = |input: &[u8]| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
            let path = folder.join(format!("crash-{}", &hex(&sha256(input))[..16]));
            drop(fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input)));
            eprintln!("{} bytes that fail are in {}", input.len(), path.display());
            std::panic::resume_unwind(panic);
        }
    };
    let mut corpus: Vec<Vec<u8>> = files(&folder)
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    corpus.extend(seeds);
    assert!(!corpus.is_empty(), "{name} has nothing to begin with");
    for input in &corpus {
        run(input);
    }
    let seed = setting("KEYTRAIL_TEST_FUZZ_SEED", 1);
    let mut random = Random(oorandom::Rand64::new(u128::from(seed)));
    let end = Duration::from_secs(setting("KEYTRAIL_TEST_FUZZ_SECONDS", 2));
    let started = Instant::now();
    let mut runs = 0_u64;
    while started.elapsed() < end {
        let at = random.below(corpus.len());
        let other = random.below(corpus.len());
        let input = changed(&corpus[at], &corpus[other], &mut random);
        run(&input);
        runs += 1;
        // A chain of changes reaches further than one; a corpus that only grows would forget where it began.
        if random.below(16) == 0 {
            if corpus.len() < 512 {
                corpus.push(input);
            } else {
                let replaced = 256 + random.below(256);
                corpus[replaced] = input;
            }
        }
    }
    println!(
        "{name}: {runs} inputs from seed {seed} in {:?}",
        started.elapsed()
    );
}

#[test]
fn decode_survives_any_bytes() {
    let mut seeds: Vec<Vec<u8>> = files(Path::new("tests/sources"))
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "record.json"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    let estate = records(estate::estate(9, 6, 2, 40), 1);
    seeds.extend(estate.into_iter().filter_map(|record| record.payload));
    let params = decoding();
    fuzz("decode", seeds, |input| {
        let record = RawRecord {
            position: Position {
                topic: Arc::from("fuzz"),
                partition: 0,
                offset: 0,
            },
            lane: Arc::from("fuzz"),
            appended_at: Some(START),
            payload: Some(input.to_vec()),
        };
        let opened = decode::open(&record, &params);
        let decoded = opened.decode();
        assert!(
            !decoded.pieces.is_empty(),
            "every message comes to something"
        );
        for piece in &decoded.pieces {
            if let Decoded::Event(event) = &piece.decoded {
                assert!(!event.event_uid.is_empty());
            }
        }
        // What was decoded must not break the engine either.
        let mut engine = Engine::new(estate::params());
        let context = context(1, &[Arc::from("fuzz")], true);
        let evidence = engine.apply(std::slice::from_ref(&decoded), &context);
        assert_eq!(
            evidence.counts.total().elements,
            decoded.pieces.len() as u64
        );
    });
}

#[test]
fn state_survives_any_bytes() {
    let records = records(estate::estate(77, 6, 6, 60), 1);
    let mut engine = Engine::new(params());
    apply(&mut engine, &records, &context(1, &lanes(&records), false));
    let snapshot = engine.state(true).to_bytes();
    fuzz("state", vec![snapshot.clone()], |input| {
        let Ok(mut engine) = Engine::restore(params(), &Loaded(vec![input.to_vec()])) else {
            return;
        };
        // Whatever could be read can be written, and comes back the same.
        let written = engine.state(true).to_bytes();
        let mut again = Engine::restore(params(), &Loaded(vec![written.clone()])).unwrap();
        assert!(
            again.state(true).to_bytes() == written,
            "state that does not come back"
        );
    });
}

#[cfg(feature = "shell")]
mod shell {
    use super::{files, fuzz};
    use keytrail::config;
    use keytrail::lake::{Manifest, Proof, Record, read_anchors};
    use std::fs;
    use std::path::Path;

    #[test]
    fn manifests_survive_any_bytes() {
        fuzz("manifest", Vec::new(), |input| {
            let Ok(manifest) = serde_json::from_slice::<Manifest>(input) else {
                return;
            };
            drop(manifest.conserved());
            let bytes = manifest.bytes();
            let again: Manifest = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(again, manifest);
            assert_eq!(again.bytes(), bytes, "one manifest has one form");
        });
    }

    #[test]
    fn records_of_upkeep_survive_any_bytes() {
        fuzz("upkeep", Vec::new(), |input| {
            if let Ok(record) = Record::parse(input) {
                let text = record.text();
                // A signature may follow, which is for whoever knows the keys.
                let whole = record.key.is_some() || text.as_bytes() == input;
                assert!(
                    whole && input.starts_with(text.as_bytes()),
                    "only what would be written is read"
                );
            }
            // Past the hash that guards it, too.
            let line = input
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            if let Ok(record) = serde_json::from_slice::<Record>(line) {
                match Record::parse(record.text().as_bytes()) {
                    Ok(again) => assert_eq!(again, record),
                    Err(reason) => {
                        assert!(reason.contains("form") || record.key.is_some(), "{reason}")
                    }
                }
            }
        });
    }

    /// A proof holds a checkpoint, which is a signed note: one that somebody else's bytes come to, or none.
    #[test]
    fn signed_notes_survive_any_bytes() {
        let proof = fs::read("tests/fuzz/corpus/note/row.tlog-proof").unwrap();
        // The key that signed it; its secret half is gone.
        let key = "keytrail/main+72c29af3+AXlVRcYOey4ufQC8PBY9jQOAm0KrDoM1aFj2TmKQ3fT8";
        let proof = Proof::parse(&proof).unwrap();
        let truth = proof.verify(key).unwrap();
        // A well-formed key whose secret half nobody knows.
        let other = "keytrail/main+14377f4b+AVhmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm";
        let refused = proof.verify(other).unwrap_err();
        assert!(refused.contains("has not signed it"), "{refused}");
        fuzz("note", Vec::new(), |input| {
            if let Ok(read) = Proof::parse(input) {
                assert!(read.to_bytes() == input, "one proof has one form");
                if let Ok(proven) = read.verify(key) {
                    assert_eq!(proven, truth, "only what was signed can be proven");
                }
                assert!(
                    read.verify(other).is_err(),
                    "nobody has signed with that key"
                );
            }
            if let Ok(notes) = read_anchors(input) {
                let bytes: usize = notes.iter().map(Vec::len).sum();
                assert!(bytes <= input.len(), "nothing is read that is not there");
            }
        });
    }

    #[test]
    fn configurations_survive_any_bytes() {
        let seeds = vec![fs::read("deploy/keytrail.toml").unwrap()];
        assert!(!files(Path::new("tests/fuzz/corpus/config")).is_empty());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keytrail.toml");
        fuzz("config", seeds, |input| {
            fs::write(&path, input).unwrap();
            match config::load(Some(&path), std::iter::empty()) {
                Err(error) => assert!(!error.to_string().is_empty()),
                // What is printed must be what was read.
                Ok(config) => {
                    let printed = toml::to_string(&config).unwrap();
                    fs::write(&path, &printed).unwrap();
                    let again = config::load(Some(&path), std::iter::empty()).unwrap();
                    assert_eq!(toml::to_string(&again).unwrap(), printed);
                    // Secrets may name files that are not there; that is an error and no more.
                    drop(config.decoding());
                    drop(config.kafka_properties());
                    let _params = config.engine(config.identity.lateness);
                }
            }
        });
    }
}
