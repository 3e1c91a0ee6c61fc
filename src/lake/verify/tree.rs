//! Every tile of the tree, from the leaves up to the roots that were signed.
//!
//! Leaf hashes stand in the ledger twice, as tiles of level 0 and, one SHA-256 before, as bundles of entries. Where the
//! two differ, the level above or the root says which of them was altered.

use std::collections::BTreeMap;

use super::manifests::name as manifest_name;
use super::{Read, Verdict, epoch_of};
use crate::lake::LakeError;
use crate::lake::log::{Files, Hash, TileId, Tree, WIDTH, leaf_hash, unbundle};
use crate::model::hex;

/// Leaf hashes that are known to be right although their tile is not, by number of the tile.
pub(super) type Corrected = BTreeMap<u64, Vec<Hash>>;

struct Check<'a> {
    files: &'a Files,
    read: &'a [Read],
    size: u64,
    corrected: Corrected,
    verdict: &'a mut Verdict,
}

/// Checks every tile and every root. Gives what is right where a tile of level 0 is not.
pub(super) fn check(
    files: &Files,
    read: &[Read],
    verdict: &mut Verdict,
) -> Result<Corrected, LakeError> {
    let sizes = read.iter().map(|read| read.manifest.tree_size);
    let size = sizes.max().and_then(|size| u64::try_from(size).ok());
    let mut check = Check {
        files,
        read,
        size: size.unwrap_or(0),
        corrected: Corrected::new(),
        verdict,
    };
    let mut tree = Tree::default();
    let mut roots = read.iter().peekable();
    for index in 0..check.size.div_ceil(WIDTH as u64) {
        let mut full = Vec::new();
        for hash in check.leaves(index, &tree)? {
            tree.push_hash(hash, &mut |id, bytes| full.push((id, bytes)));
            // An epoch without rows cannot be: each has its own row in `epochs`.
            while let Some(read) =
                roots.next_if(|read| u64::try_from(read.manifest.tree_size) == Ok(tree.size()))
            {
                let manifest = &read.manifest;
                check.root(manifest.epoch, manifest.root_hash.as_deref(), &tree.root());
            }
        }
        for (id, bytes) in full {
            check.tile(id, &bytes)?;
        }
    }
    for (id, bytes) in tree.partial_hashes() {
        check.tile(id, &bytes)?;
    }
    Ok(check.corrected)
}

impl Check<'_> {
    fn wrong(&mut self, id: TileId, path: String, reason: impl Into<String>) {
        let span = 1_u64.checked_shl(8 * u32::from(id.level.unwrap_or(0)));
        let leaf = id
            .index
            .saturating_mul(WIDTH as u64)
            .saturating_mul(span.unwrap_or(u64::MAX));
        let epoch = epoch_of(self.read, leaf);
        self.verdict.wrong(epoch, format!("ledger/{path}"), reason);
    }

    fn root(&mut self, epoch: i64, signed: Option<&str>, found: &Hash) {
        let found = hex(found);
        if signed != Some(&found) {
            let reason = format!("the leaves give the root {found}, not the one in the manifest");
            self.verdict.wrong(epoch, manifest_name(epoch), reason);
        }
    }

    /// The leaf hashes of tile `index`, from its tile and its bundle, held to each other.
    fn leaves(&mut self, index: u64, tree: &Tree) -> Result<Vec<Hash>, LakeError> {
        let begin = index * WIDTH as u64;
        let width = usize::try_from(self.size - begin).map_or(WIDTH, |left| left.min(WIDTH));
        let [tile, bundle] = [Some(0), None].map(|level| TileId {
            level,
            index,
            width,
        });
        let stored = self.stored(tile)?;
        let hashes = stored.as_deref().and_then(|bytes| as_hashes(bytes, width));
        let bundled = self.stored(bundle)?;
        let digests = bundled.as_deref().and_then(unbundle);
        let entries: Option<Vec<Hash>> = digests
            .filter(|digests| digests.len() == width)
            .map(|digests| digests.iter().map(leaf_hash).collect());
        let sound = entries.is_some() && (hashes.is_none() || hashes == entries);
        let decided = match (hashes, entries) {
            (Some(hashes), Some(entries)) if hashes == entries => hashes,
            (Some(hashes), Some(entries)) => {
                if self.agrees(index, &entries, tree)? {
                    self.bad(
                        tile,
                        "it was altered: its entries give the root that was signed, it does not",
                    );
                    self.corrected.insert(index, entries.clone());
                    entries
                } else {
                    self.bad(
                        bundle,
                        "it was altered: its entries are not the leaves of the tree",
                    );
                    hashes
                }
            }
            (Some(hashes), None) => {
                self.bad(bundle, "it is missing or no bundle of digests");
                hashes
            }
            (None, Some(entries)) => {
                self.bad(tile, "it is missing or of another length");
                self.corrected.insert(index, entries.clone());
                entries
            }
            (None, None) => {
                self.bad(tile, "it is missing or of another length");
                self.bad(bundle, "it is missing or no bundle of digests");
                vec![[0; 32]; width]
            }
        };
        self.narrower(tile, &decided.concat())?;
        if let Some(bytes) = bundled.filter(|_| sound) {
            self.narrower(bundle, &bytes)?;
        }
        Ok(decided)
    }

    /// The bytes of a tile, from the full one if a writer has made it full meanwhile.
    fn stored(&self, id: TileId) -> Result<Option<Vec<u8>>, LakeError> {
        if let Some(bytes) = self.files.read(&id.path())? {
            return Ok(Some(bytes));
        }
        let full = self.files.read(&id.full_path())?;
        Ok(full.and_then(|bytes| Some(bytes.get(..id.bytes())?.to_vec())))
    }

    fn bad(&mut self, id: TileId, reason: &str) {
        self.wrong(id, id.path(), reason);
    }

    /// Whether `hashes` as the leaves of tile `index` agree with the tile above or, at the right edge, with the root.
    fn agrees(&self, index: u64, hashes: &[Hash], tree: &Tree) -> Result<bool, LakeError> {
        let mut with = tree.clone();
        let mut above = None;
        for hash in hashes {
            with.push_hash(*hash, &mut |id, bytes| {
                above = above.or_else(|| (id.level == Some(0)).then(|| TileId::root_of(&bytes)));
            });
        }
        let Some(hash) = above else {
            let last = self
                .read
                .last()
                .and_then(|last| last.manifest.root_hash.as_deref());
            return Ok(last == Some(&hex(&with.root())));
        };
        let stored = TileId::holding(1, index, self.size);
        let bytes = self.stored(stored)?.unwrap_or_default();
        let place = (index % WIDTH as u64) as usize * hash.len();
        Ok(bytes.get(place..place + hash.len()) == Some(&hash))
    }

    /// Compares a tile with what it must hold, and those that it had been before it was as wide.
    fn tile(&mut self, id: TileId, expected: &[u8]) -> Result<(), LakeError> {
        // Level 0 was read for its leaves already.
        if id.level == Some(0) {
            return Ok(());
        }
        match self.stored(id)? {
            None => self.bad(id, "it is missing"),
            Some(bytes) if bytes != expected => {
                self.bad(id, "it was altered: the tiles below it give other hashes");
            }
            Some(_) => (),
        }
        self.narrower(id, expected)
    }

    /// Narrower versions of a tile are kept until it is full: whoever holds an older checkpoint needs them.
    fn narrower(&mut self, id: TileId, expected: &[u8]) -> Result<(), LakeError> {
        let folder = format!("{}.p", id.full_path());
        for name in self.files.list(&folder)? {
            let path = format!("{folder}/{name}");
            let Some(part) = TileId::parse(&path).filter(|part| part.width < id.width) else {
                continue;
            };
            let bytes = self.files.read(&path)?;
            // A writer may have removed it meanwhile, since the full one is there.
            if bytes.is_some_and(|bytes| Some(bytes.as_slice()) != expected.get(..part.bytes())) {
                self.wrong(
                    id,
                    path,
                    "it was altered: it is not the beginning of the tile that it became",
                );
            }
        }
        if id.width == WIDTH {
            return Ok(());
        }
        // As long as there is no full tile, each epoch's own must be there.
        let shift = 8 * u32::from(id.level.unwrap_or(0));
        let mut missing = Vec::new();
        for read in self.read {
            let hashes = u64::try_from(read.manifest.tree_size).unwrap_or(0) >> shift;
            let width = (hashes % WIDTH as u64) as usize;
            if hashes / WIDTH as u64 == id.index && (1..id.width).contains(&width) {
                let path = TileId { width, ..id }.path();
                if !self.files.has(&path)? {
                    missing.push((read.manifest.epoch, path));
                }
            }
        }
        missing.dedup_by(|a, b| a.1 == b.1);
        // They go at once when the tile has become full since.
        if !missing.is_empty() && !self.files.has(&id.full_path())? {
            for (epoch, path) in missing {
                self.verdict
                    .wrong(epoch, format!("ledger/{path}"), "it is missing");
            }
        }
        Ok(())
    }
}

fn as_hashes(bytes: &[u8], width: usize) -> Option<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() == width).then(|| hashes.to_vec())
}
