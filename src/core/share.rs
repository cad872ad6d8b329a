//! A process's part of a limit, and what the protocol asks of the buckets that spend it.

use super::bucket::{Bucket, Refill};
use super::pace::scaled;
use super::units::{Nanos, Rate, Tokens};

/// Shares mint slower than granted by 1/2048 (488 ppm): a clock that runs fast by less cannot overdraw.
const DRIFT_DEN: u64 = 2048;
/// Two readings of a clock are by less than this further apart than the time between them.
const CLOCK_GRAIN: Nanos = Nanos(1);

/// The part of a limit's rate and burst that one process may spend by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The part of the rate.
    pub rate: Rate,
    /// The part of the burst.
    pub burst: Tokens,
}

impl Share {
    /// Nothing.
    pub const NONE: Share = Share { rate: Rate::ZERO, burst: Tokens::ZERO };

    /// What a bucket holding this share refills with, slowed against clock drift.
    pub fn refill(&self) -> Refill {
        // Rate is in 1e-12 micro-permits per nanosecond.
        Refill { num: self.rate.0, den: 1_000_000_000_000 / (DRIFT_DEN - 1) * DRIFT_DEN + DRIFT_DEN }
    }

    /// Gives a settled bucket this share, at `ppm` of its pace, and returns what stood above its burst.
    ///
    /// Clocks show whole nanoseconds: between two readings almost one less may have passed. So the first nanosecond refills
    /// nothing, of a share and after each time that its bucket was full; what follows is one span, however often it is
    /// settled.
    pub fn give(&self, bucket: &mut Bucket, ppm: u32) -> Tokens {
        let above = bucket.reshape(self.burst, scaled(self.refill(), ppm));
        bucket.doubt(CLOCK_GRAIN);
        above
    }
}

/// The runtime's name for one of its buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketRef(pub u32);

/// How a bucket was used since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What is in it now.
    pub level: Tokens,
    /// Whether it holds all its share of the burst.
    pub full: bool,
    /// Permits asked for since the last call, granted and refused.
    pub asked: Tokens,
    /// Whether a request could not be served since the last call, or is waiting now.
    pub refused: bool,
    /// The largest single request refused since the last call or waiting now.
    pub largest: Tokens,
}

/// This process's buckets as the protocol sees them. Each call is one atomic step against admissions: the
/// level, the share and what is handed back change together or not at all.
pub trait Buckets {
    /// Settles and reports.
    fn usage(&mut self, bucket: BucketRef, now: Nanos) -> Usage;
    /// Settles, takes on `share`, then puts `arrived` in (up to the new burst).
    fn grow(&mut self, bucket: BucketRef, now: Nanos, share: Share, arrived: Tokens);
    /// Settles, comes down to `share`, and returns what stood above its burst.
    fn shrink(&mut self, bucket: BucketRef, now: Nanos, share: Share) -> Tokens;
    /// The session is over: no share, no tokens.
    fn forfeit(&mut self, bucket: BucketRef, now: Nanos);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::SECOND;

    #[test]
    fn a_share_mints_slower_than_granted_by_half_a_thousandth() {
        let share = Share { rate: Rate::of(2_000_000, Nanos(SECOND)), burst: Tokens::permits(u32::MAX.into()) };
        let mut bucket = Bucket::empty(share.burst, share.refill(), Nanos(0));
        bucket.settle(Nanos(100 * SECOND), Tokens::ZERO);
        let minted = bucket.level().whole();
        assert!(minted <= 200_000_000 * 2047 / 2048, "{minted}");
        assert!(minted > 200_000_000 / 10_000 * 9_994, "{minted}");
    }

    #[test]
    fn readings_a_nanosecond_apart_may_be_almost_none_apart_and_refill_nothing_yet() {
        let share = Share { rate: Rate::of(1_000_000_000, Nanos(SECOND)), burst: Tokens::permits(100) };
        let mut bucket = Bucket::empty(Tokens::ZERO, Refill::NONE, Nanos(5));
        assert_eq!(share.give(&mut bucket, 1_000_000), Tokens::ZERO);
        bucket.settle(Nanos(6), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::ZERO);
        bucket.settle(Nanos(7), Tokens::ZERO);
        assert!((900_000..=1_000_000).contains(&bucket.level().0), "one nanosecond has passed: {:?}", bucket.level());
        // So it is where a bucket was full, and not where it is only settled.
        bucket.settle(Nanos(1_000_000), Tokens::permits(50));
        for now in [1_000_001, 1_000_002, 1_000_003] {
            bucket.settle(Nanos(now), Tokens::ZERO);
        }
        assert!((51_900_000..=52_000_000).contains(&bucket.level().0), "{:?}", bucket.level());
    }
}
