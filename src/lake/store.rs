//! Files that are really there once a call returns: written beside, synced, put in place, and the folder synced too.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{LakeError, io};

/// What a put-if-absent came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Somebody was there first.
    Exists,
}

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

/// Makes the entry of `path` in its folder durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), LakeError> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(io("cannot sync", parent))
}

/// Creates `path` and its parents.
pub(super) fn create_dir(path: &Path) -> Result<(), LakeError> {
    fs::create_dir_all(path).map_err(io("cannot create", path))
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
    // A leftover of a crash has the same name only if the same process id came again; it is replaced.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(io("cannot create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io("cannot write", path))
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
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
