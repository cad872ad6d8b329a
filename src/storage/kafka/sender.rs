//! Appends, and the replacement of a producer that librdkafka has given up.

use super::acks::Acks;
use super::bell::serve;
use super::bootstrap::Bootstrap;
use super::client::{Producer, Reports, STATE};
use super::health::Health;
use super::settings::Checked;
use super::shared::Shared;
use super::state::{mark, StateWriter};
use super::words;
use crate::lock::Mutex;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One round of serving acknowledgements; what ends the thread is noticed so late.
const ROUND: Duration = Duration::from_millis(50);
/// Longest wait for the number of partitions; asked again in the next round.
const ASK: Duration = Duration::from_secs(1);
/// An append that waits for so long may wait for another leader: librdkafka by itself asks who it is once a second, and has to
/// ask twice where the dead one has left the cluster. The longest wait for that answer, and the time between two questions.
const LATE: Duration = Duration::from_millis(250);
/// A producer is replaced at most so often.
const BETWEEN_RESTARTS: Duration = Duration::from_secs(1);

pub(super) struct Appender {
    topic: String,
    state_topic: String,
    servers: String,
    config: ClientConfig,
    slot: Mutex<Option<Arc<Producer>>>,
    pub acks: Arc<Acks>,
    pub state: Arc<StateWriter>,
    health: Arc<Health>,
    restarts: AtomicU64,
}

impl Appender {
    pub(super) fn new(settings: &Checked, health: Arc<Health>) -> KafkaResult<Appender> {
        let state = Arc::new(StateWriter::new(health.clone()));
        let mut appender = Appender {
            topic: settings.topic.clone(),
            state_topic: settings.state.clone(),
            servers: settings.servers.clone(),
            config: settings.producer.clone(),
            slot: Mutex::new(None),
            acks: Arc::new(Acks::new()),
            state,
            health,
            restarts: AtomicU64::new(0),
        };
        appender.slot = Mutex::new(Some(Arc::new(appender.producer()?)));
        Ok(appender)
    }

    fn producer(&self) -> KafkaResult<Producer> {
        let (acks, health, state) = (self.acks.clone(), self.health.clone(), self.state.clone());
        self.config.create_with_context(Reports { acks, health, state })
    }

    /// Sends the next message of the state, if there is one and none is under way; whether it did.
    fn send_state(&self, producer: &Producer, shared: &Shared) -> bool {
        let Some((partition, (key, value))) = self.state.take() else { return false };
        let value = mark(shared.log_id(), &value);
        let record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.state_topic, STATE)
            .partition(partition as i32)
            .key(&key[..])
            .payload(&value[..]);
        if let Err((error, _)) = producer.send(record) {
            self.state.done(Some(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)));
        }
        true
    }

    /// Into librdkafka's bounded queue, or not at all. Copies the record.
    pub(super) fn append(&self, partition: u32, record: &[u8]) -> bool {
        let slot = self.slot.lock();
        let Some(producer) = slot.as_ref() else {
            self.acks.refused();
            return false;
        };
        let moment = self.acks.begun();
        let record = BaseRecord::<(), [u8], usize>::with_opaque_to(&self.topic, moment)
            .partition(partition as i32)
            .payload(record);
        let sent = producer.send(record).is_ok();
        if !sent {
            self.acks.failed(moment);
        }
        sent
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Waits until everything is acknowledged or failed.
    pub(super) fn flush(&self, shared: &Shared, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let Some(producer) = self.slot.lock().clone() else { return };
        loop {
            self.send_state(&producer, shared);
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = producer.flush(left);
            if self.state.is_idle() || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Serves acknowledgements until the log is closed, then ends the producer.
    pub(super) fn run(&self, shared: &Shared) {
        let (mut known, mut asked) = (0, Instant::now());
        let mut bootstrap = Bootstrap::new(&self.servers);
        while !shared.stopping() {
            let Some(producer) = self.slot.lock().clone() else { break };
            self.send_state(&producer, shared);
            serve(&producer, ROUND);
            known = self.know(&producer, known, shared.partitions());
            if asked.elapsed() >= LATE && self.acks.oldest().is_some_and(|age| age >= LATE) {
                let _ = bootstrap.metadata(producer.client(), &self.topic, LATE);
                asked = Instant::now();
            }
            // Its error event carries the cause's code, not "fatal": the client has to be asked.
            if let Some((code, _)) = producer.client().fatal_error() {
                drop(producer);
                // A new producer will not be allowed to append either. The records of this one vanish without a report.
                if !self.state.lost(code) && words::denied(code) {
                    self.health.append_failed(code);
                }
                self.replace(shared);
            }
        }
        let last = self.slot.lock().take();
        drop(last);
    }

    /// A producer refuses partitions that it has not heard of, and asks only every five minutes by itself. How many it knows.
    fn know(&self, producer: &Producer, known: u32, partitions: u32) -> u32 {
        if known == 0 || known >= partitions {
            return known.max(partitions);
        }
        let metadata = producer.client().fetch_metadata(Some(&self.topic), ASK);
        let topic = metadata.as_ref().ok().and_then(|metadata| metadata.topics().first());
        topic.map_or(known, |topic| topic.partitions().len() as u32)
    }

    /// After a fatal error librdkafka takes nothing any more: only a new producer does. What the old one still had is
    /// lost, as any append may be.
    fn replace(&self, shared: &Shared) {
        if let Ok(new) = self.producer() {
            let mut slot = self.slot.lock();
            let old = slot.replace(Arc::new(new));
            self.acks.forget();
            drop(slot);
            self.restarts.fetch_add(1, Ordering::Relaxed);
            drop(old);
        }
        let until = Instant::now() + BETWEEN_RESTARTS;
        while Instant::now() < until && !shared.stopping() {
            let producer = self.slot.lock().clone();
            match producer {
                Some(producer) => serve(&producer, ROUND),
                None => return,
            }
        }
    }
}
