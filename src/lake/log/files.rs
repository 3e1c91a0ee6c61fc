//! Where the files of the log are: every access to them goes through here.

use std::path::{Path, PathBuf};

use crate::lake::{LakeError, TABLES_DIR, io, store};

/// The folder of the ledger and what the log keeps in it.
#[derive(Clone, Debug)]
pub(in crate::lake) struct Files {
    root: PathBuf,
    dir: PathBuf,
}

impl Files {
    /// Those of the lake in `root`.
    pub(in crate::lake) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            dir: root.join("ledger"),
        }
    }

    /// The content of the file called `name`, or `None` if it is not there.
    pub(in crate::lake) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, LakeError> {
        store::read(&self.dir.join(name))
    }

    /// The content of a file in the Delta log of `table`, or `None` if it is not there.
    pub(in crate::lake) fn read_table_log(
        &self,
        table: &str,
        name: &str,
    ) -> Result<Option<Vec<u8>>, LakeError> {
        store::read(&self.table_log(table).join(name))
    }

    /// Names in the Delta log of `table`, sorted; none if it is not there.
    pub(in crate::lake) fn list_table_log(&self, table: &str) -> Result<Vec<String>, LakeError> {
        list(&self.table_log(table))
    }

    fn table_log(&self, table: &str) -> PathBuf {
        self.root.join(TABLES_DIR).join(table).join("_delta_log")
    }

    /// Whether a file called `name` is there.
    pub(in crate::lake) fn has(&self, name: &str) -> bool {
        self.dir.join(name).is_file()
    }

    /// Writes a file that may be there already, with these very bytes or those of a writer that lost.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), LakeError> {
        store::put(&self.dir.join(name), bytes)
    }

    /// Writes a file that only one writer may ever write. Whether it was written, or was there with the same bytes.
    pub(super) fn put_once(&self, name: &str, bytes: &[u8]) -> Result<bool, LakeError> {
        let path = self.dir.join(name);
        let exists = store::put_if_absent(&path, bytes)? == store::Put::Exists;
        Ok(!exists || store::read(&path)?.as_deref() == Some(bytes))
    }

    /// Writes many files at once: each is durable when this returns.
    pub(super) fn put_all(&self, files: &[(String, Vec<u8>)]) -> Result<(), LakeError> {
        let files: Vec<(PathBuf, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (self.dir.join(name), bytes.as_slice()))
            .collect();
        store::put_all(&files)
    }

    /// Removes the files in the folder called `name`, and the folder, if it is there.
    pub(super) fn remove_folder(&self, name: &str) -> Result<(), LakeError> {
        let path = self.dir.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("cannot remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Names in the folder called `name`, sorted; none if it is not there.
    pub(in crate::lake) fn list(&self, name: &str) -> Result<Vec<String>, LakeError> {
        list(&self.dir.join(name))
    }

    /// Every file below the folder, as a name within it, in no order.
    pub(in crate::lake) fn walk(&self) -> Result<Vec<String>, LakeError> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for name in self.list(&folder)? {
                let full = if folder.is_empty() {
                    name
                } else {
                    format!("{folder}/{name}")
                };
                if self.dir.join(&full).is_dir() {
                    folders.push(full);
                } else {
                    found.push(full);
                }
            }
        }
        Ok(found)
    }
}

fn list(path: &Path) -> Result<Vec<String>, LakeError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("cannot list", path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(io("cannot list", path))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
