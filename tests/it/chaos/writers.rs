//! Two writers at one lake, and a writer that stands by (D1, D2, D4; D3 is in `src/lake/lease.rs`).

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::super::estate;
use super::broker::Broker;
use super::*;

/// Starts `command`, waits until it pauses at `place`, has `meanwhile` happen, lets it go on, and gives how it ended.
fn paused(command: Command, place: &str, folder: &Path, meanwhile: impl FnOnce()) -> Output {
    let file = folder.join(place.replace('@', "-"));
    let mut command = command;
    command.env(
        "KEYTRAIL_FAILPOINTS",
        format!("{place}=pause:{}", file.display()),
    );
    let reached = PathBuf::from(format!("{}.reached", file.display()));
    let gate = Gate(file);
    let child = command.spawn().unwrap();
    until(place, || reached.exists());
    meanwhile();
    drop(gate);
    child.wait_with_output().unwrap()
}

/// The file that a paused process waits for: there at the end, also of a test that has failed.
struct Gate(PathBuf);

impl Drop for Gate {
    fn drop(&mut self) {
        fs::write(&self.0, "").unwrap();
    }
}

/// D1: of two writers the second to put an epoch loses, says so, and ends with nothing in memory and nothing in the lake.
#[test]
fn d1_a_second_writer_loses_at_the_put() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Shared::get();
    // Both in the thread that commits: one that pauses elsewhere lets the epoch before be committed meanwhile.
    for place in ["ledger.before-put@3", "state.written@2"] {
        let lake = dir.path().join(place);
        let output = paused(logs.source.run(&lake), place, dir.path(), || {
            finish(&logs.source, &lake);
        });
        assert_eq!(output.status.code(), Some(4), "{place}: {}", said(&output));
        let words = said(&output);
        assert!(words.contains("another writer committed epoch"), "{words}");
        logs.check(&lake, place);
    }
}

/// D2: a writer sleeps between the put and the tables, another takes over and goes on, the first wakes: what it still
/// does to the tables has been done, and it commits nothing more.
#[test]
fn d2_a_writer_that_slept_finds_its_work_done() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Shared::get();
    for place in [
        "ledger.after-put@2",
        "table.committed@5",
        "epochs.before-row@2",
    ] {
        let lake = dir.path().join(place);
        let output = paused(logs.source.run(&lake), place, dir.path(), || {
            finish(&logs.source, &lake);
        });
        let words = said(&output);
        assert_eq!(output.status.code(), Some(4), "{place}: {words}");
        assert!(
            words.contains("another writer committed epoch"),
            "{place}: {words}"
        );
        logs.check(&lake, place);
    }
}

/// The service with a lease of a second, slow enough that there is always something left to read.
fn slow_service(source: &Source, lake: &Path, standby: bool) -> Listened {
    let mut command = source.service(lake);
    command
        .env("KEYTRAIL_LAKE__LEASE", "1s")
        .env("KEYTRAIL_LAKE__EPOCH_BYTES", "150000")
        .env("KEYTRAIL_FAILPOINTS", "epoch.read=sleep:500");
    if standby {
        command.arg("--standby");
    }
    Listened::start(command)
}

/// D4: a standby takes over from a writer that was killed, and from one that only sleeps, which is then refused.
#[test]
fn d4_a_standby_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::embedded("d4");
    let takeovers = number("KEYTRAIL_TEST_TAKEOVERS", 2);
    let truth = broker.fill(estate::estate(73, 12, 22, 2_500 * takeovers), |_| ());
    let source = broker.source.clone();
    let golden = golden(&source, dir.path(), &truth);
    let lake = dir.path().join("lake");
    let mut active = slow_service(&source, &lake, false);
    active.heard("\"committed\"").expect("it commits");
    let mut times = Vec::new();
    for takeover in 0..takeovers {
        let standby = slow_service(&source, &lake, true);
        standby.heard("standing by").expect("it waits");
        active
            .heard("\"committed\"")
            .expect("the active one goes on");
        let gone = Instant::now();
        if takeover % 2 == 0 {
            active.kill();
        } else {
            active.signal("-STOP");
            // What the kernel is doing for it ends before it stops.
            std::thread::sleep(Duration::from_millis(50));
        }
        let last = last_epoch(&lake);
        let (_, line) = standby.heard("taking over").expect("the lease runs out");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            line["fields"]["epoch"], last,
            "it knows all that the ledger says"
        );
        let (first, _) = standby.heard("\"committed\"").expect("it commits");
        times.push(first.duration_since(gone));
        if takeover % 2 == 1 {
            active.signal("-CONT");
            active
                .heard("another writer")
                .expect("it says why it stops");
            assert_eq!(active.child.wait().unwrap().code(), Some(4));
        }
        active = standby;
    }
    // Two wait: one takes over, the other goes on waiting.
    let waiting = [0, 1].map(|_| slow_service(&source, &lake, true));
    for standby in &waiting {
        standby.heard("standing by").expect("it waits");
    }
    active.kill();
    std::thread::sleep(Duration::from_secs(4));
    let mut writers = 0;
    for mut standby in waiting {
        let took = standby.heard_already("taking over");
        match standby.child.try_wait().unwrap() {
            // Both thought so in the same moment, and this one lost the put.
            Some(status) => assert!(took && status.code() == Some(4), "{status:?}"),
            None => writers += u64::from(took),
        }
        standby.kill();
    }
    assert_eq!(writers, 1, "one of two writes, the other waits");
    finish(&source, &lake);
    check(&lake, &truth, &golden, "takeovers");
    times.sort();
    println!(
        "D4: {} takeovers with a lease of 1 s, death to first commit: p50 {:?}, most {:?}",
        times.len(),
        percentile(&times, 0.5),
        times.last().unwrap()
    );
}
