//! What a process says, when it says it again, and what it learns from reading itself.
//!
//! The truth is the read-back. One record is in flight; one that is not read back in time is not known to be
//! lost, so everything unconfirmed is said again with the next seq. Once a record is read back, those before
//! it that were not can never apply any more: their claims are said again too.

use super::moving::Opening;
use super::Agent;
use crate::core::fold::LimitNumbers;
use crate::core::placement::BucketId;
use crate::core::record::{Claim, Define, Op, Record, Sender, FORMAT, OPS_MAX};
use crate::core::units::{Nanos, Rate, Tokens};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A record that is not read back for this long is said again; doubles up to a quarter of a heartbeat, which is how
/// soon this process finds that the log is back.
const RESEND: Nanos = Nanos::from_millis(300);
/// Records whose read-back is still hoped for; the oldest is forgotten beyond, and then renews nothing.
const FLIGHTS_MAX: usize = 64;
/// Claims in one record; the rest goes into the next. Each may bring a definition along.
const CLAIMS_MAX: usize = OPS_MAX / 4;

#[derive(Clone, Debug)]
struct Flight {
    seq: u64,
    tag: u64,
    /// Before the record was first handed out: validity counts from here.
    sent: Nanos,
    claims: Vec<BucketId>,
}

/// What was handed out and not read back yet.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    seq: u64,
    flights: VecDeque<Flight>,
    /// The last seq that was handed out too long ago to be remembered.
    forgotten: u64,
    /// The Hello is repeated byte by byte until it is read back accepted.
    hello: Option<Vec<u8>>,
    /// The seq of the last goodbye that may still end the session.
    goodbye: Option<u64>,
    sent_at: Nanos,
    resend: Nanos,
    evictions: Vec<(u64, u64)>,
    /// Said in every record until the fold has them.
    defines: BTreeMap<u128, Define>,
    /// Older partitions to be opened here, until the fold has it.
    pub(super) openings: BTreeMap<u32, Opening>,
    /// A record is wanted although nothing is to be said: to prove that the log is live.
    pub(super) probe: bool,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox {
            seq: 0,
            flights: VecDeque::new(),
            forgotten: 0,
            hello: None,
            goodbye: None,
            sent_at: Nanos::ZERO,
            resend: RESEND,
            evictions: Vec::new(),
            defines: BTreeMap::new(),
            openings: BTreeMap::new(),
            probe: false,
        }
    }
}

impl Outbox {
    pub(super) fn is_hello(&self, tag: u64) -> bool {
        self.hello.is_some() && self.flights.front().is_some_and(|flight| flight.tag == tag)
    }

    pub(super) fn hello_in_flight(&self) -> bool {
        self.hello.is_some()
    }

    pub(super) fn said_goodbye(&self) -> bool {
        self.goodbye.is_some()
    }

    /// For how long the log has owed an answer.
    pub(super) fn unanswered_for(&self, now: Nanos) -> Nanos {
        self.flights.front().map_or(Nanos::ZERO, |oldest| now.since(oldest.sent))
    }

    pub(super) fn in_flight(&self) -> bool {
        !self.flights.is_empty()
    }

    /// Buckets whose last claim was not read back yet.
    pub(super) fn is_claiming(&self, id: BucketId) -> bool {
        self.flights.iter().any(|flight| flight.claims.contains(&id))
    }

    /// What has to survive the session.
    pub(super) fn next_session(&mut self) -> Outbox {
        let (defines, openings) = (std::mem::take(&mut self.defines), std::mem::take(&mut self.openings));
        Outbox { defines, openings, ..Outbox::default() }
    }

    pub(super) fn evict(&mut self, session: u64, seq: u64) {
        self.evictions.push((session, seq));
    }
}

/// Most limits that wait to be defined in one partition.
const DEFINES_MAX: usize = 64;

impl Agent {
    /// Changes a limit for the whole fleet: every process switches where it reads the definition in the log. The
    /// version is one above the highest known. False = too many definitions wait already.
    pub fn define(&mut self, limit: u128, name: &str, rate: Rate, burst: Tokens) -> bool {
        let known = self.fold.limit(limit).map_or(1, |known| known.version);
        let waiting = self.outbox.defines.get(&limit).map_or(0, |define| define.version);
        if self.outbox.defines.len() >= DEFINES_MAX && waiting == 0 {
            return false;
        }
        let define = Define { limit, version: known.max(waiting) + 1, rate, burst, name: name.to_owned() };
        self.outbox.defines.insert(limit, define);
        true
    }

    /// The limits whose definition was read since the last call: what the fold has of them may be new.
    pub fn take_defined(&mut self) -> BTreeSet<u128> {
        std::mem::take(&mut self.defined)
    }

    pub(super) fn note_defined(&mut self, record: &Record) {
        self.defined.extend(record.ops.iter().filter_map(|op| match op {
            Op::Define(define) => Some(define.limit),
            _ => None,
        }));
    }

    /// Whether a definition waits to be read back.
    pub fn is_defining(&self) -> bool {
        !self.outbox.defines.is_empty()
    }

    fn has_news(&self) -> bool {
        !self.dirty.is_empty() || self.is_defining() || self.has_moves_to_say()
    }

    /// The next record to append, if something is to be said. Call until `None` after every other call.
    pub fn poll_send(&mut self, now: Nanos) -> Option<Vec<u8>> {
        if !self.caught_up || self.halted {
            return None;
        }
        if self.stranger.is_some() {
            return self.ask(now);
        }
        let overdue = now >= self.outbox.sent_at.plus(self.outbox.resend);
        if self.session.is_none() {
            return match &self.outbox.hello {
                Some(hello) if overdue => {
                    let hello = hello.clone();
                    self.count_resend(now);
                    Some(hello)
                }
                None if !self.closing && (self.has_news() || self.is_moving()) => Some(self.say_hello(now)),
                _ => None,
            };
        }
        let in_flight = self.outbox.in_flight();
        // It does not wait for what is in flight, if what is left can be said together with it.
        let left = self.dirty.len() + self.outbox.flights.iter().map(|flight| flight.claims.len()).sum::<usize>();
        let goodbye = self.closing && !self.outbox.said_goodbye() && left <= CLAIMS_MAX;
        if in_flight && !overdue && !goodbye {
            return None;
        }
        let heartbeat = now >= self.outbox.sent_at.plus(self.heartbeat());
        let probe = self.outbox.probe || !self.outbox.evictions.is_empty();
        if !in_flight && !goodbye && !heartbeat && !probe && !self.has_news() {
            return None;
        }
        if in_flight {
            let unread = self.outbox.flights.iter().flat_map(|flight| flight.claims.iter().copied());
            self.dirty.extend(unread.filter(|id| self.mine.contains_key(id)).collect::<Vec<_>>());
        }
        let resend = in_flight && overdue;
        let record = self.say(now);
        if resend {
            self.count_resend(now);
        } else {
            self.counters.records_sent += 1;
            self.outbox.resend = RESEND;
        }
        Some(record)
    }

    /// When [`Agent::poll_send`] has something to say, if nothing else happens.
    pub(super) fn next_send(&self) -> Nanos {
        if !self.caught_up || self.halted {
            return Nanos::NEVER;
        }
        if self.stranger.is_some() {
            return self.next_ask();
        }
        let resend = self.outbox.sent_at.plus(self.outbox.resend);
        match (self.session, self.outbox.in_flight()) {
            (_, true) => resend,
            (None, false) => Nanos::NEVER,
            (Some(_), false) => self.outbox.sent_at.plus(self.heartbeat()),
        }
    }

    /// Takes note of an accepted record of this session; false if this process did not write it.
    pub(super) fn on_read_back(&mut self, now: Nanos, record: &Record) -> bool {
        if self.outbox.forgotten >= record.seq {
            return true;
        }
        let Some(at) = self.outbox.flights.iter().position(|flight| flight.seq == record.seq) else { return false };
        if self.outbox.flights[at].tag != record.tag {
            return false;
        }
        let mut read = self.outbox.flights.drain(..=at).collect::<Vec<_>>();
        let Some(confirmed) = read.pop() else { return false };
        let valid = confirmed.sent.plus(self.settings.ttl).since(self.settings.margin());
        self.valid_until = self.valid_until.max(valid);
        self.keep.read_back(confirmed.sent);
        if self.outbox.goodbye.is_some_and(|seq| seq <= record.seq) && self.session_lives() {
            self.outbox.goodbye = None;
        }
        self.outbox.hello = None;
        self.outbox.resend = RESEND;
        self.outbox.probe = false;
        let fold = &self.fold;
        self.outbox.defines.retain(|id, define| {
            let known =
                fold.limit(*id).map_or((0, Rate::ZERO, Tokens::ZERO), |known| (known.version, known.rate, known.burst));
            known.0 < define.version || (known.0 == define.version && (known.1, known.2) != (define.rate, define.burst))
        });
        self.liveness.read_back(now, self.settings.heartbeat(false));
        // What was said before and not read is dead.
        for dead in read {
            for id in dead.claims {
                if self.mine.get(&id).is_some_and(|mine| mine.said == dead.seq) {
                    self.dirty.insert(id);
                }
            }
        }
        let confirmed_claims = confirmed.claims.into_iter();
        for id in
            confirmed_claims.filter(|id| !self.dirty.contains(id) && !self.outbox.is_claiming(*id)).collect::<Vec<_>>()
        {
            self.claim_confirmed(id);
        }
        true
    }

    fn session_lives(&self) -> bool {
        self.session.is_some_and(|session| self.fold.sessions().contains_key(&session))
    }

    /// The last claim of a bucket stands in the log: a bucket that left can be forgotten.
    fn claim_confirmed(&mut self, id: BucketId) {
        let held = self.session.and_then(|session| self.fold.bucket(id)?.lease(session)).is_some();
        let Some(mine) = self.mine.get_mut(&id) else { return };
        if !held {
            mine.want = Rate::ZERO;
            if mine.bucket.is_none() {
                self.forget(id);
            }
        }
    }

    /// How long the session may be silent.
    fn heartbeat(&self) -> Nanos {
        self.settings.heartbeat(self.fold.sessions().len() <= 1)
    }

    fn count_resend(&mut self, now: Nanos) {
        self.counters.records_sent += 1;
        self.counters.records_resent += 1;
        self.outbox.sent_at = now;
        let longest = self.settings.heartbeat(false).part(1, 4).max(RESEND);
        self.outbox.resend = Nanos(self.outbox.resend.0.saturating_mul(2)).min(longest);
    }

    fn say_hello(&mut self, now: Nanos) -> Vec<u8> {
        let ttl_ms = u32::try_from(self.settings.ttl.0 / crate::core::units::MILLISECOND).unwrap_or(u32::MAX);
        let sender = Sender::Hello { ttl_ms, newest_format: FORMAT, lock: self.settings.lock, note: self.note.clone() };
        // What the dead held is free before the first claim is looked at.
        self.evict_the_dead(now);
        let evictions = self.take_evictions();
        let record = self.write(now, sender, evictions);
        self.outbox.hello = Some(record.clone());
        self.outbox.resend = RESEND;
        self.counters.records_sent += 1;
        record
    }

    fn say(&mut self, now: Nanos) -> Vec<u8> {
        let evictions = self.take_evictions();
        let session = self.session.unwrap_or_default();
        self.write(now, Sender::Session(session), evictions)
    }

    /// As many as fit into a record; the next one takes more.
    fn take_evictions(&mut self) -> Vec<Op> {
        let count = self.outbox.evictions.len().min(CLAIMS_MAX);
        self.counters.evictions_sent += count as u64;
        self.outbox.evictions.drain(..count).map(|(session, seq)| Op::Evict { session, seq }).collect()
    }

    /// Writes a record with `ops`, then all that is dirty, then a goodbye if nothing is left here.
    fn write(&mut self, now: Nanos, sender: Sender, mut ops: Vec<Op>) -> Vec<u8> {
        let claims: Vec<BucketId> = self.dirty.iter().copied().take(CLAIMS_MAX).collect();
        self.outbox.seq += 1;
        let seq = self.outbox.seq;
        let mut defined = BTreeSet::new();
        self.say_layout(&mut ops);
        self.say_openings(&mut ops);
        for (id, define) in &mut self.outbox.defines {
            // Another process may have defined it meanwhile: the later one wins.
            define.version = define.version.max(self.fold.limit(*id).map_or(0, |known| known.version + 1));
            ops.push(Op::Define(define.clone()));
        }
        for id in &claims {
            self.dirty.remove(id);
            let Some(mine) = self.mine.get_mut(id) else { continue };
            let LimitNumbers { version, rate, burst } = mine.configured;
            let known = self.fold.limit(mine.limit).is_some_and(|limit| limit.version >= version);
            if !known && defined.insert(mine.limit) {
                ops.push(Op::Define(Define { limit: mine.limit, version, rate, burst, name: mine.name.clone() }));
            }
            let name = if mine.born.is_none() { mine.name.clone() } else { String::new() };
            let (limit, released, want, min) = (mine.limit, mine.released, mine.want, mine.min);
            ops.push(Op::Claim(Claim { bucket: *id, limit, name, released, want, min, requeue: mine.requeue }));
            mine.requeue = false;
            mine.said = seq;
            mine.use_.claimed_at = now;
        }
        // A requeue that is lost is not said again: the next turn comes by itself.
        let here = self.is_defining()
            || self.is_moving()
            || self.mine.values().any(|mine| mine.want > Rate::ZERO || mine.born.is_some());
        if matches!(sender, Sender::Session(_)) && (self.closing || !here) && self.dirty.is_empty() {
            ops.push(Op::Bye);
            self.outbox.goodbye = Some(seq);
        }
        // A clone of this process has the same random numbers, but does not speak in the same nanosecond.
        self.rng.stir(now.0);
        let tag = self.rng.next_u64();
        if self.outbox.flights.len() >= FLIGHTS_MAX {
            self.outbox.forgotten = self.outbox.flights.pop_front().map_or(0, |flight| flight.seq);
        }
        self.outbox.flights.push_back(Flight { seq, tag, sent: now, claims });
        self.outbox.sent_at = now;
        self.outbox.probe = false;
        Record { sender, nonce: self.nonce, seq, tag, digest: self.digests.newest(), ops }.encode()
    }
}
