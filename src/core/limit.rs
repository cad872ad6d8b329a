//! A validated limit: rate, burst and what happens in an outage. An illegal one cannot be built.

use super::bucket::Refill;
use super::units::{Nanos, Rate, Tokens, PERMIT};
use std::fmt;

/// Most permits a period or a burst may hold: keeps every product of the core inside 128 bits.
pub const PERMITS_MAX: u64 = 1_000_000_000_000;
/// Longest period: ten years.
pub const PERIOD_MAX: Nanos = Nanos::from_secs(315_360_000);
/// Fastest rate: ten permits per nanosecond.
pub const RATE_MAX: Rate = Rate(10_000_000_000_000_000_000);

/// What a process does when it cannot renew its share because the log is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// Go on with the last share. Exact while nobody can write the log; a process that alone is cut off
    /// adds at most its own share.
    #[default]
    KeepShare,
    /// Refuse once the share is no longer valid: the bound holds unconditionally.
    Deny,
    /// Let everything through, and count it.
    Allow,
}

/// A token bucket: `permits` per `period`, at most `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    permits: u64,
    period: Nanos,
    burst: u64,
}

/// Why a limit was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError(String);

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LimitError {}

impl Limit {
    /// `permits` per `period`, at most `burst` at once (0 = `permits`).
    ///
    /// # Errors
    /// When the rate is zero or one of the numbers is beyond its bound.
    pub fn token_bucket(permits: u64, period: Nanos, burst: u64) -> Result<Limit, LimitError> {
        let refuse = |text: String| Err(LimitError(text));
        let burst = if burst == 0 { permits } else { burst };
        if permits == 0 {
            return refuse("permits is 0; a limit needs at least 1 permit per period".into());
        }
        if period.0 == 0 {
            return refuse("period is 0; give the time in which `permits` are let through".into());
        }
        if permits > PERMITS_MAX || burst > PERMITS_MAX {
            return refuse(format!("permits {permits} or burst {burst} is above the maximum of {PERMITS_MAX}"));
        }
        if period > PERIOD_MAX {
            return refuse(format!("period of {} ns is above the maximum of {} ns", period.0, PERIOD_MAX.0));
        }
        let limit = Limit { permits, period, burst };
        if limit.rate() > RATE_MAX {
            return refuse("the rate is above ten permits per nanosecond; use a longer period or fewer permits".into());
        }
        Ok(limit)
    }

    /// Permits per period.
    pub fn permits(&self) -> u64 {
        self.permits
    }

    /// The period.
    pub fn period(&self) -> Nanos {
        self.period
    }

    /// The most that can be taken at once.
    pub fn burst(&self) -> Tokens {
        Tokens::permits(self.burst)
    }

    /// The rate, rounded down to nano-permits per second: what shares are cut from.
    pub fn rate(&self) -> Rate {
        Rate::of(self.permits, self.period)
    }

    /// The rate as an exact fraction: what a bucket that nobody shares refills with.
    pub fn refill(&self) -> Refill {
        Refill { num: self.permits * PERMIT, den: self.period.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_zero_means_one_period() {
        let limit = Limit::token_bucket(7, Nanos::from_secs(1), 0).unwrap();
        assert_eq!(limit.burst(), Tokens::permits(7));
    }

    #[test]
    fn an_illegal_limit_cannot_be_built() {
        let second = Nanos::from_secs(1);
        assert!(Limit::token_bucket(0, second, 1).is_err());
        assert!(Limit::token_bucket(1, Nanos::ZERO, 1).is_err());
        assert!(Limit::token_bucket(PERMITS_MAX + 1, second, 1).is_err());
        assert!(Limit::token_bucket(1, second, PERMITS_MAX + 1).is_err());
        assert!(Limit::token_bucket(1, Nanos(PERIOD_MAX.0 + 1), 1).is_err());
        assert!(Limit::token_bucket(PERMITS_MAX, second, 1).is_err());
        assert!(Limit::token_bucket(PERMITS_MAX, Nanos::from_secs(100), PERMITS_MAX).is_ok());
    }
}
