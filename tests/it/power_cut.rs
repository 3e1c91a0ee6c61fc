//! Row A4 of the fault matrix: what a power cut leaves of a lake on local files.
//!
//! A child process runs the real lake on real files, with `tests/support/disk.c` between it and the kernel, which writes
//! down what it asks of the file system and when it forces it to the disk. From that protocol this works out what may be
//! there after a cut at every line: what was synced is there; of what was not, any part may be there, torn or not at all,
//! files and names alike. From each of these the real lake recovers, in memory. No epoch that was told of as committed may
//! be lost, and `verify` must find nothing.
//!
//! The same run over the plain local store of `object_store` must fail, or this test proves nothing.
//!
//! `KEYTRAIL_TEST_POWER_CUTS` sets how many cuts are looked at with each kind of remains; 0 looks at all of them. The
//! default is a sample that fits a test run. Without a C compiler the test says that it is skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keytrail::lake::{Lake, Place};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use oorandom::Rand64;
use url::Url;

use super::drive::{
    Input, Rows, complaints, empty, integrity, place, problems, run, without_faults,
};
use super::wait;

const SIZE: usize = 50;
const CUTS: usize = 16;
const FOLDER: &str = "KEYTRAIL_TEST_POWER_CUT_FOLDER";
const STORE: &str = "KEYTRAIL_TEST_POWER_CUT_STORE";

fn input() -> Input {
    Input::new(41, 8, 3, 120)
}

/// What survives of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remains {
    /// Nothing.
    Nothing,
    /// Every name, but of the files only what was synced: a rename that reached the disk before the data.
    Names,
    /// Every name, and of each file a part.
    Torn,
    /// Of names and of files, whatever this number says.
    Some(u64),
}

/// The child's part: does nothing unless it is asked to.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let lake = folder.join("lake");
    let place = if std::env::var(STORE).unwrap() == "plain" {
        let url = Url::from_directory_path(&lake).unwrap();
        Place::new(Arc::new(LocalFileSystem::new()), url).unwrap()
    } else {
        Place::of(&lake).unwrap()
    };
    let mut acknowledged = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("acknowledged"))
        .unwrap();
    wait(run(
        &place,
        &input(),
        || SIZE,
        |epoch| {
            // In one call: the protocol has a line for each.
            let line = format!("{epoch:06}\n");
            acknowledged.write_all(line.as_bytes()).unwrap();
        },
    ))
    .unwrap();
}

/// The shim, or nothing where it cannot be made.
fn shim(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/disk.c");
    let library = folder.join("disk.so");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    made.is_ok_and(|status| status.success()).then_some(library)
}

/// Runs the child and gives whether it came to its end.
fn child_under(shim: &Path, folder: &Path, store: &str, settings: &[(&str, &str)]) -> bool {
    Command::new(std::env::current_exe().unwrap())
        .args(["power_cut::child", "--exact"])
        .env(FOLDER, folder.join("disk"))
        .env(STORE, store)
        .env("LD_PRELOAD", shim)
        .env("DISK_ROOT", folder.join("disk"))
        .env("DISK_LOG", folder.join("protocol"))
        .envs(settings.iter().copied())
        .output()
        .unwrap()
        .status
        .success()
}

/// One line of the protocol.
enum Call {
    Create(u64, String),
    Write(u64, usize, Vec<u8>),
    Sync(u64),
    SyncFolder(String),
    Link(u64, String),
    Rename(u64, String, String),
    Unlink(String),
    CreateFolder(String),
}

/// The protocol, with paths below `root`.
fn protocol(folder: &Path) -> Vec<Call> {
    let bytes = std::fs::read(folder.join("protocol")).unwrap();
    let root = folder.join("disk").to_str().unwrap().to_owned();
    let below = |path: &str| {
        path.strip_prefix(&root)
            .unwrap()
            .trim_matches('/')
            .to_owned()
    };
    let mut rest = bytes.as_slice();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        rest = &rest[end + 1..];
        let (word, arguments) = line.split_once(' ').unwrap();
        let (first, second) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let inode = || first.parse::<u64>().unwrap();
        calls.push(match word {
            "create" => Call::Create(inode(), below(second)),
            "write" => {
                let (at, length) = second.split_once(' ').unwrap();
                let (written, left) = rest.split_at(length.parse().unwrap());
                rest = left;
                Call::Write(inode(), at.parse().unwrap(), written.to_vec())
            }
            "fsync" => Call::Sync(inode()),
            "dirsync" => Call::SyncFolder(below(arguments)),
            "link" => Call::Link(inode(), below(second)),
            "rename" => {
                let (from, to) = second.split_once('>').unwrap();
                Call::Rename(inode(), below(from), below(to))
            }
            "unlink" => Call::Unlink(below(arguments)),
            "mkdir" => Call::CreateFolder(below(arguments)),
            other => panic!("{other}"),
        });
    }
    calls
}

/// A file's content in memory and on the disk.
#[derive(Clone, Default)]
struct File {
    cached: Vec<u8>,
    synced: Vec<u8>,
}

/// What stands behind a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

/// A change of a folder that is not on the disk yet: a name that is there, a name that is gone, or both at once.
struct Change {
    set: Option<(String, Node)>,
    removed: Option<String>,
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, node)) = &self.set {
            names.insert(name.clone(), *node);
        }
    }
}

/// The page cache and the disk below it.
#[derive(Default)]
struct Disk {
    files: Vec<File>,
    /// The file that an inode number means now: numbers are used again.
    by_inode: BTreeMap<u64, usize>,
    names: BTreeMap<String, Node>,
    pending: BTreeMap<String, Vec<Change>>,
    acknowledged: i64,
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk {
    fn change(&mut self, folder: &str, set: Option<(String, Node)>, removed: Option<String>) {
        let changes = self.pending.entry(folder.to_owned()).or_default();
        changes.push(Change { set, removed });
    }

    fn happens(&mut self, call: &Call) {
        match call {
            Call::Create(inode, path) => {
                self.by_inode.insert(*inode, self.files.len());
                let node = Node::File(self.files.len());
                self.files.push(File::default());
                self.change(folder_of(path), Some((path.clone(), node)), None);
                if path == "acknowledged" {
                    self.by_inode.insert(*inode, usize::MAX);
                }
            }
            Call::Write(inode, at, bytes) => match self.by_inode.get(inode) {
                // Whoever reads it was told so.
                Some(&usize::MAX) | None => {
                    let text = std::str::from_utf8(bytes).unwrap();
                    self.acknowledged = text.trim().parse().unwrap();
                }
                Some(&file) => {
                    let cached = &mut self.files[file].cached;
                    cached.resize(cached.len().max(at + bytes.len()), 0);
                    cached[*at..at + bytes.len()].copy_from_slice(bytes);
                }
            },
            Call::Sync(inode) => {
                let file = &mut self.files[self.by_inode[inode]];
                file.synced.clone_from(&file.cached);
            }
            Call::SyncFolder(path) => {
                for change in self.pending.remove(path).unwrap_or_default() {
                    change.apply(&mut self.names);
                }
            }
            Call::Link(inode, path) => {
                let node = Node::File(self.by_inode[inode]);
                self.change(folder_of(path), Some((path.clone(), node)), None);
            }
            Call::Rename(inode, from, to) => {
                let node = Node::File(self.by_inode[inode]);
                let set = Some((to.clone(), node));
                self.change(folder_of(to), set, Some(from.clone()));
            }
            Call::Unlink(path) => self.change(folder_of(path), None, Some(path.clone())),
            Call::CreateFolder(path) => {
                self.change(folder_of(path), Some((path.clone(), Node::Folder)), None);
            }
        }
    }

    /// What is on the disk after a cut now.
    fn after_cut(&self, remains: Remains) -> BTreeMap<String, Vec<u8>> {
        let mut random = match remains {
            Remains::Some(seed) => Some(Rand64::new(u128::from(seed))),
            _ => None,
        };
        let mut names = self.names.clone();
        for change in self.pending.values().flatten() {
            let kept = match (remains, &mut random) {
                (Remains::Nothing, _) => false,
                (_, Some(random)) => random.rand_range(0..2) == 0,
                _ => true,
            };
            if kept {
                change.apply(&mut names);
            }
        }
        let folders: BTreeSet<&str> = names
            .iter()
            .filter(|(_, node)| **node == Node::Folder)
            .map(|(path, _)| path.as_str())
            .collect();
        let reachable = |path: &str| {
            let mut folder = folder_of(path);
            while !folder.is_empty() && folders.contains(folder) {
                folder = folder_of(folder);
            }
            folder.is_empty()
        };
        let mut files = BTreeMap::new();
        for (path, node) in &names {
            let Node::File(file) = node else { continue };
            // Object stores do not list what is being written beside its place.
            if reachable(path) && path.starts_with("lake/") && !path.contains('#') {
                files.insert(
                    path.clone(),
                    self.files[*file].content(remains, &mut random),
                );
            }
        }
        files
    }
}

impl File {
    fn content(&self, remains: Remains, random: &mut Option<Rand64>) -> Vec<u8> {
        if self.cached == self.synced {
            return self.synced.clone();
        }
        let mut torn = self.cached.clone();
        match (remains, random) {
            (Remains::Nothing | Remains::Names, _) => return self.synced.clone(),
            (_, Some(random)) => match random.rand_range(0..4) {
                0 => return self.synced.clone(),
                1 => (),
                // The length is there and the blocks are not.
                2 => torn.fill(0),
                _ => torn.truncate(random.rand_range(0..self.cached.len() as u64) as usize),
            },
            _ => torn.truncate(self.cached.len() / 2),
        }
        torn
    }
}

/// Recovers from what a cut leaves. Gives what is wrong with the result.
async fn recover(
    files: BTreeMap<String, Vec<u8>>,
    acknowledged: i64,
    whole: Option<&Rows>,
) -> Result<(), String> {
    let store = Arc::new(InMemory::new());
    for (path, content) in files {
        let path = ObjectPath::from(path);
        store.put(&path, content.into()).await.unwrap();
    }
    let place = place(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let integrity = integrity();
    let opened = Lake::open_at(&place, "main", 2, &integrity);
    let (lake, recovered) = Box::pin(opened)
        .await
        .map_err(|error| first_line("it does not open", &error))?;
    drop(lake);
    if recovered.epoch < acknowledged {
        let epoch = recovered.epoch;
        return Err(format!(
            "epoch {acknowledged} was told of as committed, and the lake ends at {epoch}"
        ));
    }
    let wrong = match whole {
        // Before the first epoch there is nothing to verify.
        None if recovered.epoch == 0 => Vec::new(),
        None => problems(&store).await,
        Some(rows) => {
            let ended = run(&place, &input(), || SIZE, |_| ()).await;
            ended.map_err(|error| first_line("it does not go on", &error))?;
            complaints(&store, rows).await
        }
    };
    match wrong.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} problems, the first: {first}", wrong.len())),
    }
}

/// The libraries' errors go on with how the error came about.
fn first_line(what: &str, error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    format!("{what}: {}", text.lines().next().unwrap_or_default())
}

/// Looks at cuts of `calls` after the first `skipped`. Gives how many states were looked at, and those that do not
/// recover: after which call, with what remains, and why.
async fn cuts(
    calls: &[Call],
    skipped: usize,
    limit: usize,
    enough: impl Fn(&[(usize, Remains, String)]) -> bool,
) -> (usize, Vec<(usize, Remains, String)>) {
    let all = without_faults(&empty().await, &input(), SIZE).await;
    let mut disk = Disk::default();
    let mut looked_at = 0;
    let mut lost = Vec::new();
    let count = calls.len() - skipped;
    let limit = if limit == 0 { count } else { limit.min(count) };
    for (number, call) in calls.iter().enumerate() {
        disk.happens(call);
        let place = (number + 1).saturating_sub(skipped);
        // Spread over the whole run: every so many calls one is looked at.
        if place == 0 || place * limit / count == (place - 1) * limit / count {
            continue;
        }
        for remains in [
            Remains::Nothing,
            Remains::Names,
            Remains::Torn,
            Remains::Some(number as u64),
        ] {
            let files = disk.after_cut(remains);
            // Going on to the end takes longer than recovering, so not every state does.
            let whole = looked_at % 8 == 0;
            looked_at += 1;
            let recovered = recover(files, disk.acknowledged, whole.then_some(&all)).await;
            if let Err(reason) = recovered {
                lost.push((number, remains, reason));
                if enough(&lost) {
                    return (looked_at, lost);
                }
            }
        }
    }
    (looked_at, lost)
}

fn limit() -> usize {
    std::env::var("KEYTRAIL_TEST_POWER_CUTS").map_or(CUTS, |text| text.parse().unwrap())
}

#[test]
fn a4_no_power_cut_loses_or_tears_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = shim(dir.path()) else {
        eprintln!("SKIPPED: no C compiler, so power cuts are not tried");
        return;
    };
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    assert!(child_under(&shim, dir.path(), "synced", &[]));
    let calls = protocol(dir.path());
    assert!(calls.len() > 300, "{} calls", calls.len());
    let (looked_at, lost) = wait(cuts(&calls, 0, limit(), |lost| !lost.is_empty()));
    println!("{} calls, {looked_at} states after a cut", calls.len());
    assert_eq!(lost, [], "call, remains, reason");
}

#[test]
fn a4_what_a_killed_writer_left_unsynced_is_not_built_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = shim(dir.path()) else {
        eprintln!("SKIPPED: no C compiler, so power cuts are not tried");
        return;
    };
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    // Killed when its manifest has its name and the folder is not synced yet; the next writer sees that name.
    let killed = [("DISK_KILL_AFTER", "ledger/epoch-000000000002.json")];
    assert!(!child_under(&shim, dir.path(), "synced", &killed));
    let before = protocol(dir.path()).len();
    assert!(child_under(&shim, dir.path(), "synced", &[]));
    let calls = protocol(dir.path());
    let (looked_at, lost) = wait(cuts(&calls, before, limit(), |lost| !lost.is_empty()));
    println!(
        "{} calls, {looked_at} states after a cut",
        calls.len() - before
    );
    assert_eq!(lost, [], "call, remains, reason");
}

#[test]
fn a4_the_plain_local_store_fails_the_same_test() {
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = shim(dir.path()) else {
        eprintln!("SKIPPED: no C compiler, so power cuts are not tried");
        return;
    };
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    assert!(child_under(&shim, dir.path(), "plain", &[]));
    let calls = protocol(dir.path());
    let lost_and_torn = |lost: &[(usize, Remains, String)]| {
        let of = |kind: &str| lost.iter().any(|(_, _, reason)| reason.contains(kind));
        of("was told of as committed") && (of("problems") || of("does not open"))
    };
    let (looked_at, lost) = wait(cuts(&calls, 0, limit(), lost_and_torn));
    println!(
        "{looked_at} states after a cut, {} of them lost",
        lost.len()
    );
    for (call, remains, reason) in &lost {
        println!("after call {call}, {remains:?}: {reason}");
    }
    assert!(
        lost_and_torn(&lost),
        "nothing lost, or nothing torn: {lost:?}"
    );
}

#[test]
fn a8_a_sync_that_fails_once_ends_the_writer_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = shim(dir.path()) else {
        eprintln!("SKIPPED: no C compiler, so failing syncs are not tried");
        return;
    };
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    // Syncs of the tables' making, of staged files, of a manifest, of table commits: wherever these numbers fall.
    for number in ["5", "40", "90", "60", "30"] {
        let fails = [("DISK_FAIL_SYNC", number)];
        assert!(
            !child_under(&shim, dir.path(), "synced", &fails),
            "sync {number} failed and the writer went on"
        );
    }
    assert!(child_under(&shim, dir.path(), "synced", &[]));
    let mut disk = Disk::default();
    let calls = protocol(dir.path());
    calls.iter().for_each(|call| disk.happens(call));
    wait(async {
        let all = without_faults(&empty().await, &input(), SIZE).await;
        let files = disk.after_cut(Remains::Nothing);
        let recovered = recover(files, disk.acknowledged, Some(&all)).await;
        assert_eq!(recovered, Ok(()));
    });
}
