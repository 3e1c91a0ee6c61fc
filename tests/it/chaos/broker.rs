//! Brokers to read from: librdkafka's own in this process, and Apache Kafka where there is one.

use std::time::Duration;

use keytrail::ingest::Embedded;
use keytrail::simulate::{Message, Params, Simulation};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

use super::super::broker::send_at;
use super::super::wait;
use super::{Source, Truth, skip};

/// A broker of the tests' own or the one that is given.
pub(super) struct Broker {
    pub(super) source: Source,
    partitions: i32,
    to: To,
}

enum To {
    Embedded(Embedded),
    Kafka(BaseProducer),
}

impl Broker {
    /// librdkafka's own, in this process.
    pub(super) fn embedded(name: &str) -> Self {
        let names: Vec<String> = (0..2).map(|n| format!("{name}-{n}")).collect();
        let topics: Vec<&str> = names.iter().map(String::as_str).collect();
        let broker = Embedded::start(&topics, 2).unwrap();
        let brokers = broker.brokers();
        Self {
            source: Source::Topics { brokers, names },
            partitions: 2,
            to: To::Embedded(broker),
        }
    }

    /// Apache Kafka, if there is one: four topics of three partitions.
    pub(super) fn kafka(name: &str) -> Option<Self> {
        let Ok(brokers) = std::env::var("KEYTRAIL_TEST_KAFKA") else {
            skip(
                "Apache Kafka: KEYTRAIL_TEST_KAFKA names no broker; tests/support/kafka.sh starts one",
            );
            return None;
        };
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let names: Vec<String> = (0..4)
            .map(|n| format!("keytrail-chaos-{name}-{nanos}-{n}"))
            .collect();
        let client = |id: &str| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &brokers);
            config.set("client.id", id);
            config
        };
        let admin: AdminClient<DefaultClientContext> = client("admin").create().unwrap();
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            // Simulated records are months old: retention would remove them while they are written.
            .map(|name| {
                NewTopic::new(name, 3, TopicReplication::Fixed(1)).set("retention.ms", "-1")
            })
            .collect();
        for created in wait(admin.create_topics(&topics, &AdminOptions::new())).unwrap() {
            created.unwrap();
        }
        let producer = client("producer")
            // Without it a batch that the broker has to be sent again (its topic is new, a leader is still being chosen)
            // is written behind batches that were made after it, and a lane runs back by hours.
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("linger.ms", "20")
            .create()
            .unwrap();
        Some(Self {
            source: Source::Topics { brokers, names },
            partitions: 3,
            to: To::Kafka(producer),
        })
    }

    fn send(&mut self, topic: &str, partition: i32, message: &Message) {
        match &mut self.to {
            To::Embedded(broker) => {
                let sent = broker.send(topic, partition, None, message.time, &message.payload);
                sent.unwrap();
            }
            To::Kafka(producer) => {
                let (time, payload) = (message.time.millis(), message.payload.as_slice());
                send_at(producer, topic, partition, Some(time), Some(payload));
            }
        }
    }

    /// Writes an estate hour by hour, spread over topics and partitions; `pace` is told after each how many messages went.
    pub(super) fn fill(&mut self, estate: Params, mut pace: impl FnMut(u64)) -> Truth {
        let Source::Topics { names, .. } = self.source.clone() else {
            unreachable!("a broker has topics");
        };
        let mut truth = Truth::default();
        let mut sent = 0_usize;
        for batch in Simulation::new(estate) {
            for message in &batch.messages {
                let partition = (sent / names.len()) as i32 % self.partitions;
                self.send(&names[sent % names.len()], partition, message);
                sent += 1;
            }
            let uids = batch.labels.into_iter().map(|label| label.event_uid);
            truth.uids.extend(uids);
            pace(sent as u64);
        }
        match &self.to {
            To::Embedded(broker) => broker.flush().unwrap(),
            To::Kafka(producer) => producer.flush(Duration::from_secs(60)).unwrap(),
        }
        truth.uids.sort();
        truth
    }
}
