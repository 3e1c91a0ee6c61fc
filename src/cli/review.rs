//! `keytrail review`: what is decided about the access of identities.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::state::{state, statement};
use super::{Exit, Global, Lake, Output, block_on, print_sql};
use crate::inventory::{self, REVIEW_COLUMNS};
use crate::model::{Attestation, Day, Micros, Stated, Verdict};

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
    /// Take over sheets that were filled in: CSV or JSON, as the report access-review makes them
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
    #[arg(long, value_name = "DECISION", value_parser = inventory::verdict)]
    decision: Verdict,
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

/// Who says something, when, and to which lake.
#[derive(Debug, Args)]
struct Said {
    /// When it was decided, a day or a time; now unless given
    #[arg(long, value_name = "TIME", value_parser = super::inventory::time)]
    as_of: Option<Micros>,
    /// Who decided; the user that runs this program unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    lake: Lake,
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
    let mut text = "Columns that are read:\n".to_owned();
    for (name, meaning) in REVIEW_COLUMNS {
        text += &format!("  {name:<13} {meaning}\n");
    }
    text + "\nAll others are passed over."
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
                import.said.state(global, decided)
            }
            What::Decide(decide) => {
                let attestation = Attestation {
                    identity: decide.identity,
                    verdict: decide.decision,
                    reason: decide.why.trim().to_owned(),
                    until: decide.until,
                };
                let sound = attestation.sound();
                let told = |text: String| {
                    text.replace("`reason`", "--why")
                        .replace("`until`", "--until")
                };
                sound.map_err(|text| Exit(2, told(text)))?;
                decide.said.state(global, vec![attestation])
            }
            What::List(list) => {
                let wanted = if list.all {
                    ""
                } else {
                    "WHERE state NOT IN ('holds', 'done')"
                };
                let sql = format!(
                    "SELECT state, identity_uid, display_name, owner, decision, reason, author, attested_time, due_date, \
                     risk_tier FROM attestation {wanted} ORDER BY state, due_date NULLS FIRST, identity_uid"
                );
                block_on(print_sql(&list.lake.data, &sql, list.output.format()))
            }
        }
    }
}

impl Said {
    fn state(self, global: &Global, decided: Vec<Attestation>) -> Result<()> {
        let count = decided.len();
        let told = statement(Stated::Attestations(decided), self.as_of, self.by);
        if state(global, &self.lake.data, &told)? {
            global.say(format_args!("{count} decisions about access"));
        }
        Ok(())
    }
}
