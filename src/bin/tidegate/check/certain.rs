//! The worst window when each moment is only known to lie in an interval: what was *certainly* admitted in it.
//!
//! An admission counts in a window if its whole interval lies inside. An excess found so is an excess in every history
//! that fits the records, so it is never the recorder's doing. And where there is none, some history within the bound
//! does fit, if a permit may be taken in parts (for the interval that ends first, from what would overflow; the rest of it
//! at its end).
//! Against a recorder that knew the moments, at most the admissions that stood open at the two ends of the window are
//! missed: twice the number of threads that record.
//!
//! A window that is worst begins where an interval begins. For each such start s that may still matter, `starts` holds
//! N(s), what was admitted in intervals that begin at or after s. The value of a start is N(s) - rate x (t - s), whose
//! order among the starts does not depend on t. Of two starts the earlier gains whatever the later gains; so
//!   - a later one that is no better than an earlier one never will be, and goes;
//!   - an earlier one that is worse than a later one goes unless an interval still open begins between the two.
//!
//! What remains is as short as the list of open intervals.

use super::bound::{Bound, Exact, Window};

struct Start {
    at: u64,
    admitted: u128,
}

pub struct CertainWindows {
    bound: Bound,
    /// When open intervals began, in order.
    open: Vec<u64>,
    /// In order of time, and so in order of value.
    starts: Vec<Start>,
    worst: Option<Window>,
}

impl CertainWindows {
    pub fn new(bound: Bound) -> CertainWindows {
        CertainWindows { bound, open: Vec::new(), starts: Vec::new(), worst: None }
    }

    /// An interval begins. Beginnings and ends come in order of time; of the same time, beginnings first.
    pub fn begin(&mut self, at: u64) {
        if self.starts.last().is_none_or(|last| self.value(last) < self.bound.over(at)) {
            let newest_open = self.open.last().copied();
            while self.starts.last().is_some_and(|last| newest_open.is_none_or(|open| open < last.at)) {
                self.starts.pop();
            }
            self.starts.push(Start { at, admitted: 0 });
        }
        self.open.push(at);
    }

    /// The interval that began at `begun` ends at `at`, with `permits` admitted at some moment of it.
    pub fn end(&mut self, begun: u64, at: u64, permits: u64) {
        self.starts.iter_mut().take_while(|start| start.at <= begun).for_each(|start| {
            start.admitted += u128::from(permits);
        });
        if let Ok(index) = self.open.binary_search(&begun) {
            self.open.remove(index);
        }
        self.prune();
        if let Some(best) = self.starts.last() {
            let window = Window { start: best.at, end: at, admitted: best.admitted };
            if self.worst.is_none_or(|worst| window.is_worse_than(&worst, &self.bound)) {
                self.worst = Some(window);
            }
        }
    }

    /// The window with the least room left under the bound.
    pub fn worst(&self) -> Window {
        self.worst.unwrap_or_default()
    }

    fn value(&self, start: &Start) -> Exact {
        self.bound.exact(start.admitted).saturating_add(self.bound.over(start.at))
    }

    fn prune(&mut self) {
        if self.starts.len() < 2 {
            return;
        }
        let mut kept: Vec<Start> = Vec::with_capacity(self.starts.len());
        for start in std::mem::take(&mut self.starts) {
            let value = self.value(&start);
            if kept.last().is_some_and(|last| self.value(last) >= value) {
                continue;
            }
            while kept.last().is_some_and(|last| !self.opens_between(last.at, start.at)) {
                kept.pop();
            }
            kept.push(start);
        }
        self.starts = kept;
    }

    /// Whether an open interval begins in [from, to).
    fn opens_between(&self, from: u64, to: u64) -> bool {
        let first = self.open.partition_point(|&open| open < from);
        self.open.get(first).is_some_and(|&open| open < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Admission;
    use proptest::prelude::*;
    use tidegate::{Limit, Nanos};

    const SECOND: u64 = 1_000_000_000;

    fn bound(permits: u64, period: u64, burst: u64) -> Bound {
        Bound::of(&Limit::token_bucket(permits, Nanos(period), burst).unwrap())
    }

    fn worst(bound: Bound, admissions: &[Admission]) -> Window {
        let mut windows = CertainWindows::new(bound);
        let begins = admissions.iter().map(|admission| (admission.before, false, *admission));
        let ends = admissions.iter().map(|admission| (admission.after, true, *admission));
        let mut events: Vec<_> = begins.chain(ends).collect();
        events.sort_by_key(|&(at, is_end, _)| (at, is_end));
        for (_, is_end, Admission { before, after, permits }) in events {
            if is_end {
                windows.end(before, after, permits);
            } else {
                windows.begin(before);
            }
        }
        assert!(windows.open.is_empty() && windows.starts.len() <= 1, "nothing is kept that cannot matter");
        windows.worst()
    }

    /// All windows, one by one.
    fn worst_by_trying_all(bound: Bound, admissions: &[Admission]) -> Exact {
        let mut excess = 0;
        for start in admissions.iter().map(|a| a.before) {
            for end in admissions.iter().map(|a| a.after).filter(|&end| end >= start) {
                let inside = admissions.iter().filter(|a| a.before >= start && a.after <= end);
                let window = Window { start, end, admitted: inside.map(|a| u128::from(a.permits)).sum() };
                excess = excess.max(window.excess(&bound));
            }
        }
        excess
    }

    fn at(before: u64, after: u64, permits: u64) -> Admission {
        Admission { before, after, permits }
    }

    #[test]
    fn six_permits_inside_one_window_for_five_are_an_excess_of_one() {
        let bound = bound(1, 3_600 * SECOND, 5);
        let admissions: Vec<_> = (0..6).map(|_| at(100, 100, 1)).collect();
        assert_eq!(bound.permits(worst(bound, &admissions).excess(&bound)), 1.0);
    }

    #[test]
    fn the_worst_window_may_begin_and_end_anywhere() {
        // 10 per second, burst 5. Quiet, then 6 within 0.05 s in the middle, then quiet.
        let (bound, middle) = (bound(10, SECOND, 5), 40 * SECOND);
        let late = middle + SECOND / 20;
        let moments = [(0, 1), (10 * SECOND, 5), (middle, 3), (late, 3), (90 * SECOND, 5)];
        let found = worst(bound, &moments.map(|(moment, permits)| at(moment, moment, permits)));
        assert_eq!(found, Window { start: middle, end: late, admitted: 6 });
        assert_eq!(bound.permits(found.excess(&bound)), 0.5);
    }

    #[test]
    fn an_admission_that_may_have_been_outside_is_no_certain_excess() {
        // The sixth began an hour earlier: it may have been taken then.
        let bound = bound(1, 3_600 * SECOND, 5);
        let mut admissions: Vec<_> = (0..5).map(|_| at(3_600 * SECOND, 3_600 * SECOND, 1)).collect();
        admissions.push(at(0, 3_600 * SECOND, 1));
        assert_eq!(worst(bound, &admissions).excess(&bound), 0);
        admissions[5].before = 1;
        assert_eq!(worst(bound, &admissions).excess(&bound), 1, "a nanosecond of the rate is missing");
    }

    proptest! {
        #[test]
        fn no_window_is_worse_than_the_one_found(
            permits in 1u64..5, period in 1u64..8, burst in 1u64..6,
            admissions in prop::collection::vec((0u64..60, 0u64..12, 1u64..4), 1..40),
        ) {
            let bound = bound(permits, period, burst);
            let admissions: Vec<_> = admissions.iter().map(|&(from, long, n)| at(from, from + long, n)).collect();
            let found = worst(bound, &admissions);
            prop_assert_eq!(found.excess(&bound), worst_by_trying_all(bound, &admissions));
            let inside = admissions.iter().filter(|a| a.before >= found.start && a.after <= found.end);
            prop_assert_eq!(found.admitted, inside.map(|a| u128::from(a.permits)).sum::<u128>());
        }

        /// The other half of the promise: where no excess is found, a bucket that gives what would overflow to the most
        /// urgent, and to the others at their last moment, serves every admission inside its interval.
        #[test]
        fn without_an_excess_some_history_within_the_bound_fits(
            period in 1u64..6, burst in 1u64..5, admissions in prop::collection::vec((0u64..40, 0u64..10), 1..30),
        ) {
            let bound = bound(1, period, burst);
            let admissions: Vec<_> = admissions.iter().map(|&(from, long)| at(from, from + long, 1)).collect();
            let mut missing: Vec<_> = admissions.iter().map(|a| (a.after, a.before, period)).collect();
            missing.sort_unstable();
            let (mut level, mut late) = (burst * period, false);
            for now in 0..60 {
                let overflows = level == burst * period;
                let first = missing.iter_mut().find(|(_, before, parts)| *before < now && *parts > 0);
                match first {
                    Some((_, _, parts)) if overflows => *parts -= 1,
                    _ if overflows => {}
                    _ => level += 1,
                }
                for (_, _, parts) in missing.iter_mut().filter(|(after, ..)| *after == now) {
                    let taken = level.min(*parts);
                    level -= taken;
                    *parts -= taken;
                    late |= *parts > 0;
                }
            }
            prop_assert_eq!(worst(bound, &admissions).excess(&bound) > 0, late);
        }
    }
}
