//! `keytrail run`: the service.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::replay::{settings, summary};
use super::{Global, stop_on_signals};
use crate::config::ConfigError;
use crate::ingest::{Kafka, RecordSource, Stop};
use crate::live::View;
use crate::pipeline::{self, Settings};

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
}

impl Run {
    pub(super) fn run(self, global: &Global) -> Result<()> {
        let config = global.load()?;
        let missing = |key: &str, flag: &str| ConfigError::Invalid {
            origin: "configuration".to_owned(),
            reason: format!("{key} is not set"),
            suggestion: format!("; set it in the file or pass {flag}"),
        };
        let lake = self
            .data
            .or_else(|| (!config.lake.url.is_empty()).then(|| PathBuf::from(&config.lake.url)))
            .ok_or_else(|| missing("lake.url", "--data"))?;
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
            ..settings(&config, lake, config.identity.lateness)?
        };
        let properties = config.kafka_properties()?;
        let stop = Stop::default();
        stop_on_signals(&stop)?;
        let view = Arc::new(View::default());
        let outcome = pipeline::run(
            &settings,
            |positions| {
                let kafka = Kafka::connect(
                    &brokers,
                    &topics,
                    &properties,
                    config.kafka.start,
                    positions,
                    self.until_end,
                )?;
                Ok(Box::new(kafka) as Box<dyn RecordSource>)
            },
            &view,
            &stop,
        )?;
        global.say(summary(&view, outcome));
        Ok(())
    }
}
