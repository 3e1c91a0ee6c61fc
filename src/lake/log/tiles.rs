//! Tiles as proofs read them.

use tlog_tiles::{Tile, TileReader};

use super::files::Files;
use super::tree::{TileId, WIDTH};

/// Gives the tiles of a ledger to whoever makes proofs. What it gives is not to be trusted: the reader of hashes holds
/// it to the root.
#[derive(Debug)]
pub(super) struct StoredTiles<'a>(pub(super) &'a Files);

impl TileReader for StoredTiles<'_> {
    fn height(&self) -> u8 {
        WIDTH.ilog2() as u8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        tiles
            .iter()
            .map(|tile| {
                let id = TileId {
                    level: Some(tile.level()),
                    index: tile.level_index(),
                    width: tile.width() as usize,
                };
                let read = |path: String| self.0.read(&path).ok().flatten();
                let mut bytes = read(id.path())
                    .or_else(|| read(id.full_path()))
                    .ok_or(tlog_tiles::Error::InvalidTile)?;
                bytes.truncate(id.bytes());
                Ok(bytes)
            })
            .collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}
