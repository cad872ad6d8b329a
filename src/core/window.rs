//! The exact sliding window: at most `max` permits in any span of length `span`, half-open, wherever it begins.
//!
//! A token bucket lets its burst and a refill through in one period. Where a contract says "never more than 100 in
//! any minute", this is the algorithm: it remembers when permits were taken and frees each exactly one span later.
//! The verbs are those of [`Bucket`](super::bucket::Bucket): [`Window::settle`] tells the time, [`Window::take`]
//! takes at that time, and what was spent at unknown moments counts at the settlement, which is no earlier.
//!
//! Permits are whole: an amount between two counts as the larger. Times are nanoseconds of one clock.
//!
//! # Memory, and what it costs in exactness
//! One run (time, count) for each distinct time of taking, up to [`EXACT_RUNS_MAX`] of them in a span. Beyond that,
//! neighbours in the same slot of 1/64 of the span share the time of the latest. A permit is then freed *late, by
//! less than 1/64 of the span*, and never early, so that the bound stays exact. A verb costs one pass over the runs
//! at most.
//!
//! Source of the algorithm: the sliding window log, folklore; the merging only has to move times forward.

use super::units::{clamp, Nanos, Tokens, PERMIT};
use std::collections::VecDeque;

/// Distinct times of taking within a span that are remembered exactly. Merged, they need at most one run more: so
/// many slots a span can touch.
pub const EXACT_RUNS_MAX: usize = 64;

/// Permits that were taken at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    at: Nanos,
    permits: u64,
}

/// What was taken within the last span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    max: u64,
    span: Nanos,
    /// Oldest first, no two of one time, none empty.
    runs: VecDeque<Run>,
    settled: Nanos,
    /// Whatever was taken up to then has left.
    gone: Option<Nanos>,
}

impl Window {
    /// At most `max` permits in any `span`, of which nothing is taken yet.
    pub fn new(max: u64, span: Nanos) -> Window {
        Window { max, span, runs: VecDeque::new(), settled: Nanos::ZERO, gone: None }
    }

    /// Forgets what left the window by `now`, then counts `spent`, which was taken since the last settlement, at
    /// `now`. A `now` before the last one frees nothing.
    pub fn settle(&mut self, now: Nanos, spent: Tokens) {
        self.settled = self.settled.max(now);
        while self.runs.front().is_some_and(|run| self.settled.since(run.at) >= self.span) {
            self.gone = self.runs.pop_front().map(|run| run.at).or(self.gone);
        }
        self.count(whole_up(spent));
    }

    /// What can be taken at once, as of the last settlement.
    pub fn level(&self) -> Tokens {
        Tokens::permits(self.max.saturating_sub(clamp(self.used())))
    }

    /// The most that can be taken in one span.
    pub fn cap(&self) -> Tokens {
        Tokens::permits(self.max)
    }

    /// Whether nothing is counted in the span that ends now.
    pub fn is_full(&self) -> bool {
        self.runs.is_empty()
    }

    /// Takes `amount` at the time last settled, if it is there.
    pub fn take(&mut self, amount: Tokens) -> bool {
        let permits = whole_up(amount);
        let enough = self.missing(permits) == 0;
        if enough {
            self.count(permits);
        }
        enough
    }

    /// How long from the last settlement until `amount` is there; `None` if it never can be.
    pub fn wait_for(&self, amount: Tokens) -> Option<Nanos> {
        let missing = self.missing(whole_up(amount));
        if missing == 0 {
            return Some(Nanos::ZERO);
        }
        let mut freed = 0;
        let last = self.runs.iter().find(|run| {
            freed += u128::from(run.permits);
            freed >= missing
        })?;
        Some(self.span.since(self.settled.since(last.at)))
    }

    /// Forgets `amount` of what was taken at `at`, as if nobody had taken it; what really came back. What left the span is
    /// not taken any more, and of what others took meanwhile nothing is forgotten.
    pub fn put_taken_at(&mut self, amount: Tokens, at: Nanos) -> Tokens {
        if self.settled.since(at) >= self.span || self.gone.is_some_and(|gone| at <= gone) {
            return Tokens::ZERO;
        }
        // Merging only moves times forward: the first run from then on is the one that it went into.
        let Some(place) = self.runs.iter().position(|run| run.at >= at) else { return Tokens::ZERO };
        let back = whole_up(amount).min(self.runs[place].permits);
        self.runs[place].permits -= back;
        if self.runs[place].permits == 0 {
            self.runs.remove(place);
        }
        Tokens::permits(back)
    }

    /// Allows `max` per `span` from now on. What was taken stays counted: below a lower `max` nothing comes before
    /// enough of it left.
    pub fn reshape(&mut self, max: u64, span: Nanos) {
        (self.max, self.span) = (max, span);
    }

    fn used(&self) -> u128 {
        self.runs.iter().map(|run| u128::from(run.permits)).sum()
    }

    /// How many permits have to leave before `permits` more fit.
    fn missing(&self, permits: u64) -> u128 {
        (self.used() + u128::from(permits)).saturating_sub(u128::from(self.max))
    }

    fn count(&mut self, permits: u64) {
        if permits == 0 {
            return;
        }
        // Once there are too many times, what comes in the newest slot joins it in one step.
        let width = if self.runs.len() < EXACT_RUNS_MAX { 1 } else { self.slot() };
        self.push(Run { at: self.settled, permits }, width);
        if self.runs.len() > EXACT_RUNS_MAX {
            self.merge();
        }
    }

    /// Gives the runs of one slot the time of its latest: one pass, at most once in a slot.
    fn merge(&mut self) {
        let width = self.slot();
        for run in std::mem::take(&mut self.runs) {
            self.push(run, width);
        }
    }

    /// The width of a slot of merged times. A span touches one slot more than it holds.
    fn slot(&self) -> u64 {
        self.span.0.div_ceil(EXACT_RUNS_MAX as u64).max(1)
    }

    /// Adds the newest run, to the one before it if that is in the same slot of `width`.
    fn push(&mut self, run: Run, width: u64) {
        match self.runs.back_mut().filter(|last| last.at.0 / width == run.at.0 / width) {
            Some(last) => *last = Run { at: run.at, permits: last.permits.saturating_add(run.permits) },
            None => self.runs.push_back(run),
        }
    }
}

/// The whole permits that hold `amount`.
fn whole_up(amount: Tokens) -> u64 {
    amount.0.div_ceil(PERMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::units::SECOND;
    use proptest::prelude::*;

    const MINUTE: Nanos = Nanos::from_secs(60);
    const ONE: Tokens = Tokens::permits(1);

    fn at(window: &mut Window, seconds: u64) -> &mut Window {
        window.settle(Nanos::from_secs(seconds), Tokens::ZERO);
        window
    }

    #[test]
    fn a_permit_comes_back_exactly_one_span_after_it_was_taken() {
        let mut window = Window::new(2, MINUTE);
        assert!(at(&mut window, 100).take(ONE) && at(&mut window, 130).take(ONE));
        assert!(!window.take(ONE));
        window.settle(Nanos(160 * SECOND - 1), Tokens::ZERO);
        assert!(!window.take(ONE), "one nanosecond before");
        assert!(at(&mut window, 160).take(ONE));
        assert!(!window.take(ONE), "the second was taken later");
        assert!(at(&mut window, 190).take(ONE));
    }

    #[test]
    fn there_is_no_burst_at_the_boundary_of_two_periods_as_a_fixed_window_has() {
        let mut window = Window::new(100, MINUTE);
        assert!(at(&mut window, 59).take(Tokens::permits(100)));
        assert!(!at(&mut window, 60).take(ONE) && !at(&mut window, 118).take(ONE));
        assert!(at(&mut window, 119).take(Tokens::permits(100)));
    }

    #[test]
    fn a_clock_that_goes_back_frees_nothing_early() {
        let mut window = Window::new(1, MINUTE);
        at(&mut window, 100);
        assert!(at(&mut window, 10).take(ONE));
        assert!(!at(&mut window, 159).take(ONE), "taken at 100 at the earliest");
        assert!(at(&mut window, 160).take(ONE));
    }

    #[test]
    fn permits_are_whole() {
        let mut window = Window::new(2, MINUTE);
        assert!(window.take(Tokens(1)) && window.take(Tokens(PERMIT)));
        assert_eq!((window.level(), window.take(Tokens(1))), (Tokens::ZERO, false));
        assert_eq!(Window::new(2, MINUTE).wait_for(Tokens(2 * PERMIT + 1)), None);
    }

    #[test]
    fn what_was_spent_at_unknown_moments_counts_at_the_settlement_even_beyond_the_cap() {
        let mut window = Window::new(10, MINUTE);
        window.settle(Nanos::from_secs(60), Tokens::permits(15));
        assert_eq!((window.level(), window.is_full(), window.cap()), (Tokens::ZERO, false, Tokens::permits(10)));
        assert!(!at(&mut window, 119).take(ONE));
        assert_eq!(at(&mut window, 120).level(), Tokens::permits(10));
        assert!(window.is_full());
    }

    #[test]
    fn what_was_taken_once_can_be_given_back_and_nothing_of_what_others_took() {
        let mut window = Window::new(9, MINUTE);
        assert!(at(&mut window, 0).take(Tokens::permits(2)) && at(&mut window, 10).take(Tokens::permits(3)));
        assert!(at(&mut window, 20).take(Tokens::permits(4)));
        assert_eq!(window.put_taken_at(Tokens::permits(9), Nanos::from_secs(10)), Tokens::permits(3));
        assert_eq!(window.level(), Tokens::permits(3));
        assert_eq!(window.wait_for(Tokens::permits(5)), Some(Nanos::from_secs(40)), "the first are still taken");
        assert_eq!(window.runs.len(), 2, "and nothing is remembered of the second");
        at(&mut window, 60);
        assert_eq!(window.put_taken_at(Tokens::permits(2), Nanos::ZERO), Tokens::ZERO, "that left the window");
        assert_eq!(window.level(), Tokens::permits(5), "and what was taken at 20 is still taken");
    }

    #[test]
    fn what_left_before_the_span_grew_is_not_given_back_in_place_of_what_others_took() {
        let mut window = Window::new(10, Nanos::from_secs(1));
        assert!(at(&mut window, 0).take(Tokens::permits(5)) && at(&mut window, 1).take(Tokens::permits(10)));
        window.reshape(10, MINUTE);
        assert_eq!(window.put_taken_at(Tokens::permits(5), Nanos::ZERO), Tokens::ZERO);
        assert_eq!(window.level(), Tokens::ZERO);
    }

    #[test]
    fn what_was_taken_stays_counted_under_another_max() {
        let mut window = Window::new(10, MINUTE);
        assert!(at(&mut window, 0).take(Tokens::permits(4)) && at(&mut window, 30).take(Tokens::permits(4)));
        window.reshape(6, MINUTE);
        assert_eq!((window.level(), window.cap()), (Tokens::ZERO, Tokens::permits(6)));
        assert_eq!(window.wait_for(ONE), Some(Nanos::from_secs(30)));
        assert_eq!(window.wait_for(Tokens::permits(3)), Some(Nanos::from_secs(60)));
        assert_eq!(window.wait_for(Tokens::permits(7)), None);
        window.reshape(12, MINUTE);
        assert_eq!(window.level(), Tokens::permits(4));
    }

    #[test]
    fn memory_is_bounded_however_often_permits_are_taken() {
        let mut window = Window::new(u64::MAX, Nanos(6400));
        for now in 0..100_000 {
            window.settle(Nanos(now), Tokens::ZERO);
            assert!(window.take(ONE) && window.take(Tokens::ZERO));
            assert!(window.runs.len() <= EXACT_RUNS_MAX + 1);
        }
        window.settle(Nanos(200_000), Tokens::ZERO);
        assert!(window.take(Tokens::ZERO) && window.runs.is_empty(), "nothing taken needs no memory");
    }

    #[test]
    fn the_largest_numbers_neither_panic_nor_free_anything() {
        let mut window = Window::new(u64::MAX, Nanos::NEVER);
        for _ in 0..3 {
            window.settle(Nanos::NEVER, Tokens(u64::MAX));
        }
        assert!(!Window::new(0, Nanos::ZERO).take(ONE));
        window.reshape(u64::MAX / PERMIT, Nanos::NEVER);
        assert_eq!(window.level(), Tokens::ZERO);
        window.settle(Nanos::ZERO, Tokens::ZERO);
        assert_eq!(window.wait_for(ONE), Some(Nanos::NEVER));
    }

    /// The definition: who was let through, and when.
    struct Naive(Vec<(u64, u64)>);

    impl Naive {
        fn taken_since(&self, begin: u64, now: u64) -> u64 {
            self.0.iter().filter(|(at, _)| (begin..=now).contains(at)).map(|(_, permits)| permits).sum()
        }

        fn give_back(&mut self, index: usize, permits: u64) {
            self.0[index].1 -= permits;
        }
    }

    /// Runs `steps` of (time passed, permits, given back) and checks the window against its definition; `exact`
    /// says that nothing can have been merged.
    fn check(max: u64, span: u64, steps: Vec<(u64, u64, bool)>, exact: bool) -> Result<(), TestCaseError> {
        let (mut window, mut naive, mut now) = (Window::new(max, Nanos(span)), Naive(Vec::new()), span);
        let late = if exact { 0 } else { span.div_ceil(EXACT_RUNS_MAX as u64) - 1 };
        for (passed, permits, give_back) in steps {
            now += passed;
            window.settle(Nanos(now), Tokens::ZERO);
            let level = window.level().whole();
            let truth = max - naive.taken_since(now - span + 1, now);
            let delayed = max.saturating_sub(naive.taken_since((now - span + 1).saturating_sub(late), now));
            prop_assert!(level <= truth, "never early: {level} of {truth}");
            prop_assert!(level >= delayed, "later than allowed: {level}, {delayed}");
            let wait = window.wait_for(Tokens::permits(permits));
            prop_assert_eq!(wait.is_none(), permits > max);
            if let Some(wait) = wait {
                let mut later = window.clone();
                later.settle(Nanos(now + wait.0), Tokens::ZERO);
                prop_assert!(later.take(Tokens::permits(permits)), "the wait is long enough");
                let mut before = window.clone();
                before.settle(Nanos((now + wait.0).saturating_sub(1)), Tokens::ZERO);
                prop_assert!(
                    wait == Nanos::ZERO || !before.take(Tokens::permits(permits)),
                    "and no longer than needed"
                );
            }
            let granted = window.take(Tokens::permits(permits));
            prop_assert_eq!(granted, permits <= level);
            if granted {
                naive.0.push((now, permits));
                prop_assert!(naive.taken_since(now - span + 1, now) <= max, "more than max in the span that ends now");
            }
            // Of what was taken at some moment before, or just now.
            let index = (permits as usize + 1).min(naive.0.len());
            if let (true, Some((at, taken))) = (give_back, naive.0.get(naive.0.len() - index).copied()) {
                let back = window.put_taken_at(Tokens::permits(taken / 2), Nanos(at)).whole();
                prop_assert_eq!(back, if now - at < span { taken / 2 } else { 0 });
                naive.give_back(naive.0.len() - index, back);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn up_to_its_memory_a_window_is_its_definition_to_the_nanosecond(
            max in 1u64..60, span in 1u64..2_000,
            steps in prop::collection::vec((0u64..200, 0u64..30, any::<bool>()), 1..EXACT_RUNS_MAX),
        ) {
            check(max, span, steps, true)?;
        }

        #[test]
        fn beyond_it_a_permit_is_late_by_less_than_a_64th_of_the_span_and_never_early(
            max in 1u64..2_000, span in 1u64..20_000,
            steps in prop::collection::vec((0u64..60, 0u64..30, any::<bool>()), 200..900),
        ) {
            check(max, span, steps, false)?;
        }
    }
}
