//! The tree of RFC 6962 over the digests of all rows, grown leaf by leaf, as the tiles of C2SP tlog-tiles.
//!
//! A tile holds up to 256 neighbouring hashes of one level of tiles; a full one becomes one hash of the level above.
//! Only the tiles at the right edge can still change, so they are all that has to be kept in memory.

use crate::lake::LakeError;
use crate::model::{Sha256Digest, sha256};

/// A node of the tree.
pub(in crate::lake) type Hash = Sha256Digest;

/// How many hashes a full tile has.
pub(in crate::lake) const WIDTH: usize = 256;

/// Bytes of a hash.
const HASH: usize = 32;

/// How an entry of a bundle begins: its length, big-endian.
const ENTRY_HEAD: [u8; 2] = [0, HASH as u8];

/// Which tile it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::lake) struct TileId {
    /// Level of tiles, 0 for leaf hashes; none for a bundle of entries, which are the digests themselves.
    pub(in crate::lake) level: Option<u8>,
    /// Number of the tile within its level.
    pub(in crate::lake) index: u64,
    /// How many hashes it holds, 1 to 256.
    pub(in crate::lake) width: usize,
}

impl TileId {
    /// Its path below the ledger.
    pub(in crate::lake) fn path(&self) -> String {
        let full = self.full_path();
        if self.width == WIDTH {
            full
        } else {
            format!("{full}.p/{}", self.width)
        }
    }

    /// The path of the tile that it becomes.
    pub(in crate::lake) fn full_path(&self) -> String {
        let mut rest = self.index / 1_000;
        let mut number = format!("{:03}", self.index % 1_000);
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1_000);
            rest /= 1_000;
        }
        match self.level {
            Some(level) => format!("tile/{level}/{number}"),
            None => format!("tile/entries/{number}"),
        }
    }

    /// The tile of that path, if it is the path of a tile.
    pub(in crate::lake) fn parse(path: &str) -> Option<Self> {
        let (level, mut rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match level {
            "entries" => None,
            level => Some(level.parse().ok()?),
        };
        let mut width = WIDTH;
        if let Some((full, partial)) = rest.split_once(".p/") {
            (rest, width) = (full, partial.parse().ok()?);
        }
        let mut index: u64 = 0;
        for part in rest.split('/') {
            let digits: u64 = part.trim_start_matches('x').parse().ok()?;
            index = index.checked_mul(1_000)?.checked_add(digits)?;
        }
        let id = Self {
            level,
            index,
            width,
        };
        (id.path() == path).then_some(id)
    }

    /// How many tiles' places of 256 hashes the tile's own level has below one of its hashes, as a power of two.
    fn shift(&self) -> u32 {
        8 * u32::from(self.level.unwrap_or(0))
    }

    /// Whether a tree of `size` leaves has this tile, or had it on its way there.
    pub(in crate::lake) fn within(&self, size: u64) -> bool {
        let hashes = size.checked_shr(self.shift()).unwrap_or(0);
        let end = self
            .index
            .checked_mul(WIDTH as u64)
            .and_then(|begin| begin.checked_add(self.width as u64));
        (1..=WIDTH).contains(&self.width) && end.is_some_and(|end| end <= hashes)
    }

    /// The tiles at the right edge of a tree of `size` leaves that are not full.
    pub(in crate::lake) fn partial(size: u64) -> Vec<Self> {
        let mut tiles = Vec::new();
        let levels = (0..8).take_while(|level| size >> (8 * level) > 0);
        for level in std::iter::once(None).chain(levels.map(Some)) {
            let hashes = size >> (8 * u32::from(level.unwrap_or(0)));
            let width = (hashes % WIDTH as u64) as usize;
            if width > 0 {
                tiles.push(Self {
                    level,
                    index: hashes / WIDTH as u64,
                    width,
                });
            }
        }
        tiles
    }

    /// The widest tile of `level` that a tree of `size` leaves has with its hash number `hash`.
    pub(in crate::lake) fn holding(level: u8, hash: u64, size: u64) -> Self {
        let index = hash / WIDTH as u64;
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let width = hashes
            .saturating_sub(index * WIDTH as u64)
            .min(WIDTH as u64);
        Self {
            level: Some(level),
            index,
            width: width as usize,
        }
    }

    /// The one hash that a full tile of these bytes becomes.
    pub(in crate::lake) fn root_of(bytes: &[u8]) -> Hash {
        let hashes: Vec<Hash> = hashes(bytes).collect();
        subtree(&hashes)
    }

    /// How many bytes it has.
    pub(in crate::lake) const fn bytes(&self) -> usize {
        match self.level {
            Some(_) => self.width * HASH,
            None => self.width * (HASH + ENTRY_HEAD.len()),
        }
    }
}

/// The hash of a leaf.
pub(in crate::lake) fn leaf_hash(digest: &Sha256Digest) -> Hash {
    let mut bytes = [0; HASH + 1];
    bytes[1..].copy_from_slice(digest);
    sha256(&bytes)
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 2 * HASH + 1];
    bytes[1..=HASH].copy_from_slice(left);
    bytes[HASH + 1..].copy_from_slice(right);
    sha256(&bytes)
}

/// The root over a power of two of hashes.
fn subtree(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&subtree(left), &subtree(right))
        }
    }
}

/// A tree in the making: its size and what is at its right edge.
#[derive(Clone, Debug, Default)]
pub(in crate::lake) struct Tree {
    size: u64,
    /// Digests of the bundle that is not full.
    entries: Vec<Sha256Digest>,
    /// By level, the hashes of the tile that is not full.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    pub(in crate::lake) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf. `full` is given each tile that it completes.
    pub(in crate::lake) fn push(
        &mut self,
        digest: &Sha256Digest,
        full: &mut dyn FnMut(TileId, Vec<u8>),
    ) {
        self.entries.push(*digest);
        self.push_hash(leaf_hash(digest), full);
        if self.entries.len() == WIDTH {
            let bytes = bundle(&self.entries);
            self.entries.clear();
            full(self.completed(None), bytes);
        }
    }

    /// As [`Tree::push`] for one who has only the leaf's hash: such a tree has no bundles.
    pub(in crate::lake) fn push_hash(
        &mut self,
        mut hash: Hash,
        full: &mut dyn FnMut(TileId, Vec<u8>),
    ) {
        self.size += 1;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::with_capacity(WIDTH));
            }
            let tile = &mut self.levels[level];
            tile.push(hash);
            if tile.len() < WIDTH {
                return;
            }
            hash = subtree(tile);
            let bytes = tile.concat();
            tile.clear();
            full(self.completed(Some(level as u8)), bytes);
        }
    }

    /// The tile of `level` that the last leaf has completed.
    fn completed(&self, level: Option<u8>) -> TileId {
        let hashes = self.size >> (8 * u32::from(level.unwrap_or(0)));
        TileId {
            level,
            index: hashes / WIDTH as u64 - 1,
            width: WIDTH,
        }
    }

    /// The tiles at the right edge that are not full.
    pub(in crate::lake) fn partial(&self) -> Vec<(TileId, Vec<u8>)> {
        let mut tiles = self.partial_hashes();
        for id in TileId::partial(self.size) {
            if id.level.is_none() {
                tiles.push((id, bundle(&self.entries)));
            }
        }
        tiles
    }

    /// As [`Tree::partial`], without the bundle.
    pub(in crate::lake) fn partial_hashes(&self) -> Vec<(TileId, Vec<u8>)> {
        TileId::partial(self.size)
            .into_iter()
            .filter_map(|id| Some((id, self.levels[usize::from(id.level?)].concat())))
            .collect()
    }

    /// The root of RFC 6962.
    pub(in crate::lake) fn root(&self) -> Hash {
        let mut right: Option<Hash> = None;
        for hashes in &self.levels {
            let mut end = hashes.len();
            while end > 0 {
                // The smallest whole subtree at the end, whose size is the lowest bit that is set.
                let begin = end - (1 << end.trailing_zeros());
                let left = subtree(&hashes[begin..end]);
                right = Some(right.map_or(left, |right| node_hash(&left, &right)));
                end = begin;
            }
        }
        right.unwrap_or_else(|| sha256(&[]))
    }

    /// The tree of `size` leaves from its tiles, which `read` gives. None if one is missing or of another length; the
    /// caller compares the root.
    pub(in crate::lake) fn load(
        size: u64,
        mut read: impl FnMut(&str) -> Result<Option<Vec<u8>>, LakeError>,
    ) -> Result<Option<Self>, LakeError> {
        let mut tree = Self {
            size,
            ..Self::default()
        };
        while size.checked_shr(8 * tree.levels.len() as u32).unwrap_or(0) > 0 {
            tree.levels.push(Vec::with_capacity(WIDTH));
        }
        for id in TileId::partial(size) {
            let bytes = match read(&id.path())? {
                Some(bytes) if bytes.len() == id.bytes() => bytes,
                // A later leaf may have completed it.
                _ => match read(&id.full_path())? {
                    Some(bytes) if bytes.len() >= id.bytes() => bytes,
                    _ => return Ok(None),
                },
            };
            match id.level {
                None => match unbundle(&bytes[..id.bytes()]) {
                    Some(entries) => tree.entries = entries,
                    None => return Ok(None),
                },
                Some(level) => {
                    tree.levels[usize::from(level)].extend(hashes(&bytes[..id.bytes()]));
                }
            }
        }
        Ok(Some(tree))
    }
}

fn bundle(entries: &[Sha256Digest]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * (HASH + ENTRY_HEAD.len()));
    for entry in entries {
        bytes.extend_from_slice(&ENTRY_HEAD);
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// The entries of a bundle. None if it is not one of digests.
pub(in crate::lake) fn unbundle(bytes: &[u8]) -> Option<Vec<Sha256Digest>> {
    bytes
        .chunks(HASH + ENTRY_HEAD.len())
        .map(|entry| entry.strip_prefix(&ENTRY_HEAD)?.try_into().ok())
        .collect()
}

fn hashes(bytes: &[u8]) -> impl Iterator<Item = Hash> {
    bytes.as_chunks::<HASH>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use tlog_tiles::{HashReader, TileHashReader, TileReader};

    use super::*;
    use crate::model::hex;

    fn digest(index: u64) -> Sha256Digest {
        sha256(&index.to_be_bytes())
    }

    /// A tree of `size` leaves with every tile that it ever had.
    fn grown(size: u64) -> (Tree, BTreeMap<String, Vec<u8>>) {
        let mut tree = Tree::default();
        let mut tiles = BTreeMap::new();
        for leaf in 0..size {
            tree.push(&digest(leaf), &mut |id, bytes| {
                assert_eq!(bytes.len(), id.bytes());
                tiles.insert(id.path(), bytes);
            });
        }
        for (id, bytes) in tree.partial() {
            assert_eq!(bytes.len(), id.bytes());
            tiles.insert(id.path(), bytes);
        }
        (tree, tiles)
    }

    fn second(size: u64) -> Vec<u8> {
        let mut tree = MemoryBackedTree::<sha2_next::Sha256, Vec<u8>>::new();
        (0..size).for_each(|leaf| tree.push(digest(leaf).to_vec()));
        tree.root().as_bytes().to_vec()
    }

    /// Our tiles as the third implementation reads them.
    struct Read<'a>(&'a BTreeMap<String, Vec<u8>>);

    impl TileReader for Read<'_> {
        fn height(&self) -> u8 {
            8
        }

        fn read_tiles(
            &self,
            tiles: &[tlog_tiles::Tile],
        ) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            let ours = tiles.iter().map(|tile| TileId {
                level: Some(tile.level()),
                index: tile.level_index(),
                width: tile.width() as usize,
            });
            Ok(ours.map(|id| self.0[&id.path()].clone()).collect())
        }

        fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
    }

    fn check_against_others(size: u64) {
        let (tree, tiles) = grown(size);
        let root = tree.root();
        assert_eq!(root.to_vec(), second(size), "{size} leaves: ct-merkle");
        let hash = tlog_tiles::Hash(root);
        let read = Read(&tiles);
        let reader = TileHashReader::new(size, hash, &read);
        for leaf in [0, size / 3, size / 2, size - 1] {
            let index = tlog_tiles::stored_hash_index(0, leaf);
            let stored = reader.read_hashes(&[index]).unwrap();
            assert_eq!(stored[0].0, leaf_hash(&digest(leaf)));
            let proof = tlog_tiles::prove_record(size, leaf, &reader).unwrap();
            let record = tlog_tiles::record_hash(&digest(leaf));
            tlog_tiles::check_record(&proof, size, hash, leaf, record).unwrap();
        }
        let loaded = Tree::load(size, |path| Ok(tiles.get(path).cloned())).unwrap();
        assert_eq!(loaded.unwrap().root(), root);
    }

    /// F6: our tree, ct-merkle and tlog_tiles say the same.
    #[test]
    fn f6_the_tree_equals_two_other_implementations() {
        for size in (1..20).chain([
            255, 256, 257, 511, 512, 513, 1_000, 65_535, 65_536, 65_537, 70_000,
        ]) {
            check_against_others(size);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn f6_trees_of_any_size_equal_the_others(size in 1_u64..5_000) {
            check_against_others(size);
        }

        #[test]
        fn a_tree_that_was_put_down_and_taken_up_goes_on_the_same(first in 1_u64..3_000, more in 0_u64..3_000) {
            let (_, tiles) = grown(first);
            let mut tree = Tree::load(first, |path| Ok(tiles.get(path).cloned())).unwrap().unwrap();
            let mut later = BTreeMap::new();
            for leaf in first..first + more {
                tree.push(&digest(leaf), &mut |id, bytes| { later.insert(id.path(), bytes); });
            }
            later.extend(tree.partial().into_iter().map(|(id, bytes)| (id.path(), bytes)));
            let (whole, all) = grown(first + more);
            prop_assert_eq!(tree.root(), whole.root());
            for (path, bytes) in later {
                prop_assert_eq!(&all[&path], &bytes, "{}", path);
            }
        }

        #[test]
        fn a_path_names_one_tile(level in proptest::option::of(0_u8..8), index in any::<u64>(), width in 1_usize..=256) {
            let id = TileId { level, index, width };
            prop_assert_eq!(TileId::parse(&id.path()), Some(id));
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let path = |level, index, width| {
            TileId {
                level,
                index,
                width,
            }
            .path()
        };
        assert_eq!(path(Some(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(Some(2), 0, 1), "tile/2/000.p/1");
        assert_eq!(path(None, 273, 112), "tile/entries/273.p/112");
        // The example of the specification: a tree of 70,000.
        let widths: Vec<_> = TileId::partial(70_000)
            .iter()
            .map(|id| (id.level, id.index, id.width))
            .collect();
        assert_eq!(
            widths,
            [
                (None, 273, 112),
                (Some(0), 273, 112),
                (Some(1), 1, 17),
                (Some(2), 0, 1)
            ]
        );
    }

    /// F6: the roots that Certificate Transparency's own reference tests state, for the first of their eight leaves.
    #[test]
    fn f6_roots_are_those_of_the_reference_vectors() {
        const LEAVES: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        const ROOTS: [&str; 8] = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        // The vectors' leaves are of many lengths, so the hashes go in below the leaf: a root is made of nodes alone.
        let mut hashes: Vec<Hash> = Vec::new();
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            let mut data = vec![0];
            data.extend_from_slice(leaf);
            hashes.push(sha256(&data));
            let tree = Tree {
                size: hashes.len() as u64,
                entries: Vec::new(),
                levels: vec![hashes.clone()],
            };
            assert_eq!(hex(&tree.root()), root);
        }
        assert_eq!(
            hex(&Tree::default().root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
