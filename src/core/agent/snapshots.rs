//! Starting from a snapshot, and writing one for those who start later.
//!
//! The live session with the lowest offset writes; nothing depends on there being only one writer. Where none lives, the last
//! that ended does, and if that process is gone, after a while everybody who follows the partition.

use super::digests::Digests;
use super::liveness::Liveness;
use super::stranger::ASK;
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
/// However little was said, it is written after this time: the log may lose its beginning. A quarter of the least
/// retention that storages accept.
const AGE_MAX: Nanos = Nanos::from_secs(900);
/// A snapshot is not written for less than a record for so many buckets: it would be larger than what it saves reading.
const BUCKETS_PER_OFFSET: u64 = 4;
/// Whoever writes is gone if no session was heard for so long: half of the least retention. A live one speaks more often than
/// every ten minutes, the longest time-to-live.
const SILENCE: Nanos = Nanos::from_secs(1_800);
/// The most that counts between two looks: a process that slept has not listened.
const LISTENED: Nanos = Nanos::from_secs(10);
/// Strangers are answered at most this often.
const ANSWERS: Nanos = Nanos::from_secs(2);
/// Strangers who still ask after this time ask in vain: those who are chosen are dead.
const IN_VAIN: Nanos = ASK.part(2, 1);
/// Of who has not asked for this time it is not known whether he still waits.
const ASKED_LATELY: Nanos = ASK.part(3, 1);

/// The newest snapshot that this process read or wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    offset: u64,
    at: Nanos,
    next_slot: u8,
    /// A stranger asks for one; the random number in its record chooses who answers.
    asked: Option<u64>,
    /// Strangers ask and ask: since when, and when last.
    asking: Option<(Nanos, Nanos)>,
    /// The last session that ended here was this process's: as long as there is no other, it writes.
    last_out: bool,
    /// How long no session was heard, as of the last look.
    silence: Nanos,
    looked: Nanos,
}

impl Snapshots {
    /// This process begins to speak: from here the age of the last snapshot counts, if it knows none.
    pub(super) fn begin(&mut self, now: Nanos) {
        if self.at == Nanos::ZERO {
            self.at = now;
        }
    }

    pub(super) fn session_over(&mut self, last: bool) {
        self.last_out = last;
    }

    pub(super) fn heard(&mut self) {
        self.silence = Nanos::ZERO;
    }

    /// Whether no session was heard for so long that none can live.
    fn is_silent(&mut self, now: Nanos) -> bool {
        self.silence = self.silence.plus(now.since(self.looked).min(LISTENED));
        self.looked = now;
        self.silence >= SILENCE
    }

    pub(super) fn asked(&mut self, now: Nanos, tag: u64) {
        let lately = self.asking.filter(|(_, last)| now.since(*last) < ASKED_LATELY);
        self.asking = Some((lately.map_or(now, |(since, _)| since), now));
        self.asked = Some(tag);
    }

    fn asked_in_vain(&self) -> bool {
        self.asking.is_some_and(|(since, last)| last.since(since) >= IN_VAIN)
    }

    fn is_due(&self, now: Nanos, said: u64, buckets: u64) -> bool {
        let (age, many) = (now.since(self.at), OFFSETS.max(buckets / BUCKETS_PER_OFFSET));
        let worth = OFFSETS_BY_AGE.max(buckets / BUCKETS_PER_OFFSET / 8);
        said >= many || (said >= worth && age >= AGE) || (said > 0 && age >= AGE_MAX)
    }
}

impl Agent {
    /// Starts from a snapshot found in `slot`; call before the first record, then read the log from
    /// [`Fold::next`] on. [`Agent::start`] does it.
    pub fn restore(&mut self, now: Nanos, slot: u8, fold: Fold) {
        self.snapshots =
            Snapshots { offset: fold.next(), at: now, next_slot: (slot + 1) % SLOTS, ..Snapshots::default() };
        self.counters.snapshots_restored += 1;
        self.caught_up = false;
        self.start_with(now, fold);
    }

    /// Goes on from a state, whose sessions are heard as if they had spoken just now: their silence counts from here.
    pub(super) fn start_with(&mut self, now: Nanos, fold: Fold) {
        self.liveness = Liveness::default();
        for session in fold.sessions().keys() {
            self.liveness.heard(now, *session, self.settings.heartbeat(false));
        }
        self.digests = Digests::of(&fold);
        // Nobody defines again what stands in it.
        self.defined.extend(fold.limits().map(|(id, _)| id));
        self.fold = fold;
        self.await_all();
    }

    /// The snapshot to be written now, if it is this process's turn and one is due.
    pub fn poll_snapshot(&mut self, now: Nanos) -> Option<Vec<Chunk>> {
        if self.halted || self.diverged {
            return None;
        }
        let said = self.fold.next().saturating_sub(self.snapshots.offset);
        let silent = self.snapshots.is_silent(now);
        let due = self.snapshots.is_due(now, said, self.fold.buckets().len() as u64);
        let asked = self.snapshots.asked.take().filter(|_| now.since(self.snapshots.at) >= ANSWERS);
        if !due && asked.is_none() {
            return None;
        }
        let sessions = self.fold.sessions();
        let Some(me) = sessions.keys().position(|session| Some(*session) == self.session) else {
            // Nobody is chosen, or who is does not answer: whoever knows the state does. Of the directory, which all read, most
            // have no session.
            let nobody = sessions.is_empty();
            let answers = asked.is_some() && self.caught_up && (nobody || self.snapshots.asked_in_vain());
            let writes = due && self.caught_up && (silent || (nobody && self.snapshots.last_out));
            return (answers || writes).then(|| self.write_snapshot(now));
        };
        let answers = asked.is_some_and(|tag| tag % sessions.len() as u64 == me as u64);
        (answers || (due && me == 0)).then(|| self.write_snapshot(now))
    }

    /// After a goodbye: the snapshot for those who come when the log may have lost its beginning, if nobody else is
    /// left to write one.
    pub fn last_snapshot(&mut self, now: Nanos) -> Option<Vec<Chunk>> {
        let last = self.is_closed() && self.fold.sessions().is_empty() && self.counters.sessions_opened > 0;
        let said = self.fold.next() > self.snapshots.offset;
        (last && said && !self.halted && !self.diverged).then(|| self.write_snapshot(now))
    }

    fn write_snapshot(&mut self, now: Nanos) -> Vec<Chunk> {
        let slot = self.snapshots.next_slot;
        let next_slot = (slot + 1) % SLOTS;
        self.snapshots =
            Snapshots { offset: self.fold.next(), at: now, next_slot, asked: None, asking: None, ..self.snapshots };
        self.counters.snapshots_written += 1;
        chunks(&self.fold, slot)
    }

    /// How long ago this process last read or wrote a snapshot, and the offset that it stands for.
    pub fn newest_snapshot(&self, now: Nanos) -> Option<(Nanos, u64)> {
        (self.snapshots.offset > 0).then(|| (now.since(self.snapshots.at), self.snapshots.offset))
    }
}
