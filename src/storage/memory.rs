//! A log in this process: what tests, and runtimes that share nothing with other processes, use in place of Kafka.
//!
//! Nothing queues here but the log itself. A follower whose channel is full stays where it is in the log, and a thread
//! that lives only as long as somebody is behind tries again every `RETRY`: nothing is dropped, nobody blocks.

use super::{LogStore, ReadFrom, StorageEvent, StorageInfo};
use crate::lock::Mutex;
use crossbeam::channel::{Sender, TrySendError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a follower with a full channel waits for the next try.
const RETRY: Duration = Duration::from_millis(1);

/// The log itself. Clones are the same log.
#[derive(Clone)]
pub struct MemoryHub {
    hub: Arc<Mutex<Hub>>,
}

/// One user of a [`MemoryHub`].
pub struct MemoryLog {
    hub: MemoryHub,
    id: u64,
    last_append: Option<Instant>,
    failed: u64,
    open: bool,
}

struct Hub {
    partitions: Vec<Partition>,
    users: BTreeMap<u64, User>,
    next_id: u64,
    down: bool,
    retrying: bool,
}

#[derive(Clone, Default)]
struct Partition {
    records: Vec<Vec<u8>>,
    /// Records before this offset are gone.
    start: usize,
    /// The newest message for each key.
    state: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct User {
    events: Sender<StorageEvent>,
    /// Partitions, as told.
    topics_told: usize,
    down_told: bool,
    followed: BTreeMap<u32, Follower>,
}

/// What a follower has still to be told.
#[derive(Default)]
struct Follower {
    /// The state as it was when it was asked for; empty and `None` once everything was said.
    state: Option<VecDeque<(Vec<u8>, Vec<u8>)>>,
    cursor: Option<Cursor>,
}

/// Where a follower is: `caught_up_at` is the end of the partition when its reading began, `None` once that was said.
struct Cursor {
    stage: Stage,
    next: usize,
    caught_up_at: Option<usize>,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The round is to be announced.
    Begins(u64, ReadFrom),
    /// Whether the log holds the place is to be looked at.
    Looks(ReadFrom),
    Reads,
}

impl MemoryHub {
    /// An empty log.
    pub fn new(partitions: u32) -> MemoryHub {
        let hub = Hub {
            partitions: vec![Partition::default(); partitions as usize],
            users: BTreeMap::new(),
            next_id: 0,
            down: false,
            retrying: false,
        };
        MemoryHub { hub: Arc::new(Mutex::new(hub)) }
    }

    /// One more user of the log; it is told what happens through `events`.
    pub fn open(&self, events: Sender<StorageEvent>) -> MemoryLog {
        let mut hub = self.hub.lock();
        let id = hub.next_id;
        hub.next_id += 1;
        let user = User { events, topics_told: 0, down_told: false, followed: BTreeMap::new() };
        hub.users.insert(id, user);
        drop(hub);
        self.deliver();
        MemoryLog { hub: self.clone(), id, last_append: None, failed: 0, open: true }
    }

    /// Down: appends vanish and nothing is delivered. Up again: delivery goes on where it stopped, in order.
    pub fn set_down(&self, down: bool) {
        self.hub.lock().down = down;
        self.deliver();
    }

    /// Adds partitions, as an operator does; fewer than there are change nothing.
    pub fn grow(&self, partitions: u32) {
        let mut hub = self.hub.lock();
        let partitions = hub.partitions.len().max(partitions as usize);
        hub.partitions.resize(partitions, Partition::default());
        drop(hub);
        self.deliver();
    }

    /// Records in the partition.
    pub fn records(&self, partition: u32) -> usize {
        self.hub.lock().partitions[partition as usize].records.len()
    }

    /// Removes the records before `start`, as a log does whose retention is over.
    pub fn remove_before(&self, partition: u32, start: usize) {
        let mut hub = self.hub.lock();
        let log = &mut hub.partitions[partition as usize];
        log.start = log.start.max(start.min(log.records.len()));
    }

    /// The partition's state: the newest message for each key. To be looked at, or spoiled, by tests.
    pub fn with_state<T>(&self, partition: u32, act: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>) -> T) -> T {
        act(&mut self.hub.lock().partitions[partition as usize].state)
    }

    /// Hands out what there is; leaves the rest to a thread when a channel was full.
    fn deliver(&self) {
        let mut hub = self.hub.lock();
        if hub.pump() && !hub.retrying {
            hub.retrying = true;
            let again = self.clone();
            // Without the thread the next append or follow delivers: later, but nothing is lost.
            if std::thread::Builder::new().name("tidegate-memory".into()).spawn(move || again.retry()).is_err() {
                hub.retrying = false;
            }
        }
    }

    fn retry(&self) {
        loop {
            std::thread::sleep(RETRY);
            let mut hub = self.hub.lock();
            if !hub.pump() {
                hub.retrying = false;
                return;
            }
        }
    }
}

impl Hub {
    /// True: somebody's channel was full.
    fn pump(&mut self) -> bool {
        let (partitions, down) = (&self.partitions, self.down);
        let mut full = false;
        self.users.retain(|_, user| match user.pump(partitions, down) {
            Ok(()) => true,
            Err(Stop::Full) => {
                full = true;
                true
            }
            Err(Stop::Gone) => false,
        });
        full
    }
}

enum Stop {
    Full,
    Gone,
}

impl User {
    fn pump(&mut self, partitions: &[Partition], down: bool) -> Result<(), Stop> {
        let send = |event| {
            self.events.try_send(event).map_err(|e| match e {
                TrySendError::Full(_) => Stop::Full,
                TrySendError::Disconnected(_) => Stop::Gone,
            })
        };
        if down != self.down_told {
            let trouble = StorageEvent::Trouble { message: "the log in memory was switched off".into(), fatal: false };
            send(if down { trouble } else { StorageEvent::Recovered })?;
            self.down_told = down;
        }
        if down {
            return Ok(());
        }
        if self.topics_told < partitions.len() {
            send(StorageEvent::Topics { partitions: partitions.len() as u32, replication: 1 })?;
            self.topics_told = partitions.len();
        }
        for (&partition, follower) in &mut self.followed {
            while let Some(messages) = &mut follower.state {
                match messages.front().cloned() {
                    Some((key, value)) => {
                        send(StorageEvent::State { partition, key, value })?;
                        messages.pop_front();
                    }
                    None => {
                        send(StorageEvent::StateRead { partition })?;
                        follower.state = None;
                    }
                }
            }
            let Some(log) = partitions.get(partition as usize) else { continue };
            while let Some(cursor) = &mut follower.cursor {
                match cursor.next_event(partition, log) {
                    None => break,
                    Some(event) => {
                        send(event.clone())?;
                        if !cursor.said(&event) {
                            follower.cursor = None;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Cursor {
    /// What comes next, if something does.
    fn next_event(&mut self, partition: u32, log: &Partition) -> Option<StorageEvent> {
        match self.stage {
            Stage::Begins(round, _) => return Some(StorageEvent::Began { partition, round }),
            Stage::Looks(ReadFrom::Start) => self.next = log.start,
            Stage::Looks(ReadFrom::Offset(offset)) => {
                self.next = usize::try_from(offset).unwrap_or(usize::MAX);
                if self.next < log.start || self.next > log.records.len() {
                    return Some(StorageEvent::Missing { partition });
                }
            }
            Stage::Reads => {}
        }
        self.stage = Stage::Reads;
        if self.next < log.start {
            return Some(StorageEvent::Gap { partition, reason: "records were removed before they were read".into() });
        }
        if self.caught_up_at.is_some_and(|end| self.next >= end) {
            return Some(StorageEvent::CaughtUp { partition });
        }
        let record = log.records.get(self.next)?;
        Some(StorageEvent::Record { partition, offset: self.next as u64, bytes: record.clone() })
    }

    /// False: nothing comes after it.
    fn said(&mut self, event: &StorageEvent) -> bool {
        match (event, self.stage) {
            (StorageEvent::Began { .. }, Stage::Begins(_, from)) => self.stage = Stage::Looks(from),
            (StorageEvent::CaughtUp { .. }, _) => self.caught_up_at = None,
            (StorageEvent::Record { .. }, _) => self.next += 1,
            _ => return false,
        }
        true
    }
}

impl LogStore for MemoryLog {
    fn follow(&mut self, partition: u32) {
        {
            let mut hub = self.hub.hub.lock();
            let state = hub.partitions.get(partition as usize).map(|log| log.state.clone()).unwrap_or_default();
            let state = state.into_iter().collect();
            let Some(user) = hub.users.get_mut(&self.id) else { return };
            user.followed.entry(partition).or_default().state = Some(state);
        }
        self.hub.deliver();
    }

    fn read_from(&mut self, partition: u32, from: ReadFrom, round: u64) {
        {
            let mut hub = self.hub.hub.lock();
            let end = hub.partitions.get(partition as usize).map_or(0, |log| log.records.len());
            let Some(follower) = hub.users.get_mut(&self.id).and_then(|user| user.followed.get_mut(&partition)) else {
                return;
            };
            follower.cursor = Some(Cursor { stage: Stage::Begins(round, from), next: 0, caught_up_at: Some(end) });
        }
        self.hub.deliver();
    }

    fn write_state(&mut self, partition: u32, messages: Vec<(Vec<u8>, Vec<u8>)>) {
        let mut hub = self.hub.hub.lock();
        let down = hub.down || !self.open;
        if let Some(log) = hub.partitions.get_mut(partition as usize).filter(|_| !down) {
            log.state.extend(messages);
        }
    }

    fn unfollow(&mut self, partition: u32) {
        if let Some(user) = self.hub.hub.lock().users.get_mut(&self.id) {
            user.followed.remove(&partition);
        }
    }

    fn look(&mut self) {
        if let Some(user) = self.hub.hub.lock().users.get_mut(&self.id) {
            user.topics_told = 0;
        }
        self.hub.deliver();
    }

    fn append(&mut self, partition: u32, record: Vec<u8>) -> bool {
        {
            let mut hub = self.hub.hub.lock();
            let down = hub.down;
            let log = hub.partitions.get_mut(partition as usize).filter(|_| self.open);
            let Some(log) = log else {
                self.failed += 1;
                return false;
            };
            if down {
                return true;
            }
            log.records.push(record);
        }
        self.last_append = Some(Instant::now());
        self.hub.deliver();
        true
    }

    fn info(&self) -> StorageInfo {
        StorageInfo {
            backend: "memory",
            partitions: self.hub.hub.lock().partitions.len() as u32,
            replication: 1,
            ack_age: self.last_append.map(|at| at.elapsed()),
            appends_failed: self.failed,
            ..StorageInfo::default()
        }
    }

    fn close(&mut self, _timeout: Duration) {
        self.open = false;
        self.hub.hub.lock().users.remove(&self.id);
    }
}

impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
