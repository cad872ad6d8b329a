//! Keys of limiters with several tiers: each names one bucket a tier, and a decision takes from all of them or from none.
//!
//! The quick way takes from the key's [`purse`](super::purse). If that has not enough, it looks at all credits first and then takes
//! them one by one. Where one is gone meanwhile, what was taken is
//! given back if its bucket was not settled since, which leaves no trace, and counts as spent otherwise; then the slow
//! way decides under all locks. So the bound holds either way, and a refusal burns nothing but in a race within a race.

use super::arena::Arena;
use super::decide::{Part, TIERS_MAX};
use super::decision::{self, Basis, Decision};
use super::purse::Purse;
use super::slot::{self, KeyId, Slot, CREDIT_MAX};
use super::{clock, validity};
use crate::core::units::PERMIT;
use crate::ErrorKind;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// Set in the index of a key with several tiers.
const PATH_BIT: u64 = 1 << 32;

pub(super) static PATHS: Arena<Path> = Arena::new();

/// The buckets of one key.
#[repr(align(64))]
#[derive(Debug, Default)]
pub(super) struct Path {
    /// The id, while the key lives; else the last one it had, without its bit.
    id: AtomicU64,
    pub(super) purse: Purse,
    named: [Named; TIERS_MAX],
}

/// One bucket, and what a permit costs there.
#[derive(Debug, Default)]
struct Named {
    /// Where it stands: slots are never freed.
    slot: AtomicPtr<Slot>,
    key: AtomicU64,
    weight: AtomicU64,
}

impl Named {
    #[inline]
    fn part(&self) -> Option<Part> {
        // SAFETY: null, or a slot, which lives as long as the process.
        let slot = unsafe { self.slot.load(Ordering::Acquire).as_ref() }?;
        Some(Part { slot, id: KeyId(self.key.load(Ordering::Relaxed)), weight: self.weight.load(Ordering::Relaxed) })
    }
}

/// A key of these buckets, at most [`TIERS_MAX`]; `None` when all places are in use.
pub(super) fn create(buckets: &[(KeyId, u64)]) -> Option<KeyId> {
    let parts = Parts::of(buckets).ok()?;
    let index = PATHS.take()?;
    let path = PATHS.get(index)?;
    let id = KeyId::of_path(index, path.id.load(Ordering::Relaxed));
    path.purse.tiers.store(buckets.len() as u8, Ordering::Relaxed);
    for (part, named) in parts.all().iter().zip(&path.named) {
        named.key.store(part.id.0, Ordering::Relaxed);
        named.weight.store(part.weight, Ordering::Relaxed);
        named.slot.store(std::ptr::from_ref(part.slot).cast_mut(), Ordering::Release);
    }
    path.id.store(id.0, Ordering::Release);
    Some(id)
}

/// Ends a key; what it named, if it lived.
pub(super) fn destroy(id: KeyId) -> Option<Parts> {
    let path = PATHS.get(id.path()?)?;
    let parts = path.parts(id);
    // Whoever comes second finds it ended.
    path.id.compare_exchange(id.0, id.0 & !PATH_BIT, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    path.purse.close();
    // The next key here finds nothing lent to its purse.
    for part in parts.iter().flat_map(Parts::all).filter(|part| !part.slot.is_of_another_process()) {
        part.slot.with(part.id, |slot, cold| cold.take_back(slot, &path.purse));
    }
    PATHS.give_back(id.path()?);
    parts
}

/// The place of a key with several tiers.
pub(super) fn of(id: KeyId) -> Option<(&'static Path, KeyId)> {
    PATHS.get(id.path()?).map(|path| (path, id))
}

/// The buckets of a key, in the order of the tiers; at least one.
pub(super) struct Parts {
    all: [Part; TIERS_MAX],
    tiers: usize,
}

impl Parts {
    /// The buckets of these keys, with what a permit costs in each.
    pub(super) fn of(keys: &[(KeyId, u64)]) -> Result<Parts, ErrorKind> {
        let part = |(id, weight): (KeyId, u64)| slot::get(id.index()).map(|slot| Part { slot, id, weight });
        let first = keys.first().copied().and_then(part).ok_or(ErrorKind::Stale)?;
        let mut all = [first; TIERS_MAX];
        for (key, place) in keys.iter().zip(&mut all) {
            *place = part(*key).ok_or(ErrorKind::Stale)?;
        }
        Ok(Parts { all, tiers: keys.len() })
    }

    pub(super) fn all(&self) -> &[Part] {
        &self.all[..self.tiers]
    }
}

/// The buckets of any key: one for a plain one.
pub(super) fn get(id: KeyId) -> Result<Parts, ErrorKind> {
    match id.path() {
        Some(index) => PATHS.get(index).and_then(|path| path.parts(id)).ok_or(ErrorKind::Stale),
        None => Parts::of(&[(id, 1)]),
    }
}

/// Runs `$run` with a number of tiers that the compiler knows as `$n`, or the bookkeeping costs more than the buckets.
macro_rules! with_tiers {
    ($tiers:expr, $n:ident => $run:expr) => {
        with_tiers!($tiers, $n => $run, 1 2 3 4 5 6 7 8)
    };
    ($tiers:expr, $n:ident => $run:expr, $($number:literal)*) => {
        match $tiers {
            $($number => {
                const $n: usize = $number;
                $run
            })*
            _ => None,
        }
    };
}

/// The quick way, which writes its answer where it is wanted: `None` when it takes locks to decide.
#[inline]
pub(super) fn try_acquire(id: KeyId, permits: u64, mut out: Option<&mut Decision>) -> Option<i32> {
    let path = PATHS.get(id.path()?)?;
    if path.purse.take(id, permits, out.as_deref_mut()) {
        return Some(decision::OK);
    }
    with_tiers!(path.purse.tiers.load(Ordering::Relaxed), N => take(path.named::<N>(id)?, permits, out))
}

/// The quick way with these buckets.
pub(super) fn try_parts(parts: &[Part], permits: u64) -> Option<Decision> {
    let mut decision = Decision::default();
    let out = Some(&mut decision);
    with_tiers!(parts.len(), N => take::<N>(*parts.first_chunk()?, permits, out))?;
    Some(decision)
}

const _: () = assert!(TIERS_MAX == 8);
const _: () = assert!(size_of::<Path>() == 256);

impl Path {
    /// What the key names, if it lives and has `N` tiers.
    #[inline]
    fn named<const N: usize>(&self, id: KeyId) -> Option<[Part; N]> {
        let first = self.named[0].part()?;
        let mut parts = [first; N];
        for (part, named) in parts.iter_mut().zip(&self.named) {
            *part = named.part()?;
        }
        self.is(id).then_some(parts)
    }

    fn parts(&self, id: KeyId) -> Option<Parts> {
        let tiers = usize::from(self.purse.tiers.load(Ordering::Relaxed)).min(TIERS_MAX);
        let mut all = [self.named[0].part()?; TIERS_MAX];
        for (part, named) in all.iter_mut().zip(&self.named).take(tiers) {
            *part = named.part()?;
        }
        self.is(id).then_some(Parts { all, tiers })
    }

    /// Whether the key lives: ended while its names were read, they may be another key's.
    #[inline]
    pub(super) fn is(&self, id: KeyId) -> bool {
        std::sync::atomic::fence(Ordering::Acquire);
        self.id.load(Ordering::Acquire) == id.0
    }
}

/// Looks whether all buckets have the credit, then takes it from one after the other.
#[inline(always)]
fn take<const N: usize>(parts: [Part; N], permits: u64, out: Option<&mut Decision>) -> Option<i32> {
    // Zero permits, and amounts that would overflow, are looked at slowly.
    if permits.wrapping_sub(1) >= CREDIT_MAX / PERMIT {
        return None;
    }
    let costs = parts.map(|part| permits * PERMIT * part.weight);
    let (mut until, mut enough) = (u64::MAX, true);
    let mut left = [0; N];
    for at in 0..N {
        let Part { slot, id, .. } = parts[at];
        until = until.min(validity::get(slot.validity.load(Ordering::Relaxed)).until_ticks());
        let have = slot.credit.load(Ordering::Acquire).wrapping_sub(id.tag());
        enough &= (costs[at]..=CREDIT_MAX).contains(&have);
        left[at] = have.wrapping_sub(costs[at]) & CREDIT_MAX;
    }
    if !enough {
        return refuse(&parts, &costs, out);
    }
    // What is valid for ever needs no clock.
    if until != u64::MAX && clock::ticks() >= until {
        return None;
    }
    let mut settlements = [0; N];
    for at in 0..N {
        let Part { slot, id, .. } = parts[at];
        settlements[at] = slot.settlements.load(Ordering::Acquire);
        if !slot.take_credit(id.tag(), costs[at]) && !slot.take_more(id, costs[at]) {
            give_back(&parts[..at], &costs, &settlements);
            return None;
        }
    }
    if let Some(out) = out {
        *out = granted(&parts, &left);
    }
    Some(decision::OK)
}

/// What a grant has to say that leaves so much of the credits: the tier with least left, and the basis that promises least.
#[inline(always)]
fn granted<const N: usize>(parts: &[Part; N], left: &[u64; N]) -> Decision {
    let (mut least, mut unit, mut tightest, mut basis) = (2 * CREDIT_MAX + 1, 1, 0, 0);
    for at in 0..N {
        let Part { slot, weight, .. } = parts[at];
        basis = validity::get(slot.validity.load(Ordering::Relaxed)).basis_number().max(basis);
        // Whether left/weight is the least so far, without a division, which costs as much as a bucket. Credit and what is
        // beyond it are below 2^41 together, and a weight below 2^20: no product overflows.
        let left = left[at] + slot.beyond.load(Ordering::Relaxed);
        if left * unit < least * weight {
            (least, unit, tightest) = (left, weight, at as u16);
        }
    }
    Decision { tier: tightest, ..Decision::granted(least / PERMIT / unit, Basis::from_number(basis)) }
}

/// One of several was gone meanwhile.
#[cold]
#[inline(never)]
fn give_back(parts: &[Part], costs: &[u64], settlements: &[u32]) {
    for ((part, cost), settlements) in parts.iter().zip(costs).zip(settlements) {
        part.slot.give_credit_back(part.id.tag(), *cost, *settlements);
    }
}

/// A refusal that is foreseen: every bucket that has not enough cannot have a single permit yet.
#[inline(never)]
fn refuse(parts: &[Part], costs: &[u64], out: Option<&mut Decision>) -> Option<i32> {
    let now = clock::ticks();
    let mut basis = 0;
    let mut dry: Option<(u64, u16)> = None;
    for (at, (part, cost)) in (0..).zip(parts.iter().zip(costs)) {
        let validity = validity::get(part.slot.validity.load(Ordering::Relaxed));
        let have = part.slot.credit.load(Ordering::Acquire).wrapping_sub(part.id.tag());
        if now >= validity.until_ticks() || have > CREDIT_MAX {
            return None;
        }
        basis = validity.basis_number().max(basis);
        if have < *cost {
            let until = part.slot.dry_after(now).filter(|_| *cost == PERMIT)?;
            dry = dry.filter(|(longest, _)| *longest >= until).or(Some((until, at)));
        }
    }
    let (until, tier) = dry?;
    parts[usize::from(tier)].slot.refused.fetch_add(1, Ordering::Relaxed);
    if let Some(out) = out {
        let no = Decision::no(decision::DENIED, clock::span(until - now).0, 0, Basis::from_number(basis));
        *out = Decision { tier, ..no };
    }
    Some(decision::DENIED)
}

impl KeyId {
    /// The id of the key at `index` of the paths, whose last id had the generation of `last`.
    fn of_path(index: u32, last: u64) -> KeyId {
        let next = (last & !CREDIT_MAX).wrapping_add(CREDIT_MAX + 1).max(CREDIT_MAX + 1);
        KeyId(next | PATH_BIT | u64::from(index))
    }

    /// Where it stands among the paths, if it does.
    fn path(self) -> Option<u32> {
        let index = self.0 & CREDIT_MAX;
        (index & PATH_BIT != 0).then_some(index ^ PATH_BIT).and_then(|index| u32::try_from(index).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::Nanos;
    use crate::runtime::acquire::{peek, slowly, try_acquire as acquire};
    use crate::runtime::decide::CONTENTION;
    use crate::runtime::tickets;
    use crate::{Limit, Limiter, Runtime, Tier};
    use std::time::Duration;

    /// Two keys that have one of their two tiers in common, in a runtime whose clock is real, and their purses.
    fn two_keys() -> (Runtime, Limiter, [(KeyId, &'static Purse); 2]) {
        let runtime = Runtime::local(&crate::Options::default()).unwrap();
        let limit = Limit::token_bucket(1, Nanos::from_secs(3_600), 160_000).unwrap();
        let limiter = runtime.tiered("x", &[Tier::new("all", limit), Tier::new("own", limit).per("who")]).unwrap();
        let keys = ["a", "b"].map(|who| {
            let key = limiter.key_id(who).unwrap();
            (key, &of(key).unwrap().0.purse)
        });
        // The credit that the common bucket was born with.
        assert!(acquire(keys[0].0, 10_000).is_granted());
        (runtime, limiter, keys)
    }

    #[test]
    fn a_decision_under_locks_fills_the_purse_and_the_next_ones_take_from_it_alone() {
        let (_runtime, _limiter, [(a, purse), _]) = two_keys();
        assert!(acquire(a, 1).is_granted());
        let filled = purse.left();
        assert!(acquire(a, 7).is_granted());
        assert_eq!((filled, purse.left()), (10_000, 9_993), "a sixteenth of the burst");
    }

    #[test]
    fn where_keys_take_turns_each_takes_from_the_buckets_until_they_cease_for_a_while() {
        let (_runtime, _limiter, [(a, its), (b, other)]) = two_keys();
        assert!(acquire(a, 1).is_granted() && acquire(b, 1).is_granted());
        assert!((0..300).all(|_| acquire(a, 100).is_granted() && acquire(b, 100).is_granted()));
        assert!(!its.take(a, 1, None) && !other.take(b, 1, None));
        (0..CONTENTION).for_each(|_| assert!(peek(a).is_granted()));
        assert!((0..200).all(|_| acquire(a, 100).is_granted()));
        assert!(its.take(a, 1, None));
    }

    #[test]
    fn a_key_that_is_released_gives_its_buckets_back_what_it_took_beforehand_and_is_filled_by_nobody_who_comes_late() {
        let (_runtime, limiter, [(a, purse), _]) = two_keys();
        let _other_handle = limiter.key("a").unwrap();
        assert!(acquire(a, 1).is_granted());
        let parts = path_parts(a);
        crate::runtime::release(a).unwrap();
        assert!(!purse.take(a, 1, None));
        let credits = parts.iter().map(|part| part.slot.credit.load(Ordering::Relaxed) & CREDIT_MAX);
        assert_eq!(credits.collect::<Vec<_>>(), [10_000 * PERMIT; 2]);
        assert!((0..2).all(|_| slowly(&parts, 1, of(a)).is_granted()));
        assert!(!purse.take(a, 1, None));
    }

    #[test]
    fn a_key_that_reserves_wants_the_common_bucket_too() {
        let (_runtime, _limiter, [(a, purse), (b, _)]) = two_keys();
        assert!(acquire(a, 1).is_granted() && purse.take(a, 1, None));
        assert!(tickets::reserve(b, 1, Duration::ZERO).0.is_granted());
        assert!(acquire(a, 1).is_granted() && !purse.take(a, 1, None));
    }

    fn path_parts(id: KeyId) -> Vec<Part> {
        get(id).map(|parts| parts.all().to_vec()).unwrap_or_default()
    }
}
