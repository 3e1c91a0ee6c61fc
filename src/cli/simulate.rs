//! `keytrail simulate`: a labelled sample estate in files, in the true shapes of the logs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::Global;
use crate::model::Micros;
use crate::simulate::{Batch, Label, Params, Simulation};

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// Folder for the log files: one folder a day, one file a topic and hour, one message a line
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    estate: Estate,
    /// File for the labels, one JSON object a line: what is true about each event
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

/// What the estate is like.
#[derive(Clone, Debug, Args)]
pub(super) struct Estate {
    /// Machine identities and people
    #[arg(long, default_value_t = 100)]
    pub(super) identities: u32,
    /// Days of history
    #[arg(long, default_value_t = 90)]
    pub(super) days: u32,
    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// About how many events in all
    #[arg(long)]
    pub(super) events: Option<u64>,
    /// First day
    #[arg(long, default_value = "2026-08-01", value_parser = day)]
    pub(super) start: Micros,
}

impl Estate {
    pub(super) fn params(&self) -> Params {
        Params {
            seed: self.seed,
            identities: self.identities,
            days: self.days,
            start: self.start,
            events_max: self.events,
            late_per_mille: 20,
            duplicate_per_mille: 5,
            records_per_object: 200,
        }
    }
}

impl Simulate {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let mut simulation = Simulation::new(self.estate.params());
        let mut labels = match &self.labels {
            Some(path) => Some(create(path)?),
            None => None,
        };
        let stories = simulation.stories().to_vec();
        for (hour, batch) in simulation.by_ref().enumerate() {
            write_hour(&self.out, self.estate.start, hour, &batch)?;
            if let Some(labels) = &mut labels {
                for label in &batch.labels {
                    writeln!(labels, "{}", label_json(label))?;
                }
            }
        }
        if let Some(mut labels) = labels {
            for story in &stories {
                let line = json!({
                    "story": story.name,
                    "detector": story.detector,
                    "identity_uid": story.identity_uid,
                    "first_event_uid": story.first_event_uid,
                    "description": story.description,
                });
                writeln!(labels, "{line}")?;
            }
            labels.flush()?;
        }
        let totals = simulation.totals();
        global.say(format_args!(
            "{} events ({} distinct, {} duplicates, {} late) of {} identities over {} days; {} stories",
            totals.elements,
            totals.distinct,
            totals.duplicates,
            totals.late,
            self.estate.identities,
            self.estate.days,
            stories.len()
        ));
        Ok(())
    }
}

/// Appends the hour's messages to one file for each topic, named so that the order of names is the order of time.
fn write_hour(out: &Path, start: Micros, hour: usize, batch: &Batch) -> Result<()> {
    let at = start.plus(
        i64::try_from(hour)
            .unwrap_or(i64::MAX)
            .saturating_mul(Micros::HOUR),
    );
    let mut files: BTreeMap<&str, BufWriter<File>> = BTreeMap::new();
    for message in &batch.messages {
        if !files.contains_key(message.topic) {
            let folder = out.join(at.day().to_string());
            let (day, hour) = (at.day(), at.hour().rem_euclid(24));
            let name = format!("{day}T{hour:02}Z-{}.ndjson", message.topic);
            files.insert(message.topic, create(&folder.join(name))?);
        }
        if let Some(file) = files.get_mut(message.topic) {
            file.write_all(&message.payload)?;
            file.write_all(b"\n")?;
        }
    }
    for mut file in files.into_values() {
        file.flush()?;
    }
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

fn label_json(label: &Label) -> serde_json::Value {
    json!({
        "event_uid": label.event_uid,
        "identity_uid": label.identity_uid,
        "nhi_uid": label.nhi_uid,
        "acting_uid": label.acting_uid,
        "story": label.story,
    })
}

/// Midnight of a day written `2026-08-01`.
fn day(text: &str) -> Result<Micros, String> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|error| format!("{text:?} is not a day like 2026-08-01: {error}"))?;
    let midnight = date.and_hms_opt(0, 0, 0).unwrap_or_default();
    Ok(Micros(midnight.and_utc().timestamp_micros()))
}
