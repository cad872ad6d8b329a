//! What a process may use while it cannot renew: under `keep_share` its last share, as long as it *ran through*
//! the outage itself.
//!
//! Each look at the clock ([`Agent::on_timer`], at least every sixteenth of the time-to-live) lets it use its
//! share for another quarter. That is never too long for a process that was stopped right after the look:
//! - The log was live: its last record is younger than a heartbeat (a quarter), so the quarter from now ends
//!   before the validity of that record does (five sixths), and adds nothing.
//! - The log was away: live time, by which the others evict (`liveness`), stood still. When the log comes back, at
//!   most a heartbeat before the outage and one and a half of it have counted, five eighths of the time-to-live in
//!   all. Three eighths are left, of which the share is used for a quarter; the eighth between them is for clocks
//!   that differ by 8 % each and for the log's latency.
//!
//! Who finds that it did not look for more than a quarter was stopped, and cannot know for how long the others have
//! been waiting. It keeps nothing until a record that it wrote since has been read back.
//!
//! What remains is a process that runs and alone cannot be heard: it is evicted, and its share comes on top until
//! it reads again. That is what `keep_share` means, and why `deny` exists.

use super::Agent;
use crate::core::limit::Outage;
use crate::core::units::Nanos;

/// Looks at the clock are at most this part of the time-to-live apart, unless the process is stopped.
const LOOKS: u64 = 16;
/// From a look at the clock, a share is kept for this part of the time-to-live; who does not look for longer was
/// stopped.
const KEPT: u64 = 4;

/// How long the share is kept beyond its validity.
#[derive(Clone, Debug, Default)]
pub(super) struct Keep {
    looked: Option<Nanos>,
    until: Nanos,
    /// When it was noticed that this process had been stopped.
    stopped: Option<Nanos>,
}

impl Keep {
    fn look(&mut self, now: Nanos, ttl: Nanos) {
        let kept = ttl.part(1, KEPT);
        if self.looked.is_some_and(|looked| now.since(looked) > kept) {
            self.stopped = Some(now);
        }
        self.looked = Some(now);
        if self.stopped.is_none() {
            self.until = now.plus(kept);
        }
    }

    /// A record of this process first handed out at `sent` was read back.
    pub(super) fn read_back(&mut self, sent: Nanos) {
        if self.stopped.is_some_and(|stopped| sent >= stopped) {
            self.stopped = None;
        }
    }

    pub(super) fn session_over(&mut self) {
        self.until = Nanos::ZERO;
    }

    fn next_look(&self, ttl: Nanos) -> Nanos {
        self.looked.unwrap_or(Nanos::ZERO).plus(ttl.part(1, LOOKS))
    }
}

impl Agent {
    /// Shares may be used strictly before this; zero without a session. What the runtime shows to its hot path.
    pub fn usable_until(&self) -> Nanos {
        if self.session.is_none() || (self.closing && self.outbox.said_goodbye()) {
            return Nanos::ZERO;
        }
        match self.settings.outage {
            Outage::Deny => self.valid_until,
            Outage::KeepShare | Outage::Allow => self.valid_until.max(self.keep.until),
        }
    }

    /// Whether a share is used now that could not be renewed.
    pub fn is_keeping(&self, now: Nanos) -> bool {
        self.valid_until <= now && now < self.usable_until()
    }

    /// Takes note that this process runs.
    pub(super) fn look_at_the_clock(&mut self, now: Nanos) {
        self.keep.look(now, self.settings.ttl);
    }

    /// When it must be looked at again.
    pub(super) fn next_look(&self) -> Nanos {
        let keeps = self.session.is_some() && self.settings.outage != Outage::Deny;
        if keeps {
            self.keep.next_look(self.settings.ttl)
        } else {
            Nanos::NEVER
        }
    }
}
