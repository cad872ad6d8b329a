//! Limits that do more than refuse: their guards are asked before the buckets and told the answer, under the same locks.

use super::decide::Site;
use super::decision::{self, Basis, Decision};
use crate::core::enforcement::Guard;

/// The refusal of a breaker that is open, if one is: then no bucket is asked, and no other guard either.
pub(super) fn ask_guards(site: &mut Site<'_>) -> Option<Decision> {
    let now = site.now;
    let mut refusal: Option<Decision> = None;
    for (tier, at) in (0u16..).zip(site.each()) {
        let shadow = at.cold.limit.shadow;
        let Some(wait) = at.cold.guard.as_ref().filter(|_| !shadow).and_then(|guard| guard.refuses(now)) else {
            continue;
        };
        if refusal.is_none_or(|worst| wait.0 > worst.retry_after_ns) {
            let no = Decision::no(decision::DENIED, wait.0.max(1), at.cold.level().whole(), Basis::Breaker);
            refusal = Some(Decision { tier, ..no });
        }
    }
    if refusal.is_some() {
        return refusal;
    }
    for at in site.each() {
        let edge = at.cold.guard.as_mut().and_then(|guard| guard.before(now).1);
        if let Some(edge) = edge {
            at.cold.owner.events().edge(edge, at.cold);
        }
    }
    None
}

/// Tells the guards what their buckets answered: a bit in `refused` for each that had not enough, and in `unshared` for each
/// of them that has no share, which only a probe has to know. A waiter that looks in vain was told of already.
pub(super) fn tell_guards(site: &mut Site<'_>, refused: u8, unshared: u8, is_waiter: bool) {
    let now = site.now;
    for (tier, at) in site.each().enumerate() {
        let granted = refused >> tier & 1 == 0;
        let (level, cap) = (at.cold.level(), at.cold.cap());
        let without_share = unshared >> tier & 1 == 1;
        let counts = |guard: &Guard| granted || !is_waiter && (!without_share || guard.is_probing());
        let Some(guard) = at.cold.guard.as_mut().filter(|guard| counts(guard)) else { continue };
        if let Some(edge) = guard.after(now, granted, level, cap) {
            at.cold.owner.events().edge(edge, at.cold);
        }
    }
}
