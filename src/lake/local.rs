//! Local files as an object store whose answers are true: what it says is written is still there after a power cut.
//!
//! The store that comes with `object_store` never syncs, so that a power cut may leave a commit empty, torn or gone, and
//! an empty commit of a Delta table reads as a valid one without rows. Here a file is written beside its place, synced,
//! put in place by a link or a rename, and its folder is synced, before the answer. Reading is left to the other store.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result, UploadPart,
};

/// How many files are synced at once.
const PUTS_AT_ONCE: usize = 8;

/// The store. Its root is the file system's, as Delta wants it.
#[derive(Debug)]
pub(super) struct SyncedLocal {
    reader: LocalFileSystem,
    disk: Arc<Disk>,
}

impl SyncedLocal {
    /// A store for the lake in the folder `lake`, which need not be there yet. The path is absolute.
    pub(super) fn new(lake: PathBuf) -> Self {
        Self {
            reader: LocalFileSystem::new(),
            disk: Arc::new(Disk {
                lake,
                durable: Mutex::default(),
                failed: AtomicBool::new(false),
            }),
        }
    }

    /// Makes `folder` and the entries that it has now durable.
    ///
    /// A writer that was killed between a link and the sync of its folder leaves an entry that everybody sees and a power
    /// cut takes away. Who builds on such an entry syncs the folder first.
    pub(super) fn settle(&self, folder: &Path) -> io::Result<()> {
        self.disk.check()?;
        self.disk.make_durable(folder)?;
        self.disk.sync_folder(folder)
    }

    /// Removes a file, whatever its name.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
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
                    scope.spawn(move || files.iter().try_for_each(|file| self.disk.replace(file)))
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
            .try_for_each(|folder| self.disk.sync_folder(folder))
    }
}

impl fmt::Display for SyncedLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncedLocal({})", self.disk.lake.display())
    }
}

#[async_trait]
impl ObjectStore for SyncedLocal {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "a put that replaces one version only".to_owned(),
                    implementer: self.to_string(),
                });
            }
        };
        let path = self.reader.path_to_filesystem(location)?;
        let disk = Arc::clone(&self.disk);
        blocking(move || {
            disk.put(&path, &payload, create)
                .map_err(|error| failed(&path, error))
        })
        .await?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.reader.path_to_filesystem(location)?;
        let disk = Arc::clone(&self.disk);
        let upload = blocking(move || {
            let begun = disk.begin(&path).map_err(|error| failed(&path, error))?;
            Ok(Upload {
                file: Arc::new(begun.file),
                beside: Some(begun.beside),
                path,
                disk,
                bytes: 0,
            })
        })
        .await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.reader.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        let disk = Arc::clone(&self.disk);
        let reader = self.reader.clone();
        locations
            .then(move |location| {
                let (disk, reader) = (Arc::clone(&disk), reader.clone());
                async move {
                    let location = location?;
                    let path = reader.path_to_filesystem(&location)?;
                    blocking(move || disk.remove(&path).map_err(|error| failed(&path, error)))
                        .await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reader.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&ObjectPath>,
        offset: &ObjectPath,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reader.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.reader.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> Result<()> {
        let bytes = self.get(from).await?.bytes().await?;
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        self.put_opts(to, bytes.into(), mode.into()).await?;
        Ok(())
    }
}

/// What all writes of one store share.
#[derive(Debug)]
struct Disk {
    /// Folders above this one are not ours: where they are there already, they are taken as durable.
    lake: PathBuf,
    /// Folders whose own entries this process has synced.
    durable: Mutex<BTreeSet<PathBuf>>,
    /// Whether a sync has failed. The kernel then forgets which pages are not on the disk, and a second sync succeeds
    /// without having written them: nothing that this process says about durability would be true any more.
    failed: AtomicBool,
}

/// A file that is written beside its place.
struct Begun {
    file: File,
    beside: PathBuf,
}

impl Disk {
    fn put(&self, path: &Path, payload: &PutPayload, create: bool) -> io::Result<()> {
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

    fn begin(&self, path: &Path) -> io::Result<Begun> {
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
    fn place(&self, file: &File, beside: &Path, path: &Path, create: bool) -> io::Result<()> {
        self.sync(file)?;
        if create {
            fs::hard_link(beside, path)?;
            fs::remove_file(beside)?;
        } else {
            fs::rename(beside, path)?;
        }
        self.sync_folder(folder_of(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        fs::remove_file(path)?;
        self.sync_folder(folder_of(path))
    }

    /// Creates `folder` and its parents, each durable in the folder above it. A folder that is there need not be durable:
    /// who made it may still be about to sync it, or was killed before.
    fn make_durable(&self, folder: &Path) -> io::Result<()> {
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

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync(&File::open(folder)?)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
            .inspect_err(|_| self.failed.store(true, Ordering::Release))
    }

    fn check(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other(
                "an earlier sync failed, so nobody knows what of the last writes is on the disk; look at the disk and \
                 start again",
            ));
        }
        Ok(())
    }
}

/// A file that comes in parts.
#[derive(Debug)]
struct Upload {
    disk: Arc<Disk>,
    file: Arc<File>,
    beside: Option<PathBuf>,
    path: PathBuf,
    bytes: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let mut at = self.bytes;
        self.bytes += part.content_length() as u64;
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        Box::pin(blocking(move || {
            for bytes in &part {
                file.write_all_at(bytes, at)
                    .map_err(|error| failed(&path, error))?;
                at += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let Some(beside) = self.beside.take() else {
            return Err(failed(
                &self.path,
                io::Error::other("the upload is over already"),
            ));
        };
        let (disk, file, path) = (
            Arc::clone(&self.disk),
            Arc::clone(&self.file),
            self.path.clone(),
        );
        blocking(move || {
            disk.place(&file, &beside, &path, false)
                .map_err(|error| failed(&path, error))
        })
        .await?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    async fn abort(&mut self) -> Result<()> {
        if let Some(beside) = self.beside.take() {
            blocking(move || fs::remove_file(&beside).map_err(|error| failed(&beside, error)))
                .await?;
        }
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(beside) = self.beside.take() {
            // Nobody waits for the answer, and no reader looks at what would be left.
            drop(fs::remove_file(beside));
        }
    }
}

/// Files below `folder` that were written at least `age` ago, as paths below `root`, with their sizes.
pub(super) fn older_than(
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

fn folder_of(path: &Path) -> &Path {
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

fn failed(path: &Path, source: io::Error) -> Error {
    let path = path.display().to_string();
    match source.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists {
            path,
            source: source.into(),
        },
        ErrorKind::NotFound => Error::NotFound {
            path,
            source: source.into(),
        },
        ErrorKind::PermissionDenied => Error::PermissionDenied {
            path,
            source: source.into(),
        },
        _ => Error::Generic {
            store: "local",
            source: source.into(),
        },
    }
}

/// Runs what blocks where it may: beside the runtime if there is one, else here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await?,
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(dir: &Path) -> (SyncedLocal, impl Fn(&str) -> ObjectPath) {
        let root = dir.to_owned();
        let at = move |name: &str| ObjectPath::from_absolute_path(root.join(name)).unwrap();
        (SyncedLocal::new(dir.to_owned()), at)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn of_two_puts_if_absent_the_second_loses() {
        let dir = tempfile::tempdir().unwrap();
        let (store, at) = store(dir.path());
        let create = |bytes: &'static str| {
            let location = at("epoch-1.json");
            let store = &store;
            async move {
                store
                    .put_opts(&location, bytes.into(), PutMode::Create.into())
                    .await
            }
        };
        create("first").await.unwrap();
        let second = create("second").await.unwrap_err();
        assert!(matches!(second, Error::AlreadyExists { .. }), "{second}");
        assert_eq!(fs::read(dir.path().join("epoch-1.json")).unwrap(), b"first");
        assert_eq!(
            names(dir.path()),
            ["epoch-1.json"],
            "nothing is left beside it"
        );
    }

    #[tokio::test]
    async fn an_upload_is_there_when_it_is_complete_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let (store, at) = store(dir.path());
        let mut upload = store.put_multipart(&at("a/b.parquet")).await.unwrap();
        // Out of order, as parallel parts may arrive.
        let first = upload.put_part("first ".into());
        let second = upload.put_part("second".into());
        second.await.unwrap();
        first.await.unwrap();
        let listed: Vec<_> = store.list(Some(&at("a"))).collect().await;
        assert!(listed.is_empty(), "{listed:?}");
        upload.complete().await.unwrap();
        assert_eq!(
            fs::read(dir.path().join("a/b.parquet")).unwrap(),
            b"first second"
        );
        let mut given_up = store.put_multipart(&at("a/c.parquet")).await.unwrap();
        given_up.put_part("x".into()).await.unwrap();
        drop(given_up);
        assert_eq!(names(&dir.path().join("a")), ["b.parquet"]);
    }

    #[tokio::test]
    async fn a_copy_that_may_not_replace_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (store, at) = store(dir.path());
        store.put(&at("a"), "a".into()).await.unwrap();
        store.put(&at("b"), "b".into()).await.unwrap();
        let error = store
            .rename_if_not_exists(&at("a"), &at("b"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
        store.rename(&at("a"), &at("b")).await.unwrap();
        assert_eq!(names(dir.path()), ["b"]);
        assert_eq!(fs::read(dir.path().join("b")).unwrap(), b"a");
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_promised_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = store(dir.path());
        store.disk.failed.store(true, Ordering::Release);
        let error = store
            .disk
            .put(&dir.path().join("a"), &"a".into(), true)
            .unwrap_err();
        assert!(
            error.to_string().contains("an earlier sync failed"),
            "{error}"
        );
        assert!(names(dir.path()).is_empty());
    }
}
