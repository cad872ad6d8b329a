//! Reads the followed partitions: of the state topic what is there, of the claims topic everything from where the caller
//! says, strictly in log order.

use super::client::Consumer;
use super::queue::{end_as_fetched, Polled, Queue, Topic};
use super::shared::{Shared, Wish};
use super::state::unmark;
use crate::storage::{ReadFrom, StorageEvent};
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest poll: a wake-up that comes between two polls costs no more than this.
const IDLE: Duration = Duration::from_millis(50);
/// A partition that could not be read waits so long before the next try, twice as long each time.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// A state of which nothing comes for so long is taken for read: the log alone is right as well, if slower to read.
const STATE_WITHIN: Duration = Duration::from_secs(5);

/// One partition of one of the two topics.
type Place = (Topic, u32);

pub(super) struct Reader {
    consumer: Arc<Consumer>,
    queue: Queue,
    shared: Arc<Shared>,
    claims: Name,
    state: Name,
    reading: BTreeMap<Place, Reading>,
    /// What was last asked for: the number of the state's, the number of the log's.
    asked: BTreeMap<u32, (u64, u64)>,
    round: u64,
    /// When the next partition is due to start, or has been waited for long enough.
    due: Option<Instant>,
}

struct Name {
    text: String,
    c: CString,
}

struct Reading {
    from: Offset,
    /// `None`: librdkafka reads it. Otherwise when it shall.
    starts: Option<Instant>,
    next: Option<u64>,
    /// Where it will have caught up, once known.
    target: Option<u64>,
    caught_up: bool,
    pause: Duration,
    /// When something last came, or was tried.
    news: Instant,
}

impl Reader {
    pub(super) fn new(consumer: Arc<Consumer>, claims: &str, state: &str, shared: Arc<Shared>) -> Reader {
        let queue = Queue::of_consumer(&consumer);
        *shared.reader.lock() = Some(Queue::of_consumer(&consumer));
        let name = |text: &str| Name { text: text.to_owned(), c: CString::new(text).expect("a checked topic name") };
        let (claims, state) = (name(claims), name(state));
        let (reading, asked) = (BTreeMap::new(), BTreeMap::new());
        Reader { consumer, queue, shared, claims, state, reading, asked, round: 0, due: None }
    }

    pub(super) fn run(mut self) {
        while !self.shared.stopping() {
            if self.shared.take_changed() {
                self.follow_what_is_wanted();
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.end_what_takes_too_long();
                self.start_what_is_due();
            }
            match self.queue.poll(IDLE, &self.state.c) {
                Polled::Nothing => {}
                Polled::Record { topic, partition, offset, key, bytes } => {
                    self.record((topic, partition), offset, key, bytes);
                }
                Polled::End { topic, partition } => self.end((topic, partition)),
                Polled::PartitionError { topic, partition, code, text } => self.error((topic, partition), code, &text),
                Polled::ClientError { code, text } => self.shared.health.client_error(code, &text),
            }
        }
        // The client ends only when nobody refers to its queues any more.
        *self.shared.reader.lock() = None;
    }

    fn name(&self, topic: Topic) -> &Name {
        match topic {
            Topic::Claims => &self.claims,
            Topic::State => &self.state,
        }
    }

    fn follow_what_is_wanted(&mut self) {
        let round = self.shared.round();
        if self.round != round {
            self.round = round;
            for place in self.reading.keys().copied().collect::<Vec<_>>() {
                self.give_up(place, "the topic was deleted and created again");
            }
        }
        let partitions = self.shared.readable();
        let mut wanted = self.shared.follows.lock().clone();
        wanted.retain(|partition, _| *partition < partitions);
        for partition in self.asked.keys().copied().filter(|p| !wanted.contains_key(p)).collect::<Vec<_>>() {
            self.asked.remove(&partition);
            self.stop_reading((Topic::Claims, partition));
            self.stop_reading((Topic::State, partition));
        }
        for (partition, follow) in wanted {
            let asked = self.asked.entry(partition).or_default();
            let state = std::mem::replace(&mut asked.0, follow.state) != follow.state;
            let log = follow.log.filter(|wish| std::mem::replace(&mut asked.1, wish.number) != wish.number);
            if state {
                self.read_state(partition);
            }
            if let Some(Wish { from, round, .. }) = log {
                self.stop_reading((Topic::Claims, partition));
                self.shared.send(StorageEvent::Began { partition, round });
                let from = match from {
                    ReadFrom::Offset(offset) => Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX)),
                    ReadFrom::Start => Offset::Beginning,
                };
                self.reading.insert((Topic::Claims, partition), Reading::new(from));
            }
        }
        self.start_what_is_due();
    }

    fn read_state(&mut self, partition: u32) {
        self.stop_reading((Topic::State, partition));
        if partition < self.shared.state_partitions() {
            // Naming the offset saves asking for it; compaction leaves it valid.
            self.reading.insert((Topic::State, partition), Reading::new(Offset::Offset(0)));
        } else {
            self.shared.send(StorageEvent::StateRead { partition });
        }
    }

    fn start_what_is_due(&mut self) {
        let now = Instant::now();
        let mut list = TopicPartitionList::new();
        for ((topic, partition), reading) in self.reading.iter().filter(|(_, r)| r.starts.is_some_and(|at| at <= now)) {
            // Never fails: these are offsets that exist.
            let _ = list.add_partition_offset(&self.name(*topic).text, *partition as i32, reading.from);
        }
        let worked = list.count() == 0 || self.consumer.incremental_assign(&list).is_ok();
        for reading in self.reading.values_mut().filter(|r| r.starts.is_some_and(|at| at <= now)) {
            reading.starts = if worked { None } else { Some(now + AGAIN_MAX) };
        }
        self.see_what_is_due();
    }

    fn see_what_is_due(&mut self) {
        let due = self.reading.iter().filter_map(|((topic, _), reading)| match topic {
            Topic::Claims => reading.starts,
            Topic::State => {
                Some(reading.starts.unwrap_or(reading.news + STATE_WITHIN).min(reading.news + STATE_WITHIN))
            }
        });
        self.due = due.min();
    }

    fn end_what_takes_too_long(&mut self) {
        let late = |reading: &Reading| reading.news.elapsed() >= STATE_WITHIN;
        let late: Vec<Place> = self
            .reading
            .iter()
            .filter(|((topic, _), r)| *topic == Topic::State && late(r))
            .map(|(place, _)| *place)
            .collect();
        for place in late {
            self.state_read(place.1);
        }
    }

    /// Whether it was read.
    fn stop_reading(&mut self, place: Place) -> bool {
        let Some(reading) = self.reading.remove(&place) else { return false };
        if reading.starts.is_none() {
            let mut list = TopicPartitionList::new();
            list.add_partition(&self.name(place.0).text, place.1 as i32);
            // From here librdkafka throws away what it had fetched: nothing of the old round can follow.
            let _ = self.consumer.incremental_unassign(&list);
        }
        self.see_what_is_due();
        true
    }

    /// The partition cannot be read on.
    fn give_up(&mut self, (topic, partition): Place, reason: &str) {
        if !self.stop_reading((topic, partition)) {
            return;
        }
        self.shared.send(match topic {
            Topic::Claims => StorageEvent::Gap { partition, reason: reason.to_owned() },
            Topic::State => StorageEvent::StateRead { partition },
        });
    }

    fn state_read(&mut self, partition: u32) {
        self.stop_reading((Topic::State, partition));
        self.shared.send(StorageEvent::StateRead { partition });
    }

    fn record(&mut self, place: Place, offset: u64, key: Vec<u8>, bytes: Vec<u8>) {
        let (topic, partition) = place;
        let Some(reading) = self.reading.get_mut(&place).filter(|r| r.starts.is_none()) else { return };
        if let Some(next) = reading.next.filter(|next| offset < *next) {
            return self.give_up(place, &format!("offset {offset} came after {}", next - 1));
        }
        reading.next = Some(offset + 1);
        reading.news = Instant::now();
        if topic == Topic::Claims {
            self.shared.health.read_worked();
        }
        if !reading.caught_up && reading.target.is_none() {
            // A busy log may never be seen at its end: what was there at the first fetch is enough.
            let name = if topic == Topic::Claims { &self.claims } else { &self.state };
            reading.target = end_as_fetched(&self.consumer, &name.c, partition);
        }
        let arrived = !reading.caught_up && reading.target.is_some_and(|target| offset + 1 >= target);
        match topic {
            Topic::Claims => self.shared.send(StorageEvent::Record { partition, offset, bytes }),
            Topic::State => {
                if let Some(value) = unmark(self.shared.log_id(), bytes) {
                    self.shared.send(StorageEvent::State { partition, key, value });
                }
            }
        }
        if arrived {
            self.end(place);
        }
    }

    fn end(&mut self, place: Place) {
        let Some(reading) = self.reading.get_mut(&place).filter(|r| r.starts.is_none()) else { return };
        match place.0 {
            Topic::State => self.state_read(place.1),
            Topic::Claims if !reading.caught_up => {
                self.shared.health.read_worked();
                reading.caught_up = true;
                reading.pause = AGAIN;
                self.shared.send(StorageEvent::CaughtUp { partition: place.1 });
            }
            Topic::Claims => {}
        }
    }

    fn error(&mut self, place: Place, code: Code, text: &str) {
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => self.out_of_range(place, text),
            // The topic or partition is gone: the keeper will know.
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
                self.shared.health.look();
                if place.0 == Topic::State {
                    self.give_up(place, text);
                }
            }
            Code::TopicAuthorizationFailed if place.0 == Topic::State => {
                self.shared.health.state_read_failed(code);
                self.give_up(place, text);
            }
            // Every other question may be allowed.
            Code::TopicAuthorizationFailed => self.shared.health.read_failed(code),
            code => self.shared.health.client_error(code, text),
        }
    }

    /// The log does not hold the offset where it is to be read.
    fn out_of_range(&mut self, place: Place, text: &str) {
        let Some(reading) = self.reading.get_mut(&place).filter(|r| r.starts.is_none()) else { return };
        if place.0 == Topic::Claims && (reading.next.is_some() || reading.caught_up) {
            return self.give_up(place, text);
        }
        if place.0 == Topic::Claims && reading.from != Offset::Beginning {
            self.stop_reading(place);
            return self.shared.send(StorageEvent::Missing { partition: place.1 });
        }
        // Its start was removed: ask where it starts now. Nothing was read yet, so nothing is to be forgotten.
        let pause = reading.pause;
        self.stop_reading(place);
        let starts = Some(Instant::now() + pause);
        let again = Reading { starts, pause: (pause * 2).min(AGAIN_MAX), ..Reading::new(Offset::Beginning) };
        self.reading.insert(place, again);
        self.see_what_is_due();
    }
}

impl Reading {
    fn new(from: Offset) -> Reading {
        let now = Instant::now();
        Reading { from, starts: Some(now), next: None, target: None, caught_up: false, pause: AGAIN, news: now }
    }
}
