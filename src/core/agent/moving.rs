//! One partition's part when the log gets more of them: saying so, leaving what closes, opening what is new.
//!
//! What an agent is told here comes from other partitions ([`crate::core::growth`]): the counts that the log has had, and
//! what an older partition still held when it was seen drained. Both are facts that stay true.

use super::Agent;
use crate::core::fold::{Fold, LimitNumbers};
use crate::core::layout::Layout;
use crate::core::placement::BucketId;
use crate::core::record::{Carried, Define, Op, Record, CARRIED_MAX};
use crate::core::share::{BucketRef, Buckets};
use crate::core::units::Nanos;
use std::collections::BTreeSet;

/// Openings in one record, and definitions that go before them.
const OPENINGS_MAX: usize = 16;
const DEFINES_MAX: usize = 64;
/// A bucket that was asked for so lately is claimed as soon as it is opened.
const LATELY: Nanos = Nanos::from_secs(1);

/// What an older partition hands over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Opening {
    carried: Vec<Carried>,
    limits: Vec<(u128, LimitNumbers)>,
    /// What it does not know need not be full.
    reset: bool,
}

/// What this process knows of the log's partitions, as far as this one is concerned.
#[derive(Clone, Debug, Default)]
pub(super) struct Moving {
    /// The counts as last told: to be said here.
    pub(super) told: Layout,
    /// To be said even if nothing is held here.
    urgent: bool,
    /// Another partition is to be declared empty: what is known here must be known to be the newest.
    vouching: bool,
    /// Somebody waits for what leaves this partition.
    draining: bool,
    /// Older partitions that buckets of this process wait for.
    awaited: BTreeSet<u32>,
    /// Buckets of this process that live elsewhere now.
    moved: Vec<BucketRef>,
}

impl Moving {
    /// Whether a bucket may be asked for here.
    pub(super) fn may_claim(&self, fold: &Fold, id: BucketId) -> bool {
        self.awaits(fold, id).next().is_none() && fold.layout().has(id)
    }

    /// The counts as the fold has them, or as they will be when they are said.
    fn layout<'a>(&'a self, fold: &'a Fold) -> &'a Layout {
        if fold.layout().partitions() > 0 {
            fold.layout()
        } else {
            &self.told
        }
    }

    /// The older partitions that a bucket has to leave first.
    fn awaits<'a>(&'a self, fold: &'a Fold, id: BucketId) -> impl Iterator<Item = u32> + 'a {
        self.layout(fold).awaits(id)
    }

    /// The counts that the fold does not know, as they are said.
    fn news<'a>(&'a self, fold: &Fold) -> impl Iterator<Item = Op> + 'a {
        let known = fold.layout().partitions();
        let before = std::iter::once(self.told.before).chain(self.told.steps().iter().copied());
        let counts = before.zip(self.told.steps().iter().copied()).enumerate();
        counts.filter(move |(_, (_, count))| *count > known).map(|(at, (previous, partitions))| {
            let any = at == 0 && self.told.any;
            Op::Layout { previous, partitions, any }
        })
    }
}

impl Agent {
    /// Tells the counts that the log has had; this agent is the one of `partition`. It says in its records what its
    /// partition does not know yet: with the next one, or at once if it holds something here or if it is `urgent`.
    /// `reset`: the directory that has the counts was, and has forgotten those before.
    pub fn set_layout(&mut self, history: &[u32], reset: bool, partition: u32, urgent: bool) {
        self.moving.urgent = urgent;
        let told = Layout::told(history, reset, partition);
        if !history.is_empty() && told != self.moving.told {
            self.moving.told = told;
            self.await_all();
        }
    }

    /// Another partition is to be declared empty, by what is known here: a session proves that it is the newest.
    pub fn set_vouching(&mut self, vouching: bool) {
        self.moving.vouching = vouching;
    }

    /// Somebody waits for what leaves this partition: it is told the newest count, and the dead are evicted.
    pub fn drain(&mut self) {
        self.moving.draining = !self.fold.is_drained(self.moving.told.partitions());
    }

    /// The older partitions that buckets here wait for; all of them while somebody waits for this one.
    pub fn awaited(&self) -> BTreeSet<u32> {
        let mut awaited = self.moving.awaited.clone();
        if self.moving.draining {
            awaited.extend(self.fold.layout().unopened());
        }
        awaited.retain(|from| !self.outbox.openings.contains_key(from));
        awaited
    }

    /// Opens this partition for what came from `from`, which was seen drained in `source`.
    pub fn open(&mut self, partition: u32, from: u32, source: &Fold) {
        let layout = self.moving.layout(&self.fold);
        let Some(first) = layout.steps().first().copied() else { return };
        if source.is_drained(first) && !layout.is_opened(from) {
            let limits = source.limits().collect();
            let carried = source.moving_to(partition, layout);
            self.outbox.openings.insert(from, Opening { carried, limits, reset: source.was_reset() });
        }
    }

    /// Buckets that live elsewhere since the last call: to be removed here, and added where they live now.
    pub fn take_moved(&mut self) -> Vec<BucketRef> {
        std::mem::take(&mut self.moving.moved)
    }

    /// Whether something about partitions has to be said.
    pub(super) fn has_moves_to_say(&self) -> bool {
        let behind = self.moving.news(&self.fold).next().is_some();
        let must = self.moving.urgent || self.moving.draining || self.session.is_some();
        !self.outbox.openings.is_empty() || (behind && must)
    }

    /// Whether a session is needed for what moves: to say it, to see who is dead, or to know that it is read in time.
    pub(super) fn is_moving(&self) -> bool {
        let draining = self.moving.draining && !self.fold.is_drained(self.moving.told.partitions());
        draining || self.moving.vouching || self.has_moves_to_say()
    }

    /// Notes which older partitions a record opened here.
    pub(super) fn note_moves(&mut self, record: &Record) -> Vec<u32> {
        let mut opened = Vec::new();
        for op in &record.ops {
            match op {
                Op::Open { from, .. } if self.fold.layout().is_opened(*from) => {
                    self.outbox.openings.remove(from);
                    opened.extend(self.moving.awaited.remove(from).then_some(*from));
                }
                Op::Layout { .. } => self.await_all(),
                _ => {}
            }
        }
        opened
    }

    /// Gives back what lives elsewhere now.
    pub(super) fn leave_what_closed(&mut self, now: Nanos, buckets: &mut dyn Buckets) {
        for bucket in self.moving.moved.clone() {
            if let Some(id) = self.by_ref.get(&bucket).copied() {
                self.release(now, id, buckets);
            }
        }
    }

    /// Asks for what was waited for.
    pub(super) fn claim_what_opened(&mut self, now: Nanos, opened: Vec<u32>, buckets: &mut dyn Buckets) {
        for from in opened {
            let came = |id: &&BucketId| self.fold.layout().origins(**id).contains(&from);
            for id in self.mine.keys().filter(came).copied().collect::<Vec<_>>() {
                let used = self.observe(now, id, buckets);
                let lately = self.mine.get(&id).is_some_and(|mine| now.since(mine.use_.used_at) < LATELY);
                self.decide(now, id, used || lately, buckets);
            }
        }
    }

    /// Notes what a bucket waits for, and whether it lives here at all.
    pub(super) fn await_opening(&mut self, id: BucketId) {
        let Some(bucket) = self.mine.get(&id).and_then(|mine| mine.bucket) else { return };
        if !self.fold.layout().has(id) {
            self.moving.moved.push(bucket);
        } else {
            let awaits: Vec<u32> = self.moving.awaits(&self.fold, id).collect();
            self.moving.awaited.extend(awaits);
        }
    }

    /// The same for all buckets, anew.
    pub(super) fn await_all(&mut self) {
        self.moving.awaited.clear();
        self.moving.moved.clear();
        for id in self.mine.keys().copied().collect::<Vec<_>>() {
            self.await_opening(id);
        }
    }

    /// Says the counts that the fold does not know.
    pub(super) fn say_layout(&mut self, ops: &mut Vec<Op>) {
        ops.extend(self.moving.news(&self.fold));
    }

    /// Says what comes from older partitions, and opens for them once all of it has been read here.
    pub(super) fn say_openings(&mut self, ops: &mut Vec<Op>) {
        let fold = &self.fold;
        let mut defined = BTreeSet::new();
        let mut room = CARRIED_MAX;
        for (from, opening) in self.outbox.openings.iter().take(OPENINGS_MAX) {
            let newer =
                |(id, limit): &&(u128, LimitNumbers)| fold.limit(*id).is_none_or(|known| known.version < limit.version);
            let mut complete = true;
            for (id, limit) in opening.limits.iter().filter(newer) {
                complete = false;
                if defined.len() < DEFINES_MAX && defined.insert(*id) {
                    let LimitNumbers { version, rate, burst } = *limit;
                    ops.push(Op::Define(Define { limit: *id, version, rate, burst, name: String::new() }));
                }
            }
            let missing = opening.carried.iter().filter(|one| !fold.has_carried(one));
            let carried: Vec<Carried> = missing.take(room).copied().collect();
            room -= carried.len();
            if !carried.is_empty() {
                ops.push(Op::Carry(carried));
            } else if complete && opening.carried.iter().all(|one| fold.has_carried(one)) {
                ops.push(Op::Open { from: *from, reset: opening.reset });
            }
        }
    }
}
