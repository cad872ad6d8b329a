//! Who has been silent for too long, by this process's own clock.
//!
//! Silence is measured in *live time*: it advances only with this process's own read-backs, by at most one
//! and a half heartbeats each. So an outage of the log, or a stop of this process, stops the count, and
//! nobody is evicted for what could not be heard.

use super::Agent;
use crate::core::units::Nanos;
use std::collections::BTreeMap;

/// How often the silent are looked for.
const CHECK: Nanos = Nanos::from_millis(250);
/// Random wait beyond the time-to-live, so that not everybody evicts at once.
const JITTER: u64 = 800_000_000; // ns
/// An eviction that changed nothing is tried again after this.
const AGAIN: Nanos = Nanos::from_secs(2);

#[derive(Debug)]
struct Heard {
    /// Live time, at its most, when its last record was read.
    at: Nanos,
    patience: Nanos,
    evict_after: Nanos,
}

/// What this process heard of the others.
#[derive(Debug, Default)]
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
        let unset = Nanos::NEVER;
        self.heard.entry(session).and_modify(|heard| heard.at = at).or_insert(Heard {
            at,
            patience: unset,
            evict_after: Nanos::ZERO,
        });
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
    /// Plans the eviction of those silent for their time-to-live.
    pub(super) fn check_the_silent(&mut self, now: Nanos) {
        let Some(me) = self.session else { return };
        if now < self.liveness.next_check {
            return;
        }
        self.liveness.next_check = now.plus(CHECK);
        let sessions = self.fold.sessions();
        self.liveness.heard.retain(|session, _| sessions.contains_key(session));
        let (live, soon) = (self.liveness.live, self.liveness.at_most(now, self.settings.heartbeat(false)));
        for (id, session) in sessions.iter().filter(|(id, _)| **id != me) {
            let Some(heard) = self.liveness.heard.get_mut(id) else { continue };
            if heard.patience == Nanos::NEVER {
                heard.patience = session.ttl.plus(Nanos(self.rng.below(JITTER)));
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
