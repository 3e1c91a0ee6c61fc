//! The few things that a lake does where it is: every byte that it keeps goes through here or through the same object
//! store in the hands of a Delta table.
//!
//! The functions wait for their answer, wherever they are called: the store's own threads do the work.

use std::io::{self as std_io, Write};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result as StoreResult,
};
use tokio::runtime::Runtime;

use super::{LakeError, Place, io};
use crate::model::Digest;

/// A file goes to the store in parts of this size; stores ask for at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// How many files are on their way to a store at once.
const PUTS_AT_ONCE: usize = 16;

/// What a put-if-absent came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// Somebody was there first.
    Exists,
}

/// Writes `bytes` at `place` if nothing is there, all or nothing, durable when it returns.
///
/// An error does not say that nothing is there: the answer may have been lost on its way.
pub(super) fn put_if_absent(place: &Place, bytes: &[u8]) -> Result<Put, LakeError> {
    match put_as(place, bytes, PutMode::Create) {
        Ok(()) => Ok(Put::Done),
        Err(Error::AlreadyExists { .. }) => Ok(Put::Exists),
        Err(error) => Err(place.failed("cannot create")(error)),
    }
}

/// Writes `bytes` at `place`, replacing what is there, all or nothing, durable when it returns.
pub(crate) fn put(place: &Place, bytes: &[u8]) -> Result<(), LakeError> {
    put_as(place, bytes, PutMode::Overwrite).map_err(place.failed("cannot write"))
}

/// Writes many files below `folder`, each replacing what is there, all durable when it returns.
pub(super) fn put_all(folder: &Place, files: &[(String, Vec<u8>)]) -> Result<(), LakeError> {
    if let Some(local) = &folder.local {
        let files: Vec<(PathBuf, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (folder.join(name).file_path(), bytes.as_slice()))
            .collect();
        return local.put_all(&files).map_err(io("cannot write", folder));
    }
    let puts: Vec<_> = files
        .iter()
        .map(|(name, bytes)| {
            let (store, path) = (folder.store(), folder.join(name).path);
            let payload = PutPayload::from(bytes.clone());
            async move { store.put(&path, payload).await.map(drop) }
        })
        .collect();
    wait(async move {
        futures::stream::iter(puts)
            .buffer_unordered(PUTS_AT_ONCE)
            .try_collect::<()>()
            .await
    })
    .map_err(folder.failed("cannot write"))
}

/// Every file below the folder `place` that was written at least `age` ago, with its size. Where a store has folders,
/// files in the making are among them.
pub(super) fn older_than(place: &Place, age: Duration) -> Result<Vec<(String, u64)>, LakeError> {
    if place.local.is_some() {
        let root = place.file_path();
        let mut found = Vec::new();
        super::local::older_than(&root, &root, age, &mut found)
            .map_err(io("cannot list", place))?;
        return Ok(found);
    }
    let (store, path) = (place.store(), place.path.clone());
    let listed = wait(async move { store.list(Some(&path)).try_collect::<Vec<_>>().await });
    let above = format!("{}/", place.path);
    let now = chrono::Utc::now();
    let old = |written: chrono::DateTime<chrono::Utc>| {
        (now - written).to_std().is_ok_and(|since| since >= age)
    };
    Ok(listed
        .map_err(place.failed("cannot list"))?
        .iter()
        .filter(|object| old(object.last_modified))
        .filter_map(|object| {
            let path = object.location.as_ref().strip_prefix(&above)?;
            Some((path.to_owned(), object.size))
        })
        .collect())
}

/// Removes the file at `path` below the folder `place`: one that [`older_than`] gave.
pub(super) fn remove_below(place: &Place, path: &str) -> Result<(), LakeError> {
    // A file in the making has a name that the store does not know.
    if let Some(local) = &place.local {
        let path = place.file_path().join(path);
        return local.remove(&path).map_err(io("cannot remove", path));
    }
    remove(&place.join(path))
}

/// Removes the files in the folder `place`, and the folder, where a store has folders; done if it is not there.
pub(super) fn remove_folder(place: &Place) -> Result<(), LakeError> {
    for name in names(place)? {
        remove(&place.join(name))?;
    }
    if place.local.is_some() {
        // An empty folder says nothing; one that is not empty is somebody else's by now.
        drop(std::fs::remove_dir(place.file_path()));
    }
    Ok(())
}

fn put_as(place: &Place, bytes: &[u8], mode: PutMode) -> StoreResult<()> {
    let (store, path) = (place.store(), place.path.clone());
    let payload = PutPayload::from(bytes.to_vec());
    wait(async move { store.put_opts(&path, payload, mode.into()).await.map(drop) })
}

/// Makes the folder `place` and the names in it durable, where a store has folders.
pub(super) fn create_dir(place: &Place) -> Result<(), LakeError> {
    match &place.local {
        Some(local) => local
            .settle(&place.file_path())
            .map_err(io("cannot create", place)),
        None => Ok(()),
    }
}

/// The content of `place`, or `None` if it is not there.
pub(crate) fn read(place: &Place) -> Result<Option<Vec<u8>>, LakeError> {
    let (store, path) = (place.store(), place.path.clone());
    let read = wait(async move { store.get(&path).await?.bytes().await });
    match read {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(place.failed("cannot read")(error)),
    }
}

/// Removes the file at `place`; that it is gone already is no error.
pub(super) fn remove(place: &Place) -> Result<(), LakeError> {
    let (store, path) = (place.store(), place.path.clone());
    match wait(async move { store.delete(&path).await }) {
        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(place.failed("cannot remove")(error)),
    }
}

/// Whether there is a file at `place`.
pub(super) fn exists(place: &Place) -> Result<bool, LakeError> {
    let (store, path) = (place.store(), place.path.clone());
    match wait(async move { store.head(&path).await }) {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(place.failed("cannot read")(error)),
    }
}

/// Whether there is a file anywhere below `place`.
pub(crate) fn holds_files(place: &Place) -> Result<bool, LakeError> {
    let (store, path) = (place.store(), place.path.clone());
    let first = wait(async move { store.list(Some(&path)).next().await });
    match first {
        None | Some(Err(Error::NotFound { .. })) => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(error)) => Err(place.failed("cannot list")(error)),
    }
}

/// Names of the files in the folder `place`, sorted, without those in folders below it.
pub(super) fn names(place: &Place) -> Result<Vec<String>, LakeError> {
    let (store, path) = (place.store(), place.path.clone());
    let listed = wait(async move { store.list_with_delimiter(Some(&path)).await });
    let objects = match listed {
        Ok(listed) => listed.objects,
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(place.failed("cannot list")(error)),
    };
    let mut names: Vec<String> = objects
        .iter()
        .filter_map(|object| object.location.filename().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// Paths of all files below the folder `place`, seen from there, in order.
pub(super) fn list(place: &Place) -> Result<Vec<String>, LakeError> {
    let (store, path) = (place.store(), place.path.clone());
    let listed = wait(async move { store.list(Some(&path)).try_collect::<Vec<_>>().await });
    let above = format!("{}/", place.path);
    let mut paths: Vec<String> = listed
        .map_err(place.failed("cannot list"))?
        .iter()
        .filter_map(|object| object.location.as_ref().strip_prefix(&above))
        .map(str::to_owned)
        .collect();
    paths.sort();
    Ok(paths)
}

/// A file in the making: counted and hashed as it is written, so that it need not be read again, and there for nobody
/// before it is finished.
#[derive(Debug)]
pub(super) struct FileWriter {
    place: Place,
    part: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
    bytes: u64,
    digest: Digest,
}

impl FileWriter {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            part: Vec::new(),
            upload: None,
            bytes: 0,
            digest: Digest::default(),
        }
    }

    /// Makes the file durable. Gives its size and the SHA-256 of its content.
    pub(super) fn finish(mut self) -> Result<(u64, [u8; 32]), LakeError> {
        let part = std::mem::take(&mut self.part);
        match self.upload.take() {
            None => put(&self.place, &part)?,
            Some(mut upload) => wait(async move {
                upload.put_part(part.into()).await?;
                upload.complete().await
            })
            .map(drop)
            .map_err(self.place.failed("cannot write"))?,
        }
        Ok((self.bytes, self.digest.finish()))
    }

    fn send(&mut self, part: Vec<u8>) -> StoreResult<()> {
        let (store, path) = (self.place.store(), self.place.path.clone());
        let begun = self.upload.take();
        let upload = wait(async move {
            let mut upload = match begun {
                Some(upload) => upload,
                None => store.put_multipart(&path).await?,
            };
            upload.put_part(part.into()).await?;
            Ok::<_, Error>(upload)
        })?;
        self.upload = Some(upload);
        Ok(())
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> std_io::Result<usize> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.part.extend_from_slice(bytes);
        // Parts of one size: some stores take no other.
        while self.part.len() >= PART_BYTES {
            let rest = self.part.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.part, rest);
            self.send(part)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std_io::Result<()> {
        Ok(())
    }
}

/// Waits for what `work` gives. It runs on the store's own threads, so that this may be called from anywhere, a runtime's
/// thread too.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("store")
            .enable_all()
            .build()
            .expect("a process that can start no thread cannot go on")
    });
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    runtime.spawn(async move { drop(sender.send(work.await)) });
    receiver
        .recv()
        .expect("the answer is sent before the task ends")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn place(dir: &Path) -> Place {
        Place::of(dir).unwrap()
    }

    #[test]
    fn the_second_put_loses() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = place(dir.path()).join("ledger");
        let path = ledger.join("epoch-1.json");
        assert_eq!(put_if_absent(&path, b"first").unwrap(), Put::Done);
        assert_eq!(put_if_absent(&path, b"second").unwrap(), Put::Exists);
        assert_eq!(read(&path).unwrap().unwrap(), b"first");
        assert_eq!(names(&ledger).unwrap(), ["epoch-1.json"]);
        assert!(exists(&path).unwrap() && holds_files(&ledger).unwrap());
    }

    #[test]
    fn a_large_file_goes_in_parts_and_arrives_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = place(dir.path()).join("tables/activity/a b.parquet");
        let content: Vec<u8> = (0..2 * PART_BYTES + 5)
            .map(|at| (at / 1_000) as u8)
            .collect();
        let mut writer = FileWriter::new(path.clone());
        for piece in content.chunks(3_000_001) {
            writer.write_all(piece).unwrap();
        }
        assert!(!exists(&path).unwrap(), "not there before it is whole");
        let (bytes, sha256) = writer.finish().unwrap();
        assert_eq!(bytes, content.len() as u64);
        assert_eq!(sha256, crate::model::sha256(&content));
        assert!(
            read(&path).unwrap().unwrap() == content,
            "{}",
            path.display()
        );
    }

    #[test]
    fn what_is_not_there_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let nothing = place(dir.path()).join("nothing");
        assert_eq!(read(&nothing).unwrap(), None);
        assert!(!exists(&nothing).unwrap() && !holds_files(&nothing).unwrap());
        assert!(names(&nothing).unwrap().is_empty());
    }
}
