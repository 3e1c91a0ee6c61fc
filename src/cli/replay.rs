//! `keytrail replay`: the pipeline over files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::state::statement;
use super::upkeep::params;
use super::{Exit, Global, Lake, stop_on_signals};
use crate::config::{Config, Span};
use crate::ingest::{Files, Listing, RecordSource, Stop};
use crate::lake::{Inbox, Integrity, Secret};
use crate::live::View;
use crate::model::{FindingStatus, Micros, Stated};
use crate::pipeline::{self, Outcome, Settings};

/// Files need no small epochs: nobody waits for the first row.
const EPOCH_BYTES: usize = 128 << 20;
const EPOCH_AGE: Duration = Duration::from_secs(3_600);

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Files or folders to read, `-` for standard input. Compression and envelopes are recognised
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    from: Vec<PathBuf>,
    #[command(flatten)]
    lake: Lake,
    /// How late an event may come after its neighbours and still be judged in order, like 26h. Unless given, 2h if every
    /// file's path tells its hour, else 26h
    #[arg(long, value_name = "SPAN")]
    lateness: Option<Span>,
    /// What people know of identities, as files for `keytrail inventory import`: taken before the first record
    #[arg(long, num_args = 1.., value_name = "FILE")]
    inventory: Vec<PathBuf>,
    /// Since when that holds, a day or a time; now unless given
    #[arg(long, value_name = "TIME", requires = "inventory", value_parser = super::inventory::time)]
    as_of: Option<Micros>,
    /// Payload bytes per epoch
    #[arg(long, default_value_t = EPOCH_BYTES, value_name = "BYTES")]
    epoch_bytes: usize,
    /// Merge the small files that were written, seal days and write checkpoints when everything is read
    #[arg(long)]
    upkeep: bool,
    /// End with exit code 1 if a finding of this severity or above was made
    #[arg(long, value_name = "SEVERITY", value_parser = ["info", "low", "medium", "high", "critical"])]
    fail_on: Option<String>,
}

impl Replay {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let mut config = global.load()?;
        if let Some(lateness) = self.lateness {
            config.identity.replay_lateness = Some(lateness);
        }
        let listing = Listing::of(&self.from)?;
        for path in &listing.skipped {
            global.say(format_args!(
                "skipped {}: not a log file's name",
                path.display()
            ));
        }
        if !self.inventory.is_empty() {
            let assets = super::inventory::read(&self.inventory)?;
            let told = statement(Stated::Inventory(assets), self.as_of, None);
            Inbox::put(&self.lake.data, &told)?;
        }
        let lateness = config.identity.lateness_of_files(listing.hourly);
        let settings = Settings {
            epoch_age: EPOCH_AGE,
            epoch_bytes: self.epoch_bytes,
            finite: true,
            upkeep: None,
            ..settings(&config, self.lake.data.clone(), lateness)?
        };
        let stop = Stop::default();
        stop_on_signals(&stop)?;
        let view = Arc::new(View::default());
        let bytes_max = config.decode.message_bytes_max;
        let outcome = pipeline::run(
            &settings,
            |positions| {
                let files = Files::new(listing, positions.clone(), bytes_max);
                Ok(Box::new(files) as Box<dyn RecordSource>)
            },
            &view,
            &stop,
        )?;
        global.say(summary(&view, outcome));
        if self.upkeep {
            super::upkeep::keep_up(global, &settings, &params(&config.upkeep))?;
        }
        fail_on(&view, self.fail_on.as_deref())
    }
}

/// Pipeline settings from a configuration, for a source of that lateness.
pub(super) fn settings(config: &Config, lake: PathBuf, lateness: Span) -> Result<Settings> {
    let [signing_key, previous_key] = config.signing_keys()?;
    Ok(Settings {
        lake,
        job: config.lake.job.clone(),
        epoch_age: config.lake.epoch_age.duration(),
        epoch_bytes: config.lake.epoch_bytes,
        snapshot_epochs: config.lake.snapshot_epochs,
        integrity: Integrity {
            origin: config.integrity.origin.clone(),
            signing_key: signing_key.map(Secret::new),
            previous_key: previous_key.map(Secret::new),
            sign: config.integrity.sign,
        },
        lease: config.lake.lease.duration(),
        decode: config.decoding()?,
        engine: config.engine(lateness)?,
        upkeep: config.upkeep.enabled.then(|| params(&config.upkeep)),
        finite: false,
        // Somebody who replays files sees what came of them.
        rejects: None,
    })
}

/// What went in, what came out, and how fast: the difference is always explained.
pub(super) fn summary(view: &View, outcome: Outcome) -> String {
    let elements = view.elements("elements");
    let seconds = outcome.took.as_secs_f64().max(0.001);
    let until = Duration::from_micros((seconds * 1e6) as u64);
    let rate = (elements as f64 / seconds) as u64;
    let megabytes = outcome.bytes as f64 / 1e6;
    format!(
        "{} messages, {elements} elements = {} events + {} duplicates + {} rejected + {} ignored\n\
         {} epochs, {megabytes:.1} MB in {} ({rate} elements/s); {} findings",
        outcome.records,
        view.elements("accepted"),
        view.elements("duplicate"),
        view.elements("rejected"),
        view.elements("ignored"),
        outcome.epochs,
        humantime::format_duration(Duration::from_millis(until.as_millis() as u64)),
        view.findings().len(),
    )
}

/// Exit code 1 if a finding reaches `severity`.
fn fail_on(view: &View, severity: Option<&str>) -> Result<()> {
    const ORDER: [&str; 5] = ["info", "low", "medium", "high", "critical"];
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    let Some(limit) = severity.and_then(rank) else {
        return Ok(());
    };
    let reached = view
        .findings()
        .iter()
        .filter(|finding| !finding.news.suppressed)
        .filter(|finding| finding.news.status != FindingStatus::Retracted)
        .filter(|finding| rank(finding.news.severity) >= Some(limit))
        .count();
    if reached == 0 {
        return Ok(());
    }
    let text = format!("{reached} findings at or above --fail-on");
    Err(Exit(1, text).into())
}
