//! The decision: one atomic step where the credit suffices, one lock and one clock reading where it does not.

use super::decide::{count_refused, decide, enter, judge, Part, Use};
use super::decision::{self, Basis, Decision};
use super::path::Path;
use super::slot::{self, KeyId, Slot, CREDIT_MAX};
use super::{clock, path, validity, wait};
use crate::core::units::PERMIT;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Takes `permits` now or not at all. Never waits.
#[inline]
pub fn try_acquire(id: KeyId, permits: u64) -> Decision {
    let mut decision = Decision::default();
    try_acquire_into(id, permits, Some(&mut decision));
    decision
}

/// The same for callers that have a place for the answer, or want only its status: an answer that is returned by value
/// goes through memory twice, which costs as much as the decision.
#[inline]
pub fn try_acquire_into(id: KeyId, permits: u64, mut out: Option<&mut Decision>) -> i32 {
    match quickly(id, permits, out.as_deref_mut()) {
        Ok(status) => status,
        Err(why) => at_length(why, id, permits, out),
    }
}

/// The answer, if it takes one step and nobody was quicker. It calls nothing and cannot panic: in its caller it needs no
/// stack, which would cost as much as the rest of it.
#[inline(always)]
pub fn quickly(id: KeyId, permits: u64, out: Option<&mut Decision>) -> Result<i32, Undecided> {
    let slot = slot::get(id.index()).ok_or(Undecided::TakesLocks)?;
    once(slot, id, permits, out, clock::counted)
}

/// The answer in any case, after one step did not decide.
#[inline(never)]
pub fn at_length(mut why: Undecided, id: KeyId, permits: u64, mut out: Option<&mut Decision>) -> i32 {
    let Some(slot) = slot::get(id.index()) else { return try_tiers(id, permits, out) };
    while why != Undecided::TakesLocks {
        if why == Undecided::Raced {
            slot.back_off();
        }
        match once(slot, id, permits, out.as_deref_mut(), || Some(clock::ticks())) {
            Ok(status) => return status,
            Err(next) => why = next,
        }
    }
    give(slowly(&[Part { slot, id, weight: 1 }], permits, None), out)
}

/// Why a single step did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// Another thread took credit at the same moment.
    Raced,
    /// The time matters, and no counter tells it.
    NoCounter,
    /// The bucket must be settled, or the key is none of a single bucket.
    TakesLocks,
}

/// One look at the credit, and one step. `ticks` is asked where the time matters.
#[inline(always)]
fn once(
    slot: &Slot,
    id: KeyId,
    permits: u64,
    out: Option<&mut Decision>,
    ticks: impl Fn() -> Option<u64>,
) -> Result<i32, Undecided> {
    let ticks = || ticks().ok_or(Undecided::NoCounter);
    let validity = validity::get(slot.validity.load(Ordering::Relaxed));
    let until = validity.until_ticks();
    // What is valid for ever needs no clock: most of the cost of a decision. Zero permits and amounts that would overflow
    // are looked at slowly.
    let now = if until == u64::MAX { 0 } else { ticks()? };
    if now >= until || permits.wrapping_sub(1) >= CREDIT_MAX / PERMIT {
        return Err(Undecided::TakesLocks);
    }
    let word = match slot.take_credit_once(id.tag(), permits * PERMIT) {
        Ok(left) => {
            if let Some(out) = out {
                let left = left + slot.beyond.load(Ordering::Relaxed);
                *out = Decision::granted(left / PERMIT, validity.basis());
            }
            return Ok(decision::OK);
        }
        Err(word) => word.ok_or(Undecided::Raced)?,
    };
    let now = if until == u64::MAX { ticks()? } else { now };
    let dry = slot.dry_after(now).filter(|_| permits == 1 && word & !CREDIT_MAX == id.tag());
    let dry = dry.ok_or(Undecided::TakesLocks)?;
    slot.refused.fetch_add(1, Ordering::Relaxed);
    if let Some(out) = out {
        *out = Decision::no(decision::DENIED, clock::span(dry - now).0, 0, validity.basis());
    }
    Ok(decision::DENIED)
}

fn give(decision: Decision, out: Option<&mut Decision>) -> i32 {
    if let Some(out) = out {
        *out = decision;
    }
    decision.status
}

/// A key that is not one bucket: of several tiers, or none.
fn try_tiers(id: KeyId, permits: u64, mut out: Option<&mut Decision>) -> i32 {
    match path::try_acquire(id, permits, out.as_deref_mut()) {
        Some(status) => status,
        None => give(with_parts(id, |parts| slowly(parts, permits, path::of(id))), out),
    }
}

/// Runs `act` on the buckets of a key.
fn with_parts(id: KeyId, act: impl FnOnce(&[Part]) -> Decision) -> Decision {
    path::get(id).map_or_else(Decision::failed, |parts| act(parts.all()))
}

/// Under the locks. `key`: who asks, if it has a purse.
#[cold]
#[inline(never)]
pub(super) fn slowly(parts: &[Part], permits: u64, key: Option<(&'static Path, KeyId)>) -> Decision {
    let decided = enter(parts, permits, |site| {
        site.asks(key);
        let decision = decide(site, None, Use::Spend);
        if !decision.is_granted() {
            count_refused(site, decision);
        }
        decision
    });
    decided.unwrap_or_else(Decision::failed)
}

/// Takes `permits`, waiting for them up to `timeout` behind those who came earlier. Without a time-out it is
/// [`try_acquire`]. A limit that throttles cuts the time-out to its longest delay, and refuses at once what would take
/// longer.
pub fn acquire(id: KeyId, permits: u64, timeout: Duration) -> Decision {
    let at_once = try_acquire(id, permits);
    // An open breaker refuses those who would wait as well.
    if at_once.status != decision::DENIED || timeout.is_zero() || at_once.basis() == Basis::Breaker {
        return at_once;
    }
    with_parts(id, |parts| wait::wait(parts, permits, timeout, at_once))
}

/// What a `try_acquire` of one permit would find, without taking it.
pub fn peek(id: KeyId) -> Decision {
    with_parts(id, |parts| {
        let peeked = enter(parts, 1, |site| {
            let mut decision = judge(site, None).decision;
            if decision.is_granted() && !matches!(decision.basis(), Basis::Allowed | Basis::Shadow) {
                decision.remaining += 1;
            }
            decision
        });
        peeked.unwrap_or_else(Decision::failed)
    })
}
