//! Time, permits and rates as integers, each a type of its own so that they cannot be mixed up.
//!
//! All arithmetic saturates: no input can make the core panic or wrap.

use std::ops::Sub;

/// Micro-permits in one permit.
pub const PERMIT: u64 = 1_000_000;
/// Nanoseconds in one second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in one millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// A point or a span of time in nanoseconds of the process's own clock (`CLOCK_BOOTTIME` in production).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// An amount of permits in micro-permits: one permit is 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tokens(pub u64);

/// A rate in nano-permits per second: one permit per second is 1,000,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Nanos = Nanos(0);
    /// Later than anything.
    pub const NEVER: Nanos = Nanos(u64::MAX);

    /// `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Nanos {
        Nanos(ms.saturating_mul(MILLISECOND))
    }

    /// `s` seconds.
    pub const fn from_secs(s: u64) -> Nanos {
        Nanos(s.saturating_mul(SECOND))
    }

    /// This time later by `span`.
    #[must_use]
    pub const fn plus(self, span: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(span.0))
    }

    /// The time from `earlier` to this one; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// `num/den` of this span, rounded down.
    #[must_use]
    pub const fn part(self, num: u64, den: u64) -> Nanos {
        Nanos(clamp(self.0 as u128 * num as u128 / den as u128))
    }
}

impl Tokens {
    /// Nothing.
    pub const ZERO: Tokens = Tokens(0);

    /// `permits` whole permits.
    pub const fn permits(permits: u64) -> Tokens {
        Tokens(permits.saturating_mul(PERMIT))
    }

    /// The whole permits in it, rounded down.
    pub const fn whole(self) -> u64 {
        self.0 / PERMIT
    }

    /// The sum, saturating.
    #[must_use]
    pub const fn plus(self, other: Tokens) -> Tokens {
        Tokens(self.0.saturating_add(other.0))
    }
}

impl Rate {
    /// No refill.
    pub const ZERO: Rate = Rate(0);

    /// `permits` per `period`, rounded down to nano-permits per second.
    pub const fn of(permits: u64, period: Nanos) -> Rate {
        if period.0 == 0 {
            return Rate::ZERO;
        }
        Rate(clamp(permits as u128 * SECOND as u128 * SECOND as u128 / period.0 as u128))
    }

    /// What this rate yields in `span`, rounded down.
    pub const fn over(self, span: Nanos) -> Tokens {
        // nano-permits/s * ns = 1e-18 permits = 1e-12 micro-permits
        Tokens(clamp(self.0 as u128 * span.0 as u128 / 1_000_000_000_000))
    }
}

impl Sub for Tokens {
    type Output = Tokens;
    /// Saturating: an amount is never negative.
    fn sub(self, other: Tokens) -> Tokens {
        Tokens(self.0.saturating_sub(other.0))
    }
}

impl Sub for Rate {
    type Output = Rate;
    /// Saturating: a rate is never negative.
    fn sub(self, other: Rate) -> Rate {
        Rate(self.0.saturating_sub(other.0))
    }
}

/// The nearest u64.
pub const fn clamp(wide: u128) -> u64 {
    if wide > u64::MAX as u128 {
        u64::MAX
    } else {
        wide as u64
    }
}

/// `a * b / c` without overflow, rounded down; zero when `c` is zero.
pub const fn mul_div(a: u64, b: u64, c: u64) -> u64 {
    if c == 0 {
        return 0;
    }
    clamp(a as u128 * b as u128 / c as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_half_a_permit_per_second_is_exact() {
        assert_eq!(Rate::of(1, Nanos::from_secs(2)), Rate(500_000_000));
        assert_eq!(Rate(500_000_000).over(Nanos::from_secs(4)), Tokens::permits(2));
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Nanos::NEVER.plus(Nanos(1)), Nanos::NEVER);
        assert_eq!(Tokens(1) - Tokens(2), Tokens::ZERO);
        assert_eq!(Rate::of(u64::MAX, Nanos(1)), Rate(u64::MAX));
        assert_eq!(mul_div(u64::MAX, u64::MAX, 1), u64::MAX);
        assert_eq!(mul_div(1, 1, 0), 0);
    }
}
