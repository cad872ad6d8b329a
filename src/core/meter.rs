//! What counts a limit in one process: a token bucket, or an exact sliding window.
//!
//! A share of a limit is always a bucket. A window is for a process that has its limit alone; it follows a clock of its own,
//! which a [`pace`](super::pace) below full slows down: while a limit is paused, nothing leaves the window.

use super::bucket::{credit, Bucket, Saved};
use super::limit::{Kind, Limit};
use super::pace::{scaled, FULL};
use super::share::Share;
use super::units::{clamp, mul_div, Nanos, Tokens};
use super::window::Window;

/// Counts what is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Of a share, or of a token bucket that nobody shares.
    Bucket(Bucket),
    /// Of a sliding window that nobody shares.
    Window(Box<Paced>),
}

/// A window and its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paced {
    window: Window,
    ppm: u32,
    seen: Nanos,
    /// The time that the window knows of, and what has passed of its next nanosecond, in millionths.
    own: Nanos,
    carry: u64,
}

/// When something was taken, on the meter's own clock.
pub type Stamp = Nanos;

impl Meter {
    /// Of which nothing is taken yet, at `ppm` of its pace.
    pub fn alone(limit: &Limit, ppm: u32, now: Nanos) -> Meter {
        match limit.kind() {
            Kind::TokenBucket => Meter::Bucket(Bucket::full(limit.burst(), scaled(limit.refill(), ppm), now)),
            Kind::SlidingWindow => {
                let window = Window::new(limit.permits(), limit.period());
                Meter::Window(Box::new(Paced { window, ppm, seen: now, own: now, carry: 0 }))
            }
        }
    }

    /// Takes the time, and what was spent at unknown moments since it was last told.
    pub fn settle(&mut self, now: Nanos, spent: Tokens) {
        match self {
            Meter::Bucket(bucket) => bucket.settle(now, spent),
            Meter::Window(paced) => {
                let passed = u128::from(now.since(paced.seen).0) * u128::from(paced.ppm) + u128::from(paced.carry);
                paced.seen = paced.seen.max(now);
                paced.own = paced.own.plus(Nanos(clamp(passed / u128::from(FULL))));
                paced.carry = clamp(passed % u128::from(FULL));
                paced.window.settle(paced.own, spent);
            }
        }
    }

    /// What can be taken at once, as of the last settlement.
    pub fn level(&self) -> Tokens {
        match self {
            Meter::Bucket(bucket) => bucket.level(),
            Meter::Window(paced) => paced.window.level(),
        }
    }

    /// The most that it can come to.
    pub fn cap(&self) -> Tokens {
        match self {
            Meter::Bucket(bucket) => bucket.cap(),
            Meter::Window(paced) => paced.window.cap(),
        }
    }

    /// Whether nothing is missing.
    pub fn is_full(&self) -> bool {
        match self {
            Meter::Bucket(bucket) => bucket.is_full(),
            Meter::Window(paced) => paced.window.is_full(),
        }
    }

    /// What may be spent without asking, and is counted at the next settlement. A window wants to know each moment.
    pub fn credit(&self) -> Tokens {
        match self {
            Meter::Bucket(bucket) => credit(bucket.level(), bucket.cap()),
            Meter::Window(_) => Tokens::ZERO,
        }
    }

    /// Takes `amount` if it is there.
    pub fn take(&mut self, amount: Tokens) -> bool {
        match self {
            Meter::Bucket(bucket) => bucket.take(amount),
            Meter::Window(paced) => paced.window.take(amount),
        }
    }

    /// Takes `amount` if it is there, to be ended by [`Meter::end_hold`] with [`Meter::stamp`] of this moment.
    pub fn hold(&mut self, amount: Tokens) -> bool {
        match self {
            Meter::Bucket(bucket) => bucket.hold(amount),
            Meter::Window(paced) => paced.window.take(amount),
        }
    }

    /// What is held counts as spent: nobody will end it.
    pub fn spend_all_held(&mut self) {
        if let Meter::Bucket(bucket) = self {
            bucket.spend_all_held();
        }
    }

    /// The moment of the last settlement.
    pub fn stamp(&self) -> Stamp {
        match self {
            Meter::Bucket(_) => Nanos::ZERO,
            Meter::Window(paced) => paced.own,
        }
    }

    /// Of `amount` that is held since `stamp`, `used` were used: the rest comes back (what really did is returned), or what
    /// is beyond is owed.
    pub fn end_hold(&mut self, amount: Tokens, used: Tokens, stamp: Stamp) -> Tokens {
        let beyond = used - amount;
        match self {
            Meter::Bucket(bucket) => {
                bucket.spend_held(amount.min(used));
                let back = bucket.give_back(amount - used);
                if beyond > Tokens::ZERO {
                    bucket.overdraw(beyond);
                }
                back
            }
            Meter::Window(paced) => {
                let back = paced.window.put_taken_at(amount - used, stamp);
                paced.window.settle(paced.own, beyond);
                back
            }
        }
    }

    /// How long from the last settlement until `amount` is there; `None` if it never can be, or not at this pace.
    pub fn wait_for(&self, amount: Tokens) -> Option<Nanos> {
        match self {
            Meter::Bucket(bucket) => bucket.wait_for(amount),
            Meter::Window(paced) => match (paced.window.wait_for(amount)?, paced.ppm) {
                (Nanos::ZERO, _) => Some(Nanos::ZERO),
                (_, 0) => None,
                (wait, ppm) => {
                    Some(Nanos(mul_div(wait.0, u64::from(FULL), u64::from(ppm)).saturating_add(u64::from(ppm < FULL))))
                }
            },
        }
    }

    /// Gives a bucket a share, and returns what stood above its burst. Settle first.
    pub fn take_on(&mut self, share: Share, ppm: u32) -> Tokens {
        match self {
            Meter::Bucket(bucket) => share.give(bucket, ppm),
            Meter::Window(_) => Tokens::ZERO,
        }
    }

    /// Follows other numbers or another pace of a limit that nobody shares. Settle first.
    pub fn follow(&mut self, limit: &Limit, ppm: u32) {
        match self {
            Meter::Bucket(bucket) => _ = bucket.reshape(limit.burst(), scaled(limit.refill(), ppm)),
            Meter::Window(paced) => {
                paced.window.reshape(limit.permits(), limit.period());
                paced.ppm = ppm;
            }
        }
    }

    /// Puts `amount` into a bucket, up to its cap.
    pub fn put(&mut self, amount: Tokens) {
        if let Meter::Bucket(bucket) = self {
            bucket.put(amount);
        }
    }

    /// What is to be kept of it, if a few bytes can hold that.
    pub fn save(&self) -> Option<Saved> {
        match self {
            Meter::Bucket(bucket) => Some(bucket.save()),
            Meter::Window(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::SECOND;

    const ONE: Tokens = Tokens::permits(1);

    fn window(permits: u64, seconds: u64, ppm: u32) -> Meter {
        Meter::alone(&Limit::sliding_window(permits, Nanos::from_secs(seconds), 0).unwrap(), ppm, Nanos(0))
    }

    fn at(meter: &mut Meter, seconds: u64) -> &mut Meter {
        meter.settle(Nanos::from_secs(seconds), Tokens::ZERO);
        meter
    }

    #[test]
    fn nothing_leaves_a_window_while_it_is_paused_and_the_pause_is_not_made_up_for() {
        let limit = Limit::sliding_window(1, Nanos::from_secs(60), 0).unwrap();
        let mut meter = window(1, 60, FULL);
        assert!(meter.take(ONE));
        at(&mut meter, 20).follow(&limit, 0);
        assert!(!at(&mut meter, 1_000).take(ONE));
        assert_eq!(meter.wait_for(ONE), None);
        meter.follow(&limit, FULL);
        assert_eq!(meter.wait_for(ONE), Some(Nanos::from_secs(40)));
        assert!(!at(&mut meter, 1_039).take(ONE) && at(&mut meter, 1_040).take(ONE));
    }

    #[test]
    fn a_window_at_half_its_pace_takes_twice_as_long() {
        let mut meter = window(1, 60, FULL / 2);
        assert!(meter.take(ONE));
        let wait = meter.wait_for(ONE).unwrap();
        assert!(wait.0 - 120 * SECOND <= 1);
        assert!(!at(&mut meter, 119).take(ONE));
        meter.settle(wait, Tokens::ZERO);
        assert!(meter.take(ONE));
    }

    #[test]
    fn a_slow_window_goes_on_however_often_it_is_looked_at() {
        let mut meter = window(1, 1, 1_000);
        assert!(meter.take(ONE));
        for millionths in 1..=1_000_000 {
            meter.settle(Nanos(millionths * 1_000_001), Tokens::ZERO);
        }
        assert!(meter.take(ONE), "a thousand seconds at a thousandth of the pace");
    }

    #[test]
    fn a_window_knows_each_moment_and_gives_no_credit_for_later() {
        let mut meter = window(3, 60, FULL);
        assert_eq!((meter.level(), meter.credit(), meter.save()), (Tokens::permits(3), Tokens::ZERO, None));
        assert!(meter.is_full() && meter.take(ONE) && !meter.is_full());
    }

    #[test]
    fn what_was_reserved_comes_back_to_either_kind_and_what_was_used_beyond_is_missing() {
        let bucket = Limit::token_bucket(10, Nanos::from_secs(60), 0).unwrap();
        for mut meter in [window(10, 60, FULL), Meter::alone(&bucket, FULL, Nanos(0))] {
            assert!(meter.hold(Tokens::permits(6)));
            let stamp = meter.stamp();
            assert!(at(&mut meter, 1).take(ONE));
            assert_eq!(meter.end_hold(Tokens::permits(6), Tokens::permits(2), stamp), Tokens::permits(4));
            assert_eq!(meter.level().whole(), 7, "{meter:?}");
            assert!(meter.hold(ONE));
            let stamp = meter.stamp();
            assert_eq!(meter.end_hold(ONE, Tokens::permits(3), stamp), Tokens::ZERO);
            assert_eq!(meter.level().whole(), 4, "{meter:?}");
        }
    }
}
