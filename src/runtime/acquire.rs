//! The decision: one atomic step where the credit suffices, one lock and one clock reading where it does not.

use super::decision::{self, Basis, Decision};
use super::slot::{self, Cold, KeyId, Slot, CREDIT_MAX};
use super::waiters::{Waiter, WAITERS_MAX};
use super::{clock, validity};
use crate::core::limit::Outage;
use crate::core::units::{mul_div, Nanos, Tokens, PERMIT, SECOND};
use crate::ErrorKind;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

/// The least wait that a refusal without a share suggests: about a round trip to the log.
const ROUND_TRIP: Nanos = Nanos::from_millis(10);
/// Longest time-out of a wait: longer ones are cut to it.
const TIMEOUT_MAX: Nanos = Nanos::from_secs(365 * 86_400);

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
pub fn try_acquire_into(id: KeyId, permits: u64, out: Option<&mut Decision>) -> i32 {
    let Some(slot) = slot::get(id.index()) else { return give(Decision::failed(ErrorKind::Stale), out) };
    let validity = validity::get(slot.validity.load(Ordering::Relaxed));
    let now = clock::ticks();
    // Zero permits and amounts that would overflow are looked at slowly.
    if now < validity.until_ticks() && permits.wrapping_sub(1) < CREDIT_MAX / PERMIT {
        let cost = permits * PERMIT;
        let mut word = slot.credit.load(Ordering::Acquire);
        loop {
            let have = word.wrapping_sub(id.tag());
            if have > CREDIT_MAX || have < cost {
                break;
            }
            match slot.credit.compare_exchange_weak(word, word - cost, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if let Some(out) = out {
                        *out = Decision::granted((have - cost) / PERMIT, validity.basis());
                    }
                    return decision::OK;
                }
                Err(seen) => word = seen,
            }
        }
        let dry = slot.dry_until.load(Ordering::Acquire);
        let same = word & !CREDIT_MAX == id.tag();
        if permits == 1 && same && now < dry && slot.flagged.load(Ordering::Relaxed) {
            slot.refused.fetch_add(1, Ordering::Relaxed);
            if let Some(out) = out {
                *out = Decision::no(decision::DENIED, clock::span(dry - now).0, 0, validity.basis());
            }
            return decision::DENIED;
        }
    }
    give(slowly(slot, id, permits), out)
}

fn give(decision: Decision, out: Option<&mut Decision>) -> i32 {
    if let Some(out) = out {
        *out = decision;
    }
    decision.status
}

#[cold]
#[inline(never)]
fn slowly(slot: &'static Slot, id: KeyId, permits: u64) -> Decision {
    let decided = enter(slot, id, permits, |slot, cold, now, amount| {
        let decision = decide(slot, cold, now, amount, None);
        count_allowed(cold, decision, amount);
        if !decision.is_granted() {
            cold.count_refused(permits, amount);
        }
        decision
    });
    decided.unwrap_or_else(Decision::failed)
}

/// Checks that the key lives, settles its bucket, lets `act` use it, and pays out the rest.
fn enter<T>(
    slot: &'static Slot,
    id: KeyId,
    permits: u64,
    act: impl FnOnce(&'static Slot, &mut Cold, Nanos, Tokens) -> T,
) -> Result<T, ErrorKind> {
    if slot.is_of_another_process() {
        return Err(ErrorKind::Forked);
    }
    if permits == 0 {
        return Err(ErrorKind::Argument);
    }
    let (result, alarm) = slot
        .with(id, |slot, cold| {
            cold.owner.life().check()?;
            let now = cold.owner.clock().now();
            let result = cold.settled(slot, now, |cold| act(slot, cold, now, Tokens::permits(permits)));
            // The driver is told once until it has looked.
            let short = cold.is_refused || !cold.waiters.is_empty();
            let tell = short && !slot.flagged.swap(true, Ordering::AcqRel);
            Ok((result, tell.then(|| cold.owner.clone())))
        })
        .unwrap_or(Err(ErrorKind::Stale))?;
    if let Some(owner) = alarm {
        if !owner.tell_driver(id) {
            slot.flagged.store(false, Ordering::Release);
        }
    }
    Ok(result)
}

/// Decides on a settled bucket. `me` is the waiter that asks, if one does: others may not overtake those who wait.
fn decide(slot: &Slot, cold: &mut Cold, now: Nanos, amount: Tokens, me: Option<&Arc<Waiter>>) -> Decision {
    if amount > cold.limit.burst() {
        return Decision::no(decision::NEVER, u64::MAX, cold.bucket().level().whole(), Basis::Local);
    }
    let validity = validity::get(slot.validity.load(Ordering::Relaxed));
    let usable = now < validity.until();
    if !usable && cold.limit.outage == Outage::Allow && validity.is_away() {
        return Decision::granted(0, Basis::Allowed);
    }
    let first = cold.waiters.is_first(me);
    if usable && first && cold.take(amount) {
        return Decision::granted(cold.bucket().level().whole(), validity.basis());
    }
    let basis = if usable && cold.share.burst > Tokens::ZERO { validity.basis() } else { Basis::NoShare };
    let level = cold.bucket().level();
    let own = if usable { cold.bucket().wait_for(amount) } else { None };
    let ahead = if first { Tokens::ZERO } else { cold.waiters.total() };
    let wait = own.unwrap_or_else(|| as_if_alone(cold, amount)).plus(as_if_alone(cold, ahead));
    if let (true, true, Some(next)) = (usable, first, cold.bucket().wait_for(Tokens::permits(1))) {
        slot.dry_until.store(clock::deadline(now, now.plus(next)), Ordering::Release);
    }
    Decision::no(decision::DENIED, wait.0.max(1), if first { level.whole() } else { 0 }, basis)
}

/// What is let through without a share is counted apart.
fn count_allowed(cold: &mut Cold, decision: Decision, amount: Tokens) {
    if decision.is_granted() && decision.basis() == Basis::Allowed {
        cold.count_spent(amount);
        cold.owner.count_allowed(amount.whole());
    }
}

/// How long the whole limit takes to yield `amount`: a guess that is honest when the share is still to come.
fn as_if_alone(cold: &Cold, amount: Tokens) -> Nanos {
    if amount == Tokens::ZERO {
        return Nanos::ZERO;
    }
    // micro-permits * 1e12 / (nano-permits per second) = nanoseconds
    let rate = cold.limit.rate().0.max(1);
    let wait = Nanos(mul_div(amount.0, SECOND * 1_000, rate));
    wait.max(ROUND_TRIP)
}

/// Takes `permits`, waiting for them up to `timeout` behind those who came earlier.
pub fn acquire(id: KeyId, permits: u64, timeout: Duration) -> Decision {
    let Some(slot) = slot::get(id.index()) else { return Decision::failed(ErrorKind::Stale) };
    let at_once = try_acquire(id, permits);
    if at_once.status != decision::DENIED || timeout.is_zero() {
        return at_once;
    }
    let timeout = clock::nanos(timeout).min(TIMEOUT_MAX);
    let deadline = clock::boot_time().plus(timeout);
    let waiter = Arc::new(Waiter::new(Tokens::permits(permits)));
    let joined = enter(slot, id, permits, |_, cold, _, _| {
        if cold.waiters.len() >= WAITERS_MAX {
            return Err(ErrorKind::Capacity);
        }
        // The refusal above has counted as asked for what is now waited for; it is no refusal yet.
        cold.refused = cold.refused.saturating_sub(permits);
        cold.waiters.join(waiter.clone());
        Ok(())
    });
    if let Err(kind) = joined.unwrap_or_else(Err) {
        return Decision::failed(kind);
    }
    loop {
        let turn = enter(slot, id, permits, |slot, cold, now, amount| {
            let decision = decide(slot, cold, now, amount, Some(&waiter));
            count_allowed(cold, decision, amount);
            let late = clock::boot_time() >= deadline;
            let over = decision.status != decision::DENIED || late;
            if over {
                cold.waiters.leave(&waiter);
                // It was asked for when it joined the queue.
                if decision.is_granted() {
                    cold.asked = cold.asked - amount;
                } else {
                    cold.refused = cold.refused.saturating_add(permits);
                }
            }
            let first = cold.waiters.is_first(Some(&waiter));
            (decision, over, first)
        });
        let (decision, over, first) = match turn {
            Ok(turn) => turn,
            Err(kind) => return Decision::failed(kind),
        };
        if over {
            return match decision.status {
                decision::DENIED => Decision { status: decision::TIMED_OUT, ..decision },
                _ => decision,
            };
        }
        let left = deadline.since(clock::boot_time());
        // Only the first knows when its permits come; the others are woken when it leaves.
        let own_share = decision.basis() != Basis::NoShare;
        let nap = if first && own_share { left.min(Nanos(decision.retry_after_ns)) } else { left };
        waiter.sleep(nap);
    }
}

/// What a `try_acquire` of one permit would find, without taking it.
pub fn peek(id: KeyId) -> Decision {
    let Some(slot) = slot::get(id.index()) else { return Decision::failed(ErrorKind::Stale) };
    let peeked = enter(slot, id, 1, |slot, cold, now, one| {
        let mut decision = decide(slot, cold, now, one, None);
        if decision.is_granted() && decision.basis() != Basis::Allowed {
            cold.put_back(one);
            decision.remaining = cold.level().whole();
        }
        decision
    });
    peeked.unwrap_or_else(Decision::failed)
}
