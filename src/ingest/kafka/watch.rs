//! The thread that looks for partitions that came into being while others are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::super::continuity::{self, Partition};
use super::super::{IngestError, Stop};
use super::client::{self, Consumer};
use super::poller::Grown;
use crate::config::Start;
use crate::telemetry::Event;

/// How long the broker may take to answer. No answer only means that it is asked again, and whoever stops the service
/// waits for it.
const ASK: Duration = Duration::from_secs(3);

/// How quickly a request to stop is seen.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the watching thread owns.
pub(super) struct Watch {
    pub(super) consumer: Arc<Consumer>,
    pub(super) names: BTreeMap<String, Arc<str>>,
    pub(super) known: BTreeSet<(String, i32)>,
    pub(super) every: Duration,
    pub(super) grown: Sender<Result<Grown, IngestError>>,
    pub(super) quit: Stop,
}

impl Watch {
    /// Looks every so often until told to stop, or until nobody listens.
    pub(super) fn watch(&mut self) {
        let mut looked = Instant::now();
        while !self.quit.requested() {
            std::thread::sleep(PATIENCE.min(self.every));
            if looked.elapsed() < self.every {
                continue;
            }
            looked = Instant::now();
            for found in self.look() {
                let failed = found.is_err();
                if self.grown.send(found).is_err() || failed {
                    return;
                }
            }
        }
    }

    fn look(&mut self) -> Vec<Result<Grown, IngestError>> {
        let topics: Vec<String> = self.names.keys().cloned().collect();
        let partitions = match client::partitions(&self.consumer, &topics, ASK) {
            Ok(partitions) => partitions,
            Err(error) => {
                let reason = error.to_string();
                Event::BrokerTrouble { reason: &reason }.tell();
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for (topic, number) in partitions {
            if self.quit.requested() || self.known.contains(&(topic.clone(), number)) {
                continue;
            }
            // A partition whose leader is not there yet is asked for again.
            let Ok((low, high)) = client::watermarks(&self.consumer, &topic, number, ASK) else {
                continue;
            };
            let Some(name) = self.names.get(&topic).cloned() else {
                continue;
            };
            let partition = Partition {
                topic: &topic,
                number,
                low,
                high,
                known: None,
                grown: true,
            };
            let opening = continuity::open(partition, Start::Earliest, &[]);
            found.push(opening.map(|opening| Grown {
                place: (name, number),
                start: opening.start,
                high,
            }));
            self.known.insert((topic, number));
        }
        found
    }
}
