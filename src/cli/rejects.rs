//! `keytrail rejects top|show|replay`: what was read and is no event.

mod again;

use std::io::Write;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Exit, Global, Lake, Output, block_on, print_answer};
use crate::model::RejectCode;
use crate::query::{Format, Session, formatted, harmless};

#[derive(Debug, Args)]
pub(super) struct Rejects {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Group them by reason, stage and shape, the most frequent first, each with an example
    Top(Top),
    /// Show one, with its text as it was kept: secrets taken out, at most 64 KiB
    Show(Show),
    /// Decode what was kept again, with this program, and say what it would come to now. Changes nothing in the lake
    Replay(again::Again),
}

#[derive(Debug, Args)]
struct Top {
    /// How many groups
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Show {
    /// Its position, as `top` gives it: TOPIC/PARTITION/OFFSET, and /INDEX for one element of a message
    #[arg(value_name = "POSITION")]
    position: String,
    #[command(flatten)]
    lake: Lake,
    #[command(flatten)]
    output: Output,
}

/// The position of a row as text.
const POSITION: &str = "src_topic || '/' || CAST(src_partition AS VARCHAR) || '/' || CAST(src_offset AS VARCHAR) \
    || '/' || CAST(src_index AS VARCHAR)";

impl Rejects {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        match self.what {
            What::Top(top) => top.run(),
            What::Show(show) => show.run(),
            What::Replay(again) => again.run(global),
        }
    }
}

impl Top {
    fn run(self) -> Result<()> {
        let sql = format!(
            "SELECT count(*) AS rejects, code, stage, fingerprint, min(event_date) AS first_date, \
             max(event_date) AS last_date, first_value({POSITION} ORDER BY _leaf DESC) AS example, \
             first_value(detail ORDER BY _leaf DESC) AS example_detail FROM rejects \
             GROUP BY code, stage, fingerprint ORDER BY rejects DESC, code, stage, fingerprint LIMIT {}",
            self.limit
        );
        let codes = "SELECT DISTINCT code FROM rejects ORDER BY code";
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            print_answer(&session, &sql, self.output.format()).await?;
            let (_, batches) = session.sql(codes).await?;
            for row in formatted(&batches)? {
                eprintln!("{}: {}", row[0], advice(&row[0]));
            }
            Ok(())
        })
    }
}

impl Show {
    fn run(self) -> Result<()> {
        let wanted = self.position.replace('\'', "''");
        let sql = format!(
            "SELECT {POSITION} AS position, stage, code, detail, fingerprint, event_date, raw_sha256, _epoch AS epoch, raw \
             FROM rejects WHERE {POSITION} = '{wanted}' OR starts_with({POSITION}, '{wanted}/') ORDER BY src_index"
        );
        block_on(async {
            let session = Session::open(&self.lake.data).await?;
            let (schema, batches) = session.sql(&sql).await?;
            let rows = formatted(&batches)?;
            if rows.is_empty() {
                let text = format!(
                    "there is no reject at {:?}; `keytrail rejects top` gives examples as TOPIC/PARTITION/OFFSET/INDEX",
                    self.position
                );
                return Err(Exit(2, text).into());
            }
            let format = self.output.format();
            if format != Format::Table {
                return print_answer(&session, &sql, format).await;
            }
            let mut out = std::io::stdout().lock();
            for row in &rows {
                for (field, value) in schema.fields().iter().zip(row) {
                    writeln!(out, "{:>12}  {}", field.name(), harmless(value))?;
                    if field.name() == "code" {
                        writeln!(out, "{:>12}  {}", "advice", advice(value))?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// What to do about rejects of this code.
fn advice(code: &str) -> &'static str {
    match RejectCode::ALL.iter().find(|known| known.code() == code) {
        Some(known) => known.advice(),
        None if code == "source_gap" => {
            "the source lost these offsets before they were read; look for them where the topic is filled from"
        }
        None => "another version of this program wrote it; see the release that did",
    }
}
