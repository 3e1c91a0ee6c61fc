//! A broker inside this process: librdkafka's own mock cluster, which speaks the real protocol over loopback.
//!
//! It is for the demo and for tests. It keeps about 5 MiB of compressed batches per partition and drops the oldest
//! silently, so whoever fills it must spread what they write, and [`Embedded::check`] makes sure that nothing was lost.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::IngestError;
use crate::model::Micros;

const ASK: Duration = Duration::from_secs(30);

/// A broker in this process and a producer that writes to it.
pub struct Embedded {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
    sent: u64,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Starts a broker with `topics` of `partitions` partitions each.
    pub fn start(topics: &[&str], partitions: i32) -> Result<Self, IngestError> {
        let cluster = MockCluster::new(1)?;
        for topic in topics {
            cluster.create_topic(topic, partitions, 1)?;
        }
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("compression.type", "zstd")
            .set("linger.ms", "20")
            .set("batch.size", "1000000")
            .set("message.max.bytes", "8000000")
            .set("queue.buffering.max.kbytes", "131072")
            .create()?;
        Ok(Self {
            cluster,
            producer,
            sent: 0,
        })
    }

    /// The address of the broker.
    pub fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Writes one message, waiting when the producer's queue is full.
    pub fn send(
        &mut self,
        topic: &str,
        partition: i32,
        key: Option<&str>,
        time: Micros,
        payload: &[u8],
    ) -> Result<(), IngestError> {
        let mut record = BaseRecord::<str, [u8]>::to(topic)
            .partition(partition)
            .timestamp(time.millis())
            .payload(payload);
        if let Some(key) = key {
            record = record.key(key);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.sent += 1;
                    return Ok(());
                }
                Err((error, back)) => {
                    let full = rdkafka::types::RDKafkaErrorCode::QueueFull;
                    if error.rdkafka_error_code() != Some(full) {
                        return Err(error.into());
                    }
                    self.producer.poll(Duration::from_millis(10));
                    record = back;
                }
            }
        }
    }

    /// Waits until everything written has arrived.
    pub fn flush(&self) -> Result<(), IngestError> {
        Ok(self.producer.flush(ASK)?)
    }

    /// Makes sure that the broker still has everything that was written to it.
    pub fn check(&self, topics: &[&str], partitions: i32) -> Result<(), IngestError> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .create()?;
        let mut kept = 0;
        for topic in topics {
            for partition in 0..partitions {
                let (low, high) = consumer.fetch_watermarks(topic, partition, ASK)?;
                kept += high.saturating_sub(low).unsigned_abs();
            }
        }
        if kept == self.sent {
            return Ok(());
        }
        Err(IngestError::Ended(format!(
            "the embedded broker kept {kept} of {} messages: it holds 5 MiB per partition",
            self.sent
        )))
    }
}
