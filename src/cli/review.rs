//! `keytrail review`: what is decided about the access of identities.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::state::{Said, listed};
use super::{Exit, Global, Lake, Output, block_on, print_sql};
use crate::inventory::{self, REVIEW_COLUMNS};
use crate::model::{Attestation, Day, Micros, ReviewDecision, Stated};
use crate::query::{bind, question};

#[derive(Debug, Args)]
#[command(before_help = "Examples:
  keytrail report access-review --data ./lake --format csv -o sheet.csv
      make a sheet; its columns decision, reason and until are to be filled in
  keytrail review import sheet.csv --data ./lake --by ines.kram
      take over what was decided
  keytrail review list --data ./lake
      what is due, and what was decided and is not done")]
pub(super) struct Review {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Take over sheets that were filled in: CSV as the report access-review makes it, or JSON objects; a workbook is saved as CSV first
    #[command(after_help = columns())]
    Import(Import),
    /// Decide about one identity
    Decide(Decide),
    /// Machine identities that were never reviewed, whose decision is due again, or about which it was not carried out
    List(List),
}

#[derive(Debug, Args)]
struct Import {
    /// Files to read
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, Args)]
struct Decide {
    /// Canonical id, ARN, or id of an application or service principal
    identity: String,
    /// keep, revoke, reduce or exception
    #[arg(long, value_name = "DECISION", value_parser = ReviewDecision::parse)]
    decision: ReviewDecision,
    /// Why; needed for whatever is not keep
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    why: String,
    /// The first day on which it does not hold any more; needed for an exception
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Day>,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, Args)]
struct List {
    /// Those that hold and those that are done, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

/// The columns of a sheet, for the help.
fn columns() -> String {
    let columns = listed(&REVIEW_COLUMNS);
    format!("Columns that are read:\n{columns}\nAll others are passed over.")
}

fn day(text: &str) -> Result<Day, String> {
    super::inventory::time(text).map(Micros::day)
}

impl Review {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        match self.what {
            What::Import(import) => {
                let decided = inventory::reviews(&import.files).map_err(super::inventory::told)?;
                if decided.is_empty() {
                    let text = "no row has a decision: fill in the column `decision`";
                    return Err(Exit(2, text.to_owned()).into());
                }
                state(import.said, global, decided)
            }
            What::Decide(decide) => {
                let attestation = Attestation {
                    identity: decide.identity,
                    decision: decide.decision,
                    reason: decide.why.trim().to_owned(),
                    until: decide.until,
                };
                let sound = attestation.sound();
                let told = |text: String| {
                    text.replace("`reason`", "--why")
                        .replace("`until`", "--until")
                };
                sound.map_err(|text| Exit(2, told(text)))?;
                state(decide.said, global, vec![attestation])
            }
            What::List(list) => {
                let all = if list.all { "yes" } else { "no" };
                let given = BTreeMap::from([("all".to_owned(), all.to_owned())]);
                let sql = bind(&question("reviews")?, &given)?;
                block_on(print_sql(&list.lake.data, &sql, list.output.format()))
            }
        }
    }
}

/// States what was decided.
fn state(said: Said, global: &Global, decided: Vec<Attestation>) -> Result<()> {
    let done = format!("{} decisions about access", decided.len());
    said.state(global, Stated::Attestations(decided), &done)
}
