//! The log, and the network on the way to it.

use super::{Event, Owner, Sent, World};
use crate::checks;
use crate::plan::{Faults, MS, SECOND};
use crate::process::Process;
use tidegate::core::record::{Op, Record, Sender};
use tidegate::core::snapshot::digest;

impl World {
    pub(super) fn latency(&mut self) -> u64 {
        let slow = self.rng.below(1_000) < self.plan.faults.slow && !self.quiet;
        let median = self.plan.latency;
        median / 2 + self.rng.below(median) + if slow { 10 * MS + self.rng.below(90 * MS) } else { 0 }
    }

    pub(super) fn send(&mut self, slot: usize, process: &mut Process, bytes: Vec<u8>) {
        let faults = if self.quiet { Faults::default() } else { self.plan.faults };
        let mut at = self.now + self.latency() / 2;
        let mut lost = false;
        if process.mute_until > self.now {
            lost = self.rng.below(2) == 0;
            at += process.mute_until - self.now;
            process.unheard_until = process.unheard_until.max(process.mute_until);
        } else if self.outage_until > self.now {
            lost = self.rng.below(2) == 0;
            at += self.outage_until - self.now + self.rng.below(20 * MS);
        } else if self.rng.below(1_000) < faults.lost {
            process.unheard_until = process.unheard_until.max(self.now);
            lost = true;
        } else if self.rng.below(1_000) < faults.late {
            at += self.rng.below(10 * SECOND);
            process.unheard_until = process.unheard_until.max(at);
        }
        let copies = u64::from(!lost) + u64::from(self.rng.below(1_000) < faults.doubled);
        for copy in 0..copies {
            let at = if copy == 0 && !lost { at } else { at + self.rng.below(10 * SECOND) };
            let sent = Sent { bytes: bytes.clone(), slot, life: process.life };
            self.order += 1;
            let record = self.order;
            self.under_way.insert(record, sent);
            self.at(at, Event::Append { record });
        }
    }

    pub(super) fn append(&mut self, record: u64) {
        if self.outage_until > self.now {
            let at = self.outage_until + self.rng.below(20 * MS);
            return self.at(at, Event::Append { record });
        }
        let Some(Sent { bytes, slot, life }) = self.under_way.remove(&record) else { return };
        let offset = self.log.len() as u64;
        let decoded = Record::decode(&bytes).expect("agents write records");
        let applied = self.head.apply(offset, &decoded);
        if applied.session.is_ok() && matches!(decoded.sender, Sender::Hello { .. }) {
            self.owners.insert(offset, Owner { slot, life, sent: record });
        }
        let ops = decoded.ops.iter().map(checks::op).collect::<Vec<_>>().join(", ");
        let fate =
            applied.session.map_or_else(|why| format!("ignored: {why:?}"), |session| format!("session {session}"));
        self.note("appended", slot, format!("@{offset} seq {} {fate} [{ops}]", decoded.seq));
        if decoded.ops.iter().any(|op| matches!(op, Op::Bye | Op::Evict { .. })) {
            for session in self.owners.keys().filter(|session| !self.head.sessions().contains_key(session)) {
                self.ended.entry(*session).or_insert(self.now);
            }
        }
        self.log.push(bytes);
        self.digests.push(digest(&self.head));
        checks::fold(self);
        for slot in 0..self.slots.len() {
            if let Some(mut process) = self.slots[slot].take() {
                self.plan_read(slot, &mut process);
                self.slots[slot] = Some(process);
            }
        }
    }
}
