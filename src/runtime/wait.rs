//! Waiting for permits, first come, first served.
//!
//! Who waits for a key with several tiers stands in the queue of the tier that refuses it, and of no other: it never
//! holds up a key that shares only the tiers which would have let it pass.

use super::clock;
use super::decide::{decide, enter, Part, Site, Use};
use super::decision::{self, Basis, Decision};
use super::waiters::{Waiter, WAITERS_MAX};
use crate::core::units::Nanos;
use crate::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Longest time-out of a wait: longer ones are cut to it.
const TIMEOUT_MAX: Nanos = Nanos::from_secs(365 * 86_400);

/// Takes `permits`, which were refused just now by `refusal`, waiting for them up to `timeout` behind those who came
/// earlier.
pub(super) fn wait(parts: &[Part], permits: u64, timeout: Duration, refusal: Decision) -> Decision {
    let mut timeout = clock::nanos(timeout).min(TIMEOUT_MAX);
    let start = clock::boot_time();
    let waiter = Arc::new(Waiter::thread());
    let joined = enter(parts, permits, |site| {
        match max_wait(site) {
            Some(longest) if refusal.retry_after_ns > longest.0 => return Ok(false),
            Some(longest) => timeout = timeout.min(longest),
            None => {}
        }
        let Some(at) = site.at(refusal.tier) else { return Err(ErrorKind::Stale) };
        // The refusal has counted as asked for what is now waited for; it is no refusal yet.
        at.cold.refused = at.cold.refused.saturating_sub(at.amount.whole());
        join(site, &waiter, refusal.tier)?;
        Ok(true)
    });
    match joined.unwrap_or_else(Err) {
        Ok(true) => {}
        Ok(false) => return refusal,
        Err(kind) => return Decision::failed(kind),
    }
    let deadline = start.plus(timeout);
    let mut tier = refusal.tier;
    loop {
        let turn = enter(parts, permits, |site| {
            let (decision, over) = turn(site, &waiter, tier, Use::Spend, clock::boot_time() >= deadline)?;
            let now = site.now;
            let queue = site.at(decision.tier).map(|at| &at.cold.waiters);
            let (first, ahead) = queue.map_or((false, Nanos::NEVER), |queue| {
                (queue.is_first(Some(&waiter), now), queue.first_kept_until(now).since(now))
            });
            Ok((decision, over, first, ahead))
        });
        let (decision, over, first, ahead) = match turn.unwrap_or_else(Err) {
            Ok(turn) => turn,
            Err(kind) => {
                // One of the buckets ended; that of the queue may live on.
                parts[usize::from(tier)].slot.with(parts[usize::from(tier)].id, |_, cold| cold.waiters.leave(&waiter));
                return Decision::failed(kind);
            }
        };
        if over {
            return decision;
        }
        tier = decision.tier;
        let left = deadline.since(clock::boot_time());
        // Only the first knows when its permits come; the others are woken when it leaves, or pass it when it is late.
        let nap = match (first, decision.basis()) {
            (true, Basis::NoShare) => Nanos::NEVER,
            (true, _) => Nanos(decision.retry_after_ns),
            (false, _) => ahead,
        };
        waiter.sleep(nap.min(left));
    }
}

/// The longest that a request may be delayed, where one of the limits says so.
pub(super) fn max_wait(site: &mut Site<'_>) -> Option<Nanos> {
    site.each().filter_map(|at| at.cold.limit.enforcement.max_wait()).min()
}

/// One look of who stands in the line of `tier`, and whether it was the last: granted, refused for good, or too `late`.
/// Otherwise it stands in the line of the tier that the decision names from now on.
pub(super) fn turn(
    site: &mut Site<'_>,
    waiter: &Arc<Waiter>,
    tier: u16,
    use_: Use,
    late: bool,
) -> Result<(Decision, bool), ErrorKind> {
    let decision = decide(site, Some(waiter), use_);
    let denied = decision.status == decision::DENIED;
    if !denied || late {
        leave(site, waiter, tier, !decision.is_granted());
        let status = if denied { decision::TIMED_OUT } else { decision.status };
        return Ok((Decision { status, ..decision }, true));
    }
    if decision.tier != tier {
        leave(site, waiter, tier, false);
        ask_and_join(site, waiter, decision.tier)?;
    }
    Ok((decision, false))
}

/// Joins the line of `tier`, and counts what is waited for as asked for.
pub(super) fn ask_and_join(site: &mut Site<'_>, waiter: &Arc<Waiter>, tier: u16) -> Result<(), ErrorKind> {
    if let Some(at) = site.at(tier) {
        at.cold.asked = at.cold.asked.plus(at.amount);
    }
    join(site, waiter, tier)
}

fn join(site: &mut Site<'_>, waiter: &Arc<Waiter>, tier: u16) -> Result<(), ErrorKind> {
    let Some(at) = site.at(tier) else { return Err(ErrorKind::Stale) };
    if at.cold.waiters.len() >= WAITERS_MAX {
        return Err(ErrorKind::Capacity);
    }
    at.cold.waiters.join(waiter.clone(), at.amount);
    Ok(())
}

/// Leaves the queue of `tier`. What was waited for was counted as asked for; now it is either `refused` or
/// counted by who takes it.
pub(super) fn leave(site: &mut Site<'_>, waiter: &Arc<Waiter>, tier: u16, refused: bool) {
    let Some(at) = site.at(tier) else { return };
    at.cold.waiters.leave(waiter);
    if refused {
        at.cold.refused = at.cold.refused.saturating_add(at.amount.whole());
    } else {
        at.cold.asked = at.cold.asked - at.amount;
    }
}
