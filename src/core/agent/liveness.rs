//! Who has been silent for too long, by this process's own clock.
//!
//! Silence is measured in *live time*: it advances only with this process's own read-backs, by at most one
//! and a half heartbeats each. So an outage of the log, or a stop of this process, stops the count, and
//! nobody is evicted for what could not be heard.
//!
//! Who is proven dead uses nothing any more, and is evicted without waiting. The proof is the caller's affair.

use super::Agent;
use crate::core::units::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// How often the silent are looked for.
const CHECK: Nanos = Nanos::from_millis(250);
/// Random wait beyond the time-to-live, so that not everybody evicts at once.
const JITTER: u64 = 800_000_000; // ns
/// An eviction that changed nothing is tried again after this.
const AGAIN: Nanos = Nanos::from_secs(2);

#[derive(Clone, Debug)]
struct Heard {
    /// Live time, at its most, when its last record was read.
    at: Nanos,
    patience: Nanos,
    evict_after: Nanos,
    dead: bool,
}

/// What this process heard of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    live: Nanos,
    read_back_at: Option<Nanos>,
    heard: BTreeMap<u64, Heard>,
    pub(super) next_check: Nanos,
}

impl Liveness {
    /// Live time if this process read itself now: the most that can have passed.
    fn at_most(&self, now: Nanos, heartbeat: Nanos) -> Nanos {
        let step = self.read_back_at.map_or(Nanos::ZERO, |at| now.since(at).min(heartbeat.part(3, 2)));
        self.live.plus(step)
    }

    /// A record of `session` was read.
    pub(super) fn heard(&mut self, now: Nanos, session: u64, heartbeat: Nanos) {
        let at = self.at_most(now, heartbeat);
        let new = Heard { at, patience: Nanos::NEVER, evict_after: Nanos::ZERO, dead: false };
        let heard = self.heard.entry(session).or_insert(new);
        heard.at = at;
        if heard.dead {
            // Its last words came late, and an eviction that was planned before names another seq.
            heard.evict_after = Nanos::ZERO;
            self.next_check = Nanos::ZERO;
        }
    }

    /// This process read its own record: the log is live.
    pub(super) fn read_back(&mut self, now: Nanos, heartbeat: Nanos) {
        self.live = self.at_most(now, heartbeat);
        self.read_back_at = Some(now);
    }

    /// Without a session nothing is read back, and live time stands still.
    pub(super) fn session_over(&mut self) {
        self.read_back_at = None;
    }
}

impl Agent {
    /// The processes that held these locks are dead: their sessions are evicted with the next record. Call again
    /// as long as a session with such a lock lives: a Hello may come late.
    pub fn on_deaths(&mut self, dead: &BTreeSet<u128>) {
        for (id, _) in self.fold.sessions().iter().filter(|(_, session)| dead.contains(&session.lock)) {
            if let Some(heard) = self.liveness.heard.get_mut(id).filter(|heard| !heard.dead) {
                heard.dead = true;
                self.liveness.next_check = Nanos::ZERO;
            }
        }
    }

    /// Plans the eviction of those proven dead.
    pub(super) fn evict_the_dead(&mut self, now: Nanos) {
        for (id, session) in self.fold.sessions() {
            if let Some(heard) = self.liveness.heard.get_mut(id).filter(|heard| heard.dead && now >= heard.evict_after)
            {
                heard.evict_after = now.plus(AGAIN);
                self.outbox.evict(*id, session.last_seq);
            }
        }
    }

    /// Plans the eviction of those silent for their time-to-live.
    pub(super) fn check_the_silent(&mut self, now: Nanos) {
        let Some(me) = self.session else { return };
        if now < self.liveness.next_check {
            return;
        }
        self.liveness.next_check = now.plus(CHECK);
        let sessions = self.fold.sessions();
        self.liveness.heard.retain(|session, _| sessions.contains_key(session));
        self.evict_the_dead(now);
        let sessions = self.fold.sessions();
        let (live, soon) = (self.liveness.live, self.liveness.at_most(now, self.settings.heartbeat(false)));
        for (id, session) in sessions.iter().filter(|(id, _)| **id != me) {
            let Some(heard) = self.liveness.heard.get_mut(id) else { continue };
            if heard.patience == Nanos::NEVER {
                heard.patience = session.ttl.plus(Nanos(self.rng.below(JITTER)));
            }
            if heard.dead {
                continue;
            }
            if live.since(heard.at) >= heard.patience {
                if now >= heard.evict_after {
                    heard.evict_after = now.plus(AGAIN);
                    self.outbox.evict(*id, session.last_seq);
                }
            } else if soon.since(heard.at) >= heard.patience && !self.outbox.in_flight() {
                // One read-back of our own would prove the log live, and the silence true.
                self.outbox.probe = true;
            }
        }
    }
}
