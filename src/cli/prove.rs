//! `keytrail prove`, `keytrail verify-proof` and `keytrail anchor`: evidence for those who have no access to the lake.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use clap::Args;

use super::{Exit, Lake, block_on, verify};
use crate::lake::{Proof, anchor, canonical_row, prove};
use crate::query::Session;

/// Write a proof that one event's row is in the log
///
/// The proof (C2SP tlog-proof) holds the row's own bytes, its place in the tree, the hashes from there to the root, and
/// the newest signed checkpoint. `keytrail verify-proof` checks it offline with nothing but the public key, which
/// `keytrail verify` prints. It shows the row to whoever has it.
#[derive(Debug, Args)]
pub(super) struct Prove {
    /// The event's event_uid
    #[arg(value_name = "EVENT_UID")]
    event_uid: String,
    #[command(flatten)]
    lake: Lake,
    /// Which row of the event: its attribution, or the record as received
    #[arg(long, default_value = "activity", value_parser = ["activity", "raw_events"])]
    table: String,
    /// File to write, instead of standard output. Their names end in .tlog-proof
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Prove {
    pub(super) fn run(self) -> Result<()> {
        let sql = format!(
            "SELECT * FROM {} WHERE event_uid = '{}'",
            self.table,
            self.event_uid.replace('\'', "''")
        );
        let (schema, batches) = block_on(async {
            let session = Session::open(&self.lake.data).await?;
            Ok(session.sql(&sql).await?)
        })?;
        let batch = concat_batches(&schema, &batches)?;
        if batch.num_rows() != 1 {
            let text = format!(
                "{} rows of {} have event_uid {:?}; `keytrail sql \"SELECT event_uid FROM activity\"` lists them",
                batch.num_rows(),
                self.table,
                self.event_uid
            );
            return Err(Exit(2, text).into());
        }
        let leaf = batch
            .column_by_name("_leaf")
            .and_then(|leaves| leaves.as_primitive_opt::<Int64Type>())
            .context("the table has no leaves")?
            .value(0);
        let row = canonical_row(&self.table, &batch)?;
        let proof = prove(&self.lake.data, leaf, row)?.to_bytes();
        match &self.output {
            Some(path) => std::fs::write(path, proof)
                .with_context(|| format!("cannot write {}", path.display()))?,
            None => std::io::stdout().write_all(&proof)?,
        }
        Ok(())
    }
}

/// Check a proof offline, with nothing but the public key
///
/// Prints the row as JSON if the proof holds; else ends with exit code 6. The key is the one that signed the epochs when
/// the proof was made: after a change of keys, the new one.
#[derive(Debug, Args)]
pub(super) struct VerifyProof {
    /// The proof
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key: name+id+key, or a file with it. Take it from somebody you trust, not from who gave you the proof
    #[arg(long, value_name = "KEY")]
    key: String,
}

impl VerifyProof {
    pub(super) fn run(self) -> Result<()> {
        let key = verify::key(&self.key)?;
        let bytes = std::fs::read(&self.file)
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        let proven = Proof::parse(&bytes).and_then(|proof| proof.verify(&key));
        let proven = proven
            .map_err(|reason| Exit(6, format!("{}: not proven: {reason}", self.file.display())))?;
        writeln!(
            std::io::stdout(),
            "{}",
            serde_json::to_string_pretty(&proven)?
        )?;
        eprintln!(
            "proven: this row is leaf {} of {} in {} as of epoch {}",
            proven.leaf, proven.tree_size, proven.origin, proven.epoch
        );
        Ok(())
    }
}

/// Append the newest checkpoint to a file outside of the lake
///
/// Whoever can write the lake and sign for it can cut off its last epochs everywhere, and nothing in the lake shows it. A
/// checkpoint that they cannot reach does: keep the file on another system, and give it to `keytrail verify --anchor`.
#[derive(Debug, Args)]
pub(super) struct Anchor {
    /// File to append to
    #[arg(value_name = "TO")]
    to: PathBuf,
    #[command(flatten)]
    lake: Lake,
}

impl Anchor {
    pub(super) fn run(self) -> Result<()> {
        let (epoch, new) = anchor(&self.lake.data, &self.to)?;
        let said = if new {
            "anchored"
        } else {
            "was anchored before"
        };
        eprintln!("epoch {epoch} {said}: {}", self.to.display());
        Ok(())
    }
}
