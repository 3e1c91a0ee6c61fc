//! `keytrail run`: the service.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::mirror::Mirror;
use super::replay::{settings, summary};
use super::{Exit, Global, lake_of, missing, stop_on_signals};
use crate::ingest::{AcceptedGap, Kafka, RecordSource, Stop, Subscription, WATCH_EVERY};
use crate::live::View;
use crate::pipeline::{self, RejectLimit, Settings};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The lake, instead of lake.url: a folder, or an address like s3://bucket/lake
    #[arg(long, env = "KEYTRAIL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Brokers, instead of kafka.brokers
    #[arg(long, value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Topic to read, instead of kafka.topics; may be given several times
    #[arg(long = "topic", value_name = "NAME")]
    topics: Vec<String>,
    /// End when every partition has been read to its end, and settle what waits for more
    #[arg(long)]
    until_end: bool,
    /// Go on without these offsets, which retention removed before they were read (FROM up to, not including, TO). The gap
    /// and the reason become part of the evidence. May be given several times; does nothing where nothing is missing
    #[arg(
        long = "accept-gap",
        value_name = "TOPIC/PARTITION/FROM/TO",
        requires = "reason"
    )]
    accept_gap: Vec<String>,
    /// Why the records of --accept-gap may be missing
    #[arg(long, value_name = "TEXT", requires = "accept_gap")]
    reason: Option<String>,
    /// Wait beside the writer that is active, follow it, and take over when it has been silent for lake.lease
    #[arg(long)]
    standby: bool,
}

impl Run {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let config = global.load()?;
        let accepted = self.accepted()?;
        let lake = lake_of(self.data, &config)?;
        let brokers = self
            .brokers
            .or_else(|| (!config.kafka.brokers.is_empty()).then(|| config.kafka.brokers.join(",")))
            .ok_or_else(|| missing("kafka.brokers", "--brokers"))?;
        let mut topics = self.topics;
        if topics.is_empty() {
            topics.extend(config.kafka.topics.iter().map(|topic| topic.name.clone()));
        }
        if topics.is_empty() {
            return Err(missing("kafka.topics", "--topic").into());
        }
        let settings = Settings {
            finite: self.until_end,
            rejects: Some(RejectLimit {
                percent: config.rejects.stop_percent,
                count_min: config.rejects.stop_count_min,
            }),
            ..settings(&config, lake, config.identity.lateness)?
        };
        let subscription = Subscription {
            brokers,
            topics,
            properties: config.kafka_properties()?,
            start: config.kafka.start,
            until_end: self.until_end,
            accepted,
            watch_every: WATCH_EVERY,
        };
        let stop = Stop::default();
        stop_on_signals(&stop)?;
        let view = Arc::new(View::default());
        let mut warm = None;
        if self.standby {
            warm = pipeline::stand_by(&settings, &stop)?;
            if warm.is_none() {
                return Ok(());
            }
        }
        let mirror = config.rejects.mirror_topic.as_deref();
        let mirror = mirror.map(|topic| Mirror::start(topic, &subscription, &settings.lake, &view));
        let mirror = mirror.transpose()?;
        let outcome = pipeline::run_from(
            &settings,
            warm,
            |positions| {
                let kafka = Kafka::open(&subscription, positions)?;
                Ok(Box::new(kafka) as Box<dyn RecordSource>)
            },
            &view,
            &stop,
        );
        // What was committed is copied still, however the run ended.
        drop(mirror);
        let outcome = outcome?;
        global.say(summary(&view, outcome));
        Ok(())
    }

    /// The gaps that may be passed.
    fn accepted(&self) -> Result<Vec<AcceptedGap>> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let parse = |text: &String| {
            AcceptedGap::parse(text, reason)
                .map_err(|wrong| Exit(2, format!("--accept-gap: {wrong}")).into())
        };
        self.accept_gap.iter().map(parse).collect()
    }
}
