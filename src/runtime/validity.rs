//! Until when shares may be used, one entry for each followed partition of each runtime.
//!
//! The entries stand in one table for the whole process, so that the hot path reads one from a slot's index without
//! caring whether its runtime still exists, and so that a fork can void all of them without a lock.

use crate::core::units::Nanos;
use crate::lock::{Mutex, MutexGuard};
use crate::runtime::clock;
use crate::runtime::decision::Basis;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most entries in a process: partitions that its runtimes follow, and one for each local runtime.
pub const VALIDITIES_MAX: usize = 8_192;

/// One entry.
#[derive(Debug)]
pub struct Validity {
    /// In ticks, for the hot path; `u64::MAX` = for ever, 0 = not.
    until_ticks: AtomicU64,
    /// The same on the true clock.
    until: AtomicU64,
    basis: AtomicU32,
    /// The log is away: under the policy `allow` everything passes.
    away: AtomicU32,
}

static TABLE: [Validity; VALIDITIES_MAX] = [const {
    Validity {
        until_ticks: AtomicU64::new(0),
        until: AtomicU64::new(0),
        basis: AtomicU32::new(0),
        away: AtomicU32::new(0),
    }
}; VALIDITIES_MAX];

/// Entry 0 is never valid: where slots without a home point.
static FREE: Mutex<Free> = Mutex::new((1, Vec::new()));
/// The first that was never used, and those that were given back.
pub(super) type Free = (u32, Vec<u32>);

/// An entry that is in use; it goes back when dropped.
#[derive(Debug)]
pub struct OwnValidity(u32);

impl OwnValidity {
    /// An entry that is not valid yet; `None` when all are in use.
    pub fn take() -> Option<OwnValidity> {
        let mut free = FREE.lock();
        if let Some(index) = free.1.pop() {
            return Some(OwnValidity(index));
        }
        let index = free.0;
        if index as usize >= VALIDITIES_MAX {
            return None;
        }
        free.0 += 1;
        Some(OwnValidity(index))
    }

    /// Its place in the table.
    pub fn index(&self) -> u32 {
        self.0
    }

    /// Valid until `until` from now on, as read at `now`.
    pub fn publish(&self, now: Nanos, until: Nanos, basis: Basis, away: bool) {
        let entry = get(self.0);
        entry.basis.store(basis as u32, Ordering::Relaxed);
        entry.away.store(u32::from(away), Ordering::Relaxed);
        entry.until.store(until.0, Ordering::Release);
        entry.until_ticks.store(clock::deadline(now, until), Ordering::Release);
    }

    /// For a clock that only [`Validity::until`] knows: the hot path never finds it valid.
    pub fn publish_slowly(&self, until: Nanos, basis: Basis) {
        let entry = get(self.0);
        entry.basis.store(basis as u32, Ordering::Relaxed);
        entry.until.store(until.0, Ordering::Release);
    }

    /// Not valid any more.
    pub fn void(&self) {
        let entry = get(self.0);
        entry.until_ticks.store(0, Ordering::Release);
        entry.until.store(0, Ordering::Release);
    }
}

impl Drop for OwnValidity {
    fn drop(&mut self) {
        self.void();
        FREE.lock().1.push(self.0);
    }
}

/// The entry at `index`.
#[inline]
pub fn get(index: u32) -> &'static Validity {
    &TABLE[index as usize % VALIDITIES_MAX]
}

impl Validity {
    /// The tick before which the share may be used without asking anybody.
    #[inline]
    pub fn until_ticks(&self) -> u64 {
        self.until_ticks.load(Ordering::Acquire)
    }

    /// The time before which the share may be used.
    pub fn until(&self) -> Nanos {
        Nanos(self.until.load(Ordering::Acquire))
    }

    /// On what a decision rests that uses it.
    #[inline]
    pub fn basis(&self) -> Basis {
        Basis::from_number(self.basis_number())
    }

    /// The same as a number.
    #[inline]
    pub fn basis_number(&self) -> u32 {
        self.basis.load(Ordering::Relaxed)
    }

    /// Whether the log is away.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed) != 0
    }
}

/// In a forked child: nothing that the parent held may be used here. Takes no lock.
pub(super) fn void_all() {
    for entry in &TABLE {
        entry.until_ticks.store(0, Ordering::Release);
        entry.until.store(0, Ordering::Release);
    }
}

/// To be held over a fork.
pub(super) fn lock_for_fork() -> MutexGuard<'static, Free> {
    FREE.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_invalid_until_published_and_again_when_dropped() {
        let own = OwnValidity::take().unwrap();
        let index = own.index();
        assert_eq!(get(index).until_ticks(), 0);
        let now = clock::boot_time();
        own.publish(now, Nanos::NEVER, Basis::Local, false);
        assert_eq!(get(index).until_ticks(), u64::MAX);
        drop(own);
        assert_eq!((get(index).until_ticks(), get(index).until()), (0, Nanos::ZERO));
    }
}
