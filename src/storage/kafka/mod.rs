//! The log in Kafka: a topic of claims and a compacted topic of snapshots beside it, read without a consumer group and
//! written by one idempotent producer.
//!
//! Three threads: the reader (records and the reading client's errors), the sender (acknowledgements) and the keeper (the
//! topic, and everything that is said about trouble). Appending happens in the caller's thread and never waits.

mod acks;
mod admin;
mod bell;
mod bootstrap;
mod checks;
mod client;
mod health;
mod keeper;
mod lag;
mod lag_offsets;
pub mod mock;
mod property;
mod queue;
mod reader;
mod secrets;
mod security;
mod sender;
mod settings;
mod shared;
mod state;
mod state_topic;
mod words;

pub use property::check_property;
pub use settings::{KafkaSettings, Replication, SettingsError, DEFAULT_PARTITIONS, DEFAULT_TOPIC};

use super::{LagSource, LogStore, ReadFrom, StorageEvent, StorageInfo};
use crossbeam::channel::{bounded, Receiver, RecvTimeoutError, Sender};
use rdkafka::error::KafkaError;
use sender::Appender;
use settings::{explain, wrong};
use shared::{Shared, Wish};
use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A log that is dropped without `close` takes at most about this long.
const DROP: Duration = Duration::from_secs(1);
/// Of the time that `close` has, this is kept for ending the threads: what is left is for sending.
const ENDING: Duration = Duration::from_millis(300);

/// One process's access to the log.
pub struct KafkaLog {
    shared: Arc<Shared>,
    appender: Arc<Appender>,
    lags: Arc<lag::KafkaLags>,
    wishes: u64,
    threads: Vec<JoinHandle<()>>,
    /// Disconnected once all threads have ended.
    ended: Receiver<()>,
    pid: u32,
    closed: bool,
}

impl KafkaLog {
    /// Checks the settings and starts. Waits for nobody: whether Kafka can be reached is told by events.
    pub fn open(settings: KafkaSettings, events: Sender<StorageEvent>) -> Result<KafkaLog, SettingsError> {
        let checked = settings.check()?;
        let health = Arc::new(health::Health::new());
        let shared = Arc::new(Shared::new(events, health.clone()));
        let spelled = BTreeMap::new();
        let refused = |error: KafkaError| explain(error, &spelled, &checked.secrets);
        let consumer: client::Consumer = checked.consumer.create_with_context(client::Silent).map_err(refused)?;
        let consumer = Arc::new(consumer);
        let appender = Appender::new(&checked, health).map_err(refused)?;
        let appender = Arc::new(appender);

        let (running, ended) = bounded(0);
        let mut log = KafkaLog {
            shared: shared.clone(),
            appender: appender.clone(),
            lags: Arc::new(lag::KafkaLags::new(checked.clone())),
            wishes: 0,
            threads: Vec::new(),
            ended,
            pid: std::process::id(),
            closed: false,
        };
        let reader = reader::Reader::new(consumer.clone(), &checked.topic, &checked.state, shared.clone());
        let keeper = keeper::Keeper::new(consumer, checked, shared.clone());
        // Should a thread not start, dropping the log ends the ones that did.
        log.thread("tidegate-read", running.clone(), move || reader.run())?;
        log.thread("tidegate-keep", running.clone(), move || keeper.run())?;
        log.thread("tidegate-send", running, move || appender.run(&shared))?;
        Ok(log)
    }

    fn thread(
        &mut self,
        name: &'static str,
        running: Sender<()>,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), SettingsError> {
        let shared = self.shared.clone();
        let body = move || {
            let _running = running;
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                let message =
                    format!("a defect in Tidegate ended its thread `{name}`: restart this process and report it");
                shared.send(StorageEvent::Trouble { message, fatal: true });
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(body);
        let cure = "raise the limit on threads of this process";
        self.threads
            .push(thread.map_err(|e| wrong("threads", format!("cannot start the thread `{name}` ({e}): {cure}")))?);
        Ok(())
    }

    /// In a child of `fork` there are no threads, and librdkafka's locks may be held for ever: hands off.
    fn forked(&self) -> bool {
        self.pid != std::process::id()
    }
}

impl LogStore for KafkaLog {
    fn follow(&mut self, partition: u32) {
        self.wishes += 1;
        self.shared.follows.lock().entry(partition).or_default().state = self.wishes;
        self.shared.wake_reader();
    }

    fn read_from(&mut self, partition: u32, from: ReadFrom, round: u64) {
        self.wishes += 1;
        if let Some(follow) = self.shared.follows.lock().get_mut(&partition) {
            follow.log = Some(Wish { number: self.wishes, from, round });
        }
        self.shared.wake_reader();
    }

    fn write_state(&mut self, partition: u32, messages: Vec<(Vec<u8>, Vec<u8>)>) {
        if !self.closed && !self.forked() && partition < self.shared.state_partitions() {
            self.appender.state.put(partition, messages);
        }
    }

    fn unfollow(&mut self, partition: u32) {
        self.shared.follows.lock().remove(&partition);
        self.shared.wake_reader();
    }

    fn look(&mut self) {
        self.shared.look();
    }

    fn append(&mut self, partition: u32, record: Vec<u8>) -> bool {
        if self.closed || self.forked() || partition >= self.shared.partitions() {
            self.appender.acks.refused();
            return false;
        }
        self.appender.append(partition, &record)
    }

    fn info(&self) -> StorageInfo {
        let times = self.appender.acks.times();
        StorageInfo {
            backend: "kafka",
            shared: true,
            persistent: true,
            partitions: self.shared.partitions(),
            replication: self.shared.replication(),
            append_p50: times.p50,
            append_p99: times.p99,
            ack_age: times.age,
            appends_failed: self.appender.acks.failures(),
            producer_restarts: self.appender.restarts(),
        }
    }

    fn lag_source(&self) -> Option<Arc<dyn LagSource>> {
        Some(self.lags.clone())
    }

    fn close(&mut self, timeout: Duration) {
        if self.closed || self.forked() {
            self.closed = true;
            return;
        }
        self.closed = true;
        let deadline = Instant::now() + timeout;
        self.appender.flush(&self.shared, timeout.saturating_sub(ENDING));
        self.shared.stop();
        let left = deadline.saturating_duration_since(Instant::now()).max(ENDING);
        if self.ended.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        }
        // A thread that is still busy ends by itself; it touches nothing of the caller's.
    }
}

impl Drop for KafkaLog {
    fn drop(&mut self) {
        if self.forked() {
            for what in self.threads.drain(..) {
                std::mem::forget(what);
            }
            std::mem::forget(self.appender.clone());
            std::mem::forget(self.shared.clone());
        } else {
            self.close(DROP);
        }
    }
}
