//! Where the files of the log are: every access to them goes through here.

use crate::lake::{LakeError, Place, TABLES_DIR, store};

/// The folder of the ledger and what the log keeps in it.
#[derive(Clone, Debug)]
pub(in crate::lake) struct Files {
    root: Place,
    dir: Place,
}

impl Files {
    /// Those of the lake in `root`.
    pub(in crate::lake) fn new(root: &Place) -> Self {
        Self {
            root: root.clone(),
            dir: root.join("ledger"),
        }
    }

    /// Waits before the store is asked again for the `turn`th time.
    pub(super) fn pause(&self, turn: usize) {
        self.dir.pause(turn);
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
        store::names(&self.table_log(table))
    }

    fn table_log(&self, table: &str) -> Place {
        self.root.join(TABLES_DIR).join(table).join("_delta_log")
    }

    /// Whether a file called `name` is there.
    pub(in crate::lake) fn has(&self, name: &str) -> Result<bool, LakeError> {
        store::exists(&self.dir.join(name))
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
        store::put_all(&self.dir, files)
    }

    /// Removes the files in the folder called `name`, and the folder, if it is there.
    pub(super) fn remove_folder(&self, name: &str) -> Result<(), LakeError> {
        store::remove_folder(&self.dir.join(name))
    }

    /// Names of the files in the folder called `name`, sorted; none if it is not there.
    pub(in crate::lake) fn list(&self, name: &str) -> Result<Vec<String>, LakeError> {
        store::names(&self.dir.join(name))
    }

    /// Every file below the folder, as a name within it.
    pub(in crate::lake) fn walk(&self) -> Result<Vec<String>, LakeError> {
        store::list(&self.dir)
    }
}
