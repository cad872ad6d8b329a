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
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest poll: a wake-up that comes between two polls costs no more than this.
const IDLE: Duration = Duration::from_millis(50);
/// A partition that could not be read waits so long before the next try, twice as long each time.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// A state of which nothing comes for so long is taken for read: the log alone is right as well, if slower to read.
const STATE_WITHIN: Duration = Duration::from_secs(5);

/// A partition of which nothing comes for so long, though the log has an append of ours that was not read yet, is taken up again
/// where it was. librdkafka may forget a partition when brokers go (its issue 4492): after an outage of all brokers two of
/// twelve processes had read nothing for 87 s.
const BEHIND: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

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

#[derive(Clone)]
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
    /// Since when the log has been known to have more.
    behind: Option<Instant>,
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
            self.take_up_what_is_behind();
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

    fn take_up_what_is_behind(&mut self) {
        let now = Instant::now();
        let acks = &self.acks;
        let claims = self.reading.iter_mut().filter(|((topic, _), _)| *topic == Topic::Claims);
        let behind =
            claims.filter_map(|(place, reading)| reading.is_behind(acks.newest(place.1), now).then_some(*place));
        for place in behind.collect::<Vec<_>>() {
            self.take_up(place);
        }
    }

    /// Reads the partition from where it was, whatever librdkafka is at.
    fn take_up(&mut self, place: Place) {
        let Some(reading) = self.reading.get(&place).cloned() else { return };
        self.shared.reader_restarts.fetch_add(1, Ordering::Relaxed);
        self.stop_reading(place);
        let from = reading.next.map_or(reading.from, |next| Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX)));
        self.reading.insert(place, Reading { from, starts: Some(Instant::now()), behind: None, ..reading });
        self.start_what_is_due();
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
        reading.behind = None;
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
        let (next, target, behind) = (None, None, None);
        Reading { from, starts: Some(now), next, target, caught_up: false, pause: AGAIN, news: now, behind }
    }

    /// Whether what the log has was waited for long enough.
    fn is_behind(&mut self, newest: Option<u64>, now: Instant) -> bool {
        let has_all = newest.is_none_or(|newest| self.next.is_some_and(|next| newest < next));
        if has_all || self.starts.is_some() {
            self.behind = None;
            return false;
        }
        now.saturating_duration_since(*self.behind.get_or_insert(now)) >= BEHIND
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

    const MOMENT: Duration = Duration::from_millis(1);

    fn reading(next: Option<u64>) -> Reading {
        Reading { starts: None, next, ..Reading::new(Offset::Beginning) }
    }

    #[test]
    fn a_partition_is_behind_when_what_the_log_has_was_not_read_for_long() {
        for next in [Some(7), None] {
            let (mut partition, now) = (reading(next), Instant::now());
            assert!(!partition.is_behind(Some(7), now), "it may be on its way");
            assert!(!partition.is_behind(Some(7), now + BEHIND - MOMENT));
            assert!(partition.is_behind(Some(7), now + BEHIND));
        }
    }

    #[test]
    fn a_partition_is_not_behind_that_has_all_or_waits_for_its_start_or_of_which_something_came() {
        let later = |now| now + BEHIND * 2;
        let (mut partition, now) = (reading(Some(8)), Instant::now());
        for newest in [Some(7), None] {
            assert!(!partition.is_behind(newest, now) && !partition.is_behind(newest, later(now)));
        }
        let mut waits = Reading { starts: Some(now), ..reading(Some(7)) };
        assert!(!waits.is_behind(Some(7), now) && !waits.is_behind(Some(7), later(now)));
        let mut slow = reading(Some(7));
        assert!(!slow.is_behind(Some(9), now));
        (slow.next, slow.behind) = (Some(8), None);
        assert!(!slow.is_behind(Some(9), later(now)), "since a record came");
    }

    #[test]
    fn a_partition_that_is_taken_up_again_is_read_on_where_it_was_and_nothing_twice() {
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
        let (mut read, until) = (Vec::new(), Instant::now() + Duration::from_secs(60));
        for rounds in 1..=3 {
            for _ in 0..10 {
                producer.send(BaseRecord::<(), [u8]>::to(&checked.topic).partition(0).payload(b"record")).unwrap();
            }
            producer.flush(Duration::from_secs(10)).unwrap();
            // Taken up with what was fetched already half read.
            while read.len() < rounds * 10 - 5 {
                assert!(Instant::now() < until, "{read:?}");
                reader.turn();
                for event in received.try_iter() {
                    match event {
                        StorageEvent::Record { offset, .. } => read.push(offset),
                        StorageEvent::Gap { reason, .. } => panic!("{reason}"),
                        _ => {}
                    }
                }
            }
            // As if librdkafka had forgotten the partition.
            acks.is_at(0, 1_000);
            let reading = reader.reading.get_mut(&place).unwrap();
            let next = Offset::Offset(reading.next.unwrap() as i64);
            reading.behind = Some(Instant::now() - BEHIND);
            reader.looked = Instant::now() - LOOK;
            reader.turn();
            assert_eq!(reader.reading[&place].from, next);
        }
        assert_eq!(read, (0..25).collect::<Vec<_>>());
        assert_eq!(shared.reader_restarts.load(Ordering::Relaxed), 3);
    }
}
