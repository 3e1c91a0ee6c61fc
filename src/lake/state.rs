//! The engine's state beside each manifest: a snapshot now and then, deltas in between, compressed.

use std::io::{self, BufWriter};

use super::ledger::{Ledger, Manifest, StateFile};
use super::store::FileWriter;
use super::{LakeError, Place, store};
use crate::engine::{Loaded, State};
use crate::model::{hex, sha256};

/// Compression level: state is written every epoch and read at a restart only, so speed counts more than size.
const LEVEL: i32 = -3;

/// State is written value by value; the compressor takes it in pieces of this size.
const BUFFER: usize = 128 * 1024;

/// Writes the state of `epoch`: a snapshot if `base_epoch` is the epoch itself, else a delta.
pub(super) fn write(
    root: &Place,
    epoch: i64,
    base_epoch: i64,
    writer: &str,
    state: &State,
) -> Result<StateFile, LakeError> {
    let kind = if base_epoch == epoch {
        "snapshot"
    } else {
        "delta"
    };
    // The writer's name keeps one that loses the epoch from replacing the state of the one that won it.
    let path = format!("state/epoch-{epoch:012}-{writer}.{kind}.zst");
    let full = root.join(&path);
    let file = FileWriter::new(full.clone());
    let file = compress(state, file).map_err(super::io("cannot write", &full))?;
    let (_, sha256) = file.finish()?;
    Ok(StateFile {
        path,
        sha256: hex(&sha256),
        base_epoch,
    })
}

fn compress(state: &State, file: FileWriter) -> io::Result<FileWriter> {
    let mut encoder = BufWriter::with_capacity(BUFFER, zstd::Encoder::new(file, LEVEL)?);
    state.write_to(&mut encoder)?;
    encoder.into_inner()?.finish()
}

/// Reads the state after `last`: its snapshot and every delta since.
pub(super) fn read(root: &Place, ledger: &Ledger, last: &Manifest) -> Result<Loaded, LakeError> {
    let mut loaded = Loaded::default();
    for epoch in last.state.base_epoch..=last.epoch {
        let (manifest, _) = ledger.read(epoch)?;
        loaded.0.push(read_one(root, &manifest.state)?);
    }
    Ok(loaded)
}

/// Reads one state file and checks it against its manifest.
pub(super) fn read_one(root: &Place, state: &StateFile) -> Result<Vec<u8>, LakeError> {
    let full = root.join(&state.path);
    let damaged = |reason: &str| LakeError::Damaged {
        what: state.path.clone(),
        reason: reason.to_owned(),
    };
    let compressed = store::read(&full)?.ok_or_else(|| damaged("it is missing"))?;
    if hex(&sha256(&compressed)) != state.sha256 {
        return Err(damaged("its hash is not the one in the manifest"));
    }
    zstd::decode_all(compressed.as_slice()).map_err(|_| damaged("it does not decompress"))
}
