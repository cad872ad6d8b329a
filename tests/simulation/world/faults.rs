//! What goes wrong.

use super::{Event, World};
use crate::plan::{MS, SECOND};
use crate::process::Process;
use tidegate::core::units::{Rate, Tokens};

impl World {
    pub(super) fn fault(&mut self) {
        if self.quiet {
            return;
        }
        let next = self.now + self.rng.below(self.plan.faults.gap * 2);
        self.at(next, Event::Fault);
        let slot = self.rng.below(self.slots.len() as u64) as usize;
        let Some(mut process) = self.slots[slot].take() else { return };
        let stays = self.strike(slot, &mut process);
        if stays {
            self.slots[slot] = Some(process);
        }
    }

    /// False if the process is no more.
    pub(super) fn strike(&mut self, slot: usize, process: &mut Process) -> bool {
        let (faults, ttl, now) = (self.plan.faults, self.plan.ttl, self.now);
        let local = process.now(now);
        match self.rng.below(12) {
            0 | 1 if faults.stops => {
                let long = self.rng.below(2) == 0;
                process.frozen_until = now + self.rng.below(if long { ttl * 5 / 2 } else { ttl * 11 / 10 });
                self.note("is stopped", slot, format!("for {} ms", (process.frozen_until - now) / MS));
                self.at(process.frozen_until, Event::Resume { slot, life: process.life });
            }
            2 if faults.stops => {
                process.stalled_until = now + self.rng.below(ttl);
                self.note("has no driver", slot, format!("for {} ms", (process.stalled_until - now) / MS));
            }
            3 | 4 if faults.crashes => {
                self.note("crashes", slot, String::new());
                if process.lock != 0 {
                    self.dead.insert(process.lock);
                }
                let at = now + self.rng.below(3 * SECOND);
                self.at(at, Event::Start { slot });
                return false;
            }
            5 if faults.crashes && process.frozen_until <= now && !process.leaving => {
                self.note("leaves", slot, String::new());
                process.leaving = true;
                process.agent.close(local, &mut process.hot);
                self.after(slot, process);
            }
            6 if faults.cuts => {
                process.mute_until = now + self.rng.below(3 * ttl);
                self.note("is mute", slot, format!("for {} ms", (process.mute_until - now) / MS));
            }
            7 if faults.cuts => {
                process.deaf_until = now + self.rng.below(3 * ttl);
                self.note("is deaf", slot, format!("for {} ms", (process.deaf_until - now) / MS));
                if self.rng.below(3) == 0 {
                    process.mute_until = process.deaf_until;
                    self.note("is mute as well", slot, String::new());
                }
            }
            8 if faults.outages => {
                let long = self.rng.below(4) == 0;
                self.outage_until = now + self.rng.below(if long { 40 * SECOND } else { ttl });
                self.note("log away", slot, format!("for {} ms", (self.outage_until - now) / MS));
            }
            9 if faults.defines && process.frozen_until <= now && process.refs.iter().all(Option::is_some) => {
                let key = self.rng.below(self.ids.len() as u64) as usize;
                let percent = [30, 50, 90, 150, 300][self.rng.below(5) as usize];
                self.redefine(slot, process, key, percent);
            }
            10 if faults.gaps && process.frozen_until <= now => {
                self.note("cannot read on", slot, String::new());
                process.agent.on_gap(local, &mut process.hot);
                process.forgot = self.order;
                process.read = 0;
                self.after(slot, process);
                self.plan_read(slot, process);
            }
            11 if faults.removals && process.frozen_until <= now && !process.leaving => {
                let key = self.rng.below(self.ids.len() as u64) as usize;
                match process.refs[key].take() {
                    Some(bucket) => {
                        self.note("removes key", slot, key.to_string());
                        process.agent.remove(local, bucket, &mut process.hot);
                    }
                    None => self.add_again(slot, process, key),
                }
                self.after(slot, process);
                if process.refs[key].is_none() && self.rng.below(2) == 0 {
                    // At once, before the release has been read back.
                    self.add_again(slot, process, key);
                    self.after(slot, process);
                }
            }
            _ => {
                process.deaf_until = now + self.rng.below(ttl / 20);
                self.note("reads late", slot, format!("by {} ms", (process.deaf_until - now) / MS));
            }
        }
        true
    }

    /// A process of this host finds out who is dead, and looks again some time later.
    pub(super) fn prove(&mut self, slot: usize, process: &mut Process) {
        let life = process.life;
        let runs_at = process.runs_at(self.now);
        if runs_at > self.now {
            return self.at(runs_at, Event::Prove { slot, life });
        }
        if process.lock != 0 {
            process.agent.on_deaths(&self.dead);
            self.after(slot, process);
            let at = self.now + self.rng.below(self.plan.ttl / 2);
            self.at(at, Event::Prove { slot, life });
        }
    }

    pub(super) fn add_again(&mut self, slot: usize, process: &mut Process, key: usize) {
        self.note("adds key again", slot, key.to_string());
        let bucket = process.hot.open(process.now(self.now));
        process.agent.add(self.ids[key].0, "simulated", self.ids[key].1, &self.limits[key], bucket);
        process.refs[key] = Some(bucket);
    }

    pub fn redefine(&mut self, slot: usize, process: &mut Process, key: usize, percent: u64) {
        let numbers = self.shadows[key].newest();
        let base = self.limits[key];
        let scale = |value: u64, of: u64| {
            (u128::from(value) * u128::from(percent) / 100).clamp(u128::from(of / 10), u128::from(of) * 3) as u64
        };
        let rate = Rate(scale(numbers.rate, base.rate().0));
        let burst = Tokens(scale(numbers.burst, base.burst().0).max(1_000_000));
        self.note("changes the limit", slot, format!("of key {key} to {} nano-permits/s, burst {}", rate.0, burst.0));
        process.agent.define(self.ids[key].1, "simulated", rate, burst);
        self.after(slot, process);
    }
}
