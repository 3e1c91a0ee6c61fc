//! Looks at single records of a partition, beside the consumer that reads: is the last record that was read still the
//! same one, and is there anything between two offsets but markers of transactions?

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::IngestError;
use super::client::{self, ASK, Consumer};
use crate::model::{LastRecord, RawRecord};

/// A consumer that is assigned one partition at a time, so that an end it reports can only be of that one.
pub(super) struct Probe(Consumer);

impl Probe {
    pub(super) fn new(consumer: Consumer) -> Self {
        Self(consumer)
    }

    /// The first record at `offset` or after it; none if the partition ends before one comes. An error if
    /// neither is known within `patience`.
    pub(super) fn first(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        patience: Duration,
    ) -> Result<Option<RawRecord>, IngestError> {
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        self.0.assign(&assignment)?;
        let found = self.wait(topic, partition, patience);
        self.0.assign(&TopicPartitionList::new())?;
        found
    }

    fn wait(
        &self,
        topic: &str,
        partition: i32,
        patience: Duration,
    ) -> Result<Option<RawRecord>, IngestError> {
        let asked = Instant::now();
        loop {
            let Some(left) = patience.checked_sub(asked.elapsed()) else {
                let late = RDKafkaErrorCode::OperationTimedOut;
                return Err(KafkaError::MessageConsumption(late).into());
            };
            match self.0.poll(left) {
                None => (),
                Some(Ok(message))
                    if message.topic() == topic && message.partition() == partition =>
                {
                    return Ok(Some(client::record(&message, Arc::from(topic))));
                }
                Some(Ok(_)) => (),
                Some(Err(KafkaError::PartitionEOF(ended))) if ended == partition => {
                    return Ok(None);
                }
                Some(Err(KafkaError::PartitionEOF(_))) => (),
                Some(Err(error)) if client::passes(&error) => (),
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Makes sure that the partition still holds the record that was read last. Says nothing if that record is older
    /// than `low`, from where on the partition has records: retention takes them in time.
    pub(super) fn check(
        &self,
        topic: &str,
        partition: i32,
        last: LastRecord,
        low: i64,
    ) -> Result<(), IngestError> {
        if last.offset < low {
            return Ok(());
        }
        let found = self.first(topic, partition, last.offset, ASK)?;
        let found = found.filter(|record| record.position.offset == last.offset);
        let reason = match found {
            Some(record) if record.sha256() == last.sha256 => return Ok(()),
            Some(_) => "it is another one now",
            None => "it is not there any more",
        };
        Err(IngestError::Replaced {
            topic: topic.to_owned(),
            partition,
            offset: last.offset,
            reason,
        })
    }
}
