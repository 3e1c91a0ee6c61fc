//! The signed log over all rows: one tree, a checkpoint for each epoch, a chain of keys, and seals over the tables' logs.
//!
//! ```text
//! DIR/ledger/tile/0/000, tile/1/000.p/3, tile/entries/000, …   the tree (C2SP tlog-tiles); entries are digests only
//! DIR/ledger/epoch-000000000001.checkpoint                      its signed head after the epoch (C2SP checkpoint)
//! DIR/ledger/key-000001.note                                    who signs from which epoch, signed by the key before
//! DIR/ledger/seal-000000000001.note                             hashes of the tables' commits, signed
//! DIR/signing.key                                               only if no other key is configured
//! ```
//!
//! All of it is written after the manifest, because it follows from the manifest and the rows that it names: a writer
//! that loses the epoch has written none of it, and a restart writes what a crash has prevented, with the same bytes.

mod anchor;
mod checkpoint;
mod files;
mod keys;
mod note;
mod proof;
mod seal;
mod start;
mod tiles;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::ledger::Manifest;
use super::{LakeError, Place};
use crate::evidence::TABLES;
use crate::failpoint;
use crate::model::{Sha256Digest, hex, sha256};
use crate::telemetry::Event;

pub use anchor::{anchor, read_anchors};
pub(super) use anchor::{open as open_anchor, read_outside};
pub(super) use checkpoint::Checkpoint;
pub(super) use files::Files;
pub(super) use keys::KeyChain;
pub use keys::LedgerKey;
pub(super) use note::{SigningKey, is_verifier, open_own};
pub use proof::{Proof, ProvenRow, prove};
pub(super) use seal::Seal;
use start::Keys;
pub(super) use tree::{Hash, TileId, Tree, WIDTH, leaf_hash, unbundle};

/// Name of the file in which a lake keeps a key of its own.
pub(super) const KEY_FILE: &str = "signing.key";

/// A secret text that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub const fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How a lake is signed.
#[derive(Clone, Debug)]
pub struct Integrity {
    /// Name of the log; `keytrail/` and the job's name unless given. It never changes.
    pub origin: Option<String>,
    /// What signs; a key in the lake's own folder unless given.
    pub signing_key: Option<Secret>,
    /// The key before, with which the new one is endorsed. Needed once.
    pub previous_key: Option<Secret>,
    /// Whether there is a tree and signatures at all.
    pub sign: bool,
}

impl Default for Integrity {
    fn default() -> Self {
        Self {
            origin: None,
            signing_key: None,
            previous_key: None,
            sign: true,
        }
    }
}

/// The writer's end of the log.
#[derive(Debug)]
pub(super) struct Log {
    files: Files,
    chain: KeyChain,
    key: SigningKey,
    tree: Tree,
    sealed: LastSeal,
    /// By table, the hash of its checkpoint hint when that was sealed.
    hints: BTreeMap<&'static str, String>,
}

/// What the last seal says.
#[derive(Clone, Debug, Default)]
struct LastSeal {
    number: u64,
    epoch: i64,
    /// By table: version and hash of its last commit.
    heads: BTreeMap<&'static str, (u64, String)>,
}

/// A tree that has grown by an epoch which is not committed.
#[derive(Debug)]
pub(super) struct Growth {
    tree: Tree,
    before: u64,
    full: Vec<(String, Vec<u8>)>,
}

/// What is written once the epoch is committed.
#[derive(Debug)]
pub(super) struct Grown {
    files: Files,
    tiles: NewTiles,
    checkpoint: (String, Vec<u8>),
}

/// The tiles by which a tree has grown: names and bytes.
#[derive(Debug)]
struct NewTiles {
    /// Those that no leaf can change any more.
    full: Vec<(String, Vec<u8>)>,
    /// Those at the right edge.
    edge: Vec<(String, Vec<u8>)>,
    /// Folders of narrower tiles that a full one replaces.
    replaced: Vec<String>,
}

impl NewTiles {
    /// Writes the full ones first: a start looks for the right edge alone, and takes it as a sign that every tile is
    /// there.
    fn write(&self, files: &Files) -> Result<(), LakeError> {
        files.put_all(&self.full)?;
        failpoint::pass("log.full-tiles-written");
        files.put_all(&self.edge)
    }
}

impl Growth {
    pub(super) fn push(&mut self, digest: &Sha256Digest) {
        let full = &mut self.full;
        self.tree
            .push(digest, &mut |id, bytes| full.push((id.path(), bytes)));
    }

    pub(super) fn root(&self) -> String {
        hex(&self.tree.root())
    }

    fn tiles(&mut self) -> NewTiles {
        let size = self.tree.size();
        let full = |id: TileId| TileId { width: WIDTH, ..id };
        NewTiles {
            full: std::mem::take(&mut self.full),
            edge: self
                .tree
                .partial()
                .into_iter()
                .map(|(id, bytes)| (id.path(), bytes))
                .collect(),
            replaced: TileId::partial(self.before)
                .into_iter()
                .filter(|id| full(*id).within(size))
                .map(|id| format!("{}.p", id.full_path()))
                .collect(),
        }
    }
}

impl Grown {
    /// Writes tiles and checkpoint: after this, the epoch can be proven.
    pub(super) fn write(&self) -> Result<(), LakeError> {
        self.tiles.write(&self.files)?;
        failpoint::pass("log.tiles-written");
        let (name, bytes) = &self.checkpoint;
        if !self.files.put_once(name, bytes)? {
            return Err(damaged(name, "another checkpoint of this epoch is there"));
        }
        failpoint::pass("log.checkpoint-written");
        self.tiles
            .replaced
            .iter()
            .try_for_each(|folder| self.files.remove_folder(folder))
    }
}

impl Log {
    /// Opens the log of the lake in `root`, beginning it with the ledger's first epoch, and finishes what a crash has
    /// left undone after the last manifest. None if the lake is not to be signed.
    pub(super) fn open(
        root: &Place,
        job: &str,
        integrity: &Integrity,
        manifests: &[Manifest],
        last_hash: &str,
    ) -> Result<Option<Self>, LakeError> {
        let signed = manifests.last().map(|last| last.root_hash.is_some());
        if signed.is_some_and(|signed| signed != integrity.sign) {
            let reason = if integrity.sign {
                "this lake was begun unsigned (integrity.sign = false) and cannot be signed now: begin another"
            } else {
                "this lake is signed, and stays so: take integrity.sign = false out of the configuration"
            };
            return Err(LakeError::Key(reason.to_owned()));
        }
        if !integrity.sign {
            Event::Unsigned.tell();
            return Ok(None);
        }
        let files = Files::new(root);
        let mut chain = start::read_chain(&files)?;
        let epoch = manifests.last().map_or(0, |last| last.epoch);
        let keys = Keys::find(root, job, integrity, &chain, epoch)?;
        if chain.keys.is_empty() {
            chain.extend(&files, &keys.origin, 1, &keys.own, &keys.own)?;
        }
        start::check_checkpoints(&files, &chain, manifests, last_hash)?;
        let tree = start::load_tree(root, &files, manifests)?;
        if let Some(last) = manifests.last() {
            start::sign_last(&files, &chain, &keys, last, last_hash)?;
        }
        start::rotate(&files, &mut chain, &keys, epoch + 1)?;
        let sealed = start::last_seal(&files, &chain)?;
        Event::Signing {
            verifier: keys.own.verifier(),
            in_lake: integrity.signing_key.is_none(),
        }
        .tell();
        Ok(Some(Self {
            files,
            chain,
            key: keys.own,
            tree,
            sealed,
            hints: BTreeMap::new(),
        }))
    }

    /// The tree, to be grown by the leaves of the next epoch.
    pub(super) fn grow(&self) -> Growth {
        Growth {
            tree: self.tree.clone(),
            before: self.tree.size(),
            full: Vec::new(),
        }
    }

    /// What signs.
    pub(super) const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Every key that signs or signed this ledger.
    pub(super) const fn keys(&self) -> &KeyChain {
        &self.chain
    }

    /// Number of the key that signs.
    pub(super) fn key_number(&self) -> u32 {
        self.chain.last().map_or(0, |key| key.number)
    }

    /// Takes over the tree that `manifest` has committed. Gives what is to be written now.
    pub(super) fn committed(
        &mut self,
        mut growth: Growth,
        manifest: &Manifest,
        manifest_sha256: &str,
    ) -> Grown {
        let tiles = growth.tiles();
        self.tree = growth.tree;
        let checkpoint = Checkpoint {
            origin: self.chain.origin.clone(),
            size: self.tree.size(),
            root: self.tree.root(),
            epoch: manifest.epoch,
            manifest_sha256: manifest_sha256.to_owned(),
        };
        Grown {
            files: self.files.clone(),
            tiles,
            checkpoint: (Checkpoint::name(manifest.epoch), checkpoint.sign(&self.key)),
        }
    }

    /// Seals what the tables' logs hold that is not sealed yet. To be called whenever tables were written to: after an
    /// epoch, at a start, after upkeep. `epoch` is the last of which the tables hold everything; `moved` says how many
    /// commits a start had to make in a table, which may stand where others were sealed and lost.
    pub(super) fn seal(
        &mut self,
        epoch: i64,
        moved: &BTreeMap<&'static str, u64>,
    ) -> Result<(), LakeError> {
        let mut last_error = LakeError::Fenced { epoch };
        for turn in 0..SEALS_TRIED {
            match self.try_seal(epoch, moved) {
                Ok(true) => return Ok(()),
                // A writer that is about to lose may have sealed what it saw, which is as true as what this one sees.
                Ok(false) => self.sealed = start::last_seal(&self.files, &self.chain)?,
                // Nothing is half done: a store that does not answer is asked again.
                Err(error @ LakeError::Store { .. }) => {
                    last_error = error;
                    self.files.pause(turn);
                }
                Err(error) => return Err(error),
            }
        }
        Err(last_error)
    }

    /// Whether everything is sealed now; not if another seal took the number.
    fn try_seal(
        &mut self,
        epoch: i64,
        moved: &BTreeMap<&'static str, u64>,
    ) -> Result<bool, LakeError> {
        let mut next = Next {
            seal: Seal {
                number: self.sealed.number + 1,
                key: self.key_number(),
                epoch: epoch.max(self.sealed.epoch),
                files: BTreeMap::new(),
                again: BTreeSet::new(),
            },
            heads: self.sealed.heads.clone(),
            hints: self.hints.clone(),
            new: epoch > self.sealed.epoch,
        };
        for table in TABLES {
            let moved = moved.get(table.name).copied().unwrap_or(0);
            self.list_commits(table.name, moved, &mut next)?;
            self.list_checkpoints(table.name, &mut next)?;
        }
        // Nothing new means that a start found nothing to do.
        if next.new {
            let bytes = next.seal.sign(&self.chain.origin, &self.key);
            if !self.files.put_once(&Seal::name(next.seal.number), &bytes)? {
                return Ok(false);
            }
            self.sealed = LastSeal {
                number: next.seal.number,
                epoch: next.seal.epoch,
                heads: next.heads,
            };
            self.hints = next.hints;
        }
        Ok(true)
    }

    /// Lists the commits of a table from the last that is sealed on: that one stands in every seal, so that a restart
    /// reads one seal only.
    fn list_commits(
        &self,
        table: &'static str,
        moved: u64,
        next: &mut Next,
    ) -> Result<(), LakeError> {
        let sealed = self.sealed.heads.get(table);
        let (mut first, mut lost) = (0, false);
        if let Some((head, _)) = sealed {
            // New commits stand behind the sealed ones; where they do not reach so far, sealed ones were lost.
            let reaches = commit_name(head + moved);
            lost = moved > 0 && self.files.read_table_log(table, &reaches)?.is_none();
            first = if lost {
                (head + 1).saturating_sub(moved)
            } else {
                *head
            };
        }
        for version in first.. {
            let name = commit_name(version);
            let Some(bytes) = self.files.read_table_log(table, &name)? else {
                break;
            };
            let hash = hex(&sha256(&bytes));
            let key = (table.to_owned(), name.clone());
            match sealed {
                Some((head, _)) if version <= *head && lost => {
                    next.new |= next.seal.again.insert(key.clone());
                }
                Some((head, known)) if version == *head && *known != hash => {
                    return Err(LakeError::Damaged {
                        what: format!("tables/{table}/_delta_log/{name}"),
                        reason: "it is not the file that was sealed".to_owned(),
                    });
                }
                Some((head, _)) if version <= *head => (),
                _ => next.new = true,
            }
            next.seal.files.insert(key, hash.clone());
            next.heads.insert(table, (version, hash));
        }
        Ok(())
    }

    /// Lists the checkpoints of a table's log, when the hint that points at them has changed.
    fn list_checkpoints(&self, table: &'static str, next: &mut Next) -> Result<(), LakeError> {
        let Some(hint) = self.files.read_table_log(table, HINT)? else {
            return Ok(());
        };
        let hash = hex(&sha256(&hint));
        if next.hints.insert(table, hash.clone()).as_ref() == Some(&hash) {
            return Ok(());
        }
        next.new = true;
        // A reader may start from any of them, whatever the hint says.
        for name in self.files.list_table_log(table)? {
            if is_checkpoint(&name)
                && let Some(bytes) = self.files.read_table_log(table, &name)?
            {
                let key = (table.to_owned(), name);
                next.seal.files.insert(key, hex(&sha256(&bytes)));
            }
        }
        next.seal
            .files
            .insert((table.to_owned(), HINT.to_owned()), hash);
        Ok(())
    }
}

/// A seal in the making, and what will be sealed with it.
struct Next {
    seal: Seal,
    heads: BTreeMap<&'static str, (u64, String)>,
    hints: BTreeMap<&'static str, String>,
    /// Whether there is anything that was not sealed before.
    new: bool,
}

/// How often the number of a seal may be taken by another writer.
const SEALS_TRIED: usize = 3;

/// The file in which a Delta log says where its last checkpoint is.
pub(super) const HINT: &str = "_last_checkpoint";

/// The name of a commit in a Delta log.
pub(super) fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The version of the commit that is called so.
pub(super) fn commit_version(name: &str) -> Option<u64> {
    let version = name.strip_suffix(".json")?.parse().ok()?;
    (commit_name(version) == name).then_some(version)
}

/// Whether a file in a Delta log is a checkpoint, or a part of one.
pub(super) fn is_checkpoint(name: &str) -> bool {
    name.ends_with(".parquet") && name.contains(".checkpoint.")
}

fn damaged(name: &str, reason: impl Into<String>) -> LakeError {
    LakeError::Damaged {
        what: format!("ledger/{name}"),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crash between the tiles of an epoch left a full one out, and the next start did not look for it.
    #[test]
    fn the_right_edge_is_written_after_every_full_tile() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&Place::of(dir.path()).unwrap());
        let mut growth = Growth {
            tree: Tree::default(),
            before: 0,
            full: Vec::new(),
        };
        for leaf in 0..(20 * WIDTH as u64 + 7) {
            growth.push(&sha256(&leaf.to_be_bytes()));
        }
        let tiles = growth.tiles();
        assert_eq!((tiles.full.len(), tiles.edge.len()), (40, 3));
        // What stands in the way of one full tile keeps it from being written.
        let in_the_way = dir.path().join("ledger/tile/entries/013/x");
        std::fs::create_dir_all(in_the_way).unwrap();
        tiles.write(&files).unwrap_err();
        for (name, _) in &tiles.edge {
            assert!(!files.has(name).unwrap(), "{name}");
        }
    }
}
