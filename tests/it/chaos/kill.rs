//! The program is killed: at every named place, while it recovers, and at any moment under load (A1, A2, A3, A5, B13, D5).

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use keytrail::failpoint::POINTS;

use super::super::estate;
use super::broker::Broker;
use super::reader::Reader;
use super::*;

/// How often a place is surely reached: in the first two epochs, or by upkeep of a lake that had none.
fn times(point: &str) -> u64 {
    match point {
        "recovery.table-opened" => 14,
        "parquet.written" | "table.before-commit" | "table.committed" => 20,
        "upkeep.checkpointed" => 12,
        _ if point.starts_with("upkeep.") => 10,
        _ if point.starts_with("recovery.") || point == "state.snapshot" => 1,
        _ => 2,
    }
}

/// A1: at each place, another time with each seed; then a run without faults must end as if nothing had been. In the
/// suite four deaths follow each other in one lake, with more seeds each place has a lake of its own.
#[test]
fn a1_killed_at_every_named_place() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let seeds = number("KEYTRAIL_TEST_SEEDS", 1);
    let together = if seeds > 1 { 1 } else { 4 };
    let mut deaths = 0;
    let first = number("KEYTRAIL_TEST_SEED_FIRST", 1);
    for seed in first..first + seeds {
        let (source, truth) = files(dir.path(), seed, 2_500);
        let golden = golden(&source, dir.path(), &truth);
        let lake = dir.path().join("lake");
        let faults: Vec<String> = (0..)
            .zip(POINTS)
            .map(|(place, point)| {
                let time = 1 + (seed * 7 + place * 3) % times(point);
                format!("{point}@{time}=exit")
            })
            .collect();
        for faults in faults.chunks(together) {
            for fault in faults {
                if fault.starts_with("upkeep.") {
                    finish(&source, &lake);
                    died(run(keep_up(&lake), fault), fault);
                } else {
                    die(&source, &lake, fault);
                }
                deaths += 1;
            }
            finish(&source, &lake);
            check(&lake, &truth, &golden, &format!("seed {seed}, {faults:?}"));
            fs::remove_dir_all(&lake).unwrap();
        }
    }
    println!("A1: {deaths} deaths over files in {:?}", begun.elapsed());
}

/// Does everything that can be done for the files of a lake that is not being written to.
fn keep_up(lake: &Path) -> Command {
    let mut command = program();
    command
        .args(["upkeep", "--once", "--data"])
        .arg(lake)
        .env("KEYTRAIL_UPKEEP__SEAL_AFTER", "0s")
        .env("KEYTRAIL_UPKEEP__CHECKPOINT_COMMITS", "1");
    command
}

/// A1 over a broker: offsets, epochs that are cut by time, several partitions.
#[test]
fn a1_killed_at_named_places_over_a_broker() {
    let broker = Broker::embedded("a1");
    // One after the other in one lake: each finds what the one before has left.
    let points = [
        "ledger.after-put@2",
        "epoch.read@2",
        "table.committed@16",
        "state.written@2",
    ];
    killed_over(broker, &points.map(str::to_owned), 1);
}

/// A1 over Apache Kafka, at every place.
#[test]
fn a1_killed_at_every_named_place_over_kafka() {
    let Some(broker) = Broker::kafka("a1") else {
        return;
    };
    let seeds = number("KEYTRAIL_TEST_SEEDS", 1);
    // Upkeep does not ask where records come from.
    let points: Vec<String> = POINTS
        .iter()
        .filter(|point| !point.starts_with("upkeep."))
        .map(|point| format!("{point}@{}", times(point).min(2)))
        .collect();
    killed_over(broker, &points, seeds);
}

/// Dies at each of `points` in turn, in one lake for each of `seeds`.
fn killed_over(mut broker: Broker, points: &[String], seeds: u64) {
    let dir = tempfile::tempdir().unwrap();
    let truth = broker.fill(estate::estate(41, 12, 22, 4_000), |_| ());
    let source = broker.source.clone();
    let golden = golden(&source, dir.path(), &truth);
    let mut deaths = 0;
    for seed in 0..seeds {
        let lake = dir.path().join(format!("lake-{seed}"));
        let begin = (seed as usize * 5) % points.len();
        let turned = points[begin..].iter().chain(&points[..begin]);
        for point in turned {
            let before = last_epoch(&lake);
            let output = run(source.run(&lake), &format!("{point}=exit"));
            match output.status.signal() {
                Some(ABORTED) => deaths += 1,
                // Everything had been read before the place was reached so many times.
                None if output.status.success() && before > 0 => (),
                _ => panic!("{point}: {:?} {}", output.status, said(&output)),
            }
        }
        finish(&source, &lake);
        check(&lake, &truth, &golden, &format!("{points:?} from {begin}"));
    }
    assert!(deaths >= seeds * 3, "{deaths} deaths");
    println!("A1: {deaths} deaths over a broker");
}

/// A5: told to end while it reads, it commits the open epoch and leaves; the next start reads on from there.
#[test]
fn a5_told_to_end_under_load_it_commits_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Broker::embedded("a5");
    let truth = broker.fill(estate::estate(42, 12, 22, 4_000), |_| ());
    let source = broker.source.clone();
    let golden = golden(&source, dir.path(), &truth);
    let lake = dir.path().join("lake");
    for _ in 0..2 {
        let before = last_epoch(&lake);
        let mut child = start(source.service(&lake), "epoch.read=sleep:100");
        until("it commits", || last_epoch(&lake) > before);
        let told = Instant::now();
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        let status = child.wait().unwrap();
        let took = told.elapsed();
        println!(
            "A5: left {took:?} after SIGTERM, at epoch {}",
            last_epoch(&lake)
        );
        assert!(status.success() && took < Duration::from_secs(15));
        // Offsets join without a gap and nothing is left half done.
        assert_eq!(wait(verify(&lake)).unwrap().problems, []);
    }
    finish(&source, &lake);
    check(&lake, &truth, &golden, "SIGTERM");
}

/// A3: ten deaths in a row, each while it recovers from the one before.
#[test]
fn a3_killed_while_it_recovers_ten_times_in_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Shared::get();
    let lake = dir.path().join("lake");
    // The third epoch is decided, and no table knows of it.
    die(&logs.source, &lake, "ledger.after-put@3=exit");
    for recovery in 0..10 {
        // Each recovery gets one table further before it dies, or dies before or after all of them.
        let fault = match recovery {
            0 => "recovery.chain-read=exit",
            8 => "recovery.tables-moved=exit",
            9 => "recovery.state-read=exit",
            _ => "table.committed=exit",
        };
        die(&logs.source, &lake, fault);
        assert_eq!(last_epoch(&lake), 3, "a recovery commits nothing new");
    }
    finish(&logs.source, &lake);
    logs.check(&lake, "ten recoveries");
}

/// B13, D5: commits of the tables take long, and the writer dies in the middle of them; readers keep the epoch before.
#[test]
fn b13_readers_never_see_two_tables_at_different_epochs() {
    let dir = tempfile::tempdir().unwrap();
    let logs = Shared::get();
    let lake = dir.path().join("lake");
    let reader = Reader::start(&lake);
    let slow = "table.before-commit=sleep:40;epochs.before-row=sleep:400";
    die(
        &logs.source,
        &lake,
        &format!("{slow};table.committed@31=exit"),
    );
    die(
        &logs.source,
        &lake,
        &format!("{slow};epochs.before-row@2=exit"),
    );
    let output = run(logs.source.run(&lake), slow);
    assert!(output.status.success(), "{}", said(&output));
    let last = last_epoch(&lake);
    std::thread::sleep(Duration::from_secs(1));
    let seen = reader.end("slow commits");
    println!("B13: {seen:?}, {last} epochs");
    assert!(seen.looks > 5 && seen.epochs > 2, "{seen:?}");
    logs.check(&lake, "slow commits");
}

/// A2, O5: killed at random moments while records keep coming, a reader looking on; then everything is there once, and
/// what was found is what a run without faults finds.
#[test]
fn a2_killed_at_random_moments_under_load() {
    let Some(mut broker) = Broker::kafka("a2") else {
        return;
    };
    let cycles = number("KEYTRAIL_TEST_CYCLES", 6);
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    let source = broker.source.clone();
    let (done, killed) = channel::<()>();
    let reader = Reader::start(&lake);
    let killer = {
        let (source, lake) = (source.clone(), lake.clone());
        std::thread::spawn(move || kill_again_and_again(&source, &lake, cycles, &done))
    };
    let mut estate = estate::estate(61, 12, 22, 3_000 + cycles * EVENTS_PER_CYCLE);
    estate.records_per_object = 1;
    let truth = broker.fill(estate, paced(&killed));
    let recoveries = killer.join().unwrap();
    let begun = Instant::now();
    finish(&source, &lake);
    let took = begun.elapsed();
    let seen = reader.end("random kills");
    println!(
        "A2: {cycles} kills, {} events, {} epochs; the last run took {took:?}; reader: {} looks, {} epochs",
        truth.uids.len(),
        last_epoch(&lake),
        seen.looks,
        seen.epochs
    );
    tell("start to resumed", recoveries.resumed);
    tell("start to first commit", recoveries.committed);
    let golden = golden(&source, dir.path(), &truth);
    check(&lake, &truth, &golden, "random kills");
}

/// How many more events an estate has for each kill, so that there is always something to read.
const EVENTS_PER_CYCLE: u64 = 400;

/// Lets as many messages through as there were kills, and a trickle beside, so that a service always has something to
/// read; the rest at once when the other end of `killed` is gone.
fn paced(killed: &Receiver<()>) -> impl FnMut(u64) {
    const TRICKLE_PER_SECOND: u64 = 60;
    let (mut before, mut kills) = (0, 0);
    move |sent| {
        let batch = sent - before;
        before = sent;
        kills += killed.try_iter().count() as u64;
        if sent > (kills + 2) * EVENTS_PER_CYCLE {
            let wait = Duration::from_millis(1_000 * batch / TRICKLE_PER_SECOND);
            kills += u64::from(killed.recv_timeout(wait).is_ok());
        }
    }
}

/// How long each start took to come back.
#[derive(Debug, Default)]
struct Recoveries {
    resumed: Vec<Duration>,
    committed: Vec<Duration>,
}

/// Every other service is killed at any moment from its start, the others soon after their first commit.
fn kill_again_and_again(
    source: &Source,
    lake: &Path,
    cycles: u64,
    done: &Sender<()>,
) -> Recoveries {
    let mut random = oorandom::Rand32::new(17);
    let mut recoveries = Recoveries::default();
    for cycle in 0..cycles {
        let begun = Instant::now();
        let again = last_epoch(lake) > 0;
        let mut service = Listened::start(source.service(lake));
        let mut moment = random.rand_range(50..2_000);
        if cycle % 2 == 1 {
            if again {
                let (at, _) = service.heard("\"resumed\"").expect("it comes back");
                recoveries.resumed.push(at.duration_since(begun));
            }
            let (at, _) = service.heard("\"committed\"").expect("it goes on");
            recoveries.committed.push(at.duration_since(begun));
            moment /= 4;
        }
        std::thread::sleep(Duration::from_millis(u64::from(moment)));
        let ended = service.child.try_wait().unwrap();
        assert_eq!(ended, None, "it runs until it is killed");
        service.kill();
        done.send(()).unwrap();
    }
    recoveries
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort();
    println!(
        "    {what}: {} times, p50 {:?}, p99 {:?}, most {:?}",
        times.len(),
        percentile(&times, 0.5),
        percentile(&times, 0.99),
        times.last()
    );
}
