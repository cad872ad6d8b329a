//! Starting from a snapshot, and writing one for those who start later.
//!
//! The live session with the lowest offset writes; nothing depends on there being only one writer.

use super::digests::Digests;
use super::Agent;
use crate::core::fold::Fold;
use crate::core::snapshot::{chunks, Chunk, SLOTS};
use crate::core::units::Nanos;

/// A snapshot is due after so many offsets ..
const OFFSETS: u64 = 4_096;
/// .. or after this time, if anything was said since.
const AGE: Nanos = Nanos::from_secs(300);
/// Offsets that are worth a snapshot by age: below, reading the log is as cheap.
const OFFSETS_BY_AGE: u64 = 64;

/// The newest snapshot that this process read or wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    offset: u64,
    at: Nanos,
    next_slot: u8,
}

impl Agent {
    /// Starts from a snapshot found in `slot`; call before the first record, then read the log from
    /// [`Fold::next`] on.
    pub fn restore(&mut self, now: Nanos, slot: u8, fold: Fold) {
        self.snapshots = Snapshots { offset: fold.next(), at: now, next_slot: (slot + 1) % SLOTS };
        for session in fold.sessions().keys() {
            // As if it had spoken just now: its silence counts from here.
            self.liveness.heard(now, *session, self.settings.heartbeat(false));
        }
        self.digests = Digests::of(&fold);
        self.fold = fold;
        self.await_all();
    }

    /// The snapshot to be written now, if it is this process's turn and one is due.
    pub fn poll_snapshot(&mut self, now: Nanos) -> Option<Vec<Chunk>> {
        let oldest = self.fold.sessions().keys().next();
        if self.session.is_none() || oldest != self.session.as_ref() {
            return None;
        }
        let Snapshots { offset, at, next_slot } = self.snapshots;
        let said = self.fold.next().saturating_sub(offset);
        if said < OFFSETS && (said < OFFSETS_BY_AGE || now.since(at) < AGE) {
            return None;
        }
        self.snapshots = Snapshots { offset: self.fold.next(), at: now, next_slot: (next_slot + 1) % SLOTS };
        self.counters.snapshots_written += 1;
        Some(chunks(&self.fold, next_slot))
    }
}
