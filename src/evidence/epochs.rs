//! `epochs`: committed epochs; the row is committed last, so a reader who sees it sees all of it.

use super::column::{Long, Optional, Required, Text, Time};
use super::table::table;

table! {
    /// One committed epoch.
    Epochs, EpochsRow, "epochs", partition_by: [],
    {
        /// Number of the epoch.
        epoch: Required<Long>,
        /// SHA-256 of the manifest before it, hexadecimal; 64 zeros for the first.
        prev_hash: Required<Text>,
        /// SHA-256 of its own manifest. Null here: a manifest names its files, so a file cannot hold the manifest's hash; the next row's `prev_hash` does.
        manifest_sha256: Optional<Text>,
        /// Ranges read per partition.
        inputs_json: Required<Text>,
        /// Elements by outcome.
        counts_json: Required<Text>,
        /// Watermark after the epoch; null before any event.
        watermark_time: Optional<Time>,
        /// Leaves after the epoch.
        tree_size: Required<Long>,
        /// Root of the Merkle tree over every leaf before this row's own, hexadecimal. A row cannot hold the root of a tree that it is a leaf of; the manifest and the checkpoint do. Null if the lake is not signed.
        root_hash: Optional<Text>,
        /// Hash of the parameters the engine ran with.
        params_sha256: Required<Text>,
        /// Version of the program.
        build: Required<Text>,
        /// When the epoch was cut.
        committed_time: Required<Time>,
    }
}
