//! How far a consumer group is behind, on a real broker: what is measured, and that nobody notices.

use crate::failover::Cluster;
use crate::harness::*;
use crossbeam::channel::{unbounded, Receiver};
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidegate::storage::kafka::KafkaSettings;
use tidegate::storage::{Lag, LagGuard, LagSource, LogStore, Watch};

pub const OFTEN: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);

/// What a watch reports, until it is dropped.
pub struct Watched {
    pub reports: Receiver<Result<Lag, String>>,
    pub guard: LagGuard,
}

impl Watched {
    /// The first report that fits: measurements that were under way see an older state.
    pub fn until(&self, mut fits: impl FnMut(&Result<Lag, String>) -> bool) -> Result<Lag, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            let report = self.reports.recv_deadline(deadline);
            let report = report.unwrap_or_else(|_| panic!("waited in vain; last came: {last:?}"));
            if fits(&report) {
                return report;
            }
            last = Some(report);
        }
    }

    pub fn until_behind(&self, records: u64) -> Lag {
        self.until(|report| report.as_ref().is_ok_and(|lag| lag.records == records)).unwrap()
    }

    pub fn failure(&self) -> String {
        self.until(|report| report.is_err()).unwrap_err()
    }

    /// What the next `count` measurements say; nothing that began before now.
    pub fn next(&self, count: usize) -> Vec<Result<Lag, String>> {
        while self.reports.try_recv().is_ok() {}
        let mut next = (0..=count).map(|_| self.reports.recv_timeout(PATIENCE).unwrap());
        next.next();
        next.collect()
    }
}

pub fn lags(settings: KafkaSettings) -> Arc<dyn LagSource> {
    User::open(settings).log.lag_source().expect("Kafka measures")
}

pub fn watch(group: &str, topics: &[&str]) -> Watch {
    let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Watch { group: group.into(), topics, every: OFTEN, older_than: vec![] }
}

pub fn watched(lags: &Arc<dyn LagSource>, watch: Watch) -> Watched {
    let (sender, reports) = unbounded();
    let guard = lags.watch(watch, Box::new(move |report| drop(sender.send(report)))).expect("a watch that can work");
    Watched { reports, guard }
}

pub fn create(address: &str, topic: &str, partitions: i32) {
    let (admin, options) = admin(address);
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    wait(admin.create_topics([&topic], &options)).unwrap()[0].as_ref().unwrap();
}

fn ago(age: Duration) -> i64 {
    (SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - age).as_millis() as i64
}

/// The partitions of records that did not arrive.
#[derive(Clone, Default)]
struct Failed(Arc<Mutex<Vec<i32>>>);

impl ClientContext for Failed {}
impl ProducerContext for Failed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((_, record)) = result {
            self.0.lock().unwrap().push(record.partition());
        }
    }
}

/// Appends records of that age to each partition: as many as are said.
pub fn append(address: &str, topic: &str, counts: &[usize], age: Duration) {
    let failed = Failed::default();
    let mut config = ClientConfig::new();
    let producer: BaseProducer<Failed> =
        config.set("bootstrap.servers", address).create_with_context(failed.clone()).unwrap();
    let mut left: Vec<i32> = (0..).zip(counts).flat_map(|(number, count)| vec![number; *count]).collect();
    let deadline = Instant::now() + PATIENCE;
    // A topic that was just created is not known to the whole broker at once.
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "{} records did not arrive in {topic}", left.len());
        for partition in left {
            let record = BaseRecord::<(), [u8], ()>::to(topic).partition(partition);
            if producer.send(record.payload(b"x").timestamp(ago(age))).is_err() {
                failed.0.lock().unwrap().push(partition);
                producer.poll(Duration::from_millis(20));
            }
        }
        producer.flush(PATIENCE).unwrap();
        left = std::mem::take(&mut failed.0.lock().unwrap());
    }
}

/// As a consumer does that stopped: the group has committed, and has no members.
pub fn commit(address: &str, group: &str, topic: &str, offsets: &[(i32, i64)]) {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer =
        config.set("bootstrap.servers", address).set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).unwrap();
    }
    // A broker that is new takes a moment to make the topic that offsets are kept in.
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(OFTEN);
    }
}

/// A topic with so many records in each partition.
fn filled(address: &str, counts: &[usize]) -> String {
    let topic = fresh_topic();
    create(address, &topic, counts.len() as i32);
    append(address, &topic, counts, Duration::ZERO);
    topic
}

#[test]
fn the_lag_is_the_end_minus_the_committed_offset_of_all_partitions() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), filled(&address, &[10, 20, 30]));
    commit(&address, &group, &topic, &[(0, 10), (1, 13), (2, 5)]);
    let lag = watched(&lags(fresh(&address)), watch(&group, &[&topic]));
    assert_eq!(lag.reports.recv_timeout(PATIENCE).unwrap(), Ok(Lag { records: 32, older: vec![] }));
    append(&address, &topic, &[1, 2, 4], Duration::ZERO);
    lag.until_behind(39);
    commit(&address, &group, &topic, &[(2, 34)]);
    lag.until_behind(10);
    commit(&address, &group, &topic, &[(0, 11), (1, 22)]);
    lag.until_behind(0);
    assert!(lag.next(3).iter().all(|report| report.as_ref().unwrap().records == 0), "and stays there");
}

#[test]
fn a_partition_without_a_committed_offset_counts_from_the_logs_start() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), filled(&address, &[10, 20]));
    commit(&address, &group, &topic, &[(0, 4)]);
    let lag = watched(&lags(fresh(&address)), watch(&group, &[&topic]));
    lag.until_behind(6 + 20);
    commit(&address, &group, &topic, &[(1, 20)]);
    lag.until_behind(6);
}

#[test]
fn what_was_deleted_before_it_was_read_is_not_counted() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), filled(&address, &[10, 20, 30]));
    commit(&address, &group, &topic, &[(0, 2), (1, 18)]);
    let lag = watched(&lags(fresh(&address)), watch(&group, &[&topic]));
    lag.until_behind(8 + 2 + 30);
    let (admin, options) = admin(&address);
    let mut below = TopicPartitionList::new();
    for partition in 0..3 {
        below.add_partition_offset(&topic, partition, Offset::Offset(7)).unwrap();
    }
    wait(admin.delete_records(&below, &options)).unwrap();
    // What lies above the start is counted still: partition 1 is where it was.
    lag.until_behind(3 + 2 + 23);
}

#[test]
fn without_names_all_topics_count_that_the_group_has_committed_to_and_with_names_only_those() {
    let Some(address) = kafka() else { return };
    let (group, lags) = (fresh_topic(), lags(fresh(&address)));
    let (a, b, c) = (filled(&address, &[10]), filled(&address, &[0, 200]), filled(&address, &[3000]));
    commit(&address, &group, &a, &[(0, 1)]);
    commit(&address, &group, &b, &[(0, 0)]);
    let all = watched(&lags, watch(&group, &[]));
    assert_eq!(all.reports.recv_timeout(PATIENCE).unwrap().unwrap().records, 209);
    let named = watched(&lags, watch(&group, &[&a, &a]));
    assert_eq!(named.reports.recv_timeout(PATIENCE).unwrap().unwrap().records, 9, "named twice, counted once");
    let never_read = watched(&lags, watch(&group, &[&c]));
    assert_eq!(never_read.reports.recv_timeout(PATIENCE).unwrap().unwrap().records, 3000);
    commit(&address, &group, &c, &[(0, 2000)]);
    all.until_behind(1209);
    assert_eq!(named.next(1), [Ok(Lag { records: 9, older: vec![] })]);
}

#[test]
fn a_record_is_unread_for_as_long_as_its_time_stamp_says_until_it_is_committed() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), filled(&address, &[0, 0]));
    let soon = Duration::from_secs(90);
    append(&address, &topic, &[1, 0], 3 * HOUR);
    append(&address, &topic, &[1, 1], soon);
    append(&address, &topic, &[1, 0], Duration::ZERO);
    commit(&address, &group, &topic, &[(0, 0), (1, 1)]);
    let ages = [Duration::from_secs(60), HOUR, 2 * HOUR, Duration::MAX];
    let lag = watched(&lags(fresh(&address)), Watch { older_than: ages.to_vec(), ..watch(&group, &[&topic]) });
    let is = |records, older: [bool; 4]| {
        lag.until(|report| *report == Ok(Lag { records, older: older.to_vec() })).unwrap();
    };
    is(3, [true, true, true, false]);
    commit(&address, &group, &topic, &[(0, 1)]);
    is(2, [true, false, false, false]);
    commit(&address, &group, &topic, &[(0, 2)]);
    is(1, [false; 4]);
    commit(&address, &group, &topic, &[(0, 3)]);
    is(0, [false; 4]);
    // In whichever partition.
    append(&address, &topic, &[0, 1], soon);
    is(1, [true, false, false, false]);
    append(&address, &topic, &[1, 1], Duration::ZERO);
    is(3, [true, false, false, false]);
    commit(&address, &group, &topic, &[(1, 2)]);
    is(2, [false; 4]);
    // Behind a younger one it is taken to be as young.
    append(&address, &topic, &[0, 1], 3 * HOUR);
    is(3, [false; 4]);
}

/// Counts what happens to its assignment.
#[derive(Clone, Default)]
struct Rebalances(Arc<AtomicU32>);

impl ClientContext for Rebalances {}
impl ConsumerContext for Rebalances {
    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, _rebalance: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn join(address: &str, group: &str, topic: &str) -> (BaseConsumer<Rebalances>, Rebalances) {
    let seen = Rebalances::default();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", group).set("enable.auto.commit", "false");
    config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "200");
    let consumer: BaseConsumer<Rebalances> = config.create_with_context(seen.clone()).unwrap();
    consumer.subscribe(&[topic]).unwrap();
    (consumer, seen)
}

fn members(consumer: &BaseConsumer<Rebalances>, group: &str) -> usize {
    let groups = consumer.fetch_group_list(Some(group), PATIENCE).unwrap();
    groups.groups().iter().map(|group| group.members().len()).sum()
}

#[test]
fn a_watch_is_no_member_of_the_group_and_disturbs_no_consumer() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), filled(&address, &[10, 10]));
    let (consumer, seen) = join(&address, &group, &topic);
    let deadline = Instant::now() + PATIENCE;
    while consumer.assignment().unwrap().count() < 2 {
        assert!(Instant::now() < deadline, "the consumer was not let in");
        drop(consumer.poll(Duration::from_millis(50)));
    }
    let before = seen.0.load(Ordering::Relaxed);
    let lags = lags(fresh(&address));
    // A group with a member is known, though nothing is committed yet.
    let lag = watched(&lags, watch(&group, &[&topic]));
    lag.until_behind(20);
    let poll_for = |consumers: &[&BaseConsumer<Rebalances>], time: Duration| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            for consumer in consumers {
                drop(consumer.poll(Duration::from_millis(10)));
            }
        }
    };
    poll_for(&[&consumer], Duration::from_secs(3));
    assert!(lag.reports.len() > 10, "measured {} times meanwhile", lag.reports.len());
    drop(lag);
    poll_for(&[&consumer], Duration::from_secs(1));
    assert_eq!((members(&consumer, &group), seen.0.load(Ordering::Relaxed)), (1, before));
    assert_eq!(consumer.assignment().unwrap().count(), 2);

    // So it would look if somebody joined.
    let (second, _) = join(&address, &group, &topic);
    let deadline = Instant::now() + PATIENCE;
    while seen.0.load(Ordering::Relaxed) == before || members(&consumer, &group) != 2 {
        assert!(Instant::now() < deadline, "nobody noticed the second consumer");
        poll_for(&[&consumer, &second], Duration::from_millis(100));
    }
}

#[test]
fn a_watch_of_a_group_that_nobody_is_in_adds_no_member() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), filled(&address, &[10]));
    commit(&address, &group, &topic, &[(0, 1)]);
    let lag = watched(&lags(fresh(&address)), watch(&group, &[&topic]));
    lag.next(3);
    let (consumer, _) = join(&address, "t-somebody-else", &topic);
    assert_eq!(members(&consumer, &group), 0);
}

/// Also prints what a measurement costs: `cargo test --release --test kafka_storage -- --nocapture wide`.
#[test]
fn a_wide_topic_is_measured_in_one_go() {
    let Some(address) = kafka() else { return };
    let (group, wide) = (fresh_topic(), fresh_topic());
    create(&address, &wide, 1000);
    append(&address, &wide, &[3; 1000], Duration::from_secs(90));
    commit(&address, &group, &wide, &[(0, 1), (999, 2)]);
    let older_than = vec![Duration::from_secs(60), HOUR, 2 * HOUR, 3 * HOUR];
    let lag = watched(&lags(fresh(&address)), Watch { older_than, ..watch(&group, &[&wide]) });
    let older = vec![true, false, false, false];
    assert_eq!(lag.until(Result::is_ok), Ok(Lag { records: 2997, older }));
    let start = Instant::now();
    lag.next(9);
    println!("1000 partitions, 4 ages: one measurement in {:?}", start.elapsed() / 10);
}

#[test]
fn the_watch_follows_the_group_to_another_coordinator_and_back() {
    if kafka().is_none() {
        return;
    }
    let mut cluster = Cluster::start(3);
    let address = cluster.address.clone();
    let (group, topic) = (fresh_topic(), fresh_topic());
    let (admin, options) = admin(&address);
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(3));
    wait(admin.create_topics([&new], &options)).unwrap()[0].as_ref().unwrap();
    append(&address, &topic, &[3], Duration::ZERO);
    commit(&address, &group, &topic, &[(0, 1)]);
    let lag = watched(&lags(fresh(&address)), watch(&group, &[&topic]));
    lag.until_behind(2);

    let coordinator = cluster.tell("leader __consumer_offsets 0");
    cluster.tell(&format!("kill {coordinator}"));
    let killed = Instant::now();
    append(&address, &topic, &[1], Duration::ZERO);
    lag.until_behind(3);
    println!("measured again {:?} after the coordinator was killed", killed.elapsed());

    cluster.tell(&format!("restart {coordinator}"));
    let deadline = Instant::now() + PATIENCE;
    while cluster.tell("leader __consumer_offsets 0") != coordinator {
        cluster.tell("elect __consumer_offsets 0");
        assert!(Instant::now() < deadline, "{coordinator} does not coordinate again");
        std::thread::sleep(Duration::from_millis(200));
    }
    // The other one is still there, but knows nothing of the group any more.
    let back = Instant::now();
    let mut failures = lag.next(10).into_iter().filter_map(Result::err).collect::<Vec<_>>();
    failures.dedup();
    println!("said meanwhile: {failures:?}");
    commit(&address, &group, &topic, &[(0, 4)]);
    lag.until_behind(0);
    println!("measured again {:?} after it was back", back.elapsed());
}
