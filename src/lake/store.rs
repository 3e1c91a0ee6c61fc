//! Where a lake is, and the few things that it does there: every byte that the lake keeps goes through here or through
//! the same object store in the hands of a Delta table.
//!
//! The functions wait for their answer, wherever they are called: the store's own threads do the work.

use std::fmt;
use std::io::{self as std_io, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload, Result as StoreResult,
};
use tokio::runtime::Runtime;
use url::Url;

use super::local::SyncedLocal;
use super::{LakeError, io};
use crate::model::Digest;

/// A file goes to the store in parts of this size; stores ask for at least 5 MiB.
const PART_BYTES: usize = 8 << 20;

/// How many files are on their way to a store at once.
const PUTS_AT_ONCE: usize = 16;

/// How long the first wait is before something is asked again of a store behind a network. It doubles each time.
const PAUSE: Duration = Duration::from_millis(200);

/// A lake, or a folder or file within one: a path in an object store.
#[derive(Clone, Debug)]
pub struct Place {
    store: Arc<dyn ObjectStore>,
    /// The store again, if it is the local one, which knows folders.
    local: Option<Arc<SyncedLocal>>,
    /// Address of the lake.
    root: Url,
    path: ObjectPath,
    /// As people know it.
    shown: String,
}

impl Place {
    /// The lake that `data` names: a folder, or the address of an object store's.
    pub fn of(data: &Path) -> Result<Self, LakeError> {
        if let Some(address) = super::remote::address(data) {
            return super::remote::open(address);
        }
        let refused = |reason: String| LakeError::Address {
            address: data.display().to_string(),
            reason,
        };
        let absolute = resolved(data).map_err(io("cannot resolve", data))?;
        let root = Url::from_directory_path(&absolute)
            .map_err(|()| refused("it is not a folder that an address can name".to_owned()))?;
        let path = ObjectPath::from_absolute_path(&absolute)
            .map_err(|error| refused(error.to_string()))?;
        let local = Arc::new(SyncedLocal::new(absolute));
        Ok(Self {
            store: Arc::clone(&local) as Arc<dyn ObjectStore>,
            local: Some(local),
            root,
            path,
            shown: data.display().to_string(),
        })
    }

    /// The lake at the address `root` of `store`, whose own root is that of the address: `memory:///lake` is `lake` there.
    pub fn new(store: Arc<dyn ObjectStore>, root: Url) -> Result<Self, LakeError> {
        let path = ObjectPath::from_url_path(root.path()).map_err(|error| LakeError::Address {
            address: root.to_string(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            store,
            local: None,
            shown: root.as_str().trim_end_matches('/').to_owned(),
            root,
            path,
        })
    }

    /// What is at `below`, seen from here.
    #[must_use]
    pub fn join(&self, below: impl AsRef<str>) -> Self {
        let parts = below.as_ref().split('/').filter(|part| !part.is_empty());
        let mut path = self.path.as_ref().to_owned();
        for part in parts {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
        }
        Self {
            // What a name may not hold is written as an escape.
            path: ObjectPath::parse(&path).unwrap_or_else(|_| ObjectPath::from(path)),
            shown: format!(
                "{}/{}",
                self.shown.trim_end_matches('/'),
                below.as_ref().trim_matches('/')
            ),
            ..self.clone()
        }
    }

    /// How people know it.
    pub fn display(&self) -> impl fmt::Display + '_ {
        &self.shown
    }

    /// Whether it is a folder of this machine, written through [`SyncedLocal`].
    pub(super) const fn local(&self) -> bool {
        self.local.is_some()
    }

    /// Whether the store is memory of this process, as tests have it.
    pub(super) fn in_process(&self) -> bool {
        self.root.scheme() == "memory"
    }

    /// The object store, from its root.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// The address as that of a folder.
    pub(crate) fn folder_url(&self) -> Result<Url, LakeError> {
        let path = format!("/{}/", self.path);
        let refused = || LakeError::Address {
            address: self.shown.clone(),
            reason: "it is not a folder that an address can name".to_owned(),
        };
        if self.root.scheme() == "file" {
            return Url::from_directory_path(path).map_err(|()| refused());
        }
        let mut url = self.root.clone();
        url.set_path(&path);
        Ok(url)
    }

    /// Waits before something is asked again for the `turn`th time, longer each time. A store in this process is not
    /// waited for: it answers the same in a second.
    pub(super) fn pause(&self, turn: usize) {
        if !self.local() && !self.in_process() {
            std::thread::sleep(PAUSE * (1 << turn.min(5)));
        }
    }

    /// Where it is in the file system. Of use for a local lake only.
    pub(super) fn file_path(&self) -> PathBuf {
        PathBuf::from(format!("/{}", self.path))
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(Error) -> LakeError + '_ {
        move |source| LakeError::Store {
            action,
            place: self.shown.clone(),
            source: Box::new(source),
        }
    }
}

impl From<&Place> for PathBuf {
    fn from(place: &Place) -> Self {
        Self::from(&place.shown)
    }
}

/// The absolute path of `data`, which need not be there, without links and steps upwards: an object store knows neither.
fn resolved(data: &Path) -> std_io::Result<PathBuf> {
    let absolute = std::path::absolute(data)?;
    let mut there = absolute.as_path();
    let mut missing = Vec::new();
    loop {
        match there.canonicalize() {
            Ok(mut resolved) => {
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            Err(error) => match (there.parent(), there.file_name()) {
                (Some(parent), Some(name)) if error.kind() == std_io::ErrorKind::NotFound => {
                    missing.push(name);
                    there = parent;
                }
                _ => return Err(error),
            },
        }
    }
}

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
pub(super) fn put(place: &Place, bytes: &[u8]) -> Result<(), LakeError> {
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
pub(super) fn read(place: &Place) -> Result<Option<Vec<u8>>, LakeError> {
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
    fn a_folder_may_be_named_with_steps_upwards_and_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let named = dir.path().join("real/../link/new lake");
        put(&place(&named).join("a"), b"x").unwrap();
        assert_eq!(
            std::fs::read(dir.path().join("real/new lake/a")).unwrap(),
            b"x"
        );
        let folder = place(&named).folder_url().unwrap();
        assert!(folder.path().ends_with("/real/new%20lake/"), "{folder}");
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
