//! Reads the followed partitions, each strictly in log order from the start of the log.

use super::client::Consumer;
use super::queue::{end_as_fetched, Polled, Queue};
use super::shared::{Follow, Shared};
use crate::storage::StorageEvent;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest poll: a wake-up that comes between two polls costs no more than this.
const IDLE: Duration = Duration::from_millis(50);
/// A partition that has to start over waits so long, twice as long each time until it has caught up once.
const START_OVER: Duration = Duration::from_millis(50);
const START_OVER_MAX: Duration = Duration::from_secs(5);

pub(super) struct Reader {
    consumer: Arc<Consumer>,
    queue: Queue,
    shared: Arc<Shared>,
    topic: String,
    topic_c: CString,
    reading: BTreeMap<u32, Reading>,
    round: u64,
    /// When the next partition is due to start.
    due: Option<Instant>,
}

struct Reading {
    follow: Follow,
    /// `None`: librdkafka reads it. Otherwise when it shall.
    starts: Option<Instant>,
    next: Option<u64>,
    /// Where it will have caught up, once known.
    target: Option<u64>,
    caught_up: bool,
    pause: Duration,
    from: Offset,
}

/// Where a log that lost nothing starts. Naming the offset saves asking for it, and that question would wait behind a fetch.
const START: Offset = Offset::Offset(0);

impl Reader {
    pub(super) fn new(consumer: Arc<Consumer>, topic: &str, shared: Arc<Shared>) -> Reader {
        let queue = Queue::of_consumer(&consumer);
        *shared.reader.lock() = Some(Queue::of_consumer(&consumer));
        let topic_c = CString::new(topic).expect("a checked topic name");
        let topic = topic.to_owned();
        Reader { consumer, queue, shared, topic, topic_c, reading: BTreeMap::new(), round: 0, due: None }
    }

    pub(super) fn run(mut self) {
        while !self.shared.stopping() {
            if self.shared.take_changed() {
                self.follow_what_is_wanted();
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.start_what_is_due();
            }
            match self.queue.poll(IDLE) {
                Polled::Nothing => {}
                Polled::Record { partition, offset, bytes } => self.record(partition, offset, bytes),
                Polled::End { partition } => self.end(partition),
                Polled::PartitionError { partition, code, text } => self.error(partition, code, &text),
                Polled::ClientError { code, text } => self.shared.health.client_error(code, &text),
            }
        }
        // The client ends only when nobody refers to its queues any more.
        *self.shared.reader.lock() = None;
    }

    fn follow_what_is_wanted(&mut self) {
        let partitions = self.shared.readable();
        let mut wanted = self.shared.follows.lock().clone();
        wanted.retain(|partition, _| *partition < partitions);

        let stale: Vec<u32> =
            self.reading.iter().filter(|(p, r)| wanted.get(p) != Some(&r.follow)).map(|(p, _)| *p).collect();
        for partition in stale {
            self.stop_reading(partition);
            self.reading.remove(&partition);
        }
        for (partition, follow) in wanted {
            if self.reading.contains_key(&partition) {
                continue;
            }
            if follow.again {
                self.shared.send(StorageEvent::Gap { partition, reason: "followed anew".into() });
            }
            self.reading.insert(partition, Reading::new(follow, Instant::now(), START_OVER));
        }
        let round = self.shared.round();
        if self.round != round {
            self.round = round;
            for partition in self.reading.keys().copied().collect::<Vec<_>>() {
                self.start_over(partition, "the topic was deleted and created again");
            }
        }
        self.start_what_is_due();
    }

    fn start_what_is_due(&mut self) {
        let now = Instant::now();
        let mut list = TopicPartitionList::new();
        for (partition, reading) in self.reading.iter().filter(|(_, r)| r.starts.is_some_and(|at| at <= now)) {
            // Never fails: both are offsets that exist.
            let _ = list.add_partition_offset(&self.topic, *partition as i32, reading.from);
        }
        let worked = list.count() == 0 || self.consumer.incremental_assign(&list).is_ok();
        for reading in self.reading.values_mut().filter(|r| r.starts.is_some_and(|at| at <= now)) {
            reading.starts = if worked { None } else { Some(now + START_OVER_MAX) };
        }
        self.due = self.reading.values().filter_map(|r| r.starts).min();
    }

    fn stop_reading(&mut self, partition: u32) {
        if self.reading.get(&partition).is_some_and(|r| r.starts.is_none()) {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.topic, partition as i32);
            // From here librdkafka throws away what it had fetched: nothing of the old round can follow.
            let _ = self.consumer.incremental_unassign(&list);
        }
    }

    fn start_over(&mut self, partition: u32, reason: &str) {
        self.stop_reading(partition);
        if let Some(reading) = self.reading.get_mut(&partition) {
            let pause = reading.pause;
            *reading = Reading::new(reading.follow, Instant::now() + pause, (pause * 2).min(START_OVER_MAX));
            self.due = self.reading.values().filter_map(|r| r.starts).min();
            self.shared.send(StorageEvent::Gap { partition, reason: reason.to_owned() });
        }
    }

    fn record(&mut self, partition: u32, offset: u64, bytes: Vec<u8>) {
        let Some(reading) = self.reading.get_mut(&partition).filter(|r| r.starts.is_none()) else { return };
        if let Some(next) = reading.next.filter(|next| offset < *next) {
            return self.start_over(partition, &format!("offset {offset} came after {}", next - 1));
        }
        reading.next = Some(offset + 1);
        self.shared.health.read_worked();
        if !reading.caught_up && reading.target.is_none() {
            // A busy log may never be seen at its end: what was there at the first fetch is enough.
            reading.target = end_as_fetched(&self.consumer, &self.topic_c, partition);
        }
        let arrived = !reading.caught_up && reading.target.is_some_and(|target| offset + 1 >= target);
        self.shared.send(StorageEvent::Record { partition, offset, bytes });
        if arrived {
            self.end(partition);
        }
    }

    fn end(&mut self, partition: u32) {
        self.shared.health.read_worked();
        let Some(reading) = self.reading.get_mut(&partition).filter(|r| r.starts.is_none()) else { return };
        if !reading.caught_up {
            reading.caught_up = true;
            reading.pause = START_OVER;
            self.shared.send(StorageEvent::CaughtUp { partition });
        }
    }

    fn error(&mut self, partition: u32, code: Code, text: &str) {
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => {
                let Some(reading) = self.reading.get_mut(&partition).filter(|r| r.starts.is_none()) else { return };
                if reading.next.is_some() || reading.caught_up {
                    return self.start_over(partition, text);
                }
                // The log's start was removed: ask where it starts now. Nothing was read yet, so nothing is to be forgotten.
                self.stop_reading(partition);
                if let Some(reading) = self.reading.get_mut(&partition) {
                    reading.starts = Some(Instant::now() + reading.pause);
                    reading.pause = (reading.pause * 2).min(START_OVER_MAX);
                    reading.from = Offset::Beginning;
                    self.due = self.reading.values().filter_map(|r| r.starts).min();
                }
            }
            // The topic or partition is gone: the keeper will know.
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
                self.shared.health.look();
            }
            // Every other question may be allowed.
            Code::TopicAuthorizationFailed => self.shared.health.read_failed(code),
            code => self.shared.health.client_error(code, text),
        }
    }
}

impl Reading {
    fn new(follow: Follow, starts: Instant, pause: Duration) -> Reading {
        Reading { follow, starts: Some(starts), next: None, target: None, caught_up: false, pause, from: START }
    }
}
