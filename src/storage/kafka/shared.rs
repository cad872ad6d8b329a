//! What the threads of one log share.

use super::health::Health;
use super::queue::Queue;
use super::state::LogId;
use crate::lock::Mutex;
use crate::storage::{ReadFrom, StorageEvent};
use crossbeam::channel::{SendTimeoutError, Sender};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// A thread that waits for room in the event channel looks so often whether it should end instead.
const LOOK: Duration = Duration::from_millis(20);

pub(super) struct Shared {
    events: Sender<StorageEvent>,
    stop: AtomicBool,
    pub health: Arc<Health>,
    partitions: AtomicU32,
    readable: AtomicU32,
    replication: AtomicU32,
    /// Partitions of the state topic that can be read: 0 if it is not there.
    state_partitions: AtomicU32,
    /// What tells the log from another one of the same name, if it is known.
    log_id: Mutex<Option<LogId>>,
    /// One more whenever the log is another one under the same name.
    round: AtomicU64,
    /// What is to be read. One entry per partition: no queue of wishes.
    pub follows: Mutex<BTreeMap<u32, Follow>>,
    changed: AtomicBool,
    /// The partitions are to be announced again, whether they are others or not.
    asked: AtomicBool,
    /// To wake the reader; taken away before its client ends.
    pub reader: Mutex<Option<Queue>>,
}

/// What is wanted of one partition.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Follow {
    /// Another number: its state is wanted again.
    pub state: u64,
    /// Its log is wanted.
    pub log: Option<Wish>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// Another number is another wish, also for the same.
    pub number: u64,
    pub from: ReadFrom,
    pub round: u64,
}

impl Shared {
    pub(super) fn new(events: Sender<StorageEvent>, health: Arc<Health>) -> Shared {
        Shared {
            events,
            stop: AtomicBool::new(false),
            health,
            partitions: AtomicU32::new(0),
            readable: AtomicU32::new(0),
            replication: AtomicU32::new(0),
            state_partitions: AtomicU32::new(0),
            log_id: Mutex::new(None),
            round: AtomicU64::new(0),
            follows: Mutex::new(BTreeMap::new()),
            changed: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            reader: Mutex::new(None),
        }
    }

    /// Waits for room; gives up only when the log is closed or nobody listens any more.
    pub(super) fn send(&self, event: StorageEvent) {
        let mut event = event;
        while !self.stopping() {
            match self.events.send_timeout(event, LOOK) {
                Ok(()) => return,
                Err(SendTimeoutError::Timeout(back)) => event = back,
                Err(SendTimeoutError::Disconnected(_)) => return self.stop(),
            }
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.health.look();
        self.wake_reader();
    }

    pub(super) fn wake_reader(&self) {
        self.changed.store(true, Ordering::Release);
        if let Some(queue) = self.reader.lock().as_ref() {
            queue.wake();
        }
    }

    /// Whether the reader has something to look at.
    pub(super) fn take_changed(&self) -> bool {
        self.changed.load(Ordering::Relaxed) && self.changed.swap(false, Ordering::AcqRel)
    }

    /// Has the topic looked at and announced now.
    pub(super) fn look(&self) {
        self.asked.store(true, Ordering::Release);
        self.health.look();
    }

    /// Whether it is to be announced in any case.
    pub(super) fn take_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::AcqRel)
    }

    pub(super) fn topic_is(&self, partitions: u32, replication: u32) {
        self.replication.store(replication, Ordering::Release);
        self.partitions.store(partitions, Ordering::Release);
        // Who hears of the topic may append at once, and nothing is read before everybody heard of it.
        self.send(StorageEvent::Topics { partitions, replication });
        self.readable.store(partitions, Ordering::Release);
        self.wake_reader();
    }

    /// Partitions that the reader may read: 0 until the topic was announced.
    pub(super) fn readable(&self) -> u32 {
        self.readable.load(Ordering::Acquire)
    }

    /// 0 until known.
    pub(super) fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Acquire)
    }

    pub(super) fn replication(&self) -> u32 {
        self.replication.load(Ordering::Acquire)
    }

    pub(super) fn state_is(&self, partitions: u32) {
        self.state_partitions.store(partitions, Ordering::Release);
    }

    pub(super) fn state_partitions(&self) -> u32 {
        self.state_partitions.load(Ordering::Acquire)
    }

    pub(super) fn log_is(&self, id: Option<LogId>) {
        *self.log_id.lock() = id;
    }

    pub(super) fn log_id(&self) -> Option<LogId> {
        *self.log_id.lock()
    }

    pub(super) fn start_over(&self) {
        self.round.fetch_add(1, Ordering::AcqRel);
        self.wake_reader();
    }

    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }
}
