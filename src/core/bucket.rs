//! The token bucket in integers: exact, without drift, for one process alone or for a share.
//!
//! The bucket refills by a fraction `num/den` of micro-permits per nanosecond and carries the remainder,
//! so a billion settlements mint what one would. It is settled rather than ticked: [`Bucket::settle`]
//! takes the time and what was spent since the last settlement *at unknown moments*, and counts the
//! spending at the end. That is the conservative order (a spend can only make room under the cap), so the
//! level never exceeds what a bucket that knew the moments would hold. Callers that know the moment settle
//! first and [`Bucket::take`] after, and are exact.
//!
//! Permits can be *held*: taken, but perhaps to be given back. What is held still counts against the cap, so that a bucket
//! cannot fill up again behind it: giving back then never lets more through than the limit. And more can be spent than was
//! there, as a debt that is minted off first.
//!
//! Source of the algorithm: Turner, "New directions in communications" (1986), the leaky bucket as a meter.

use super::units::{clamp, Nanos, Tokens};

/// A refill of `num/den` micro-permits per nanosecond. `den` is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// Micro-permits ..
    pub num: u64,
    /// .. per so many nanoseconds.
    pub den: u64,
}

impl Refill {
    /// Nothing ever comes.
    pub const NONE: Refill = Refill { num: 0, den: 1 };
}

/// What of a bucket changes: the rest is its limit's. For where many buckets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What is there as of `settled`.
    pub level: Tokens,
    /// What was minted beyond, in 1/den: less than the period.
    pub carry: u64,
    /// When it was settled last.
    pub settled: Nanos,
    /// What left since, at unknown moments.
    pub spent: Tokens,
}

impl Saved {
    /// Takes `amount` of a bucket with this cap without asking for the time; what is left. `None` where it must be settled for
    /// that, as for more than [`credit`].
    #[inline]
    pub fn spend(&mut self, amount: Tokens, cap: Tokens) -> Option<Tokens> {
        let spent = self.spent.plus(amount);
        (spent <= credit(self.level, cap)).then(|| {
            self.spent = spent;
            self.level - spent
        })
    }
}

/// What of `level` may be spent before a bucket must be settled. What leaves counts when it is settled, as if it all left
/// then: what would have refilled meanwhile, and found no room, is lost. So at most a sixteenth of the cap, by which a
/// bucket that is used without a pause can be too low; a bucket too small for that is settled for each permit.
pub fn credit(level: Tokens, cap: Tokens) -> Tokens {
    level.min(Tokens(cap.0 / 16).max(Tokens::permits(1)))
}

/// Level, cap and refill of one token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    level: Tokens,
    cap: Tokens,
    refill: Refill,
    /// What the last settlement minted beyond whole micro-permits, in 1/den.
    carry: u64,
    settled: Nanos,
    held: Tokens,
    owed: Tokens,
    /// What may be missing of the time between two readings of the clock.
    grain: Nanos,
}

impl Bucket {
    /// A bucket filled to its cap.
    pub fn full(cap: Tokens, refill: Refill, now: Nanos) -> Bucket {
        let (held, owed, grain) = (Tokens::ZERO, Tokens::ZERO, Nanos::ZERO);
        Bucket { level: cap, cap, refill, carry: 0, settled: now, held, owed, grain }
    }

    /// A bucket with nothing in it.
    pub fn empty(cap: Tokens, refill: Refill, now: Nanos) -> Bucket {
        Bucket { level: Tokens::ZERO, ..Bucket::full(cap, refill, now) }
    }

    /// What is to be kept of it. What is held counts as spent; a debt becomes the time that it takes to mint it off.
    pub fn save(&self) -> Saved {
        let owed = u128::from(self.owed.0) * u128::from(self.refill.den);
        let debt = Nanos(clamp(owed.div_ceil(u128::from(self.refill.num.max(1)))));
        Saved { level: self.level, carry: self.carry, settled: self.settled.plus(debt), spent: Tokens::ZERO }
    }

    /// The bucket that was saved, with the cap and refill that it had, as it is now.
    pub fn restore(saved: Saved, cap: Tokens, refill: Refill, now: Nanos) -> Bucket {
        let full = Bucket::full(cap, refill, saved.settled);
        let mut bucket = Bucket { level: saved.level.min(cap), carry: saved.carry, ..full };
        bucket.settle(now, saved.spent);
        bucket
    }

    /// Mints up to `now`, then takes out `spent`, which left since the last settlement. A `now` before the
    /// last one mints nothing.
    pub fn settle(&mut self, now: Nanos, spent: Tokens) {
        let elapsed = now.since(self.settled);
        self.settled = self.settled.max(now);
        let minted = u128::from(self.refill.num) * u128::from(elapsed.0) + u128::from(self.carry);
        let den = u128::from(self.refill.den);
        // Compared without a division, which is most of the cost: what was idle is full, usually.
        let missing = u128::from((self.room() - self.level).plus(self.owed).0);
        if minted >= missing * den {
            self.level = self.room();
            (self.owed, self.carry) = (Tokens::ZERO, 0);
            // A span of refilling begins here.
            self.settled = self.settled.max(now.plus(self.grain));
        } else {
            let new = Tokens(clamp(minted / den));
            self.level = self.level.plus(new - self.owed);
            self.owed = self.owed - new;
            self.carry = clamp(minted - u128::from(new.0) * den);
        }
        self.level = self.level - spent;
    }

    /// What is there, as of the last settlement.
    pub fn level(&self) -> Tokens {
        self.level
    }

    /// The most it can hold.
    pub fn cap(&self) -> Tokens {
        self.cap
    }

    /// What the level can come to while something is held.
    fn room(&self) -> Tokens {
        self.cap - self.held
    }

    /// Whether it holds all it can.
    pub fn is_full(&self) -> bool {
        self.level >= self.room() && self.owed == Tokens::ZERO
    }

    /// Takes `amount` if it is there.
    pub fn take(&mut self, amount: Tokens) -> bool {
        let enough = self.level >= amount;
        if enough {
            self.level = self.level - amount;
        }
        enough
    }

    /// Takes `amount` if it is there, to be given back or spent later.
    pub fn hold(&mut self, amount: Tokens) -> bool {
        let taken = self.take(amount);
        if taken {
            self.held = self.held.plus(amount);
        }
        taken
    }

    /// Gives back `amount` of what is held, as if it had never been taken; what really came back. What the cap was lowered
    /// below meanwhile does not.
    pub fn give_back(&mut self, amount: Tokens) -> Tokens {
        let back = amount.min(self.held);
        self.held = self.held - back;
        self.level = self.level.plus(back);
        back
    }

    /// What is held counts as spent: nobody will give it back.
    pub fn spend_all_held(&mut self) {
        self.held = Tokens::ZERO;
    }

    /// `amount` of what is held was spent.
    pub fn spend_held(&mut self, amount: Tokens) {
        self.held = self.held - amount;
    }

    /// `amount` was spent although nobody asked: what is not there is owed.
    pub fn overdraw(&mut self, amount: Tokens) {
        self.owed = self.owed.plus(amount - self.level);
        self.level = self.level - amount;
    }

    /// Puts `amount` in, up to the cap; a debt is paid first.
    pub fn put(&mut self, amount: Tokens) {
        self.level = self.level.plus(amount - self.owed).min(self.room());
        self.owed = self.owed - amount;
    }

    /// Gives the bucket another cap and refill, and returns what stood above the new cap. Settle first.
    pub fn reshape(&mut self, cap: Tokens, refill: Refill) -> Tokens {
        self.held = self.held.min(cap);
        self.cap = cap;
        let above = self.level - self.room();
        self.level = self.level.min(self.room());
        if self.refill != refill {
            self.refill = refill;
            self.carry = 0;
        }
        above
    }

    /// Measures time from now on by a clock of which two readings can be `grain` further apart than the time between them:
    /// wherever it begins to refill, nothing comes for so long.
    pub fn doubt(&mut self, grain: Nanos) {
        self.settled = self.settled.plus(grain);
        self.grain = grain;
    }

    /// How long from the last settlement until `amount` is there, if by then nothing is held; `None` if it never can be.
    pub fn wait_for(&self, amount: Tokens) -> Option<Nanos> {
        if amount <= self.level {
            return Some(Nanos::ZERO);
        }
        if amount > self.cap || self.refill.num == 0 {
            return None;
        }
        let missing =
            u128::from((amount - self.level).plus(self.owed).0) * u128::from(self.refill.den) - u128::from(self.carry);
        Some(Nanos(clamp(missing.div_ceil(u128::from(self.refill.num)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limit::Limit;
    use crate::core::units::{PERMIT, SECOND};
    use proptest::prelude::*;

    fn per_second(permits: u64) -> Refill {
        Limit::token_bucket(permits, Nanos(SECOND), 0).unwrap().refill()
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_no_more() {
        let mut bucket = Bucket::full(Tokens::permits(3), per_second(1), Nanos(5));
        assert!((0..3).all(|_| bucket.take(Tokens::permits(1))));
        assert!(!bucket.take(Tokens(1)));
    }

    #[test]
    fn refill_stops_at_the_cap() {
        let mut bucket = Bucket::empty(Tokens::permits(3), per_second(1), Nanos(0));
        bucket.settle(Nanos(2 * SECOND), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::permits(2));
        bucket.settle(Nanos(1000 * SECOND), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::permits(3));
    }

    #[test]
    fn a_clock_that_goes_back_mints_nothing_twice() {
        let mut bucket = Bucket::empty(Tokens::permits(9), per_second(1), Nanos(0));
        bucket.settle(Nanos(3 * SECOND), Tokens::ZERO);
        bucket.settle(Nanos(SECOND), Tokens::ZERO);
        bucket.settle(Nanos(3 * SECOND), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::permits(3));
    }

    #[test]
    fn what_stands_above_a_lower_cap_is_handed_back() {
        let mut bucket = Bucket::full(Tokens::permits(10), per_second(10), Nanos(0));
        assert_eq!(bucket.reshape(Tokens::permits(4), per_second(4)), Tokens::permits(6));
        assert_eq!(bucket.level(), Tokens::permits(4));
        assert_eq!(bucket.reshape(Tokens::permits(10), per_second(10)), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::permits(4));
    }

    #[test]
    fn spending_counts_at_the_end_so_an_idle_full_bucket_is_not_refilled_twice() {
        let mut bucket = Bucket::full(Tokens::permits(10), per_second(1), Nanos(0));
        bucket.settle(Nanos(60 * SECOND), Tokens::permits(10));
        assert_eq!(bucket.level(), Tokens::ZERO);
    }

    #[test]
    fn what_is_held_keeps_its_room_so_that_giving_it_back_lets_no_more_through() {
        let mut bucket = Bucket::full(Tokens::permits(10), per_second(1), Nanos(0));
        assert!(bucket.hold(Tokens::permits(6)) && !bucket.hold(Tokens::permits(5)));
        bucket.settle(Nanos(1000 * SECOND), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::permits(4));
        assert!(bucket.take(Tokens::permits(4)));
        assert_eq!(bucket.give_back(Tokens::permits(6)), Tokens::permits(6));
        assert_eq!(bucket.level(), Tokens::permits(6), "ten in all, and not sixteen");
        assert_eq!(bucket.give_back(Tokens::permits(6)), Tokens::ZERO);
    }

    #[test]
    fn what_was_held_and_spent_makes_room_again() {
        let mut bucket = Bucket::full(Tokens::permits(10), per_second(1), Nanos(0));
        assert!(bucket.hold(Tokens::permits(6)));
        bucket.spend_held(Tokens::permits(6));
        bucket.settle(Nanos(1000 * SECOND), Tokens::ZERO);
        assert_eq!(bucket.level(), Tokens::permits(10));
    }

    #[test]
    fn a_lower_cap_takes_what_is_held_with_it() {
        let mut bucket = Bucket::full(Tokens::permits(10), per_second(1), Nanos(0));
        assert!(bucket.hold(Tokens::permits(6)));
        assert_eq!(bucket.reshape(Tokens::permits(5), Refill::NONE), Tokens::permits(4));
        assert_eq!(bucket.give_back(Tokens::permits(6)), Tokens::permits(5));
        assert_eq!(bucket.level(), Tokens::permits(5));
    }

    #[test]
    fn a_debt_is_minted_off_first_and_is_not_forgotten_when_the_bucket_is_kept() {
        let (cap, refill) = (Tokens::permits(10), per_second(1));
        let mut bucket = Bucket::full(cap, refill, Nanos(0));
        bucket.overdraw(Tokens::permits(13));
        assert_eq!(bucket.wait_for(Tokens::permits(1)), Some(Nanos(4 * SECOND)));
        let mut kept = Bucket::restore(bucket.save(), cap, refill, Nanos(0));
        for bucket in [&mut bucket, &mut kept] {
            assert!(!bucket.is_full());
            bucket.settle(Nanos(5 * SECOND), Tokens::ZERO);
            assert_eq!(bucket.level(), Tokens::permits(2));
        }
    }

    #[test]
    fn what_is_spent_without_a_clock_is_never_more_than_was_there_and_counts_at_the_next_settlement() {
        let (cap, refill) = (Tokens::permits(160), per_second(16));
        let mut kept = Bucket::full(cap, refill, Nanos(0)).save();
        assert_eq!(kept.spend(Tokens::permits(4), cap), Some(Tokens::permits(156)));
        assert_eq!(kept.spend(Tokens::permits(6), cap), Some(Tokens::permits(150)));
        assert_eq!(kept.spend(Tokens(1), cap), None, "a sixteenth is spent: settle it");
        let settled = Bucket::restore(kept, cap, refill, Nanos(10 * SECOND));
        assert_eq!(settled.level(), Tokens::permits(150), "as if all left in the last moment");
        assert_eq!(Bucket::restore(settled.save(), cap, refill, Nanos(11 * SECOND)).level(), cap);
        let mut poor = Bucket::empty(cap, refill, Nanos(0)).save();
        assert_eq!(poor.spend(Tokens::permits(1), cap), None);
    }

    #[test]
    fn a_billion_settlements_mint_what_one_does() {
        // 1/3 permit per second, settled each nanosecond-ish step: 10^9 settlements are stepped by 10^9 / 10^6 here
        // for time, and the carry shows the same at any step: compare against one settlement at the end.
        let refill = Limit::token_bucket(1, Nanos(3 * SECOND), 1_000_000).unwrap().refill();
        let cap = Tokens::permits(1_000_000);
        let (mut often, mut once) = (Bucket::empty(cap, refill, Nanos(0)), Bucket::empty(cap, refill, Nanos(0)));
        for step in 1..=1_000_000u64 {
            often.settle(Nanos(step * 1_007), Tokens::ZERO);
        }
        once.settle(Nanos(1_007_000_000), Tokens::ZERO);
        assert_eq!(often, once);
    }

    proptest! {
        /// Against rational arithmetic: level * den is what minting at num per nanosecond gives, to the last 1/den.
        #[test]
        fn the_level_is_exact_rational_arithmetic(
            permits in 1u64..1_000_000_000, period in 1u64..10_000_000_000, burst in 1u64..1_000_000_000,
            steps in prop::collection::vec((0u64..5_000_000_000, 0u64..2_000), 1..60),
        ) {
            let Ok(limit) = Limit::token_bucket(permits, Nanos(period), burst) else { return Ok(()) };
            let refill = limit.refill();
            let (num, den, cap) = (u128::from(refill.num), u128::from(refill.den), u128::from(limit.burst().0));
            let mut bucket = Bucket::empty(limit.burst(), refill, Nanos(0));
            let (mut exact, mut now) = (0u128, 0u64); // exact level in 1/den micro-permits
            for (dt, take) in steps {
                now += dt;
                exact = (exact + num * u128::from(dt)).min(cap * den);
                bucket.settle(Nanos(now), Tokens::ZERO);
                let cost = u128::from(take) * u128::from(PERMIT);
                let wait = bucket.wait_for(Tokens::permits(take));
                let granted = bucket.take(Tokens::permits(take));
                prop_assert_eq!(granted, exact >= cost * den);
                if granted { exact -= cost * den; }
                prop_assert_eq!(u128::from(bucket.level().0) * den + u128::from(bucket.carry), exact);
                if let (false, Some(wait)) = (granted, wait) {
                    prop_assert!(exact + num * u128::from(wait.0) >= cost * den, "wait is long enough");
                    prop_assert!(exact + num * u128::from(wait.0 - 1) < cost * den, "and no longer than needed");
                }
            }
        }
    }
}
