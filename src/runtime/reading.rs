//! How one partition is read: first its state, then its log from where the agent says; what comes of an older round of
//! reading is passed over.

use crate::core::agent::{Agent, Start};
use crate::core::share::Buckets;
use crate::core::units::Nanos;
use crate::storage::{LogStore, ReadFrom, StorageEvent};

/// A stranger looks so often whether somebody has written a snapshot.
const LOOK_AGAIN: Nanos = Nanos::from_secs(2);
/// A partition whose state another process contradicts is read anew after so long, twice as long each time ..
const ANEW: Nanos = Nanos::from_secs(1);
/// .. up to this.
const ANEW_MAX: Nanos = Nanos::from_secs(300);

/// One partition's reading.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The last round that was asked for, and whether it has begun.
    round: u64,
    began: bool,
    /// When the state is to be asked for again.
    look_at: Option<Nanos>,
    /// The pause before the partition was last read anew because of a contradiction, and when that was.
    pause: Nanos,
    anew_at: Nanos,
}

impl Reading {
    /// Takes an event of this partition.
    pub(super) fn take(
        &mut self,
        now: Nanos,
        event: StorageEvent,
        agent: &mut Agent,
        buckets: &mut dyn Buckets,
        storage: &mut dyn LogStore,
    ) {
        match event {
            StorageEvent::State { key, value, .. } => agent.on_state(&key, &value),
            // Of a state that was asked for before the log could be read, or by a stranger.
            StorageEvent::StateRead { partition } if !self.began || agent.stranded_for().is_some() => {
                self.start(partition, now, agent, storage);
            }
            StorageEvent::Began { round, .. } => self.began = round == self.round,
            _ if !self.began => {}
            StorageEvent::Missing { partition } => {
                agent.on_missing(now);
                self.start(partition, now, agent, storage);
            }
            StorageEvent::Record { offset, bytes, .. } => agent.on_record(now, offset, &bytes, buckets),
            StorageEvent::CaughtUp { .. } => agent.on_caught_up(now),
            StorageEvent::Gap { .. } => self.anew(now, Nanos::ZERO, agent, buckets),
            _ => {}
        }
    }

    fn start(&mut self, partition: u32, now: Nanos, agent: &mut Agent, storage: &mut dyn LogStore) {
        let from = match agent.start(now) {
            Some(Start::At(offset)) => Some(ReadFrom::Offset(offset)),
            Some(Start::Anywhere) => Some(ReadFrom::Start),
            None => None,
        };
        if let Some(from) = from {
            self.round += 1;
            self.began = false;
            storage.read_from(partition, from, self.round);
        }
        self.look_at = agent.stranded_for().map(|_| now.plus(LOOK_AGAIN));
    }

    /// Forgets what was read, and begins again with the state.
    fn anew(&mut self, now: Nanos, pause: Nanos, agent: &mut Agent, buckets: &mut dyn Buckets) {
        agent.on_gap(now, buckets);
        self.began = false;
        // What is under way of the last round is none of the next one's.
        self.round += 1;
        self.look_at = Some(now.plus(pause));
    }

    /// Looks at what is due, after each round of events.
    pub(super) fn look(
        &mut self,
        partition: u32,
        now: Nanos,
        agent: &mut Agent,
        buckets: &mut dyn Buckets,
        storage: &mut dyn LogStore,
    ) {
        if agent.has_diverged() {
            let quiet = now.since(self.anew_at) > ANEW_MAX;
            self.pause = if quiet { Nanos::ZERO } else { Nanos((self.pause.0 * 2).clamp(ANEW.0, ANEW_MAX.0)) };
            self.anew_at = now;
            self.anew(now, self.pause, agent, buckets);
        }
        if self.look_at.is_some_and(|at| at <= now) {
            // Again if nothing comes of it: a stranger looks until there is something.
            self.look_at = agent.stranded_for().map(|_| now.plus(LOOK_AGAIN));
            storage.follow(partition);
        }
    }

    /// When [`Reading::look`] has something to do.
    pub(super) fn next_look(&self) -> Nanos {
        self.look_at.unwrap_or(Nanos::NEVER)
    }
}
