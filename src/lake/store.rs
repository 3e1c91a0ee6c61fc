//! Files that are really there once a call returns: written beside, synced, put in place, and the folder synced too.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{LakeError, io};

/// What a put-if-absent came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Somebody was there first.
    Exists,
}

/// How many files are synced at once.
const PUTS_AT_ONCE: usize = 8;

/// Writes `bytes` at `path` if nothing is there, all or nothing, durable when it returns.
///
/// A hard link fails when its name exists, which makes it the one create-if-absent that is atomic on every local file
/// system; a rename would silently replace what is there.
pub(super) fn put_if_absent(path: &Path, bytes: &[u8]) -> Result<Put, LakeError> {
    let beside = beside(path);
    write_synced(&beside, bytes)?;
    let linked = fs::hard_link(&beside, path);
    fs::remove_file(&beside).map_err(io("cannot remove", &beside))?;
    match linked {
        Ok(()) => {
            sync_dir(path)?;
            Ok(Put::Done)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Exists),
        Err(error) => Err(io("cannot create", path)(error)),
    }
}

/// Writes `bytes` at `path`, replacing what is there, all or nothing, durable when it returns.
pub(super) fn put(path: &Path, bytes: &[u8]) -> Result<(), LakeError> {
    let beside = beside(path);
    write_synced(&beside, bytes)?;
    fs::rename(&beside, path).map_err(io("cannot create", path))?;
    sync_dir(path)
}

/// Writes many files, each replacing what is there, all durable when it returns: a folder is synced once for all of
/// its files.
pub(super) fn put_all(files: &[(PathBuf, &[u8])]) -> Result<(), LakeError> {
    let mut folders = BTreeSet::new();
    for (path, _) in files {
        if let Some(parent) = path.parent()
            && folders.insert(parent)
        {
            create_dir(parent)?;
        }
    }
    // Side by side: the file system then makes many of them durable in one go.
    let share = files.len().div_ceil(PUTS_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .chunks(share)
            .map(|files| scope.spawn(move || files.iter().try_for_each(replace)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    folders
        .into_iter()
        .try_for_each(|folder| sync_dir(&folder.join("file")))
}

fn replace((path, bytes): &(PathBuf, &[u8])) -> Result<(), LakeError> {
    let beside = beside(path);
    write_synced(&beside, bytes)?;
    fs::rename(&beside, path).map_err(io("cannot create", path))
}

/// Makes the entry of `path` in its folder durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), LakeError> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(io("cannot sync", parent))
}

/// Creates `path` and its parents, each durable in the folder above it.
pub(super) fn create_dir(path: &Path) -> Result<(), LakeError> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(io("cannot create", path)(error))
        }
        _ => sync_dir(path),
    }
}

/// The content of `path`, or `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, LakeError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("cannot read", path)(error)),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), LakeError> {
    // Never a file that is there already: it could be another writer's, or be linked as a manifest.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(io("cannot create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io("cannot write", path))
}

fn beside(path: &Path) -> PathBuf {
    // Process ids repeat: in two containers both writers are process 1.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unique = format!("{}-{}-{count}", std::process::id(), now.as_nanos());
    path.with_file_name(format!(".{name}.{unique}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_put_loses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epoch-1.json");
        assert_eq!(put_if_absent(&path, b"first").unwrap(), Put::Done);
        assert_eq!(put_if_absent(&path, b"second").unwrap(), Put::Exists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left beside it");
    }
}
