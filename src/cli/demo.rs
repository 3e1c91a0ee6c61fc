//! `keytrail demo`: a sample estate, a broker in this process, the real pipeline, and what it found.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use super::replay::{settings, summary};
use super::simulate::Estate;
use super::{Exit, Global, block_on, sql, stop_on_signals};
use crate::config::Start;
use crate::ingest::{Embedded, IngestError, Kafka, RecordSource, Stop, Subscription, WATCH_EVERY};
use crate::live::{LiveFinding, View};
use crate::pipeline::{self, Settings};
use crate::query::{Format, Session};
use crate::simulate::{Simulation, Story, TOPICS};

/// Partitions of each topic: the embedded broker keeps 5 MiB in each, and the demo needs about half of that.
const PARTITIONS: i32 = 12;

/// The job under which the demo's lake counts: no service's lake has it.
const JOB: &str = "demo";

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Folder for the lake; it must be empty or not exist
    #[arg(long, default_value = "keytrail-demo", value_name = "DIR")]
    data: PathBuf,
    /// End after the summary instead of opening a prompt for questions
    #[arg(long)]
    no_console: bool,
    #[command(flatten)]
    estate: Estate,
}

impl Demo {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        prepare(&self.data)?;
        let config = global.load()?;
        // Small epochs, so that the demo shows more than one.
        let settings = Settings {
            epoch_age: Duration::from_secs(3_600),
            epoch_bytes: 24 << 20,
            finite: true,
            // Marks the lake as one that the next demo may replace.
            job: JOB.to_owned(),
            ..settings(&config, self.data.clone(), config.identity.lateness)?
        };
        let stop = Stop::default();
        stop_on_signals(&stop)?;
        let started = Instant::now();
        let (broker, planted) = publish(&self.estate, global)?;
        let view = Arc::new(View::default());
        let what = Subscription {
            brokers: broker.brokers(),
            topics: TOPICS.iter().map(|topic| (*topic).to_owned()).collect(),
            properties: config.kafka_properties()?,
            start: Start::Earliest,
            until_end: true,
            accepted: Vec::new(),
            watch_every: WATCH_EVERY,
        };
        let outcome = pipeline::run(
            &settings,
            |positions| Ok(Box::new(Kafka::open(&what, positions)?) as Box<dyn RecordSource>),
            &view,
            &stop,
        )?;
        drop(broker);
        let mut out = std::io::stdout();
        writeln!(out, "\n{}", summary(&view, outcome))?;
        writeln!(
            out,
            "in all {:.1} s, broker and simulation included\n",
            started.elapsed().as_secs_f64()
        )?;
        let missed = tell(&view.findings(), &planted, &mut out)?;
        block_on(show_counts(&self.data))?;
        self.farewell(&mut out)?;
        if missed > 0 && !stop.requested() {
            return Err(Exit(6, format!("{missed} planted stories were not found")).into());
        }
        if !self.no_console && std::io::stdin().is_terminal() {
            sql::prompt(&self.data, Format::Table)?;
        }
        Ok(())
    }

    fn farewell(&self, out: &mut impl Write) -> std::io::Result<()> {
        let data = self.data.display();
        writeln!(out, "\nThe evidence is in {data}. Ask it:")?;
        writeln!(out, "  keytrail findings list --data {data}")?;
        writeln!(out, "  keytrail query dormant-identities --data {data}")?;
        writeln!(
            out,
            "  keytrail sql --data {data} \"SELECT * FROM events LIMIT 5\""
        )?;
        writeln!(out, "  keytrail verify --data {data}")
    }
}

/// Makes sure the demo starts from nothing. An earlier demo's lake is replaced; nothing else ever is.
fn prepare(data: &Path) -> Result<()> {
    let empty = match std::fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", data.display()));
        }
    };
    if empty {
        return Ok(());
    }
    if crate::lake::first_job(data).as_deref() == Some(JOB) {
        return std::fs::remove_dir_all(data)
            .with_context(|| format!("cannot remove {}", data.display()));
    }
    let text = format!(
        "{} is not an earlier demo's lake; pass --data with an empty folder",
        data.display()
    );
    Err(Exit(2, text).into())
}

/// What is known of the estate before anything is read.
#[derive(Debug, Default)]
struct Planted {
    stories: Vec<Story>,
    /// Everybody who has a hand in one of them.
    involved: BTreeSet<String>,
}

/// Starts the broker and writes the estate's logs to it.
fn publish(estate: &Estate, global: &Global) -> Result<(Embedded, Planted), IngestError> {
    let mut broker = Embedded::start(&TOPICS, PARTITIONS)?;
    let mut simulation = Simulation::new(estate.params());
    let mut planted = Planted {
        stories: simulation.stories().to_vec(),
        ..Planted::default()
    };
    let mut messages = 0_u64;
    for batch in simulation.by_ref() {
        planted.involved.extend(batch.involved().cloned());
        for message in batch.messages {
            // Round robin, as a producer without keys does it.
            let partition = (messages % PARTITIONS.unsigned_abs() as u64) as i32;
            broker.send(
                message.topic,
                partition,
                message.key.as_deref(),
                message.time,
                &message.payload,
            )?;
            messages += 1;
        }
    }
    broker.flush()?;
    broker.check(&TOPICS, PARTITIONS)?;
    let totals = simulation.totals();
    global.say(format_args!(
        "a sample estate: {} identities, {} days, {} log records ({} twice) in {messages} messages on {} topics at {}",
        estate.identities,
        estate.days,
        totals.elements,
        totals.duplicates,
        TOPICS.len(),
        broker.brokers()
    ));
    Ok((broker, planted))
}

/// Tells of each planted story whether it was found, and gives how many were not.
fn tell(
    findings: &[LiveFinding],
    planted: &Planted,
    out: &mut impl Write,
) -> std::io::Result<usize> {
    let mut missed = 0;
    writeln!(out, "{} findings; what was planted:", findings.len())?;
    for story in &planted.stories {
        let found = findings.iter().find(|finding| {
            finding.news.detector == story.detector
                && finding.news.identity_uid.as_ref() == story.identity_uid
        });
        match found {
            Some(finding) => {
                writeln!(
                    out,
                    "  found   {:<22} {}",
                    story.name, finding.news.finding_uid
                )?;
                writeln!(
                    out,
                    "          {} ({}): {}",
                    finding.news.detector, finding.news.severity, finding.news.summary
                )?;
            }
            None => {
                missed += 1;
                writeln!(out, "  MISSED  {:<22} {}", story.name, story.description)?;
            }
        }
    }
    let others: Vec<_> = findings
        .iter()
        .filter(|finding| !planted.involved.contains(&*finding.news.identity_uid))
        .collect();
    writeln!(
        out,
        "  {} findings about identities without a story",
        others.len()
    )?;
    for finding in others.iter().take(5) {
        writeln!(
            out,
            "          {} {}: {}",
            finding.news.finding_uid, finding.news.detector, finding.news.summary
        )?;
    }
    Ok(missed)
}

async fn show_counts(data: &Path) -> Result<()> {
    let session = Session::open(data).await?;
    let sql = "SELECT provider, identity_kind, count(*) AS events, count(DISTINCT identity_uid) AS identities \
         FROM events GROUP BY 1, 2 ORDER BY 3 DESC";
    let mut out = std::io::stdout();
    writeln!(
        out,
        "\nevents by provider and kind of identity, as of epoch {}:",
        session.epoch()
    )?;
    let (schema, batches) = session.sql(sql).await?;
    crate::query::write(&mut out, Format::Table, schema, &batches)?;
    Ok(())
}
