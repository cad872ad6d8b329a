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

/// How a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `permits` per `period` on average, at most `burst` at once: a window of one period may see both.
    #[default]
    TokenBucket,
    /// At most `permits` in any `period`, wherever it begins.
    SlidingWindow,
}

/// `permits` per `period`, counted as its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    kind: Kind,
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
        let burst = if burst == 0 { permits } else { burst };
        Limit::checked(Limit { kind: Kind::TokenBucket, permits, period, burst })
    }

    /// At most `permits` in any half-open span of one `period`, exactly.
    ///
    /// A process that has the limit alone remembers when permits were taken ([`Window`](super::window::Window)). Where
    /// many processes share it they keep it by a token bucket of `burst` (0 = a tenth of `permits`) that refills
    /// `permits - burst + 1` per period: no span of a period then sees more than `permits`, and the long-run rate is that
    /// much below `permits` per period.
    ///
    /// # Errors
    /// As [`Limit::token_bucket`], and when `burst` is above `permits`.
    pub fn sliding_window(permits: u64, period: Nanos, burst: u64) -> Result<Limit, LimitError> {
        let burst = if burst == 0 { (permits / 10).max(1) } else { burst };
        if burst > permits {
            let text = format!("burst {burst} is above permits {permits}, the most that a window lets through");
            return Err(LimitError(text));
        }
        Limit::checked(Limit { kind: Kind::SlidingWindow, permits, period, burst })
    }

    fn checked(limit: Limit) -> Result<Limit, LimitError> {
        let Limit { permits, period, burst, .. } = limit;
        let refuse = |text: String| Err(LimitError(text));
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
        if limit.rate() > RATE_MAX {
            return refuse("the rate is above ten permits per nanosecond; use a longer period or fewer permits".into());
        }
        Ok(limit)
    }

    /// How it counts.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Permits per period.
    pub fn permits(&self) -> u64 {
        self.permits
    }

    /// The period.
    pub fn period(&self) -> Nanos {
        self.period
    }

    /// The most that many processes can take at once.
    pub fn burst(&self) -> Tokens {
        Tokens::permits(self.burst)
    }

    /// The most that a process which has the limit alone can take at once.
    pub fn burst_alone(&self) -> Tokens {
        match self.kind {
            Kind::TokenBucket => self.burst(),
            Kind::SlidingWindow => Tokens::permits(self.permits),
        }
    }

    /// The rate, rounded down to nano-permits per second: what shares are cut from.
    pub fn rate(&self) -> Rate {
        Rate::of(self.refilled(), self.period)
    }

    /// The rate of a process that has the limit alone: of a window all that it lets through in the long run.
    pub fn rate_alone(&self) -> Rate {
        Rate::of(self.permits, self.period)
    }

    /// The rate as an exact fraction: what a bucket that nobody shares refills with.
    pub fn refill(&self) -> Refill {
        Refill { num: self.refilled() * PERMIT, den: self.period.0 }
    }

    /// What a bucket refills in a period. In a half-open span of one period less than that comes, and so at most one
    /// permit less in whole permits: `burst` and that are `permits` together where it has to be.
    fn refilled(&self) -> u64 {
        match self.kind {
            Kind::TokenBucket => self.permits,
            Kind::SlidingWindow => self.permits - self.burst + 1,
        }
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
    fn a_window_that_is_shared_refills_what_its_burst_leaves_and_one_alone_has_all_of_it() {
        let minute = Nanos::from_secs(60);
        let limit = Limit::sliding_window(100, minute, 0).unwrap();
        assert_eq!((limit.burst(), limit.burst_alone()), (Tokens::permits(10), Tokens::permits(100)));
        assert_eq!(limit.refill(), Refill { num: 91 * PERMIT, den: minute.0 });
        assert_eq!((limit.rate(), limit.rate_alone()), (Rate::of(91, minute), Rate::of(100, minute)));
        assert_eq!(
            Limit::sliding_window(1, minute, 0).unwrap().refill().num,
            PERMIT,
            "one in a minute is one in a minute"
        );
        assert!(Limit::sliding_window(5, minute, 5).is_ok() && Limit::sliding_window(5, minute, 6).is_err());
        assert_ne!(Limit::token_bucket(91, minute, 10).unwrap(), limit, "with the same numbers");
    }

    /// Greedy takers of whole permits, at the worst moments: none of the bucket's spans of a period sees more.
    #[test]
    fn the_bucket_that_stands_for_a_window_keeps_its_promise_at_every_moment() {
        use crate::core::bucket::Bucket;
        let span = 1_000;
        for (permits, burst) in [(1, 1), (2, 1), (2, 2), (7, 3), (10, 1), (10, 10), (60, 6)] {
            let limit = Limit::sliding_window(permits, Nanos(span), burst).unwrap();
            let mut bucket = Bucket::full(limit.burst(), limit.refill(), Nanos(0));
            let (mut taken, mut most) = (Vec::new(), 0);
            for now in 0..4 * span {
                bucket.settle(Nanos(now), Tokens::ZERO);
                // Idle for the first period, then everything that comes.
                while now >= span && bucket.take(Tokens::permits(1)) {
                    taken.push(now);
                }
                most = most.max(taken.iter().filter(|at| now - **at < span).count() as u64);
            }
            assert_eq!(most, permits, "{permits} with a burst of {burst}: no more, and no less");
        }
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
