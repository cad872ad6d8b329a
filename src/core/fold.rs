//! The state of one partition: a pure function of its records, the same in every process that read them.
//!
//! Only [`Fold::apply`] changes shared state. It knows no time: a share is taken from a process only by a
//! record of another one that witnessed its silence. Tokens are moved, never made: capacity that changes
//! hands arrives empty, with the tokens that its giver took out.
//!
//! At every offset, of every bucket: the shares add up to at most the limit, and so do the burst shares and
//! the pool together. (After a limit was lowered: from when its holders have come down.)

use super::allocate::{targets, Ask};
use super::layout::Layout;
use super::limit::{PERMITS_MAX, RATE_MAX};
use super::placement::{partition_of, BucketId};
use super::record::{Amounts, Carried, Claim, Define, Op, Record, Sender};
use super::share::Share;
use super::units::{clamp, Nanos, Rate, Tokens};
use std::collections::{BTreeMap, BTreeSet};

/// Most sessions in a partition; a Hello beyond is not accepted.
pub const SESSIONS_MAX: usize = 8_192;
/// Most buckets in a partition; a claim on a new one beyond is not accepted.
pub const BUCKETS_MAX: usize = 4_194_304;
/// Most limits in a partition; a definition of a new one beyond is not accepted.
pub const LIMITS_MAX: usize = 65_536;
/// Shortest and longest time-to-live of a session that others honour.
pub(super) const TTL_MS: (u32, u32) = (500, 600_000);
/// Beyond the longest time-to-live, nobody has spent anything for so long when a partition is reset: a bucket of which
/// nothing is known any more holds at least what its limit mints in this time.
pub(super) const RESTED: Nanos = Nanos::from_secs(60);

/// A process that speaks, known by the offset of its Hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// As in its Hello.
    pub nonce: u64,
    /// The last accepted record.
    pub last_seq: u64,
    /// Silence after which it may be evicted.
    pub ttl: Nanos,
    /// As in its Hello: who finds this lock free knows that the process is dead; 0 = none.
    pub lock: u128,
    pub(super) buckets: BTreeSet<BucketId>,
}

/// A limit's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitNumbers {
    /// The definition they come from.
    pub version: u64,
    /// Rate of the whole fleet.
    pub rate: Rate,
    /// Burst of the whole fleet.
    pub burst: Tokens,
}

/// What one session holds of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The holder.
    pub session: u64,
    /// The offset that made it.
    pub born: u64,
    /// Its place in the queue: the offset that last queued it.
    pub rank: u64,
    /// All that it was ever given.
    pub granted: Amounts,
    /// All that it ever gave back, as far as the fold has read.
    pub released: Amounts,
    /// The rate it can use; 0 = it is leaving.
    pub want: Rate,
    /// The least burst that serves it.
    pub min: Tokens,
}

impl Lease {
    /// What it holds by the fold. Its owner uses no more than this.
    pub fn share(&self) -> Share {
        Share {
            rate: Rate(clamp(self.granted.rate.saturating_sub(self.released.rate))),
            burst: Tokens(clamp(self.granted.burst.saturating_sub(self.released.burst))),
        }
    }

    fn ask(&self) -> Ask {
        Ask { want: self.want, min: self.min }
    }
}

/// One bucket: the tokens in nobody's hands, and the leases in queue order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The limit it obeys.
    pub limit: u128,
    /// Tokens in nobody's hands.
    pub pool: Tokens,
    /// In queue order.
    pub leases: Vec<Lease>,
}

impl Shared {
    /// A bucket that nobody holds. Most have one holder soon, so there is room for one: a lease has 144 bytes.
    pub(super) fn unheld(limit: u128, pool: Tokens) -> Shared {
        Shared { limit, pool, leases: Vec::with_capacity(1) }
    }

    /// The lease of `session`.
    pub fn lease(&self, session: u64) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.session == session)
    }

    fn held(&self) -> (u128, u128) {
        self.leases
            .iter()
            .map(Lease::share)
            .fold((0, 0), |(rate, burst), share| (rate + u128::from(share.rate.0), burst + u128::from(share.burst.0)))
    }

    /// What each lease should have, in queue order; `session` is counted as wanting `want`.
    pub fn targets_if(&self, limit: LimitNumbers, session: u64, want: Rate) -> Vec<Share> {
        let asks =
            self.leases.iter().map(
                |lease| {
                    if lease.session == session {
                        Ask { want, ..lease.ask() }
                    } else {
                        lease.ask()
                    }
                },
            );
        targets(limit.rate, limit.burst, &asks.collect::<Vec<_>>())
    }

    /// No more tokens in the pool than burst that nobody holds.
    fn cap_pool(&mut self, limit: LimitNumbers) {
        let (_, burst) = self.held();
        self.pool = self.pool.min(limit.burst - Tokens(clamp(burst)));
    }

    /// Lets leases below their target grow by what is free, tokens with it.
    fn allocate(&mut self, limit: LimitNumbers) {
        let asks: Vec<Ask> = self.leases.iter().map(Lease::ask).collect();
        let goals = targets(limit.rate, limit.burst, &asks);
        let (rate, burst) = self.held();
        let mut free_rate = limit.rate - Rate(clamp(rate));
        let mut free_burst = limit.burst - Tokens(clamp(burst));
        for (lease, goal) in self.leases.iter_mut().zip(goals) {
            let share = lease.share();
            let rate = (goal.rate - share.rate).min(free_rate);
            let burst = (goal.burst - share.burst).min(free_burst);
            let tokens = self.pool.min(burst);
            free_rate = free_rate - rate;
            free_burst = free_burst - burst;
            self.pool = self.pool - tokens;
            lease.granted.rate = lease.granted.rate.saturating_add(rate.0.into());
            lease.granted.burst = lease.granted.burst.saturating_add(burst.0.into());
            lease.granted.tokens = lease.granted.tokens.saturating_add(tokens.0.into());
        }
    }
}

/// Why a record changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Its offset was applied before.
    Old,
    /// A Hello whose seq is not 1 or whose session lives already.
    Twice,
    /// A Hello beyond [`SESSIONS_MAX`], or with a time-to-live that nobody should wait for.
    Unwelcome,
    /// Its session is unknown, ended, or not the sender's.
    NoSession,
    /// Its seq is not above the last one.
    Overtaken,
    /// Its sender has no session and opens none.
    Stranger,
}

/// What a record did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The session that spoke, or why nothing happened.
    pub session: Result<u64, Ignored>,
    /// The buckets that changed.
    pub touched: BTreeSet<BucketId>,
}

/// The state of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    pub(super) next: u64,
    /// Nobody but strangers spoke from this offset on, whether they were accepted or not: strangers cannot tell.
    pub(super) spoken: u64,
    /// What was before is not known, here or in a partition that buckets came from: those that are not here need not be full.
    pub(super) reset: bool,
    pub(super) sessions: BTreeMap<u64, Session>,
    pub(super) limits: BTreeMap<u128, LimitNumbers>,
    pub(super) buckets: BTreeMap<BucketId, Shared>,
    pub(super) layout: Layout,
    /// Closed buckets that somebody still holds: follows from the rest.
    pub(super) leaving: BTreeSet<BucketId>,
}

impl Fold {
    /// The first offset that was not applied yet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The live sessions by the offset of their Hello.
    pub fn sessions(&self) -> &BTreeMap<u64, Session> {
        &self.sessions
    }

    /// The numbers of a limit.
    pub fn limit(&self, limit: u128) -> Option<LimitNumbers> {
        self.limits.get(&limit).copied()
    }

    /// All limits.
    pub fn limits(&self) -> impl Iterator<Item = (u128, LimitNumbers)> + '_ {
        self.limits.iter().map(|(id, limit)| (*id, *limit))
    }

    /// One bucket; `None` when nobody holds it and its pool is full.
    pub fn bucket(&self, bucket: BucketId) -> Option<&Shared> {
        self.buckets.get(&bucket)
    }

    /// All buckets.
    pub fn buckets(&self) -> &BTreeMap<BucketId, Shared> {
        &self.buckets
    }

    /// The log's partitions as far as they concern this one.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the partition was declared empty once, or one that buckets came from: of what nobody knows here, not all need
    /// be there.
    pub fn was_reset(&self) -> bool {
        self.reset
    }

    /// Whether everything that a log of `partitions` puts elsewhere has left: once true, for ever.
    pub fn is_drained(&self, partitions: u32) -> bool {
        self.layout.partitions() >= partitions && self.layout.is_whole() && self.leaving.is_empty()
    }

    /// What lives here before the partition `home` comes to be, as `new` has it, lives there then, and is not as if nobody had
    /// touched it. What left with an earlier growth stands here still, and is none of it, unless nobody can tell.
    pub fn moving_to(&self, home: u32, new: &Layout) -> Vec<Carried> {
        let lived = |id: &BucketId| new.any || self.layout.had(*id, new.before);
        let first = new.steps.first().copied().unwrap_or(home);
        let moving = |id: &BucketId| first > home && lived(id) && partition_of(*id, first) == home;
        let buckets = self.buckets.iter().filter(|(id, _)| moving(id));
        buckets.map(|(id, shared)| Carried { bucket: *id, limit: shared.limit, pool: shared.pool }).collect()
    }

    /// Passes over an offset that holds no record.
    pub fn skip(&mut self, offset: u64) {
        self.next = self.next.max(offset.saturating_add(1));
    }

    /// The state after a reset at `offset`, whatever was before.
    pub(super) fn reset_at(offset: u64, from: u64, layout: Layout) -> Fold {
        Fold { next: offset.saturating_add(1), spoken: from, reset: true, layout, ..Fold::default() }
    }

    /// The state after what a stranger says at `offset`, if it says that the partition is empty, and that counts for whoever
    /// has read since offset `began` and has heard nobody but strangers from offset `spoken` on.
    pub(super) fn reset_by(offset: u64, record: &Record, began: u64, spoken: u64) -> Option<Fold> {
        record.ops.iter().find_map(|op| match op {
            Op::Reset { from, before, any, counts } if began <= *from && spoken <= *from && *from <= offset => {
                Some(Fold::reset_at(offset, *from, Layout::said(*before, *any, counts)?))
            }
            _ => None,
        })
    }

    /// What a stranger says: nothing, or that the partition is empty.
    fn stranger(&mut self, offset: u64, record: &Record, touched: &mut BTreeSet<BucketId>) {
        if let Some(reset) = Fold::reset_by(offset, record, 0, self.spoken) {
            touched.extend(self.buckets.keys());
            *self = reset;
        }
    }

    /// Applies the record at `offset`. Total: any record in any state does something defined.
    pub fn apply(&mut self, offset: u64, record: &Record) -> Applied {
        let mut touched = BTreeSet::new();
        let session = self.admit(offset, record);
        match session {
            Err(Ignored::Old) => {}
            Err(Ignored::Stranger) => self.stranger(offset, record, &mut touched),
            _ => self.spoken = offset.saturating_add(1),
        }
        self.skip(offset);
        if let Ok(me) = session {
            for op in &record.ops {
                if !self.sessions.contains_key(&me) {
                    break;
                }
                match op {
                    Op::Claim(claim) => self.claim(offset, me, claim, &mut touched),
                    Op::Evict { session, seq } => {
                        if self.sessions.get(session).is_some_and(|silent| silent.last_seq == *seq) {
                            self.end(*session, &mut touched);
                        }
                    }
                    Op::Bye => self.end(me, &mut touched),
                    Op::Define(define) => self.define(define, &mut touched),
                    Op::Layout { previous, partitions, any } => {
                        let first = self.layout.partitions() == 0;
                        if self.layout.step(*previous, *partitions, *any) {
                            // Who cannot tell where buckets came from does not know what they had spent there, either.
                            self.reset |= first && *any;
                            self.close();
                        }
                    }
                    Op::Carry(carried) => self.carry(carried, &mut touched),
                    // Who opens first has seen all that can have left: what others say later changes nothing.
                    Op::Open { from, reset } => self.reset |= self.layout.open(*from) && *reset,
                    Op::Reset { .. } => {}
                }
            }
        }
        Applied { session, touched }
    }

    fn admit(&mut self, offset: u64, record: &Record) -> Result<u64, Ignored> {
        if offset < self.next {
            return Err(Ignored::Old);
        }
        match record.sender {
            Sender::Hello { ttl_ms, lock, .. } => {
                if record.seq != 1 || self.sessions.values().any(|live| live.nonce == record.nonce) {
                    return Err(Ignored::Twice);
                }
                if self.sessions.len() >= SESSIONS_MAX || !(TTL_MS.0..=TTL_MS.1).contains(&ttl_ms) {
                    return Err(Ignored::Unwelcome);
                }
                let ttl = Nanos::from_millis(ttl_ms.into());
                let session = Session { nonce: record.nonce, last_seq: 1, ttl, lock, buckets: BTreeSet::new() };
                self.sessions.insert(offset, session);
                Ok(offset)
            }
            Sender::Session(me) => {
                let session = self.sessions.get_mut(&me).filter(|session| session.nonce == record.nonce);
                let session = session.ok_or(Ignored::NoSession)?;
                if record.seq <= session.last_seq {
                    return Err(Ignored::Overtaken);
                }
                session.last_seq = record.seq;
                Ok(me)
            }
            Sender::Stranger => Err(Ignored::Stranger),
        }
    }

    fn claim(&mut self, offset: u64, me: u64, claim: &Claim, touched: &mut BTreeSet<BucketId>) {
        let full = self.buckets.len() >= BUCKETS_MAX;
        let Some(session) = self.sessions.get_mut(&me) else { return };
        let known = self.buckets.get(&claim.bucket).map(|shared| shared.limit);
        let limit_id = known.unwrap_or(claim.limit);
        let Some(&limit) = self.limits.get(&limit_id) else { return };
        if known.is_none() && (full || claim.want == Rate::ZERO) {
            return;
        }
        // A closed bucket takes back what it gave, and nothing else.
        let holds = session.buckets.contains(&claim.bucket);
        if !holds && !self.layout.is_open(claim.bucket) {
            return;
        }
        let pool = if self.reset { limit.burst.min(limit.rate.over(RESTED)) } else { limit.burst };
        let shared = self.buckets.entry(claim.bucket).or_insert_with(|| Shared::unheld(limit_id, pool));
        touched.insert(claim.bucket);
        if claim.want > Rate::ZERO && shared.lease(me).is_none() {
            // A share of nothing: granted equals released, whatever was released before.
            let granted = Amounts { tokens: 0, ..claim.released };
            let (want, min) = (claim.want, claim.min);
            shared.leases.push(Lease {
                session: me,
                born: offset,
                rank: offset,
                granted,
                released: claim.released,
                want,
                min,
            });
            session.buckets.insert(claim.bucket);
        }
        if let Some(at) = shared.leases.iter().position(|lease| lease.session == me) {
            let lease = &mut shared.leases[at];
            let share = lease.share();
            let rate = claim.released.rate.saturating_sub(lease.released.rate).min(share.rate.0.into());
            let burst = claim.released.burst.saturating_sub(lease.released.burst).min(share.burst.0.into());
            let tokens = claim.released.tokens.saturating_sub(lease.released.tokens).min(burst);
            lease.released.rate += rate;
            lease.released.burst += burst;
            lease.released.tokens = lease.released.tokens.max(claim.released.tokens);
            lease.want = claim.want.min(RATE_MAX);
            lease.min = claim.min.min(limit.burst);
            if claim.requeue {
                lease.rank = offset;
            }
            let gone = lease.want == Rate::ZERO && lease.share() == Share::NONE;
            shared.pool = shared.pool.plus(Tokens(clamp(tokens)));
            shared.cap_pool(limit);
            if gone {
                shared.leases.remove(at);
                session.buckets.remove(&claim.bucket);
            } else if claim.requeue {
                let lease = shared.leases.remove(at);
                shared.leases.push(lease);
            }
        }
        self.settle(claim.bucket);
    }

    /// Ends a session: its shares are free again, the tokens in its hands are lost.
    fn end(&mut self, session: u64, touched: &mut BTreeSet<BucketId>) {
        let Some(ended) = self.sessions.remove(&session) else { return };
        for bucket in ended.buckets {
            if let Some(shared) = self.buckets.get_mut(&bucket) {
                shared.leases.retain(|lease| lease.session != session);
            }
            touched.insert(bucket);
            self.settle(bucket);
        }
    }

    fn define(&mut self, define: &Define, touched: &mut BTreeSet<BucketId>) {
        let known = self.limits.get(&define.limit);
        let sane =
            (1..=RATE_MAX.0).contains(&define.rate.0) && (1..=Tokens::permits(PERMITS_MAX).0).contains(&define.burst.0);
        let newer = known.map_or(self.limits.len() < LIMITS_MAX, |known| known.version < define.version);
        if !sane || !newer {
            return;
        }
        let limit = LimitNumbers { version: define.version, rate: define.rate, burst: define.burst };
        if self.limits.insert(define.limit, limit).is_none() {
            return;
        }
        // What is closed stays as it is: its pool may be on its way to another partition already.
        let bound = |(id, shared): &(&BucketId, &Shared)| shared.limit == define.limit && self.layout.has(**id);
        let bound = self.buckets.iter().filter(bound).map(|(id, _)| *id);
        for bucket in bound.collect::<Vec<_>>() {
            if let Some(shared) = self.buckets.get_mut(&bucket) {
                for lease in &mut shared.leases {
                    lease.min = lease.min.min(limit.burst);
                }
                shared.cap_pool(limit);
            }
            touched.insert(bucket);
            self.settle(bucket);
        }
    }

    /// Notes what a new count puts elsewhere and somebody holds.
    pub(super) fn close(&mut self) {
        let held = self.buckets.iter().filter(|(id, shared)| !shared.leases.is_empty() && !self.layout.has(**id));
        self.leaving = held.map(|(id, _)| *id).collect();
    }

    /// Takes over the pools of buckets that are not open here yet; of two pools of one bucket the smaller.
    fn carry(&mut self, carried: &[Carried], touched: &mut BTreeSet<BucketId>) {
        for one in carried {
            let came = self.layout.awaits(one.bucket).next().is_some();
            let known = self.buckets.contains_key(&one.bucket);
            if came && (known || self.buckets.len() < BUCKETS_MAX) && !self.has_carried(one) {
                if let Some(limit) = self.limits.get(&one.limit) {
                    // It may have been carried here before what was here was forgotten, and spent.
                    let pool = if self.reset { one.pool.min(limit.rate.over(RESTED)) } else { one.pool };
                    let shared = self.buckets.entry(one.bucket).or_insert_with(|| Shared::unheld(one.limit, pool));
                    shared.pool = shared.pool.min(pool);
                    touched.insert(one.bucket);
                }
            }
        }
    }

    /// Whether a bucket on its way here has arrived: with no more than it brings, or it is as if nobody had touched it.
    pub fn has_carried(&self, one: &Carried) -> bool {
        let full = self.limits.get(&one.limit).is_some_and(|limit| one.pool >= limit.burst);
        full || self.buckets.get(&one.bucket).is_some_and(|shared| shared.pool <= one.pool)
    }

    /// Gives out what is free; forgets a bucket that is as if nobody had ever touched it.
    fn settle(&mut self, bucket: BucketId) {
        let Some(shared) = self.buckets.get_mut(&bucket) else { return };
        let Some(&limit) = self.limits.get(&shared.limit) else { return };
        if self.layout.has(bucket) {
            shared.allocate(limit);
        } else if shared.leases.is_empty() {
            self.leaving.remove(&bucket);
        }
        if shared.leases.is_empty() && shared.pool >= limit.burst {
            self.buckets.remove(&bucket);
        }
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
pub(crate) mod tests;
