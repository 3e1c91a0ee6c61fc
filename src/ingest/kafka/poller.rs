//! The thread that polls: takes records off the broker in order, and waits when nobody has room for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::{IngestError, Stop};
use super::client::{self, Consumer};
use crate::model::RawRecord;
use crate::telemetry::Event;

/// How many payload bytes wait between the poll thread and the cutter. Besides the epoch itself and what librdkafka
/// keeps, this is the largest part of the program's memory.
const WAITING_BYTES: usize = 64 << 20;

/// How often in a row a batch may arrive damaged before that is called an error: a wire flips bits, but not always.
const DAMAGED_MAX: u32 = 5;

/// A partition of a topic, whose one name everybody shares.
pub(super) type Place = (Arc<str>, i32);

/// What the poll thread hands over.
pub(super) enum Handed {
    Record(RawRecord),
    /// Some partition of this number has been read to its end.
    End(i32),
    /// A partition came into being and is read from here on; its end when it was found.
    Grown {
        place: Place,
        start: i64,
        high: i64,
    },
    /// The broker no longer has what comes next, of some partition.
    Lost(KafkaError),
    Failed(IngestError),
}

/// A partition that came into being, with the offset of its first record and its end.
pub(super) struct Grown {
    pub(super) place: Place,
    pub(super) start: i64,
    pub(super) high: i64,
}

/// Payload bytes on their way to the cutter.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicUsize);

impl Waiting {
    /// Whether `bytes` more may come. One record always may, whatever its size.
    fn room(&self, bytes: usize) -> bool {
        let waiting = self.0.load(Ordering::Acquire);
        waiting == 0 || waiting + bytes <= WAITING_BYTES
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn take(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// What the poll thread owns.
pub(super) struct Poller {
    pub(super) consumer: Arc<Consumer>,
    /// The one name of each topic.
    pub(super) names: BTreeMap<String, Arc<str>>,
    /// What comes next of each partition that is read.
    pub(super) next: BTreeMap<Place, i64>,
    pub(super) sender: SyncSender<Handed>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) grown: Receiver<Result<Grown, IngestError>>,
    pub(super) quit: Stop,
    /// Damaged batches since the last record.
    pub(super) damaged: u32,
}

impl Poller {
    /// Polls until told to stop or until something fails that does not pass by itself.
    pub(super) fn poll(&mut self) {
        let consumer = self.consumer.clone();
        while !self.quit.requested() {
            let went_on = match self.grown.try_recv() {
                Ok(grown) => self.grow(grown),
                Err(_) => match consumer.poll(Duration::from_millis(100)) {
                    None => true,
                    Some(Ok(message)) => self.message(&message),
                    Some(Err(error)) => self.error(error),
                },
            };
            if !went_on {
                return;
            }
        }
    }

    /// Hands a record over. One that was handed over already comes again after the assignment was made anew.
    fn message(&mut self, message: &BorrowedMessage<'_>) -> bool {
        let Some(topic) = self.names.get(message.topic()) else {
            return true;
        };
        let place = (topic.clone(), message.partition());
        let Some(next) = self.next.get_mut(&place) else {
            return true;
        };
        if message.offset() < *next {
            return true;
        }
        *next = message.offset() + 1;
        self.damaged = 0;
        self.send(Handed::Record(client::record(message, place.0)))
    }

    /// What an error means. False if it ends the reading.
    fn error(&mut self, error: KafkaError) -> bool {
        if let KafkaError::PartitionEOF(partition) = error {
            return self.send(Handed::End(partition));
        }
        let reason = error.to_string();
        if client::passes(&error) {
            Event::BrokerTrouble { reason: &reason }.tell();
            return true;
        }
        if client::damaged(&error) && self.damaged < DAMAGED_MAX {
            self.damaged += 1;
            Event::BrokerTrouble { reason: &reason }.tell();
            return match self.assign_anew() {
                Ok(()) => true,
                Err(error) => {
                    self.send(Handed::Failed(error.into()));
                    false
                }
            };
        }
        let handed = if client::lost(&error) {
            Handed::Lost(error)
        } else {
            Handed::Failed(error.into())
        };
        self.send(handed);
        false
    }

    /// Fetches again everything that was not handed over yet.
    fn assign_anew(&self) -> Result<(), KafkaError> {
        let mut assignment = TopicPartitionList::new();
        for ((topic, partition), next) in &self.next {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*next))?;
        }
        self.consumer.assign(&assignment)
    }

    /// Begins to read a partition that came into being. Whoever counts its records hears of it before they come.
    fn grow(&mut self, grown: Result<Grown, IngestError>) -> bool {
        let grown = match grown {
            Ok(grown) => grown,
            Err(error) => {
                self.send(Handed::Failed(error));
                return false;
            }
        };
        let Grown { place, start, high } = grown;
        self.next.insert(place.clone(), start);
        let mut assignment = TopicPartitionList::new();
        let assigned = assignment
            .add_partition_offset(&place.0, place.1, Offset::Offset(start))
            .and_then(|()| self.consumer.incremental_assign(&assignment));
        if let Err(error) = assigned {
            self.send(Handed::Failed(error.into()));
            return false;
        }
        self.send(Handed::Grown { place, start, high })
    }

    /// Hands over, waiting for room. Gives up when told to stop.
    fn send(&self, mut handed: Handed) -> bool {
        let bytes = match &handed {
            Handed::Record(record) => record.bytes(),
            _ => 0,
        };
        loop {
            if self.waiting.room(bytes) {
                self.waiting.add(bytes);
                match self.sender.try_send(handed) {
                    Ok(()) => return true,
                    Err(TrySendError::Disconnected(_)) => return false,
                    Err(TrySendError::Full(back)) => handed = back,
                }
                self.waiting.take(bytes);
            }
            if self.quit.requested() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_but_a_large_record_passes_alone() {
        let waiting = Waiting::default();
        assert!(waiting.room(WAITING_BYTES * 2));
        waiting.add(WAITING_BYTES * 2);
        assert!(!waiting.room(0));
        waiting.take(WAITING_BYTES * 2);
        waiting.add(WAITING_BYTES - 10);
        assert!(waiting.room(10) && !waiting.room(11));
    }
}
