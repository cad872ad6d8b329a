//! Keys of limiters with several tiers: each names one bucket a tier, and a decision takes from all of them or from none.
//!
//! The quick way looks at all credits first and then takes them one by one. Where one is gone meanwhile, what was taken is
//! given back if its bucket was not settled since, which leaves no trace, and counts as spent otherwise; then the slow
//! way decides under all locks. So the bound holds either way, and a refusal burns nothing but in a race within a race.

use super::arena::Arena;
use super::decide::{Part, TIERS_MAX};
use super::decision::{self, Basis, Decision};
use super::slot::{self, KeyId, CREDIT_MAX};
use super::{clock, validity};
use crate::core::units::PERMIT;
use crate::ErrorKind;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};

/// Set in the index of a key with several tiers.
const PATH_BIT: u64 = 1 << 32;

pub(super) static PATHS: Arena<Path> = Arena::new();

/// The buckets of one key.
#[repr(align(64))]
#[derive(Debug, Default)]
pub(super) struct Path {
    /// The id, while the key lives; else the last one it had, without its bit.
    id: AtomicU64,
    tiers: AtomicU8,
    keys: [AtomicU64; TIERS_MAX],
    weights: [AtomicU64; TIERS_MAX],
}

/// A key of these buckets, at most [`TIERS_MAX`]; `None` when all places are in use.
pub(super) fn create(buckets: &[(KeyId, u64)]) -> Option<KeyId> {
    let index = PATHS.take()?;
    let path = PATHS.get(index)?;
    let id = KeyId::of_path(index, path.id.load(Ordering::Relaxed));
    path.tiers.store(buckets.len() as u8, Ordering::Relaxed);
    for (at, (key, weight)) in buckets.iter().enumerate() {
        path.keys[at].store(key.0, Ordering::Relaxed);
        path.weights[at].store(*weight, Ordering::Relaxed);
    }
    path.id.store(id.0, Ordering::Release);
    Some(id)
}

/// Ends a key; what it named, if it lived.
pub(super) fn destroy(id: KeyId) -> Option<Parts> {
    let path = PATHS.get(id.path()?)?;
    let parts = get(id);
    // Whoever comes second finds it ended.
    path.id.compare_exchange(id.0, id.0 & !PATH_BIT, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    PATHS.give_back(id.path()?);
    parts.ok()
}

/// What a key of several tiers names, and what a permit costs in each; `None` if it ended.
struct Names {
    all: [(KeyId, u64); TIERS_MAX],
    tiers: usize,
}

impl Names {
    #[inline]
    fn of(id: KeyId) -> Option<Names> {
        let path = PATHS.get(id.path()?)?;
        let mut all = [(KeyId(0), 0); TIERS_MAX];
        let tiers = (path.tiers.load(Ordering::Relaxed) as usize).min(TIERS_MAX);
        for (at, place) in all.iter_mut().enumerate().take(tiers) {
            *place = (KeyId(path.keys[at].load(Ordering::Acquire)), path.weights[at].load(Ordering::Relaxed));
        }
        // Ended meanwhile, it may name another key's buckets by now.
        (path.id.load(Ordering::Acquire) == id.0).then_some(Names { all, tiers })
    }

    #[inline]
    fn all(&self) -> &[(KeyId, u64)] {
        &self.all[..self.tiers]
    }
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
    match Names::of(id) {
        Some(names) => Parts::of(names.all()),
        None => Parts::of(&[(id, 1)]),
    }
}

/// The quick way: `None` when it takes locks to decide.
#[inline]
pub(super) fn try_acquire(id: KeyId, permits: u64) -> Option<Decision> {
    try_keys(Names::of(id)?.all(), permits)
}

/// The quick way with the buckets of these keys, and what a permit costs in each.
#[inline]
pub(super) fn try_keys(keys: &[(KeyId, u64)], permits: u64) -> Option<Decision> {
    let mut found: [Found; TIERS_MAX] = [const { None }; TIERS_MAX];
    let (mut least, mut tightest, mut basis, mut now) = (u64::MAX, 0, Basis::Local as u16, 0);
    let mut dry: Option<(u64, u16)> = None;
    for (at, (key, weight)) in keys.iter().enumerate() {
        let unit = weight.checked_mul(PERMIT)?;
        let cost = permits.checked_mul(unit).filter(|cost| *cost > 0)?;
        let slot = slot::get(key.index())?;
        let validity = validity::get(slot.validity.load(Ordering::Relaxed));
        let until = validity.until_ticks();
        if until != u64::MAX {
            now = if now == 0 { clock::ticks() } else { now };
            if now >= until {
                return None;
            }
        }
        let settlements = slot.settlements.load(Ordering::Acquire);
        let have = slot.credit.load(Ordering::Acquire).wrapping_sub(key.tag());
        if have > CREDIT_MAX {
            return None;
        }
        basis = basis.max(validity.basis() as u16);
        if have < cost {
            now = if now == 0 { clock::ticks() } else { now };
            let until = slot.dry_after(now).filter(|_| cost == PERMIT)?;
            dry = dry.filter(|(longest, _)| *longest >= until).or(Some((until, at as u16)));
            continue;
        }
        let left = (have - cost) / unit;
        if left < least {
            (least, tightest) = (left, at as u16);
        }
        found[at] = Some((slot, cost, settlements));
    }
    if let Some((until, tier)) = dry {
        slot::get(keys[usize::from(tier)].0.index())?.refused.fetch_add(1, Ordering::Relaxed);
        let wait = clock::span(until - now).0;
        return Some(Decision { tier, ..Decision::no(decision::DENIED, wait, 0, Basis::from_number(basis.into())) });
    }
    for (at, (key, _)) in keys.iter().enumerate() {
        let (slot, cost, _) = found[at]?;
        if slot.take_credit(key.tag(), cost).is_err() {
            for ((key, _), found) in keys.iter().zip(found).take(at) {
                let (slot, cost, settlements) = found?;
                slot.give_credit_back(key.tag(), cost, settlements);
            }
            return None;
        }
    }
    Some(Decision { tier: tightest, ..Decision::granted(least, Basis::from_number(basis.into())) })
}

/// A bucket that has the credit, what is to be taken, and how often it was settled before that was seen.
type Found = Option<(&'static slot::Slot, u64, u32)>;

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
