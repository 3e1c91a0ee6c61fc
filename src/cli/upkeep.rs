//! `keytrail upkeep --once`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;

use super::replay::settings;
use super::{Exit, Global, Lake};
use crate::config;
use crate::lake::{self, Act, Garbage, UpkeepParams};
use crate::model::Micros;
use crate::pipeline::{self, Settings};

#[derive(Debug, Args)]
pub(super) struct Upkeep {
    #[command(flatten)]
    lake: Lake,
    /// Do what is due and end. `keytrail run` does it by itself, and nobody else may while it runs
    #[arg(long, required = true)]
    once: bool,
}

impl Upkeep {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let config = global.load()?;
        let data = self.lake.data;
        let Some(job) = lake::first_job(&data) else {
            return Err(Exit(4, format!("{} holds no lake", data.display())).into());
        };
        // Nothing is read, so it does not matter how late it would be.
        let settings = settings(&config, data, config.identity.lateness)?;
        keep_up(
            global,
            &Settings { job, ..settings },
            &params(&config.upkeep),
        )
    }
}

/// Does everything that is due in the lake of `settings`, and says what it was.
pub(super) fn keep_up(global: &Global, settings: &Settings, params: &UpkeepParams) -> Result<()> {
    let (acts, garbage, waits) = pipeline::keep_up_once(settings, params, now())?;
    global.say(summary(&acts, &garbage));
    if waits {
        global.say(
            "the removal is decided and takes effect with the next epoch, whose manifest names it",
        );
    }
    Ok(())
}

/// Parameters of upkeep from a configuration.
pub(super) fn params(config: &config::Upkeep) -> UpkeepParams {
    UpkeepParams {
        merge_after: config.merge_after.micros(),
        seal_after: config.seal_after.micros(),
        look_every: Micros::MINUTE,
        target_bytes: config.target_bytes.max(1 << 20),
        checkpoint_commits: config.checkpoint_commits.max(1),
        garbage_age: config.garbage_age.micros(),
        raw_events_age: config.raw_events_age.map(config::Span::micros),
    }
}

fn now() -> Micros {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A line for each kind and table, and one for what was removed.
fn summary(acts: &[Act], garbage: &Garbage) -> String {
    let mut totals: BTreeMap<(&str, &str), (usize, usize, i64)> = BTreeMap::new();
    let mut text = String::new();
    for act in acts {
        if act.lost {
            text += "another writer keeps this lake up; nothing was done beside it\n";
            continue;
        }
        let total = totals.entry((act.kind.name(), act.table)).or_default();
        total.0 += act.files_before;
        total.1 += act.files_after;
        total.2 += act.rows;
    }
    for ((kind, table), (before, after, rows)) in totals {
        text += &format!("{kind} {table}: {before} files with {rows} rows became {after}\n");
    }
    text += &format!(
        "{} files that others replaced, {} that nobody named and {} old states were removed: {} bytes",
        garbage.replaced, garbage.orphans, garbage.states, garbage.bytes
    );
    text
}
