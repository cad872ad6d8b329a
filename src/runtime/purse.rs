//! What a key of several tiers takes from all its buckets beforehand, so that a decision is one atomic step and not one a tier.
//!
//! A purse is filled under the locks of all its buckets, right after they were settled, with permits that each of them then has
//! *lent*. For a bucket they are paid out, like its own credit, and spent where they are missing when it is settled next: it is
//! as exact as without a purse ([`slot`]).
//!
//! Whoever settles one of the buckets, for any reason, closes the purse: nothing is taken out of it any more, and each bucket
//! takes back its part of what was left when it is settled itself, or when the key ends. It is filled anew only when all of them
//! have: so all of them find the same left.

use super::decision::{Basis, Decision};
use super::slot::{self, KeyId, CREDIT_MAX};
use super::{clock, validity};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering};

/// Bits of a purse's word: permits, closed or not, the number of the filling, and the key's generation as in a credit word.
const LEFT: u64 = (1 << 24) - 1;
const CLOSED: u64 = 1 << 24;
const FILLING: u64 = 1 << 25;
const _: () = assert!(FILLING < CREDIT_MAX && LEFT >= CREDIT_MAX / crate::core::units::PERMIT);

/// The purse of one key.
#[derive(Debug)]
pub(super) struct Purse {
    word: AtomicU64,
    /// Permits that the tightest bucket has beyond, and which tier that is.
    beyond: AtomicU64,
    tightest: AtomicU16,
    /// How many buckets the key has: here, where there is room.
    pub(super) tiers: AtomicU8,
    /// How many [`validity`] entries it needs, and which.
    kinds: AtomicU8,
    validities: [AtomicU32; super::decide::TIERS_MAX],
}

impl Default for Purse {
    fn default() -> Purse {
        Purse {
            word: AtomicU64::new(CLOSED),
            beyond: AtomicU64::new(0),
            tightest: AtomicU16::new(0),
            tiers: AtomicU8::new(0),
            kinds: AtomicU8::new(0),
            validities: Default::default(),
        }
    }
}

/// What one bucket has in a purse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lent {
    pub(super) purse: &'static Purse,
    /// What a permit costs this bucket.
    pub(super) unit: u64,
}

impl Purse {
    /// Takes `permits` if they are in it and every share is valid. Zero permits are never in it.
    #[inline]
    pub(super) fn take(&self, id: KeyId, permits: u64, out: Option<&mut Decision>) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let left = word & LEFT;
            if word & CLOSED != 0 || (word ^ id.tag()) > CREDIT_MAX || permits.wrapping_sub(1) >= left {
                return false;
            }
            // Read after the word. If they are of a later filling, so is the word by now, and the step fails.
            let until = self.each_validity().fold(u64::MAX, |until, one| until.min(one.until_ticks()));
            // What is valid for ever needs no clock.
            if until != u64::MAX && clock::ticks() >= until {
                return false;
            }
            match self.word.compare_exchange_weak(word, word - permits, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if let Some(out) = out {
                        *out = self.granted(left - permits);
                    }
                    return true;
                }
                Err(_) => word = slot::back_off(&self.word),
            }
        }
    }

    #[inline]
    fn each_validity(&self) -> impl Iterator<Item = &'static validity::Validity> + '_ {
        let kinds = usize::from(self.kinds.load(Ordering::Relaxed));
        self.validities.iter().take(kinds).map(|index| validity::get(index.load(Ordering::Relaxed)))
    }

    /// What a grant has to say that leaves so many permits. Filled anew meanwhile, it says what is true by now.
    #[inline]
    fn granted(&self, left: u64) -> Decision {
        let basis = self.each_validity().map(validity::Validity::basis_number).max().unwrap_or_default();
        let remaining = left + self.beyond.load(Ordering::Relaxed);
        let tier = self.tightest.load(Ordering::Relaxed);
        Decision { tier, ..Decision::granted(remaining, Basis::from_number(basis)) }
    }

    /// Puts `permits` in, which every bucket has lent; `tightest` has so many beyond. Only under the locks of all of them, and
    /// only when none has anything in it.
    pub(super) fn fill(&self, id: KeyId, permits: u64, tightest: (u16, u64), validities: impl Iterator<Item = u32>) {
        let mut kinds = 0;
        for index in validities {
            if self.validities[..kinds].iter().all(|known| known.load(Ordering::Relaxed) != index) {
                self.validities[kinds].store(index, Ordering::Relaxed);
                kinds += 1;
            }
        }
        self.kinds.store(kinds as u8, Ordering::Relaxed);
        self.tightest.store(tightest.0, Ordering::Relaxed);
        self.beyond.store(tightest.1, Ordering::Relaxed);
        // One that is about to take finds another number, however much is left.
        let filling =
            (self.word.load(Ordering::Relaxed) & CREDIT_MAX & !(LEFT | CLOSED)).wrapping_add(FILLING) & CREDIT_MAX;
        self.word.store(id.tag() | filling | permits, Ordering::Release);
    }

    /// Closes it: what is left in it, the same for everybody who asks until it is filled again.
    pub(super) fn close(&self) -> u64 {
        self.word.fetch_or(CLOSED, Ordering::AcqRel) & LEFT
    }

    /// What is in it.
    pub(super) fn left(&self) -> u64 {
        self.word.load(Ordering::Acquire) & LEFT
    }
}

#[cfg(test)]
mod tests {
    use super::super::validity::OwnValidity;
    use super::*;
    use crate::core::units::Nanos;

    const KEY: KeyId = KeyId(7 << 40 | 1 << 32);
    const NEXT: KeyId = KeyId(8 << 40 | 1 << 32);

    fn filled(permits: u64, validities: &[&OwnValidity]) -> Purse {
        let purse = Purse::default();
        purse.fill(KEY, permits, (2, 90), validities.iter().map(|own| own.index()));
        purse
    }

    fn valid() -> OwnValidity {
        let own = OwnValidity::take().unwrap();
        own.publish(clock::boot_time(), Nanos::NEVER, Basis::Local, false);
        own
    }

    #[test]
    fn a_purse_gives_what_is_in_it_and_never_nothing_or_more() {
        let own = valid();
        let purse = filled(5, &[&own, &own]);
        let mut decision = Decision::default();
        assert!(!purse.take(KEY, 0, None) && !purse.take(KEY, 6, None) && !purse.take(KEY, u64::MAX, None));
        assert!(purse.take(KEY, 3, Some(&mut decision)));
        assert_eq!((decision.status, decision.remaining, decision.tier), (0, 2 + 90, 2));
        assert!(!purse.take(KEY, 3, None) && purse.take(KEY, 2, None) && !purse.take(KEY, 1, None));
    }

    #[test]
    fn a_purse_that_was_never_filled_was_closed_or_is_another_keys_gives_nothing() {
        let own = valid();
        assert!(!Purse::default().take(KEY, 1, None));
        let purse = filled(5, &[&own]);
        assert!(!purse.take(NEXT, 1, None) && purse.take(KEY, 1, None));
        assert_eq!([purse.close(), purse.close(), purse.left()], [4; 3], "whoever asks finds the same");
        assert!(!purse.take(KEY, 1, None));
        purse.fill(NEXT, 9, (0, 0), [own.index()].into_iter());
        assert!(!purse.take(KEY, 1, None) && purse.take(NEXT, 9, None));
    }

    #[test]
    fn a_purse_needs_every_share_that_is_in_it() {
        let (one, other) = (valid(), OwnValidity::take().unwrap());
        let purse = filled(5, &[&one, &other]);
        assert!(!purse.take(KEY, 1, None));
        other.publish(clock::boot_time(), clock::boot_time().plus(Nanos::from_secs(60)), Basis::KeptShare, false);
        let mut decision = Decision::default();
        assert!(purse.take(KEY, 1, Some(&mut decision)));
        assert_eq!(decision.basis(), Basis::KeptShare, "the one that promises least");
        drop(other);
        assert!(!purse.take(KEY, 1, None));
        assert_eq!(purse.left(), 4);
    }

    #[test]
    fn no_two_fillings_in_a_row_have_the_same_word() {
        let own = valid();
        let purse = filled(5, &[&own]);
        // All numbers there are, and some once more.
        for _ in 0..if cfg!(miri) { 40 } else { 40_000 } {
            let before = purse.word.load(Ordering::Relaxed);
            purse.close();
            purse.fill(KEY, 5, (0, 0), [own.index()].into_iter());
            assert!(purse.word.load(Ordering::Relaxed) != before && purse.take(KEY, 1, None));
        }
    }
}
