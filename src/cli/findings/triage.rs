//! `keytrail findings triage`: somebody says what a finding turned out to be.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use super::super::state::{state, statement};
use super::super::{Exit, Global, block_on};
use super::{find, text};
use crate::model::{self, Day, Decision, Observed, Stated, Why};
use crate::query::Session;

#[derive(Debug, Args)]
pub(super) struct Triage {
    /// What it turned out to be: true_positive, benign, false_positive, in_progress or reopened. What was new about a benign
    /// one (a network, an operation, a region …) becomes normal for its identity
    #[arg(long, value_name = "DECISION", required_if_eq("what", "triage"), value_parser = Decision::parse,
        help_heading = "Triage")]
    decision: Option<Decision>,
    /// Why
    #[arg(
        long,
        value_name = "TEXT",
        required_if_eq("what", "triage"),
        help_heading = "Triage"
    )]
    why: Option<String>,
    /// Others like it, of the same detector about the same identity and the same thing, are not told before this day
    #[arg(long, value_name = "DAY", value_parser = future, help_heading = "Triage")]
    until: Option<Day>,
    /// Who decides; the user that runs this program unless given
    #[arg(long, value_name = "NAME", help_heading = "Triage")]
    by: Option<String>,
}

fn day(text: &str) -> Result<Day, String> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d");
    let date = date.map_err(|_| "a day like 2026-11-01 is needed".to_owned())?;
    let days = date.signed_duration_since(chrono::NaiveDate::default());
    i32::try_from(days.num_days())
        .map(Day)
        .map_err(|_| "that day is too far".to_owned())
}

/// A day that is still to come.
fn future(text: &str) -> Result<Day, String> {
    let until = day(text)?;
    if until <= crate::model::Micros(chrono::Utc::now().timestamp_micros()).day() {
        return Err("a day after today is needed".to_owned());
    }
    Ok(until)
}

impl Triage {
    pub(super) fn run(self, global: &Global, data: &Path, id: &str) -> Result<()> {
        let why = self.why.filter(|why| !why.trim().is_empty());
        let (Some(decision), Some(why)) = (self.decision, why) else {
            return Err(Exit(2, "--decision and --why are needed".to_owned()).into());
        };
        let told = block_on(async {
            let session = Session::open(data).await?;
            let columns = "finding_uid, revision, detector, identity_uid, why_json, coalesce(about, '') AS about";
            let (_, batch) = find(&session, id, columns).await?;
            let reasons: Vec<Why> = serde_json::from_str(&text(&batch, 4)?)?;
            Ok(model::Triage {
                finding_uid: text(&batch, 0)?,
                revision: text(&batch, 1)?.parse()?,
                detector: text(&batch, 2)?,
                identity_uid: text(&batch, 3)?,
                decision,
                reason: why,
                about: Some(text(&batch, 5)?).filter(|about| !about.is_empty()),
                until: self.until,
                observed: reasons.into_iter().map(observed).collect(),
            })
        })?;
        if told.until.is_some() && told.about.is_none() {
            let text = "--until needs a finding that says what it is about, which those of older builds do not: \
                        decide without it, or use [[detect.suppress]]";
            return Err(Exit(2, text.to_owned()).into());
        }
        let finding = told.finding_uid.clone();
        let told = statement(Stated::Triage(told), None, self.by);
        if state(global, data, &told)? {
            global.say(format_args!("{finding} is {}", decision.name()));
        }
        Ok(())
    }
}

fn observed(why: Why) -> Observed {
    Observed {
        dimension: why.dimension.to_string(),
        value: why.observed,
    }
}
