//! The bound, burst + rate x length, in integers without any rounding.
//!
//! Amounts are counted in 1/period of a permit (period in nanoseconds): then one permit is `period` of them, and a
//! nanosecond brings exactly `permits`. The largest legal limit over the longest run stays far inside 128 bits.

use tidegate::Limit;

/// An exact amount of permits, in 1/period.
pub type Exact = u128;

#[derive(Clone, Copy, Debug)]
pub struct Bound {
    permits: u128,
    period: u128,
    burst: Exact,
}

impl Bound {
    pub fn of(limit: &Limit) -> Bound {
        let period = u128::from(limit.period().0);
        Bound { permits: limit.permits().into(), period, burst: u128::from(limit.burst().whole()) * period }
    }

    pub fn exact(&self, permits: u128) -> Exact {
        permits.saturating_mul(self.period)
    }

    /// What the rate brings in `ns`.
    pub fn over(&self, ns: u64) -> Exact {
        self.permits * u128::from(ns)
    }

    pub fn burst(&self) -> Exact {
        self.burst
    }

    /// In permits, for showing.
    pub fn permits(&self, exact: Exact) -> f64 {
        exact as f64 / self.period as f64
    }
}

/// A window and what was admitted in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// When it begins, in nanoseconds.
    pub start: u64,
    /// When it ends; both ends belong to it.
    pub end: u64,
    /// Permits admitted in it.
    pub admitted: u128,
}

impl Window {
    pub fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Burst + rate x length.
    pub fn allowed(&self, bound: &Bound) -> Exact {
        bound.burst() + bound.over(self.length())
    }

    /// What was admitted in it beyond what is allowed.
    pub fn excess(&self, bound: &Bound) -> Exact {
        bound.exact(self.admitted).saturating_sub(self.allowed(bound))
    }

    /// Of two windows, the one with less room left under the bound.
    fn fill(&self, bound: &Bound) -> (Exact, Exact) {
        let (admitted, refilled) = (bound.exact(self.admitted), bound.over(self.length()));
        (admitted.saturating_sub(refilled), refilled.saturating_sub(admitted))
    }

    /// Whether it is fuller than `other`.
    pub fn is_worse_than(&self, other: &Window, bound: &Bound) -> bool {
        let (level, debt) = self.fill(bound);
        let (other_level, other_debt) = other.fill(bound);
        (level, other_debt) > (other_level, debt)
    }
}
