//! Where a lake is, or a folder or file within one: a path in an object store, local or behind a network.

use std::fmt;
use std::io as std_io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore};
use url::Url;

use super::local::SyncedLocal;
use super::{LakeError, io};

/// How long the first wait is before something is asked again of a store behind a network. It doubles each time.
const PAUSE: Duration = Duration::from_millis(200);

/// A lake, or a folder or file within one: a path in an object store.
#[derive(Clone, Debug)]
pub struct Place {
    store: Arc<dyn ObjectStore>,
    /// The store again, if it is the local one, which knows folders.
    pub(super) local: Option<Arc<SyncedLocal>>,
    /// Address of the lake.
    root: Url,
    pub(super) path: ObjectPath,
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

    pub(super) fn failed(&self, action: &'static str) -> impl FnOnce(Error) -> LakeError + '_ {
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

#[cfg(test)]
mod tests {
    use super::super::store;
    use super::*;

    #[test]
    fn a_folder_may_be_named_with_steps_upwards_and_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        let named = dir.path().join("real/../link/new lake");
        store::put(&Place::of(&named).unwrap().join("a"), b"x").unwrap();
        assert_eq!(
            std::fs::read(dir.path().join("real/new lake/a")).unwrap(),
            b"x"
        );
        let folder = Place::of(&named).unwrap().folder_url().unwrap();
        assert!(folder.path().ends_with("/real/new%20lake/"), "{folder}");
    }
}
