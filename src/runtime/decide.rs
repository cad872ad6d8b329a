//! The decision under locks: all buckets of a key are settled at one moment, and all give or none does.

use super::decision::{self, Basis, Decision};
use super::guard;
use super::path::Path;
use super::purse::{Lent, Purse};
use super::slot::{Cold, KeyId, Slot, CREDIT_MAX};
use super::waiters::Waiter;
use super::{clock, validity};
use crate::core::limit::Outage;
use crate::core::units::{mul_div, Nanos, Rate, Tokens, PERMIT, SECOND};
use crate::lock::MutexGuard;
use crate::ErrorKind;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Most tiers of a limiter.
pub const TIERS_MAX: usize = 8;
/// For so many decisions under its lock a bucket lends nothing after several keys wanted its credit.
pub(super) const CONTENTION: u8 = 16;
/// The least wait that a refusal without a share suggests: about a round trip to the log.
const ROUND_TRIP: Nanos = Nanos::from_millis(10);

/// One bucket of a key, and what a permit costs there.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) slot: &'static Slot,
    pub(super) id: KeyId,
    pub(super) weight: u64,
}

impl Part {
    /// What `permits` cost here; `u64::MAX` when nothing can hold so much.
    pub(super) fn cost(&self, permits: u64) -> Tokens {
        Tokens(permits.saturating_mul(self.weight).saturating_mul(PERMIT))
    }
}

/// The buckets of a key, locked and settled at one moment.
pub(super) struct Site<'a> {
    parts: &'a [Part],
    guards: &'a mut [Option<MutexGuard<'static, Option<Box<Cold>>>>; TIERS_MAX],
    permits: u64,
    pub(super) now: Nanos,
    /// The tiers that gave something, a bit for each: not those that let a request pass without.
    pub(super) took: u8,
    /// The key that asks, if it has a purse.
    key: Option<(&'static Path, KeyId)>,
}

/// One of them.
pub(super) struct At<'a> {
    pub(super) slot: &'static Slot,
    pub(super) cold: &'a mut Cold,
    /// What is asked of it.
    pub(super) amount: Tokens,
    /// What one permit costs.
    unit: Tokens,
}

impl At<'_> {
    /// What `permits` cost here.
    pub(super) fn cost(&self, permits: u64) -> Tokens {
        Tokens(self.unit.0.saturating_mul(permits))
    }
}

impl Site<'_> {
    /// The buckets, in the order of the tiers.
    pub(super) fn each(&mut self) -> impl Iterator<Item = At<'_>> {
        let permits = self.permits;
        self.parts.iter().zip(self.guards.iter_mut()).filter_map(move |(part, guard)| {
            let cold = guard.as_mut()?.as_deref_mut()?;
            Some(At { slot: part.slot, cold, amount: part.cost(permits), unit: part.cost(1) })
        })
    }

    /// The key that asks has a purse, or none. A bucket that took back for it what another purse had lends nothing for a while.
    pub(super) fn asks(&mut self, key: Option<(&'static Path, KeyId)>) {
        self.key = key;
        let other = |recalled: &Purse| !key.is_some_and(|(path, _)| std::ptr::eq(&path.purse, recalled));
        for at in self.each() {
            if at.cold.recalled.take().is_some_and(other) {
                at.cold.contended = CONTENTION;
            }
        }
    }

    /// Lets the hot path spend what is there; what every bucket can lend goes into the purse of the key that asked.
    fn pay_out(&mut self) {
        let (mut permits, mut tightest) = (CREDIT_MAX, (0, u64::MAX));
        // One that ended meanwhile takes back what is in its purse: afterwards nothing may get in.
        let key = self.key.filter(|(path, id)| path.is(*id));
        for (tier, at) in (0..).zip(self.each()) {
            let lends = at.cold.contended == 0;
            at.cold.contended = at.cold.contended.saturating_sub(1);
            if key.is_none() {
                continue;
            }
            let lendable = if lends { at.cold.payable() / at.unit.0 } else { 0 };
            permits = permits.min(lendable);
            let left = at.cold.level().0 / at.unit.0;
            tightest = if left < tightest.1 { (tier, left) } else { tightest };
        }
        let key = key.filter(|_| permits > 0);
        for at in self.each() {
            let lent = key.map(|(path, _)| Lent { purse: &path.purse, unit: at.unit.0 });
            at.cold.pay_out_and_lend(at.slot, permits, lent);
        }
        if let Some((path, id)) = key {
            let validities = self.parts.iter().map(|part| part.slot.validity.load(Ordering::Relaxed));
            path.purse.fill(id, permits, (tightest.0, tightest.1 - permits), validities);
        }
    }

    /// The bucket of one tier.
    pub(super) fn at(&mut self, tier: u16) -> Option<At<'_>> {
        self.each().nth(tier.into())
    }
}

/// Checks that the key lives, settles its buckets, lets `act` use them, and pays out the rest. Locks are taken in the
/// order of the slots, so that two keys that share buckets cannot wait for each other.
pub(super) fn enter<T>(parts: &[Part], permits: u64, act: impl FnOnce(&mut Site<'_>) -> T) -> Result<T, ErrorKind> {
    if parts.iter().any(|part| part.slot.is_of_another_process()) {
        return Err(ErrorKind::Forked);
    }
    if permits == 0 {
        return Err(ErrorKind::Argument);
    }
    let mut order: [usize; TIERS_MAX] = std::array::from_fn(|at| at);
    let order = &mut order[..parts.len()];
    order.sort_unstable_by_key(|at| parts[*at].id.index());
    let mut guards = [const { None }; TIERS_MAX];
    for at in &*order {
        guards[*at] = Some(parts[*at].slot.cold.lock());
    }
    let mut site = Site { parts, guards: &mut guards, permits, now: Nanos::ZERO, took: 0, key: None };
    let alive = site.each().zip(parts).filter(|(at, part)| at.cold.id == part.id).count();
    let Some(first) = site.at(0).filter(|_| alive == parts.len()) else { return Err(ErrorKind::Stale) };
    first.cold.owner.life().check()?;
    let now = first.cold.owner.clock().now();
    site.now = now;
    let mut untold = [None; TIERS_MAX];
    let result = catch_unwind(AssertUnwindSafe(|| {
        for at in site.each() {
            at.cold.settle(at.slot, now);
            at.cold.waiters.forget_abandoned(now);
        }
        let result = act(&mut site);
        site.pay_out();
        let mut alarm = None;
        for (at, untold) in site.each().zip(&mut untold) {
            // The driver is told once until it has looked.
            let short = at.cold.is_refused || !at.cold.waiters.is_empty();
            if short && !at.slot.flagged.swap(true, Ordering::AcqRel) {
                *untold = Some((at.slot, at.cold.id));
                alarm = Some(at.cold.owner.clone());
            }
        }
        (result, alarm)
    }));
    let (result, alarm) = result.unwrap_or_else(|panic| {
        // In the middle of a bucket's change: nothing of this runtime can be trusted any more.
        if let Some(at) = site.at(0) {
            at.cold.owner.poison();
        }
        resume_unwind(panic)
    });
    drop(guards);
    for (slot, id) in untold.into_iter().flatten() {
        if alarm.as_ref().is_some_and(|owner| !owner.tell_driver(id)) {
            slot.flagged.store(false, Ordering::Release);
        }
    }
    Ok(result)
}

/// What settled buckets say to a request, and which of them: a bit for each tier.
pub(super) struct Verdict {
    /// A refusal names the tier that is refused for longest, a grant the one with least left.
    pub(super) decision: Decision,
    /// Let it pass for want of a log.
    allowed: u8,
    /// Would refuse, and are in shadow mode.
    shadowed: u8,
    /// Refuse, or would.
    refused: u8,
    /// Of these, for want of a share.
    unshared: u8,
}

/// Asks settled buckets without taking anything. `me` is the waiter that asks, if one does: others may not overtake those
/// who wait.
pub(super) fn judge(site: &mut Site<'_>, me: Option<&Arc<Waiter>>) -> Verdict {
    let now = site.now;
    let mut refusal: Option<Decision> = None;
    let mut granted = Decision::granted(u64::MAX, Basis::Local);
    let (mut allowed, mut shadowed, mut refused, mut unshared) = (0, 0, 0, 0);
    for (tier, at) in (0u16..).zip(site.each()) {
        let mut asked = Decision { tier, ..ask(&at, now, me) };
        refused |= u8::from(!asked.is_granted()) << tier;
        unshared |= u8::from(!asked.is_granted() && asked.basis() == Basis::NoShare) << tier;
        if !asked.is_granted() && at.cold.limit.shadow {
            shadowed |= 1 << tier;
            asked = Decision { tier, ..Decision::granted(0, Basis::Shadow) };
        }
        if !asked.is_granted() {
            let longest = refusal.is_none_or(|worst| asked.retry_after_ns > worst.retry_after_ns);
            refusal = if longest { Some(asked) } else { refusal };
            continue;
        }
        allowed |= u8::from(asked.basis() == Basis::Allowed) << tier;
        // The basis that promises least.
        let basis = granted.basis.max(asked.basis);
        granted = Decision { basis, ..if asked.remaining < granted.remaining { asked } else { granted } };
    }
    Verdict { decision: refusal.unwrap_or(granted), allowed, shadowed, refused, unshared }
}

/// What becomes of permits that are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Spend,
    /// They may be given back.
    Hold,
}

/// Decides on settled buckets: takes from all of them or from none.
pub(super) fn decide(site: &mut Site<'_>, me: Option<&Arc<Waiter>>, use_: Use) -> Decision {
    let Verdict { decision, allowed, shadowed, refused, unshared } = judge(site, me);
    // What can never be is the caller's mistake, and says nothing of the limit.
    if decision.status == decision::NEVER {
        return decision;
    }
    if let (None, Some(unasked)) = (me, guard::ask_guards(site)) {
        return unasked;
    }
    guard::tell_guards(site, refused, unshared, me.is_some());
    if decision.is_granted() {
        let mut took = 0;
        for (tier, at) in site.each().enumerate() {
            let permits = at.amount.whole();
            if shadowed >> tier & 1 == 1 {
                at.cold.count_refused(permits, at.amount);
                at.cold.owner.count_shadowed(permits);
            } else if allowed >> tier & 1 == 1 {
                at.cold.count_spent(at.amount);
                at.cold.owner.count_allowed(permits);
            } else {
                at.cold.take(at.amount, use_);
                took |= 1 << tier;
            }
        }
        site.took = took;
    }
    decision
}

/// Counts a refusal where it was decided.
pub(super) fn count_refused(site: &mut Site<'_>, refusal: Decision) {
    if let Some(at) = site.at(refusal.tier) {
        at.cold.count_refused(at.amount.whole(), at.amount);
    }
}

/// What one bucket says to a request, without taking anything.
fn ask(at: &At<'_>, now: Nanos, me: Option<&Arc<Waiter>>) -> Decision {
    let (slot, cold, amount) = (at.slot, &*at.cold, at.amount);
    let level = cold.level();
    let left = |level: Tokens| level.0 / at.unit.0;
    if amount > cold.limit.burst() {
        return Decision::no(decision::NEVER, u64::MAX, left(level), Basis::Local);
    }
    let validity = validity::get(slot.validity.load(Ordering::Relaxed));
    let usable = now < validity.until();
    if !usable && cold.limit.outage == Outage::Allow && validity.is_away() {
        return Decision::granted(0, Basis::Allowed);
    }
    let first = cold.waiters.is_first(me, now);
    if usable && first && level >= amount {
        return Decision::granted(left(level - amount), validity.basis());
    }
    let basis = if usable && cold.share.burst > Tokens::ZERO { validity.basis() } else { Basis::NoShare };
    let own = if usable { cold.meter.wait_for(amount) } else { None };
    let ahead = if first { Tokens::ZERO } else { cold.waiters.total() };
    let wait = own.unwrap_or_else(|| as_if_alone(cold, amount)).plus(as_if_alone(cold, ahead));
    // A refusal that somebody has to be told of is not foreseen.
    let foreseen = usable && first && cold.guard.is_none() && !cold.limit.shadow;
    if let (true, Some(next)) = (foreseen, cold.meter.wait_for(Tokens::permits(1))) {
        slot.dry_until.store(clock::deadline(now, now.plus(next)), Ordering::Release);
    }
    Decision::no(decision::DENIED, wait.0.max(1), if first { left(level) } else { 0 }, basis)
}

/// How long the whole limit takes to yield `amount`: a guess that is honest when the share is still to come.
pub(super) fn as_if_alone(cold: &Cold, amount: Tokens) -> Nanos {
    if amount == Tokens::ZERO {
        return Nanos::ZERO;
    }
    at_rate(cold.limit.rate(), amount).max(ROUND_TRIP)
}

/// How long a rate takes to yield `amount`.
pub(super) fn at_rate(rate: Rate, amount: Tokens) -> Nanos {
    // micro-permits * 1e12 / (nano-permits per second) = nanoseconds
    Nanos(mul_div(amount.0, SECOND * 1_000, rate.0.max(1)))
}
