//! Local files as an object store whose answers are true: what it says is written is still there after a power cut.
//!
//! The store that comes with `object_store` never syncs, so that a power cut may leave a commit empty, torn or gone, and
//! an empty commit of a Delta table reads as a valid one without rows. Here a file is written beside its place, synced,
//! put in place by a link or a rename, and its folder is synced, before the answer. Reading is left to the other store.

mod disk;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

use disk::Disk;
pub(super) use disk::older_than;

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
            disk: Arc::new(Disk::new(lake)),
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

    /// Writes many files, each replacing what is there, all durable when it returns.
    pub(super) fn put_all(&self, files: &[(PathBuf, &[u8])]) -> io::Result<()> {
        self.disk.put_all(files)
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
    use std::sync::atomic::Ordering;

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
