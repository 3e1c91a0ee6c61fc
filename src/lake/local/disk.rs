//! Files put in place and made durable, by the calls that a local file system has for it.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::PutPayload;

/// How many files are synced at once.
const PUTS_AT_ONCE: usize = 8;

/// What all writes of one store share.
#[derive(Debug)]
pub(super) struct Disk {
    /// Folders above this one are not ours: where they are there already, they are taken as durable.
    pub(super) lake: PathBuf,
    /// Folders whose own entries this process has synced.
    durable: Mutex<BTreeSet<PathBuf>>,
    /// Whether a sync has failed. The kernel then forgets which pages are not on the disk, and a second sync succeeds
    /// without having written them: nothing that this process says about durability would be true any more.
    pub(super) failed: AtomicBool,
}

/// A file that is written beside its place.
pub(super) struct Begun {
    pub(super) file: File,
    pub(super) beside: PathBuf,
}

impl Disk {
    /// A disk with the lake in the folder `lake`.
    pub(super) fn new(lake: PathBuf) -> Self {
        Self {
            lake,
            durable: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }

    /// Writes many files, each replacing what is there, all durable when it returns: a folder is synced once for all of
    /// its files.
    pub(super) fn put_all(&self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        // Side by side: the file system then makes many of them durable in one go.
        let share = files.len().div_ceil(PUTS_AT_ONCE).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = files
                .chunks(share)
                .map(|files| {
                    scope.spawn(move || files.iter().try_for_each(|file| self.replace(file)))
                })
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })?;
        let folders: BTreeSet<&Path> = files.iter().map(|(path, _)| folder_of(path)).collect();
        folders
            .into_iter()
            .try_for_each(|folder| self.sync_folder(folder))
    }

    pub(super) fn put(&self, path: &Path, payload: &PutPayload, create: bool) -> io::Result<()> {
        let Begun { mut file, beside } = self.begin(path)?;
        let written = payload.iter().try_for_each(|bytes| file.write_all(bytes));
        let placed = written.and_then(|()| self.place(&file, &beside, path, create));
        if placed.is_err() {
            // The put has failed already; what is left beside is garbage that no reader looks at.
            drop(fs::remove_file(&beside));
        }
        placed
    }

    /// Writes a file in place of the one that is there. Its folder is not synced yet.
    fn replace(&self, (path, bytes): &(PathBuf, &[u8])) -> io::Result<()> {
        let Begun { mut file, beside } = self.begin(path)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| self.sync(&file))
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // It has failed already; what is left beside is garbage that no reader looks at.
            drop(fs::remove_file(&beside));
        }
        written
    }

    pub(super) fn begin(&self, path: &Path) -> io::Result<Begun> {
        self.check()?;
        self.make_durable(folder_of(path))?;
        let beside = beside(path);
        // Never a file that is there already: it could be another writer's, or be linked as a manifest.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)?;
        Ok(Begun { file, beside })
    }

    /// Syncs what was written beside and puts it in its place.
    ///
    /// A hard link fails when its name exists, which makes it the one create-if-absent that is atomic on every local file
    /// system; a rename would silently replace what is there.
    pub(super) fn place(
        &self,
        file: &File,
        beside: &Path,
        path: &Path,
        create: bool,
    ) -> io::Result<()> {
        self.sync(file)?;
        if create {
            fs::hard_link(beside, path)?;
            fs::remove_file(beside)?;
        } else {
            fs::rename(beside, path)?;
        }
        self.sync_folder(folder_of(path))
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        fs::remove_file(path)?;
        self.sync_folder(folder_of(path))
    }

    /// Creates `folder` and its parents, each durable in the folder above it. A folder that is there need not be durable:
    /// who made it may still be about to sync it, or was killed before.
    pub(super) fn make_durable(&self, folder: &Path) -> io::Result<()> {
        let known = |folder: &Path| self.folders().contains(folder);
        if known(folder) || (!folder.starts_with(&self.lake) && folder.is_dir()) {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_durable(parent)?;
            match fs::create_dir(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => self.sync_folder(parent)?,
            }
        }
        self.folders().insert(folder.to_owned());
        Ok(())
    }

    fn folders(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        // A set of paths is whole whenever nobody holds it.
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync(&File::open(folder)?)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
            .inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier sync failed, so nobody knows what of the last writes is on the disk; look at the disk and \
                 start again",
            ));
        }
        Ok(())
    }
}

/// Files below `folder` that were written at least `age` ago, as paths below `root`, with their sizes.
pub(in crate::lake) fn older_than(
    root: &Path,
    folder: &Path,
    age: Duration,
    found: &mut Vec<(String, u64)>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            older_than(root, &path, age, found)?;
            continue;
        }
        // One that is gone by now needs no answer.
        let Ok(data) = entry.metadata() else {
            continue;
        };
        let since = SystemTime::now()
            .duration_since(data.modified()?)
            .unwrap_or_default();
        if kind.is_file() && since >= age {
            let below = path.strip_prefix(root).unwrap_or(&path);
            found.push((below.to_string_lossy().into_owned(), data.len()));
        }
    }
    Ok(())
}

pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A name that no other write uses. Object stores do not list names that end like this.
fn beside(path: &Path) -> PathBuf {
    // Process ids repeat: in two containers both writers are process 1.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(
        "#{:010}{:020}{count:010}",
        std::process::id(),
        now.as_nanos()
    ));
    path.with_file_name(name)
}
