//! `keytrail verify`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::{Exit, Lake, block_on};
use crate::lake::{Demands, Place, Verdict, verify_at};

/// Does the lake still say what the ledger says it said? Reads every file of it
///
/// Checks keys, signatures, the chain of manifests, offsets, conservation, state files, every tile of the tree, the
/// tables' logs, and every row: its digest is recomputed from its columns and must be found at its leaf, once. Names the
/// first thing that is wrong: table, file, row, epoch.
///
/// Two things can only be found with something that is kept elsewhere. That the end of the lake was cut off, by somebody
/// who can sign: with --anchor, a file that `keytrail anchor` appends to. That somebody signed another lake with a key of
/// their own: with --key.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    lake: Lake,
    /// The lake must have grown out of every checkpoint in this file
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// The first key that signed must be this one: name+id+key, or a file with it
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<()> {
        let demands = Demands {
            key: self.key.as_deref().map(key).transpose()?,
            anchor: self.anchor,
            ..Demands::default()
        };
        let verdict =
            block_on(async { Ok(verify_at(&Place::of(&self.lake.data)?, &demands).await?) })?;
        let mut out = std::io::stdout();
        let printed = if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&verdict)?)
        } else {
            print(&verdict, &mut out)
        };
        let problems = verdict.problems.len() as u64 + verdict.more_problems;
        if problems > 0 {
            let text =
                format!("{problems} problems; the first one named is the first that is wrong");
            return Err(Exit(6, text).into());
        }
        // After the verdict: that nobody read it to its end does not change it.
        printed?;
        eprintln!("verified: everything the ledger names is there and unchanged");
        if demands.anchor.is_none() {
            eprintln!(
                "without --anchor nobody can see whether later epochs were cut off; `keytrail anchor FILE` keeps a \
                 checkpoint outside"
            );
        }
        Ok(())
    }
}

fn print(verdict: &Verdict, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{} epochs, {} files, {} bytes, {} rows; head {}",
        verdict.epochs, verdict.files, verdict.bytes, verdict.rows, verdict.head
    )?;
    if !verdict.root_hash.is_empty() {
        writeln!(
            out,
            "{} leaves; root {}",
            verdict.tree_size, verdict.root_hash
        )?;
    }
    for key in &verdict.keys {
        writeln!(
            out,
            "signed from epoch {} by {}",
            key.from_epoch, key.verifier
        )?;
    }
    writeln!(
        out,
        "{} elements = {} events + {} duplicates + {} rejected + {} ignored",
        verdict.elements, verdict.accepted, verdict.duplicate, verdict.rejected, verdict.ignored
    )?;
    for gap in &verdict.gaps {
        writeln!(
            out,
            "never read, accepted in epoch {}: {}/{} offsets {} to {} ({}, lost to {}): {}",
            gap.epoch,
            gap.topic,
            gap.partition,
            gap.gap.from,
            gap.gap.to - 1,
            gap.gap.span(),
            gap.gap.cause,
            gap.gap.reason
        )?;
    }
    if verdict.retired > 0 {
        writeln!(
            out,
            "{} rows are gone on purpose; ledger/upkeep says which and why",
            verdict.retired
        )?;
    }
    if verdict.anchors > 0 {
        writeln!(out, "agrees with {} checkpoints outside", verdict.anchors)?;
    }
    for problem in &verdict.problems {
        let row = problem
            .row
            .map_or_else(String::new, |row| format!(" row {row}"));
        writeln!(
            out,
            "WRONG in epoch {}: {}{row}: {}",
            problem.epoch, problem.what, problem.reason
        )?;
    }
    if verdict.more_problems > 0 {
        writeln!(out, "and {} more", verdict.more_problems)?;
    }
    Ok(())
}

/// A verifier key, from a file if there is one of that name.
pub(super) fn key(text: &str) -> Result<String> {
    let path = Path::new(text);
    if path.is_file() {
        let text = std::fs::read_to_string(path);
        return Ok(text
            .with_context(|| format!("cannot read {}", path.display()))?
            .trim()
            .to_owned());
    }
    Ok(text.trim().to_owned())
}
