//! Requests, and the hot path that serves them.

use super::{Event, World};
use crate::checks;
use crate::plan::{MS, SECOND};
use crate::process::{Process, TELL_EVERY};
use tidegate::core::units::{Nanos, Tokens};

impl World {
    pub(super) fn permits_per_second(&mut self, slot: usize, key: usize) -> u64 {
        if let Some(demand) = &self.demand {
            return self.plan.keys[key].permits * demand[slot] / 1_000;
        }
        if self.quiet {
            return self.shadows[key].newest().rate / SECOND * 2 / self.slots.len() as u64 + 1;
        }
        checks::demand(&self.plan, self.now, slot, key)
    }

    pub(super) fn arrive(&mut self, slot: usize, process: &mut Process, key: usize) {
        let life = process.life;
        if process.frozen_until > self.now {
            let at = process.frozen_until + self.rng.below(10 * MS);
            return self.at(at, Event::Arrive { slot, life, key });
        }
        let rate = self.permits_per_second(slot, key);
        if rate == 0 || process.leaving {
            let at = self.now + 100 * MS + self.rng.below(100 * MS);
            return self.at(at, Event::Arrive { slot, life, key });
        }
        let amount = 1 + self.rng.below(self.plan.keys[key].request);
        let mean = (u128::from(amount) * u128::from(SECOND) / u128::from(rate)) as u64;
        let at = self.now + self.rng.below(mean * 2) + 1;
        self.at(at, Event::Arrive { slot, life, key });
        let amount = Tokens::permits(amount.min(self.shadows[key].newest().burst / 1_000_000).max(1));
        let Some(bucket) = process.refs[key] else { return };
        let now = process.now(self.now);
        self.asked[slot] += amount.whole();
        let hot = process.hot.get(bucket);
        hot.usage.asked = hot.usage.asked.plus(amount);
        let first = !std::mem::replace(&mut hot.used, true);
        if hot.waiting.is_empty() && self.admit(slot, process, key, amount) {
            if first {
                self.pump_at(slot, process, key, self.now);
            }
            return;
        }
        let hot = process.hot.get(bucket);
        if self.plan.patience > 0 {
            hot.waiting.push_back((now.plus(Nanos(self.plan.patience)), amount));
        } else {
            hot.usage.refused = true;
            hot.usage.largest = hot.usage.largest.max(amount);
        }
        let at = process.clock.when(hot.told_at.plus(TELL_EVERY));
        self.pump_at(slot, process, key, at);
    }

    /// Has the queue looked at, and the agent told, at `at`.
    pub(super) fn pump_at(&mut self, slot: usize, process: &mut Process, key: usize, at: u64) {
        let Some(bucket) = process.refs[key] else { return };
        let at = at.max(self.now);
        let hot = process.hot.get(bucket);
        if hot.pump_at.is_none_or(|planned| planned > at) {
            hot.pump_at = Some(at);
            self.at(at, Event::Pump { slot, life: process.life, key });
        }
    }

    pub(super) fn pump(&mut self, slot: usize, process: &mut Process, key: usize) {
        let Some(bucket) = process.refs[key] else { return };
        let hot = process.hot.get(bucket);
        if hot.pump_at.is_none_or(|at| at > self.now) {
            return;
        }
        hot.pump_at = None;
        if process.runs_at(self.now) > self.now {
            let at = process.runs_at(self.now);
            return self.pump_at(slot, process, key, at);
        }
        self.serve_waiting(slot, process, key);
        let now = process.now(self.now);
        let hot = process.hot.get(bucket);
        if now >= hot.told_at.plus(TELL_EVERY) {
            hot.told_at = now;
            process.agent.on_activity(now, bucket, &mut process.hot);
            self.after(slot, process);
        }
        let hot = process.hot.get(bucket);
        if hot.usage.refused || !hot.waiting.is_empty() {
            let at = process.clock.when(hot.told_at.plus(TELL_EVERY));
            self.pump_at(slot, process, key, at.max(self.now + 1));
        }
    }

    /// Requests that wait are served in order, and give up at their deadline.
    pub(super) fn serve_waiting(&mut self, slot: usize, process: &mut Process, key: usize) {
        let Some(bucket) = process.refs[key] else { return };
        let now = process.now(self.now);
        while let Some(&(deadline, amount)) = process.hot.get(bucket).waiting.front() {
            if now < deadline && !self.admit(slot, process, key, amount) {
                break;
            }
            process.hot.get(bucket).waiting.pop_front();
        }
        let hot = process.hot.get(bucket);
        let missing = hot.waiting.front().and_then(|(_, amount)| hot.bucket.wait_for(*amount));
        if let Some(wait) = missing.filter(|wait| *wait > Nanos::ZERO) {
            let at = process.clock.when(now.plus(wait));
            self.pump_at(slot, process, key, at.max(self.now + 1));
        }
    }

    /// The hot path: one look at the clock, one step on the bucket.
    pub(super) fn admit(&mut self, slot: usize, process: &mut Process, key: usize, amount: Tokens) -> bool {
        let Some(bucket) = process.refs[key] else { return false };
        let now = process.now(self.now);
        let hot = process.hot.get(bucket);
        hot.bucket.settle(now, Tokens::ZERO);
        let admitted = now < process.usable && hot.bucket.take(amount);
        if admitted {
            self.admissions += 1;
            process.admitted[key] += amount.whole();
            checks::admission(self, process, slot, key, amount);
        }
        admitted
    }
}
