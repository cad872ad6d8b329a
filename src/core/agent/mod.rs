//! One process's side of the protocol in one partition, without I/O: it is fed records, time and news of
//! its buckets' use, and hands out records to append. The runtime's driver feeds it from Kafka, the
//! simulation from a log with injected faults: the same code.
//!
//! Safety rests on four habits, each in the place named:
//! - what it uses is never more than what the fold reserves: growth counts when it is *read*, a shrink
//!   before it is *said*, and is never taken back ([`Agent::on_record`], `policy`);
//! - its shares are valid for less than the time-to-live from *before a record was sent* that it has since
//!   read back accepted (`send`), and longer only in an outage that it ran through (`keep`);
//! - it evicts another only after witnessing that one's silence for the whole time-to-live on its own clock,
//!   while the log was live (`liveness`);
//! - when its session is gone it drops everything and starts anew under another nonce.

mod digests;
mod keep;
mod liveness;
mod moving;
mod policy;
mod send;
mod snapshots;
mod start;
mod stranger;

use super::codec::cut;
use super::demand::Demand;
use super::fold::{Fold, LimitNumbers};
use super::limit::{Limit, Outage};
use super::placement::BucketId;
use super::record::{Amounts, Record, Refusal, Sender};
use super::rng::Rng;
use super::share::{BucketRef, Buckets, Share};
use super::units::{clamp, Nanos, Rate, Tokens};
use digests::Digests;
use keep::Keep;
use liveness::Liveness;
use moving::Moving;
use send::Outbox;
use snapshots::Snapshots;
use start::Sources;
pub use start::Start;
use std::collections::{BTreeMap, BTreeSet};
use stranger::Stranger;

/// The times of the protocol: all follow from the time-to-live. And what to do when the log is away.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Silence after which others may take this process's shares.
    pub ttl: Nanos,
    /// What it does with its share when it cannot renew.
    pub outage: Outage,
    /// Names a lock that this process holds as long as it lives; 0 = none.
    pub lock: u128,
}

impl Settings {
    /// As the user chose.
    pub fn new(ttl: Nanos, outage: Outage) -> Settings {
        Settings { ttl, outage, lock: 0 }
    }

    /// With the default for outages.
    pub fn with_ttl(ttl: Nanos) -> Settings {
        Settings::new(ttl, Outage::default())
    }

    /// How much earlier than the others its owner takes a share for expired: covers clocks whose rates
    /// differ by 8 % each, or one stop of that length that the clock does not show.
    fn margin(&self) -> Nanos {
        self.ttl.part(1, 6)
    }

    /// How often a session is renewed: a third of the time-to-live when nobody else is there to be told.
    fn heartbeat(&self, alone: bool) -> Nanos {
        self.ttl.part(1, if alone { 3 } else { 4 })
    }
}

/// What happened so far; all only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records handed out to be appended.
    pub records_sent: u64,
    /// Of these, said again because the first was not read back in time.
    pub records_resent: u64,
    /// Records read.
    pub records_read: u64,
    /// Bytes in the log that are not records, skipped.
    pub records_refused: u64,
    /// Sessions opened by this process.
    pub sessions_opened: u64,
    /// Sessions of this process that ended against its will.
    pub sessions_lost: u64,
    /// Of these, while its own clock said the session was valid: a clock or virtual machine that stood still.
    pub lost_while_valid: u64,
    /// Evictions of others, written.
    pub evictions_sent: u64,
    /// Records of this session that this process did not write: it was cloned.
    pub clones: u64,
    /// Times the log could not be read on and was read anew.
    pub gaps: u64,
    /// Times another process's state differed from this one's.
    pub digest_mismatches: u64,
    /// Digests of others that were compared with this process's own.
    pub digests_compared: u64,
    /// Snapshots handed out to be written.
    pub snapshots_written: u64,
    /// Snapshots that this process started from.
    pub snapshots_restored: u64,
    /// Times a partition was declared empty, because nothing was left of its state and nobody was there.
    pub resets: u64,
}

impl Counters {
    /// Adds those of another partition.
    pub fn add(&mut self, other: &Counters) {
        self.records_sent += other.records_sent;
        self.records_resent += other.records_resent;
        self.records_read += other.records_read;
        self.records_refused += other.records_refused;
        self.sessions_opened += other.sessions_opened;
        self.sessions_lost += other.sessions_lost;
        self.lost_while_valid += other.lost_while_valid;
        self.evictions_sent += other.evictions_sent;
        self.clones += other.clones;
        self.gaps += other.gaps;
        self.digest_mismatches += other.digest_mismatches;
        self.digests_compared += other.digests_compared;
        self.snapshots_written += other.snapshots_written;
        self.snapshots_restored += other.snapshots_restored;
        self.resets += other.resets;
    }
}

/// One bucket of this process as the fleet sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketStatus {
    /// What this process may spend by itself.
    pub share: Share,
    /// The processes that hold or want something of it.
    pub processes: u32,
    /// Of these, how many wait for their turn.
    pub wanting: u32,
    /// Whether the log may give this process more than it has.
    pub obtainable: bool,
    /// The fleet's numbers, when the log has them; they win over the configured ones.
    pub limit: Option<LimitNumbers>,
}

/// What this process knows and has said about one bucket.
#[derive(Clone, Debug)]
struct Mine {
    /// `None` once the runtime has removed it: what still comes goes straight back.
    bucket: Option<BucketRef>,
    name: String,
    limit: u128,
    configured: LimitNumbers,
    /// As last read: never ahead of the fold.
    granted: Amounts,
    /// Own: never behind the fold.
    released: Amounts,
    /// The offset that made the lease last read.
    born: Option<u64>,
    want: Rate,
    min: Tokens,
    requeue: bool,
    /// The seq that last claimed it.
    said: u64,
    demand: Demand,
    use_: Use,
    /// When policy looks at it again.
    due: Option<Nanos>,
}

/// How a bucket was used lately, and when policy last acted on it.
#[derive(Clone, Debug, Default)]
struct Use {
    used_at: Nanos,
    refused_at: Option<Nanos>,
    largest: Tokens,
    level: Tokens,
    full: bool,
    claimed_at: Nanos,
    raised_at: Nanos,
    lowered_at: Option<Nanos>,
    /// When its present turn began, and in how many turns before it nobody was served.
    served_since: Nanos,
    idle_turns: u32,
}

impl Mine {
    /// What this process may use: behind the fold in what it was given, ahead of it in what it gave back.
    fn share(&self) -> Share {
        Share {
            rate: Rate(clamp(self.granted.rate.saturating_sub(self.released.rate))),
            burst: Tokens(clamp(self.granted.burst.saturating_sub(self.released.burst))),
        }
    }
}

/// One process in one partition.
#[derive(Clone, Debug)]
pub struct Agent {
    settings: Settings,
    rng: Rng,
    note: String,
    fold: Fold,
    /// The end of the log was reached once; before that, nothing is said.
    caught_up: bool,
    /// A record of a newer format was read: nothing is granted here any more.
    halted: bool,
    closing: bool,
    session: Option<u64>,
    nonce: u64,
    valid_until: Nanos,
    keep: Keep,
    outbox: Outbox,
    liveness: Liveness,
    snapshots: Snapshots,
    sources: Sources,
    /// No state was found to start from.
    stranger: Option<Stranger>,
    digests: Digests,
    diverged: bool,
    moving: Moving,
    /// Limits whose definition was read since the last [`Agent::take_defined`].
    defined: BTreeSet<u128>,
    /// Boxed: a map leaves a third of its places empty.
    mine: BTreeMap<BucketId, Box<Mine>>,
    by_ref: BTreeMap<BucketRef, BucketId>,
    /// Buckets to be claimed in the next record.
    dirty: BTreeSet<BucketId>,
    /// When policy looks at which bucket again.
    timers: BTreeSet<(Nanos, BucketId)>,
    counters: Counters,
}

impl Agent {
    /// A process that has nothing yet. `seed` must be random; `note` tells people who it is.
    pub fn new(settings: Settings, seed: u64, note: &str) -> Agent {
        let mut rng = Rng::new(seed);
        let nonce = rng.next_u64();
        Agent {
            settings,
            note: cut(note).to_owned(),
            fold: Fold::default(),
            caught_up: false,
            halted: false,
            closing: false,
            session: None,
            nonce,
            valid_until: Nanos::ZERO,
            keep: Keep::default(),
            outbox: Outbox::default(),
            liveness: Liveness::default(),
            snapshots: Snapshots::default(),
            sources: Sources::default(),
            stranger: None,
            digests: Digests::default(),
            diverged: false,
            moving: Moving::default(),
            defined: BTreeSet::new(),
            mine: BTreeMap::new(),
            by_ref: BTreeMap::new(),
            dirty: BTreeSet::new(),
            timers: BTreeSet::new(),
            counters: Counters::default(),
            rng,
        }
    }

    /// Takes on a bucket. Nothing is claimed before it is used.
    pub fn add(&mut self, id: BucketId, name: &str, limit_id: u128, limit: &Limit, bucket: BucketRef) {
        let configured = LimitNumbers { version: 1, rate: limit.rate(), burst: limit.burst() };
        self.by_ref.insert(bucket, id);
        if let Some(mine) = self.mine.get_mut(&id) {
            // It was removed, and that is not confirmed yet: what was granted and released still counts.
            mine.bucket = Some(bucket);
            mine.limit = limit_id;
            mine.configured = configured;
            return;
        }
        let mine = Mine {
            bucket: Some(bucket),
            name: cut(name).to_owned(),
            limit: limit_id,
            configured,
            granted: Amounts::default(),
            released: Amounts::default(),
            born: None,
            want: Rate::ZERO,
            min: Tokens::ZERO,
            requeue: false,
            said: 0,
            demand: Demand::default(),
            use_: Use::default(),
            due: None,
        };
        self.mine.insert(id, Box::new(mine));
        self.await_opening(id);
    }

    /// Gives a bucket back for good. Its share returns to the fleet with the next record.
    pub fn remove(&mut self, now: Nanos, bucket: BucketRef, buckets: &mut dyn Buckets) {
        let Some(id) = self.by_ref.remove(&bucket) else { return };
        let held = self.mine.get(&id).is_some_and(|mine| mine.want > Rate::ZERO || mine.born.is_some());
        if held || self.dirty.contains(&id) || self.outbox.is_claiming(id) {
            self.release(now, id, buckets);
            // It stays until its last claim is read back, so that a lost one is said again.
            if let Some(mine) = self.mine.get_mut(&id) {
                mine.bucket = None;
            }
        } else {
            self.forget(id);
        }
    }

    /// The end of the log was reached: from here on this process speaks.
    pub fn on_caught_up(&mut self, now: Nanos) {
        self.snapshots.begin(now);
        self.caught_up = true;
    }

    /// The log cannot be read on: nothing known holds any more. [`Agent::on_state`] and [`Agent::start`] come next.
    pub fn on_gap(&mut self, now: Nanos, buckets: &mut dyn Buckets) {
        self.counters.gaps += 1;
        self.lose_session(now, buckets);
        self.fold = Fold::default();
        self.liveness = Liveness::default();
        self.snapshots = Snapshots::default();
        self.sources.anew(self.diverged);
        self.stranger = None;
        self.digests = Digests::default();
        self.diverged = false;
        self.outbox.openings.clear();
        self.await_all();
        self.caught_up = false;
        self.halted = false;
    }

    /// Reads the record at `offset`. Offsets must rise; records come strictly in log order.
    pub fn on_record(&mut self, now: Nanos, offset: u64, bytes: &[u8], buckets: &mut dyn Buckets) {
        self.counters.records_read += 1;
        let record = match Record::decode(bytes) {
            Ok(record) => record,
            Err(Refusal::Garbage(_)) => {
                self.counters.records_refused += 1;
                self.fold.skip(offset);
                return self.digests.mark(&self.fold);
            }
            Err(Refusal::NewerFormat(_)) => {
                self.halted = true;
                self.counters.records_refused += 1;
                return self.lose_session(now, buckets);
            }
        };
        if self.halted {
            return;
        }
        if self.stranger.is_some() {
            return self.on_strange_record(now, offset, &record);
        }
        if record.sender == Sender::Stranger && record.ops.is_empty() {
            self.snapshots.asked(now, record.tag);
        }
        let applied = self.fold.apply(offset, &record);
        if record.sender == Sender::Stranger && !record.ops.is_empty() {
            // If it counted, nothing of what this process waits for, or was about to open, is known any more.
            self.outbox.openings.clear();
            self.await_all();
        }
        self.digests.touched(&applied.touched);
        self.digests.mark(&self.fold);
        let opened = self.note_moves(&record);
        if let Ok(session) = applied.session {
            self.note_defined(&record);
            if self.session != Some(session) {
                self.compare_digest(offset, record.digest);
            }
            self.liveness.heard(now, session, self.settings.heartbeat(false));
            self.snapshots.heard();
            let own_hello = matches!(record.sender, Sender::Hello { .. }) && record.nonce == self.nonce;
            if own_hello && self.outbox.is_hello(record.tag) {
                self.session = Some(session);
                self.counters.sessions_opened += 1;
            }
            if self.session == Some(session) && !self.on_read_back(now, &record) {
                self.counters.clones += 1;
                return self.lose_session(now, buckets);
            }
        }
        if self.session.is_some_and(|session| !self.fold.sessions().contains_key(&session)) {
            return self.lose_session(now, buckets);
        }
        self.leave_what_closed(now, buckets);
        self.claim_what_opened(now, opened, buckets);
        for id in applied.touched {
            if self.mine.contains_key(&id) {
                self.read_lease(now, id, buckets);
                self.observe(now, id, buckets);
                self.decide(now, id, false, buckets);
            }
        }
    }

    /// A bucket was used, or refused somebody, since the last call.
    pub fn on_activity(&mut self, now: Nanos, bucket: BucketRef, buckets: &mut dyn Buckets) {
        if let Some(&id) = self.by_ref.get(&bucket) {
            let used = self.observe(now, id, buckets);
            self.decide(now, id, used, buckets);
        }
    }

    /// Time has passed: call at or after [`Agent::next_timer`].
    pub fn on_timer(&mut self, now: Nanos, buckets: &mut dyn Buckets) {
        self.look_at_the_clock(now);
        while let Some(&(due, id)) = self.timers.first().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, id));
            if let Some(mine) = self.mine.get_mut(&id) {
                mine.due = None;
            }
            self.observe(now, id, buckets);
            self.decide(now, id, false, buckets);
        }
        self.check_the_silent(now);
    }

    /// When [`Agent::on_timer`] or [`Agent::poll_send`] has something to do next.
    pub fn next_timer(&self) -> Nanos {
        let policy = self.timers.first().map_or(Nanos::NEVER, |(due, _)| *due);
        let silence = if self.session.is_some() { self.liveness.next_check } else { Nanos::NEVER };
        policy.min(silence).min(self.next_look()).min(self.next_send())
    }

    /// Shares are renewed up to here; zero without a session. [`Agent::usable_until`] is what counts.
    pub fn valid_until(&self) -> Nanos {
        self.valid_until
    }

    /// Gives everything back; [`Agent::poll_send`] then hands out the goodbye.
    pub fn close(&mut self, now: Nanos, buckets: &mut dyn Buckets) {
        self.closing = true;
        for id in self.mine.keys().copied().collect::<Vec<_>>() {
            self.release(now, id, buckets);
        }
    }

    /// After [`Agent::close`]: whether the goodbye was read back, or there was nothing to close.
    pub fn is_closed(&self) -> bool {
        self.closing && self.session.is_none() && !self.outbox.hello_in_flight()
    }

    /// Whether a newer version writes here, so that this one may grant nothing.
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Whether shares can be had: the log was read to its end and a session is accepted.
    pub fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// This process's session, once it was read back: the offset of its Hello.
    pub fn session(&self) -> Option<u64> {
        self.session
    }

    /// Whether the end of the log was reached.
    pub fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// The partition's state as read so far.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// One bucket of this process as the fleet sees it.
    pub fn status(&self, bucket: BucketRef) -> BucketStatus {
        let Some((id, mine)) = self.by_ref.get(&bucket).and_then(|id| self.mine.get_key_value(id)) else {
            return BucketStatus::default();
        };
        let share = mine.share();
        let own = self.session.and_then(|session| self.fold.bucket(*id)?.lease(session));
        let mut status = BucketStatus { share, obtainable: own.is_none(), ..BucketStatus::default() };
        status.limit = self.fold.limit(mine.limit);
        if let (Some(shared), Some(limit)) = (self.fold.bucket(*id), status.limit) {
            let goals = shared.targets_if(limit, self.session.unwrap_or(u64::MAX), mine.want);
            for (lease, goal) in shared.leases.iter().zip(goals) {
                status.processes += 1;
                status.wanting += u32::from(goal == Share::NONE);
                if own == Some(lease) {
                    status.obtainable = goal.rate > share.rate || goal.burst > share.burst;
                }
            }
        }
        status
    }

    /// Takes over what the fold says this process holds: growth counts from here.
    fn read_lease(&mut self, now: Nanos, id: BucketId, buckets: &mut dyn Buckets) {
        let lease = self.session.and_then(|session| self.fold.bucket(id)?.lease(session));
        let Some(mine) = self.mine.get_mut(&id) else { return };
        let Some(lease) = lease else {
            if mine.born.take().is_some() {
                if let Some(bucket) = mine.bucket {
                    buckets.forfeit(bucket, now);
                }
                mine.granted = mine.released;
            }
            return;
        };
        if mine.born != Some(lease.born) {
            mine.born = Some(lease.born);
            mine.granted.tokens = 0;
        }
        let before = mine.share();
        let arrived = lease.granted.tokens.saturating_sub(mine.granted.tokens);
        mine.granted = lease.granted;
        let share = mine.share();
        if before == Share::NONE && share != Share::NONE {
            mine.use_.served_since = now;
        }
        // What was not wanted any more when it came goes straight back, unused: a goodbye may be in the log already.
        match mine.bucket.filter(|_| mine.want > Rate::ZERO) {
            Some(bucket) if share != before || arrived > 0 => {
                buckets.grow(bucket, now, share, Tokens(clamp(arrived)));
            }
            Some(_) => {}
            None => mine.released.tokens += arrived,
        }
    }

    /// Drops everything held here: nothing is used that another may hold by now.
    fn lose_session(&mut self, now: Nanos, buckets: &mut dyn Buckets) {
        let had_session = self.session.take().is_some();
        if had_session && !self.outbox.said_goodbye() {
            self.counters.sessions_lost += 1;
            self.counters.lost_while_valid += u64::from(now < self.valid_until);
        }
        self.snapshots.session_over(had_session && self.fold.sessions().is_empty());
        for mine in self.mine.values_mut() {
            if let Some(bucket) = mine.bucket {
                buckets.forfeit(bucket, now);
            }
            mine.granted = Amounts::default();
            mine.released = Amounts::default();
            mine.born = None;
            mine.want = Rate::ZERO;
            mine.min = Tokens::ZERO;
            mine.requeue = false;
            mine.said = 0;
            mine.due = None;
        }
        self.timers.clear();
        self.dirty.clear();
        self.valid_until = Nanos::ZERO;
        self.keep.session_over();
        self.rng.stir(now.0);
        self.nonce = self.rng.next_u64();
        self.outbox = self.outbox.next_session();
        self.liveness.session_over();
        self.mine.retain(|_, mine| mine.bucket.is_some());
    }

    fn forget(&mut self, id: BucketId) {
        if let Some(due) = self.mine.remove(&id).and_then(|mine| mine.due) {
            self.timers.remove(&(due, id));
        }
        self.dirty.remove(&id);
    }
}

#[cfg(test)]
mod keep_tests;
#[cfg(test)]
mod moving_tests;
#[cfg(test)]
mod start_tests;
#[cfg(test)]
mod tests;
