//! Copies rejects to a topic of their own, for tools that watch topics and not tables.
//!
//! It reads the committed table and never stands in the way of a commit. How far it came is a file in the lake, written
//! once the broker has everything up to there: after a crash some rejects are copied again, and none is left out.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::block_on;
use crate::config::ConfigError;
use crate::ingest::{Stop, Subscription};
use crate::lake::{self, Place};
use crate::live::View;
use crate::query::{Session, formatted};
use crate::telemetry::Event;

/// How many rejects are copied between two marks of how far it came.
const PAGE: usize = 500;

/// How often it looks for new commits, and how long it waits after a failure.
const LOOK: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(5);

/// How long the broker may take for a page: as long as somebody who stops the service waits for it.
const DELIVERY: Duration = Duration::from_secs(5);

/// The copying thread. Dropping it copies what is committed, tries that once, and ends.
pub(super) struct Mirror {
    quit: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    /// Begins to copy the rejects of the lake that `view` shows to `topic`.
    pub(super) fn start(
        topic: &str,
        source: &Subscription,
        lake: &Path,
        view: &Arc<View>,
    ) -> Result<Self> {
        if source.topics.iter().any(|read| read == topic) {
            return Err(ConfigError::Invalid {
                origin: "rejects.mirror_topic".to_owned(),
                reason: format!("{topic} is read itself: rejects would come back as rejects"),
                suggestion: String::new(),
            }
            .into());
        }
        let mut copying = Copying::new(topic, source, lake)?;
        let (quit, view) = (Stop::default(), view.clone());
        let asked = quit.clone();
        let thread = std::thread::Builder::new()
            .name("mirror".to_owned())
            .spawn(move || copying.follow(&view, &asked))?;
        Ok(Self {
            quit,
            thread: Some(thread),
        })
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.quit.request();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Counts what the broker did not take.
#[derive(Default)]
struct Deliveries {
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Copying {
    topic: String,
    lake: Place,
    /// The file that says how far it came.
    mark: Place,
    producer: BaseProducer<Deliveries>,
    /// Leaf of the last reject that was copied.
    leaf: i64,
}

impl Copying {
    fn new(topic: &str, source: &Subscription, lake: &Path) -> Result<Self> {
        let mut config = ClientConfig::new();
        for (key, value) in &source.properties {
            config.set(key, value);
        }
        config
            .set("bootstrap.servers", &source.brokers)
            .set("acks", "all")
            .set("compression.type", "zstd")
            .set("message.timeout.ms", DELIVERY.as_millis().to_string());
        let lake = Place::of(lake)?;
        let mut copying = Self {
            topic: topic.to_owned(),
            mark: lake.join("mirror").join(format!("{topic}.leaf")),
            lake,
            producer: config.create_with_context(Deliveries::default())?,
            leaf: -1,
        };
        if let Some(bytes) = lake::read(&copying.mark)? {
            let text = String::from_utf8_lossy(&bytes);
            let mark = copying.mark.display();
            let wrong = || format!("{mark} is not a leaf's number; remove it");
            copying.leaf = text.trim().parse().with_context(wrong)?;
        }
        Ok(copying)
    }

    /// Copies after each commit, until told to stop, and then once more.
    fn follow(&mut self, view: &View, quit: &Stop) {
        let mut copied = 0;
        let mut failed: Option<Instant> = None;
        loop {
            let quitting = quit.requested();
            let published = view.published();
            let waiting = failed.is_some_and(|at| at.elapsed() < PAUSE);
            if published > copied && (quitting || !waiting) {
                match self.copy() {
                    Ok(()) => (copied, failed) = (published, None),
                    Err(error) => {
                        failed = Some(Instant::now());
                        let reason = format!("{error:#}");
                        let topic = &self.topic;
                        Event::MirrorTrouble {
                            topic,
                            reason: &reason,
                        }
                        .tell();
                    }
                }
            }
            if quitting {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Copies everything that is committed and was not copied.
    fn copy(&mut self) -> Result<()> {
        loop {
            let rows = self.page()?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            let leaf = last[0].parse()?;
            let before = self.producer.context().failed.load(Ordering::SeqCst);
            for row in &rows {
                self.send(row)?;
            }
            self.producer.flush(DELIVERY)?;
            let failed = self.producer.context().failed.load(Ordering::SeqCst) - before;
            ensure!(
                failed == 0,
                "the broker did not take {failed} of {}",
                rows.len()
            );
            self.remember(leaf)?;
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn page(&self) -> Result<Vec<Vec<String>>> {
        let sql = format!(
            "SELECT _leaf, src_topic, src_partition, src_offset, src_index, stage, code, detail, raw FROM rejects \
             WHERE _leaf > {} ORDER BY _leaf LIMIT {PAGE}",
            self.leaf
        );
        block_on(async {
            let session = Session::open_at(&self.lake).await?;
            let (_, batches) = session.sql(&sql).await?;
            Ok(formatted(&batches)?)
        })
    }

    fn send(&self, row: &[String]) -> Result<()> {
        let [_, topic, partition, offset, index, stage, code, detail, raw] = row else {
            anyhow::bail!("a row of {} columns", row.len());
        };
        let key = format!("{topic}/{partition}/{offset}/{index}");
        let headers = [
            ("__connect.errors.topic", topic),
            ("__connect.errors.partition", partition),
            ("__connect.errors.offset", offset),
            ("__connect.errors.stage", stage),
            ("__connect.errors.exception.class.name", code),
            ("__connect.errors.exception.message", detail),
            ("keytrail.index", index),
        ];
        let mut written = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            written = written.insert(Header {
                key,
                value: Some(value),
            });
        }
        let mut record = BaseRecord::to(&self.topic)
            .key(&key)
            .payload(raw)
            .headers(written);
        let begun = Instant::now();
        while let Err((error, back)) = self.producer.send(record) {
            ensure!(begun.elapsed() < DELIVERY, "{error}");
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
        Ok(())
    }

    fn remember(&mut self, leaf: i64) -> Result<()> {
        lake::put(&self.mark, format!("{leaf}\n").as_bytes())?;
        self.leaf = leaf;
        Ok(())
    }
}
