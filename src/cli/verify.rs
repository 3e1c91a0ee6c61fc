//! `keytrail verify`.

use anyhow::Result;
use clap::Args;

use super::{Exit, Lake, block_on};
use crate::lake::verify;

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    lake: Lake,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<()> {
        let verdict = block_on(async { Ok(verify(&self.lake.data).await?) })?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&verdict)?);
        } else {
            println!(
                "{} epochs, {} files, {} bytes, {} rows; head {}",
                verdict.epochs, verdict.files, verdict.bytes, verdict.rows, verdict.head
            );
            println!(
                "{} elements = {} events + {} duplicates + {} rejected + {} ignored",
                verdict.elements,
                verdict.accepted,
                verdict.duplicate,
                verdict.rejected,
                verdict.ignored
            );
            if verdict.removed > 0 {
                println!(
                    "{} rows are gone on purpose; ledger/upkeep says which and why",
                    verdict.removed
                );
            }
            for problem in &verdict.problems {
                println!(
                    "WRONG in epoch {}: {}: {}",
                    problem.epoch, problem.what, problem.reason
                );
            }
        }
        match verdict.problems.len() {
            0 => {
                eprintln!("verified: everything the ledger names is there and unchanged");
                Ok(())
            }
            problems => Err(Exit(
                6,
                format!("{problems} problems; the first one named is the first that is wrong"),
            )
            .into()),
        }
    }
}
