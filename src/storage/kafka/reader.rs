//! Reads the followed partitions: of the state topic what is there, of the claims topic everything from where the caller
//! says, strictly in log order.

use super::acks::Acks;
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

/// Time between two looks at what is behind.
const LOOK: Duration = Duration::from_secs(1);
/// A partition of which nothing came between so many looks, though the log has an append of ours that was not read yet, cannot
/// be read on. librdkafka may forget a partition when brokers go (its issue 4492): after an outage of all brokers two of twelve
/// processes had read nothing for 87 s. Looks, not time: a process that was stopped for a while has not waited.
const LOOKS: u32 = 6;

/// One partition of one of the two topics.
type Place = (Topic, u32);

pub(super) struct Reader {
    consumer: Arc<Consumer>,
    acks: Arc<Acks>,
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
    /// When it was last looked at what is behind.
    looked: Instant,
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
    /// Looks since something last came that found more in the log.
    behind: u32,
}

impl Reader {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        acks: Arc<Acks>,
        claims: &str,
        state: &str,
        shared: Arc<Shared>,
    ) -> Reader {
        let queue = Queue::of_consumer(&consumer);
        *shared.reader.lock() = Some(Queue::of_consumer(&consumer));
        let name = |text: &str| Name { text: text.to_owned(), c: CString::new(text).expect("a checked topic name") };
        let (claims, state) = (name(claims), name(state));
        let (reading, asked) = (BTreeMap::new(), BTreeMap::new());
        let looked = Instant::now();
        Reader { consumer, acks, queue, shared, claims, state, reading, asked, round: 0, due: None, looked }
    }

    pub(super) fn run(mut self) {
        while !self.shared.stopping() {
            self.turn();
        }
        // The client ends only when nobody refers to its queues any more.
        *self.shared.reader.lock() = None;
    }

    fn turn(&mut self) {
        if self.shared.take_changed() {
            self.follow_what_is_wanted();
        }
        if self.due.is_some_and(|due| due <= Instant::now()) {
            self.end_what_takes_too_long();
            self.start_what_is_due();
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.give_up_what_is_behind();
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
            self.acks.forget_offsets();
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

    fn give_up_what_is_behind(&mut self) {
        let acks = &self.acks;
        let claims = self.reading.iter_mut().filter(|((topic, _), _)| *topic == Topic::Claims);
        let behind = claims.filter_map(|(place, reading)| reading.is_behind(acks.newest(place.1)).then_some(*place));
        for place in behind.collect::<Vec<_>>() {
            self.give_up(place, "nothing was read for seconds, though the log has more");
        }
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
        reading.behind = 0;
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
        let (next, target) = (None, None);
        Reading { from, starts: Some(now), next, target, caught_up: false, pause: AGAIN, news: now, behind: 0 }
    }

    /// Looks whether the log has more; true when it has had for long enough.
    fn is_behind(&mut self, newest: Option<u64>) -> bool {
        let has_all = newest.is_none_or(|newest| self.next.is_some_and(|next| newest < next));
        self.behind = if has_all || self.starts.is_some() { 0 } else { self.behind + 1 };
        self.behind >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Silent;
    use super::super::health::Health;
    use super::super::mock::MockBroker;
    use super::super::shared::Follow;
    use super::super::KafkaSettings;
    use super::*;
    use crossbeam::channel::bounded;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    fn reading(next: Option<u64>) -> Reading {
        Reading { starts: None, next, ..Reading::new(Offset::Beginning) }
    }

    fn looks(reading: &mut Reading, newest: Option<u64>, count: u32) -> Vec<bool> {
        (0..count).map(|_| reading.is_behind(newest)).collect()
    }

    #[test]
    fn a_partition_is_behind_when_what_the_log_has_was_not_read_for_many_looks() {
        for next in [Some(7), None] {
            let mut partition = reading(next);
            assert!(!looks(&mut partition, Some(7), LOOKS - 1).contains(&true), "it may be on its way");
            assert!(partition.is_behind(Some(7)));
        }
    }

    #[test]
    fn a_partition_is_not_behind_that_has_all_or_waits_for_its_start() {
        for newest in [Some(7), None] {
            assert!(!looks(&mut reading(Some(8)), newest, LOOKS * 2).contains(&true));
        }
        let mut waits = Reading { starts: Some(Instant::now()), ..reading(Some(7)) };
        assert!(!looks(&mut waits, Some(7), LOOKS * 2).contains(&true));
    }

    #[test]
    fn a_partition_of_which_nothing_comes_though_the_log_has_more_is_given_up() {
        let broker = MockBroker::start(1, "t", 1).unwrap();
        let checked = KafkaSettings { topic: "t".into(), ..broker.settings() }.check().unwrap();
        let (events, received) = bounded(1000);
        let shared = Arc::new(Shared::new(events, Arc::new(Health::new())));
        let consumer = Arc::new(checked.consumer.create_with_context(Silent).unwrap());
        let producer: BaseProducer = checked.producer.create().unwrap();
        let (acks, place) = (Arc::new(Acks::new()), (Topic::Claims, 0));
        let mut reader = Reader::new(consumer, acks.clone(), &checked.topic, &checked.state, shared.clone());
        let wish = Wish { number: 1, from: ReadFrom::Start, round: 1 };
        shared.follows.lock().insert(0, Follow { state: 0, log: Some(wish) });
        shared.topic_is(1, 1);
        let send = || {
            producer.send(BaseRecord::<(), [u8]>::to(&checked.topic).partition(0).payload(b"record")).unwrap();
            producer.flush(Duration::from_secs(10)).unwrap();
        };
        // One look each turn.
        let turn = |reader: &mut Reader| {
            reader.looked = Instant::now() - LOOK;
            reader.turn();
            received.try_iter().collect::<Vec<_>>()
        };
        send();
        let until = Instant::now() + Duration::from_secs(60);
        while reader.reading.get(&place).is_none_or(|reading| reading.next.is_none()) {
            assert!(Instant::now() < until, "the record is read");
            turn(&mut reader);
        }
        // As if librdkafka had forgotten the partition.
        let mut forgotten = TopicPartitionList::new();
        forgotten.add_partition(&checked.topic, 0);
        reader.consumer.pause(&forgotten).unwrap();
        send();
        acks.is_at(0, 0);
        assert!((0..LOOKS * 2).all(|_| turn(&mut reader).is_empty()), "all of ours was read");
        acks.is_at(0, 1);
        assert!((1..LOOKS).all(|_| turn(&mut reader).is_empty()), "it may be on its way");
        let events = turn(&mut reader);
        assert!(matches!(&events[..], [StorageEvent::Gap { partition: 0, .. }]), "{events:?}");
        assert!(reader.reading.is_empty());
    }
}
