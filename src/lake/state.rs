//! The engine's state beside each manifest: a snapshot now and then, deltas in between, compressed.

use std::io::{self, BufWriter};

use super::ledger::{Ledger, StateFile};
use super::store::FileWriter;
use super::{LakeError, Place, store};
use crate::engine::State;
use crate::failpoint;
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
    if base_epoch == epoch {
        failpoint::reach("state.snapshot").map_err(super::io("cannot write", &full))?;
    }
    let file = FileWriter::new(full.clone());
    let file = compress(state, file).map_err(super::io("cannot write", &full))?;
    let (_, sha256) = file.finish()?;
    failpoint::reach("state.written").map_err(super::io("cannot write", &full))?;
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

/// The state of one epoch, as an engine wrote it.
#[derive(Debug)]
pub struct EpochState {
    pub epoch: i64,
    /// Everything, as opposed to what changed in this epoch.
    pub snapshot: bool,
    pub bytes: Vec<u8>,
}

/// What an engine that knows the state of epoch `from` needs to know that of `upto`: the deltas between, or the last
/// snapshot if there is one between and the deltas after it. 0 knows nothing.
pub fn states_between(root: &Place, from: i64, upto: i64) -> Result<Vec<EpochState>, LakeError> {
    if upto <= from {
        return Ok(Vec::new());
    }
    let ledger = Ledger::open(root)?;
    let (last, _) = ledger.read(upto)?;
    (last.state.base_epoch.max(from + 1)..=upto)
        .map(|epoch| {
            let (manifest, _) = ledger.read(epoch)?;
            Ok(EpochState {
                epoch,
                snapshot: manifest.state.base_epoch == epoch,
                bytes: read_one(root, &manifest.state)?,
            })
        })
        .collect()
}

/// The last epoch of the ledger of the lake at `root`, 0 if there is none.
pub fn last_epoch(root: &Place) -> Result<i64, LakeError> {
    Ledger::open(root)?.last_epoch()
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
