//! Any change of any file under a lake is found by `verify`, which names the file: row F1 of the fault matrix, over data,
//! the tables' logs and their checkpoints, tiles, manifests, checkpoints, seals, keys and state.
//!
//! `KEYTRAIL_TEST_TAMPERS` sets how many random changes are tried: 10,000 for the full matrix. `KEYTRAIL_TEST_SEED` sets
//! the first seed; a failure names its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keytrail::lake::{Demands, Integrity, Place, Secret, Verdict, verify_at};

use super::{estate, replay, settings, wait, write_estate};

/// Calls `each` with every file below `folder`.
pub(super) fn list(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, each);
        } else {
            each(&path);
        }
    }
}

fn check(lake: &Path) -> Verdict {
    let demands = Demands {
        patience: Duration::ZERO,
        ..Demands::default()
    };
    wait(verify_at(&Place::of(lake).unwrap(), &demands)).unwrap()
}

/// A lake that has everything a lake can have: several epochs, full and partial tiles, two keys, one of them in its own
/// folder, and a checkpoint in a table's log.
fn make(lake: &Path, logs: &Path) {
    write_estate(estate::estate(50, 12, 3, 500), logs);
    let mut files = Vec::new();
    list(logs, &mut |path| files.push(path.to_owned()));
    files.sort();
    let mut half = settings(lake, 60_000);
    half.finite = false;
    replay(&half, &files[..files.len() / 2]).unwrap();
    checkpoint(&lake.join("tables/activity"));
    let mut whole = settings(lake, 60_000);
    whole.integrity = Integrity {
        signing_key: Some(Secret::new("ab".repeat(32))),
        ..Integrity::default()
    };
    replay(&whole, &files).unwrap();
}

/// Writes a checkpoint of a table's log, as upkeep does.
fn checkpoint(table: &Path) {
    wait(async {
        let url = url::Url::from_directory_path(table).unwrap();
        let table = deltalake::open_table(url).await.unwrap();
        deltalake::checkpoints::create_checkpoint(&table, None)
            .await
            .unwrap();
    });
}

/// One change: what was done to which file, and how to undo it.
struct Change {
    said: String,
    path: PathBuf,
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Change {
    fn make(files: &[PathBuf], random: &mut oorandom::Rand64) -> Self {
        let mut draw = |below: usize| random.rand_range(0..below as u64) as usize;
        let path = files[draw(files.len())].clone();
        let own_key = path.file_name().is_some_and(|name| name == "signing.key");
        let bytes = fs::read(&path).unwrap();
        let at = draw(bytes.len());
        let mut before = vec![(path.clone(), bytes.clone())];
        let mut after = bytes.clone();
        let said = match draw(10) {
            0 => {
                after.truncate(at);
                format!("truncated to {at}")
            }
            // A lake that is signed with a configured key does not need the one that it made for itself.
            1 if !own_key => {
                fs::remove_file(&path).unwrap();
                return Self {
                    said: "deleted".to_owned(),
                    path,
                    before,
                };
            }
            2 => {
                after.push(b"\n{ 0"[draw(4)]);
                "a byte appended".to_owned()
            }
            3 => {
                let ending = path.extension().map(ToOwned::to_owned);
                let others: Vec<&PathBuf> = files
                    .iter()
                    .filter(|other| other.extension().map(ToOwned::to_owned) == ending)
                    .filter(|other| fs::read(other).unwrap() != bytes)
                    .collect();
                let Some(other) = others.get(draw(others.len().max(1))) else {
                    return Self::make(files, random);
                };
                after = fs::read(other).unwrap();
                fs::write(other, &bytes).unwrap();
                before.push(((*other).clone(), after.clone()));
                format!("swapped with {}", other.display())
            }
            _ => {
                let bit = draw(8);
                after[at] ^= 1 << bit;
                format!("bit {bit} of byte {at} flipped")
            }
        };
        fs::write(&path, after).unwrap();
        Self { said, path, before }
    }

    fn undo(self) {
        for (path, bytes) in self.before {
            fs::write(path, bytes).unwrap();
        }
    }
}

/// What was found, by kind of file: how often, and how often the altered file was the first to be named.
type Found = BTreeMap<String, (u64, u64)>;

fn kind(name: &str) -> String {
    let kinds = [
        ("_delta_log", "table logs"),
        (".parquet", "data"),
        ("ledger/tile/", "tiles"),
        (".checkpoint", "checkpoints"),
        ("seal-", "seals"),
        ("key", "keys"),
        ("ledger/epoch-", "manifests"),
        ("state/", "state"),
    ];
    let kind = kinds.iter().find(|(part, _)| name.contains(part));
    kind.map_or(name, |(_, kind)| kind).to_owned()
}

/// Every file that something needs: state of epochs before the last snapshot may be gone.
fn files(lake: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    list(lake, &mut |path| files.push(path.to_owned()));
    files.sort();
    let last = |folder: &str, part: &str| {
        let folder = lake.join(folder);
        let of =
            |path: &&PathBuf| path.starts_with(&folder) && path.to_string_lossy().contains(part);
        files.iter().rfind(of).cloned()
    };
    let snapshot = last("state", ".snapshot.").unwrap();
    files.retain(|path| !path.starts_with(lake.join("state")) || *path >= snapshot);
    files
}

fn try_many(lake: &Path, first: u64, count: u64) -> Found {
    let files = files(lake);
    let mut found = Found::new();
    for seed in first..first + count {
        let change = Change::make(&files, &mut oorandom::Rand64::new(u128::from(seed)));
        let name = |path: &Path| path.strip_prefix(lake).unwrap().display().to_string();
        let names: Vec<String> = change.before.iter().map(|(path, _)| name(path)).collect();
        let verdict = check(lake);
        let named = |what: &str| names.iter().any(|name| what.contains(name.as_str()));
        let told = verdict.problems.iter().any(|problem| named(&problem.what));
        assert!(
            told,
            "seed {seed}: {} {} is not named among {:#?}",
            name(&change.path),
            change.said,
            &verdict.problems[..verdict.problems.len().min(5)]
        );
        let counts = found.entry(kind(&names[0])).or_default();
        counts.0 += 1;
        counts.1 += u64::from(named(&verdict.problems[0].what));
        change.undo();
    }
    assert_eq!(check(lake).problems, [], "everything was undone");
    found
}

#[test]
fn f1_any_change_of_any_file_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    make(&lake, &dir.path().join("logs"));
    assert_eq!(check(&lake).problems, []);
    let number =
        |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let count = number("KEYTRAIL_TEST_TAMPERS", 120);
    let seed = number("KEYTRAIL_TEST_SEED", 1);
    let found = try_many(&lake, seed, count);
    let mut all = 0;
    for (kind, (found, first)) in &found {
        println!("{kind}: {found} found, the file itself named first in {first}");
        all += found;
    }
    println!("{all} changes, all found and named");
    assert_eq!(all, count);
}

#[test]
fn every_file_is_missed_and_every_first_and_last_byte_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let lake = dir.path().join("lake");
    make(&lake, &dir.path().join("logs"));
    let files = files(&lake);
    // One of each kind: the random test above has the others.
    let mut kinds = BTreeMap::new();
    for path in files {
        let name = path.strip_prefix(&lake).unwrap().display().to_string();
        let full = name.contains("/tile/") && !name.contains(".p/");
        let ending = path
            .extension()
            .map(|ending| ending.to_string_lossy().into_owned());
        kinds
            .entry((kind(&name), full, ending))
            .or_insert((path, name));
    }
    assert!(kinds.len() >= 10, "{kinds:?}");
    for (path, name) in kinds.into_values() {
        let before = fs::read(&path).unwrap();
        let mut damaged = vec![None, Some(Vec::new())];
        for at in [0, before.len() - 1] {
            let mut after = before.clone();
            after[at] ^= 1;
            damaged.push(Some(after));
        }
        for after in damaged {
            match &after {
                None => fs::remove_file(&path).unwrap(),
                Some(after) => fs::write(&path, after).unwrap(),
            }
            let problems = check(&lake).problems;
            let named = problems.iter().any(|problem| problem.what.contains(&name));
            // Without a key of its own the lake goes on with the configured one.
            assert!(
                named || (name == "signing.key" && after.is_none()),
                "{name}: {:?}: {problems:#?}",
                after.map(|after| after.len())
            );
            fs::write(&path, &before).unwrap();
        }
    }
}
