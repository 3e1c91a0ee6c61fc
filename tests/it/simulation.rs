//! Whole runs by seed: source → engine → lake over a store that refuses, loses answers, lists late and is slow, and a
//! machine that stops at any operation, until everything is read. Each seed decides which kinds of fault there are, how
//! often, and where epochs are cut; it is all that there is of chance.
//!
//! However it went, in the end `verify` finds nothing, every row is there once, and the findings are those of a run
//! without faults; on the way no epoch that was told of as committed is gone, and no fault of the store is taken for
//! damage of the lake.
//!
//! * `KEYTRAIL_TEST_SEEDS=100000` runs so many seeds instead of the default.
//! * `KEYTRAIL_TEST_SEED=17` runs this one alone and tells every fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use oorandom::Rand64;

use super::drive::{Input, Rows, complaints, empty, manifests, place, run, without_faults};
use super::faulty::{Fault, Faulty, Op};

/// The libraries below are not optimised in a test build: a seed takes a third of a second on two cores.
const SEEDS: u64 = 64;

/// After so many starts the faults end, so that a run does.
const STARTS_MAX: u32 = 8;

/// Inputs that seeds choose from: a run without faults of each is what the others are held to.
const INPUTS: u64 = 4;

/// Epochs of a run without faults, about.
const EPOCHS: u64 = 2;

/// What every seed shares.
struct World {
    empty: InMemory,
    inputs: Vec<(Arc<Input>, Rows)>,
}

impl World {
    async fn new() -> Self {
        let empty = empty().await;
        let mut inputs = Vec::new();
        for seed in 0..INPUTS {
            let input = Input::new(50 + seed, 6, 2, 40);
            let size = input.records.len() / 2 + 1;
            let rows = without_faults(&empty, &input, size).await;
            assert!(!rows["activity"].is_empty());
            inputs.push((Arc::new(input), rows));
        }
        Self { empty, inputs }
    }
}

/// Which faults a seed has, and how many operations in a thousand meet each.
#[derive(Clone, Debug)]
struct Swarm {
    seed: u64,
    often: Vec<(Fault, u64)>,
    /// At the put of this epoch's manifest another writer runs to the end first.
    rival: Option<u64>,
}

impl Swarm {
    fn of(seed: u64) -> Self {
        let mut random = Rand64::new(u128::from(seed));
        let mut often = Vec::new();
        for fault in [
            Fault::Refused,
            Fault::Lost,
            Fault::MetItself,
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::Slow,
            Fault::ListedLate,
        ] {
            if random.rand_range(0..2) == 0 {
                often.push((fault, random.rand_range(1..12)));
            }
        }
        let rival = (random.rand_range(0..8) == 0).then(|| random.rand_range(1..EPOCHS + 1));
        Self { seed, often, rival }
    }

    /// What happens to an operation. It depends on its own name alone, not on what ran before it, so that a seed's
    /// faults stay the same however the operations of several tables are interleaved.
    fn fault(&self, start: u32, op: Op, path: &str, count: u32) -> Fault {
        let name = format!("{} {start} {op:?} {} {count}", self.seed, lasting(path));
        let mut roll = mixed(name.as_bytes()) % 1000;
        for (fault, often) in &self.often {
            let reading = matches!(op, Op::Get | Op::List);
            let fits = match fault {
                Fault::MetItself => op == Op::Create,
                Fault::Lost | Fault::ListedLate => !reading,
                _ => true,
            };
            if fits {
                if roll < *often {
                    return *fault;
                }
                roll -= often;
            }
        }
        Fault::None
    }
}

/// A path without the names that writers give themselves, which differ from run to run.
fn lasting(path: &str) -> String {
    let writer = |part: &str| {
        part.len() == 12
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !part.starts_with("00000")
    };
    path.split(['-', '.', '/'])
        .filter(|part| !writer(part))
        .collect::<Vec<_>>()
        .join("/")
}

/// A number that looks like chance and depends on nothing but `bytes`.
fn mixed(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// What a seed came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Story {
    starts: u32,
    /// Every fault, start by start.
    faults: Vec<String>,
}

/// Runs one seed. An error says what is wrong.
async fn simulate(seed: u64, world: &World) -> Result<Story, String> {
    let (input, expected) = &world.inputs[(seed % INPUTS) as usize];
    let swarm = Swarm::of(seed);
    let inner = Arc::new(world.empty.fork());
    let mut story = Story::default();
    let mut told = 0;
    for start in 0..=STARTS_MAX {
        let plan = swarm.clone();
        let store = Faulty::new(&inner, move |op, path, count| {
            if start == STARTS_MAX {
                return Fault::None;
            }
            plan.fault(start, op, path, count)
        });
        if let (Some(epoch), 0) = (swarm.rival, start) {
            let (other, input) = (Arc::clone(&inner), Arc::clone(input));
            let work = move || {
                let size = input.records.len();
                let other: Arc<dyn ObjectStore> = other;
                let place = place(other);
                one_thread()
                    .block_on(run(&place, &input, || size, |_| ()))
                    .unwrap();
            };
            store.meanwhile(&format!("ledger/epoch-{epoch:012}.json"), work);
        }
        let mut random = Rand64::new(u128::from(seed) << 8 | u128::from(start));
        let most = 2 * input.records.len() as u64 / EPOCHS;
        let size = || random.rand_range(most / 3..most) as usize;
        let ended = run(&place(store.clone()), input, size, |epoch| told = epoch).await;
        story.starts += 1;
        story
            .faults
            .extend(store.happened().iter().map(|fault| lasting(fault)));
        let last = manifests(inner.as_ref())
            .await
            .last()
            .map_or(0, |m| m.epoch);
        if last < told {
            return Err(format!(
                "epoch {told} was told of as committed, and the ledger ends at {last}"
            ));
        }
        match ended {
            Ok(()) => break,
            Err(error) if error.integrity() || start == STARTS_MAX => {
                return Err(format!("start {start}: {error}"));
            }
            Err(_) => (),
        }
    }
    match complaints(&inner, expected).await.as_slice() {
        [] => Ok(story),
        wrong => Err(wrong.join("\n")),
    }
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn every_seed_ends_with_every_row_once() {
    let world = one_thread().block_on(World::new());
    if let Ok(seed) = std::env::var("KEYTRAIL_TEST_SEED") {
        let story = one_thread().block_on(simulate(seed.parse().unwrap(), &world));
        println!("{story:#?}");
        story.unwrap();
        return;
    }
    let seeds = std::env::var("KEYTRAIL_TEST_SEEDS").map_or(SEEDS, |text| text.parse().unwrap());
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let work = || {
        let runtime = one_thread();
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return seen;
            }
            let story = runtime
                .block_on(simulate(seed, &world))
                .unwrap_or_else(|wrong| panic!("KEYTRAIL_TEST_SEED={seed} shows it: {wrong}"));
            *seen.entry("starts".to_owned()).or_default() += u64::from(story.starts);
            for fault in story.faults {
                let kind = fault.split([' ', '/']).next().unwrap();
                *seen.entry(kind.to_owned()).or_default() += 1;
            }
        }
    };
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        for thread in [scope.spawn(work), scope.spawn(work)] {
            let part = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (kind, count) in part {
                *seen.entry(kind).or_default() += count;
            }
        }
    });
    let mut text = format!("{seeds} seeds in {:.1} s:", begun.elapsed().as_secs_f64());
    for (kind, count) in &seen {
        write!(text, " {count} {kind}").unwrap();
    }
    println!("{text}");
    assert!(
        seeds < 64 || seen.len() == 8,
        "a kind of fault never happened: {text}"
    );
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let runtime = one_thread();
    runtime.block_on(async {
        let world = World::new().await;
        for seed in 0..8 {
            let first = simulate(seed, &world).await.unwrap();
            assert_eq!(first, simulate(seed, &world).await.unwrap(), "seed {seed}");
        }
    });
}
