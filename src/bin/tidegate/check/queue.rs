//! The highest level over moments that are known exactly: the virtual queue V = max(0, V - rate x dt) + n.
//!
//! V at a moment is the most that any window ending there holds beyond what the rate brought in it; so its highest
//! value looks at every window of every length at once.

use super::bound::{Bound, Exact};

#[derive(Clone, Debug)]
pub struct VirtualQueue {
    bound: Bound,
    level: Exact,
    now: u64,
    highest: Exact,
}

impl VirtualQueue {
    pub fn new(bound: Bound) -> VirtualQueue {
        VirtualQueue { bound, level: 0, now: 0, highest: 0 }
    }

    /// `permits` were admitted at `at`. Moments come in order.
    pub fn admit(&mut self, at: u64, permits: u64) {
        debug_assert!(at >= self.now);
        let drained = self.bound.over(at - self.now);
        self.now = at;
        self.level = self.level.saturating_sub(drained).saturating_add(self.bound.exact(permits.into()));
        self.highest = self.highest.max(self.level);
    }

    /// Permits beyond the bound, exactly.
    pub fn excess(&self) -> Exact {
        self.highest.saturating_sub(self.bound.burst())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate::{Limit, Nanos};

    const SECOND: u64 = 1_000_000_000;

    /// 10 per second, burst 5.
    fn queue(admissions: &[(u64, u64)]) -> VirtualQueue {
        let mut queue = VirtualQueue::new(Bound::of(&Limit::token_bucket(10, Nanos(SECOND), 5).unwrap()));
        admissions.iter().for_each(|&(at, permits)| queue.admit(at, permits));
        queue
    }

    #[test]
    fn a_burst_and_then_the_rate_is_within_the_bound() {
        let mut admissions = vec![(7, 5)];
        admissions.extend((1..100).map(|i| (7 + i * SECOND / 10, 1)));
        assert_eq!(queue(&admissions).excess(), 0);
    }

    #[test]
    fn one_permit_a_nanosecond_too_early_is_an_excess_of_what_a_nanosecond_brings() {
        let queue = queue(&[(0, 5), (SECOND / 10 - 1, 1)]);
        assert_eq!(queue.excess(), 10, "10 permits per second, in 1/period of a permit");
    }

    #[test]
    fn an_excess_in_the_middle_of_a_quiet_run_is_found() {
        let middle = 40 * SECOND;
        let queue = queue(&[(0, 1), (10 * SECOND, 5), (middle, 3), (middle + SECOND / 20, 3), (90 * SECOND, 5)]);
        assert_eq!(queue.excess(), u128::from(SECOND) / 2, "6 of 5 + 0.5");
    }
}
