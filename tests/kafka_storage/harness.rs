//! What the tests share: a broker if there is one, a log with its events, and waits that end.

use crossbeam::channel::{bounded, Receiver};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::Metadata;
use rdkafka::ClientConfig;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::{KafkaLog, KafkaSettings, Replication};
use tidegate::storage::{LogStore, ReadFrom, StorageEvent};

/// No event that is promised takes longer than this, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The real broker's address, or `None` after saying that the test was skipped.
pub fn kafka() -> Option<String> {
    let address = std::env::var("TIDEGATE_TEST_KAFKA").ok();
    if address.is_none() {
        println!("SKIPPED: no TIDEGATE_TEST_KAFKA: run under tests/kafka/cluster.py");
    }
    address
}

/// A topic name that no other test or run uses.
pub fn fresh_topic() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A topic of its own. One copy: `auto` would wait for more brokers to come.
pub fn fresh(address: &str) -> KafkaSettings {
    KafkaSettings { topic: fresh_topic(), replication: Replication::Factor(1), ..KafkaSettings::new(address) }
}

/// A log and what it says.
pub struct User {
    pub log: KafkaLog,
    pub events: Receiver<StorageEvent>,
    round: u64,
}

impl User {
    pub fn open(settings: KafkaSettings) -> User {
        User::open_with(settings, 100_000)
    }

    pub fn open_with(settings: KafkaSettings, room: usize) -> User {
        let (events, received) = bounded(room);
        User { log: KafkaLog::open(settings, events).expect("settings that can work"), events: received, round: 0 }
    }

    pub fn ready(settings: KafkaSettings) -> User {
        let user = User::open(settings);
        user.until(|event| matches!(event, StorageEvent::Topics { .. }));
        user
    }

    /// Follows a partition and reads its log from the first record.
    pub fn read(&mut self, partition: u32) {
        self.log.follow(partition);
        self.read_from(partition, ReadFrom::Offset(0));
    }

    pub fn read_from(&mut self, partition: u32, from: ReadFrom) {
        self.round += 1;
        self.log.read_from(partition, from, self.round);
    }

    /// What stands in the partition's state.
    pub fn state(&mut self, wanted: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.log.follow(wanted);
        let mut found = Vec::new();
        loop {
            match self.until(|e| matches!(e, StorageEvent::State { .. } | StorageEvent::StateRead { .. })) {
                StorageEvent::State { partition, key, value } if partition == wanted => found.push((key, value)),
                StorageEvent::StateRead { partition } if partition == wanted => return found,
                _ => {}
            }
        }
    }

    /// The first event that fits; those before it are dropped.
    pub fn until(&self, mut fits: impl FnMut(&StorageEvent) -> bool) -> StorageEvent {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let event =
                self.events.recv_deadline(deadline).unwrap_or_else(|_| panic!("waited in vain; came: {seen:?}"));
            if fits(&event) {
                return event;
            }
            seen.push(event);
        }
    }

    pub fn caught_up(&self, wanted: u32) {
        self.until(|event| matches!(event, StorageEvent::CaughtUp { partition } if *partition == wanted));
    }

    pub fn trouble(&self) -> (String, bool) {
        match self.until(|event| matches!(event, StorageEvent::Trouble { .. })) {
            StorageEvent::Trouble { message, fatal } => (message, fatal),
            _ => unreachable!(),
        }
    }

    /// The next `count` records of the partition; other partitions' events are dropped, a gap is a failure.
    pub fn records(&self, wanted: u32, count: usize) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        while found.len() < count {
            match self.until(|e| matches!(e, StorageEvent::Record { .. } | StorageEvent::Gap { .. })) {
                StorageEvent::Record { partition, offset, bytes } if partition == wanted => found.push((offset, bytes)),
                StorageEvent::Gap { partition, reason } if partition == wanted => panic!("gap: {reason}"),
                _ => {}
            }
        }
        found
    }

    pub fn append(&mut self, partition: u32, text: &str) {
        assert!(self.log.append(partition, text.as_bytes().to_vec()), "the queue has room");
    }
}

pub fn numbers(from: usize, to: usize) -> Vec<Vec<u8>> {
    (from..to).map(|i| i.to_string().into_bytes()).collect()
}

pub fn admin(address: &str) -> (AdminClient<DefaultClientContext>, AdminOptions) {
    let client = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    (client, AdminOptions::new())
}

/// What the broker knows of one topic, or of all.
fn metadata(address: &str, topic: Option<&str>) -> Metadata {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", address).create().unwrap();
    consumer.fetch_metadata(topic, PATIENCE).unwrap()
}

/// The names of all topics, as the broker knows them.
pub fn topics(address: &str) -> Vec<String> {
    metadata(address, None).topics().iter().map(|topic| topic.name().to_owned()).collect()
}

/// How many partitions the topic has.
pub fn partitions(address: &str, topic: &str) -> usize {
    metadata(address, Some(topic)).topics()[0].partitions().len()
}

/// Gives the topic so many partitions.
pub fn grow(address: &str, topic: &str, partitions: usize) {
    let (admin, options) = admin(address);
    wait(admin.create_partitions([&NewPartitions::new(topic, partitions)], &options)).unwrap()[0].as_ref().unwrap();
}

/// Waits for a future in this thread.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}
