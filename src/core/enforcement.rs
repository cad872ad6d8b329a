//! What happens at a limit beyond a plain no: four behaviours, as state machines over a time that is an argument.
//!
//! A bucket says whether permits are there. [`Guard`] stands in front of one bucket and remembers what its
//! [`Enforcement`] needs: it is asked [`before`](Guard::before) the bucket is, and told the answer
//! [`after`](Guard::after). Who turns a state over reports the [`Edge`]; there is no other event.
//!
//! | Enforcement | State | What happens | Next state | Result |
//! |---|---|---|---|---|
//! | `HardLimit` | none | refusal | none | refused, with the time to wait |
//! | `Throttling` | none | refusal, wait <= `max_wait` | none | a place in line and a delay |
//! | | none | refusal, wait > `max_wait` or endless | none | refused, with the time to wait |
//! | `Backpressure` | off | refusal | on | refused; edge `PressureOn` |
//! | | on | grant that finds >= half of the cap | off | granted; edge `PressureOff` |
//! | | on | nobody asks, and >= half of the cap is there | off | edge `PressureOff`, told to who looks |
//! | | on | any other decision | on | as the bucket says |
//! | `CircuitBreaker` | closed | grant | closed, counts from 0 | granted |
//! | | closed | refusal, fewer than `threshold` in a row | closed | refused |
//! | | closed | refusal, the `threshold`th in a row | open | refused; edge `BreakerOpened` |
//! | | open | request within `open_for` | open | refused unasked, with the rest of `open_for` |
//! | | open | first request after `open_for` | half-open | asked: the probe; edge `BreakerHalfOpen` |
//! | | half-open | another request | half-open | refused unasked, with `open_for` |
//! | | half-open | probe granted | closed | granted; edge `BreakerClosed` |
//! | | half-open | probe refused | open | refused; edge `BreakerOpened` |
//!
//! Cost: a few comparisons, no memory but the struct. The circuit breaker is Nygard's ("Release It!", 2007), counted
//! in consecutive refusals; the pressure signal is a Schmitt trigger, so that it does not flutter at the edge.

use super::units::{Nanos, Tokens};

/// What a limit does with a request that it has no permits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Refuses.
    #[default]
    HardLimit,
    /// Delays: the caller waits in line instead of being refused.
    Throttling {
        /// The longest delay; a request that would wait longer is refused at once.
        max_wait: Nanos,
    },
    /// Refuses, and signals when that begins and when there is room again.
    Backpressure,
    /// Refuses, and after many refusals in a row refuses without asking.
    CircuitBreaker {
        /// Refusals without a grant in between that open it; 0 is as 1.
        threshold: u32,
        /// How long it stays open before one request may probe.
        open_for: Nanos,
    },
}

impl Enforcement {
    /// The longest that a request may be delayed; `None` where that is its caller's choice alone.
    pub fn max_wait(&self) -> Option<Nanos> {
        match *self {
            Enforcement::Throttling { max_wait } => Some(max_wait),
            _ => None,
        }
    }
}

/// Whether the bucket is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Ask it, and tell [`Guard::after`] the answer: always, or a probe is out for ever.
    Ask,
    /// Do not: refuse, with this time to wait. Nothing is to be told.
    Refuse(Nanos),
}

/// A state that turned over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The first refusal: slow down.
    PressureOn,
    /// At least half of the cap was there again: go on.
    PressureOff,
    /// Requests are refused unasked from here on.
    BreakerOpened,
    /// One request goes through to probe.
    BreakerHalfOpen,
    /// Requests are asked again.
    BreakerClosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    /// `Some`: on, and when it was last refused.
    Pressure {
        refused: Option<Nanos>,
    },
    Closed {
        refusals: u32,
    },
    Open {
        until: Nanos,
    },
    HalfOpen,
}

/// What one bucket's enforcement remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    threshold: u32,
    open_for: Nanos,
    state: State,
    /// The latest time seen: a clock that goes back stands still instead.
    now: Nanos,
}

impl Guard {
    /// No pressure, breaker closed.
    pub fn new(enforcement: &Enforcement) -> Guard {
        let (threshold, open_for, state) = match *enforcement {
            Enforcement::HardLimit | Enforcement::Throttling { .. } => (0, Nanos::ZERO, State::Plain),
            Enforcement::Backpressure => (0, Nanos::ZERO, State::Pressure { refused: None }),
            Enforcement::CircuitBreaker { threshold, open_for } => (threshold, open_for, State::Closed { refusals: 0 }),
        };
        Guard { threshold, open_for, state, now: Nanos::ZERO }
    }

    /// How long a request at `now` would be refused unasked for; changes nothing. For who asks several buckets at once.
    pub fn refuses(&self, now: Nanos) -> Option<Nanos> {
        match self.state {
            State::Open { until } if self.now.max(now) < until => Some(until.since(self.now.max(now))),
            State::HalfOpen => Some(self.open_for),
            _ => None,
        }
    }

    /// Whether a request at `now` may ask the bucket.
    pub fn before(&mut self, now: Nanos) -> (Gate, Option<Edge>) {
        self.now = self.now.max(now);
        if let Some(wait) = self.refuses(now) {
            return (Gate::Refuse(wait), None);
        }
        if let State::Open { .. } = self.state {
            self.state = State::HalfOpen;
            return (Gate::Ask, Some(Edge::BreakerHalfOpen));
        }
        (Gate::Ask, None)
    }

    /// What the bucket answered: whether it granted, and what `level` of what `cap` it held before. While a probe is
    /// out, the next answer is taken for the probe's; while the breaker is open, an answer is of before and ignored.
    pub fn after(&mut self, now: Nanos, granted: bool, level: Tokens, cap: Tokens) -> Option<Edge> {
        self.now = self.now.max(now);
        match (self.state, granted) {
            (State::Pressure { refused }, false) => {
                self.state = State::Pressure { refused: Some(self.now) };
                refused.is_none().then_some(Edge::PressureOn)
            }
            (State::Pressure { refused: Some(_) }, true) if is_half_full(level, cap) => self.relax(),
            (State::Closed { .. }, true) => {
                self.state = State::Closed { refusals: 0 };
                None
            }
            (State::Closed { refusals }, false) => self.refused(refusals.saturating_add(1)),
            (State::HalfOpen, true) => {
                self.state = State::Closed { refusals: 0 };
                Some(Edge::BreakerClosed)
            }
            (State::HalfOpen, false) => self.refused(u32::MAX),
            _ => None,
        }
    }

    /// Whether it has to be asked at all: not for what remembers nothing.
    pub fn remembers(enforcement: &Enforcement) -> bool {
        matches!(enforcement, Enforcement::Backpressure | Enforcement::CircuitBreaker { .. })
    }

    /// Whether a grant would change something: while it is false, grants may bypass the guard. Refusals never may,
    /// except for hard limits and throttling, to which nothing matters.
    pub fn must_look(&self) -> bool {
        !matches!(self.state, State::Plain | State::Pressure { refused: None } | State::Closed { refusals: 0 })
    }

    /// Whether a probe is out: then the next answer must be told.
    pub fn is_probing(&self) -> bool {
        matches!(self.state, State::HalfOpen)
    }

    /// Whether the pressure is on: then somebody should [`rest`](Guard::rest) now and then.
    pub fn is_under_pressure(&self) -> bool {
        matches!(self.state, State::Pressure { refused: Some(_) })
    }

    /// Nobody asks, perhaps because of the pressure: turns it off when `level` has come to half of `cap`, or nobody was
    /// refused for `patience`.
    pub fn rest(&mut self, now: Nanos, level: Tokens, cap: Tokens, patience: Nanos) -> Option<Edge> {
        self.now = self.now.max(now);
        match self.state {
            State::Pressure { refused: Some(last) } if is_half_full(level, cap) || self.now.since(last) >= patience => {
                self.relax()
            }
            _ => None,
        }
    }

    fn relax(&mut self) -> Option<Edge> {
        self.state = State::Pressure { refused: None };
        Some(Edge::PressureOff)
    }

    /// The `refusals`th in a row.
    fn refused(&mut self, refusals: u32) -> Option<Edge> {
        let open = refusals >= self.threshold;
        self.state =
            if open { State::Open { until: self.now.plus(self.open_for) } } else { State::Closed { refusals } };
        open.then_some(Edge::BreakerOpened)
    }
}

fn is_half_full(level: Tokens, cap: Tokens) -> bool {
    level.0 >= cap.0.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAP: Tokens = Tokens::permits(10);
    const SECOND: Nanos = Nanos::from_secs(1);

    fn breaker(threshold: u32) -> Guard {
        Guard::new(&Enforcement::CircuitBreaker { threshold, open_for: SECOND })
    }

    /// A request at `now` milliseconds that the bucket, if asked, answers with `granted`.
    fn request(guard: &mut Guard, now: u64, granted: bool) -> (Gate, Vec<Edge>) {
        let now = Nanos::from_millis(now);
        let (gate, edge) = guard.before(now);
        let after = if gate == Gate::Ask { guard.after(now, granted, Tokens::ZERO, CAP) } else { None };
        (gate, edge.into_iter().chain(after).collect())
    }

    fn refusal_in(ms: u64) -> (Gate, Vec<Edge>) {
        (Gate::Refuse(Nanos::from_millis(ms)), vec![])
    }

    #[test]
    fn hard_limits_and_throttling_always_ask_and_remember_nothing() {
        for rule in [Enforcement::HardLimit, Enforcement::Throttling { max_wait: SECOND }] {
            let mut guard = Guard::new(&rule);
            for now in 0..10 {
                assert_eq!(request(&mut guard, now, false), (Gate::Ask, vec![]));
                assert!(!guard.must_look());
            }
        }
    }

    #[test]
    fn throttling_alone_has_a_longest_wait() {
        assert_eq!(Enforcement::Throttling { max_wait: SECOND }.max_wait(), Some(SECOND));
        assert_eq!(Enforcement::HardLimit.max_wait(), None);
    }

    #[test]
    fn pressure_is_signalled_once_when_it_begins_and_once_when_half_of_the_cap_is_there_again() {
        let mut guard = Guard::new(&Enforcement::Backpressure);
        let mut after = |granted, level| (guard.after(SECOND, granted, Tokens(level), CAP), guard.must_look());
        let half = CAP.0 / 2;
        assert_eq!(after(true, CAP.0), (None, false));
        assert_eq!(after(false, 0), (Some(Edge::PressureOn), true));
        assert_eq!(after(false, 0), (None, true));
        assert_eq!(after(true, half - 1), (None, true), "not yet half");
        assert_eq!(after(false, half), (None, true), "a refusal is no relief");
        assert_eq!(after(true, half), (Some(Edge::PressureOff), false));
        assert_eq!(after(true, half), (None, false));
        assert_eq!(after(false, half), (Some(Edge::PressureOn), true));
    }

    #[test]
    fn pressure_ends_without_a_request_when_half_is_there_or_nobody_was_refused_for_long() {
        let patience = Nanos::from_secs(5);
        let mut guard = Guard::new(&Enforcement::Backpressure);
        assert_eq!(guard.rest(SECOND, CAP, CAP, patience), None, "there is none");
        guard.after(SECOND, false, Tokens(0), CAP);
        guard.after(Nanos::from_secs(2), false, Tokens(0), CAP);
        assert!(guard.is_under_pressure());
        assert_eq!(guard.rest(Nanos::from_millis(6_999), Tokens(CAP.0 / 2 - 1), CAP, patience), None);
        assert_eq!(guard.rest(Nanos::from_secs(7), Tokens(0), CAP, patience), Some(Edge::PressureOff));
        guard.after(SECOND, false, Tokens(0), CAP);
        assert_eq!(guard.rest(SECOND, Tokens(CAP.0 / 2), CAP, patience), Some(Edge::PressureOff));
        assert!(!guard.is_under_pressure() && !guard.must_look());
        assert_eq!(breaker(1).rest(SECOND, CAP, CAP, Nanos::ZERO), None, "a breaker knows no rest");
    }

    #[test]
    fn half_of_an_odd_cap_is_rounded_up() {
        let mut guard = Guard::new(&Enforcement::Backpressure);
        assert_eq!(guard.after(SECOND, false, Tokens(0), Tokens(3)), Some(Edge::PressureOn));
        assert_eq!(guard.after(SECOND, true, Tokens(1), Tokens(3)), None);
        assert_eq!(guard.after(SECOND, true, Tokens(2), Tokens(3)), Some(Edge::PressureOff));
    }

    #[test]
    fn refusals_in_a_row_open_the_breaker_and_a_grant_in_between_counts_anew() {
        let mut guard = breaker(3);
        for granted in [false, false, true, false, false] {
            assert_eq!(request(&mut guard, 0, granted), (Gate::Ask, vec![]));
            assert_eq!(guard.must_look(), !granted, "a grant matters while refusals are counted");
        }
        assert_eq!(request(&mut guard, 0, false), (Gate::Ask, vec![Edge::BreakerOpened]));
        assert!(guard.must_look());
    }

    #[test]
    fn an_open_breaker_refuses_unasked_and_says_how_long() {
        let mut guard = breaker(1);
        request(&mut guard, 5, false);
        assert_eq!(request(&mut guard, 5, true), refusal_in(1000));
        assert_eq!(request(&mut guard, 1004, true), refusal_in(1));
        assert_eq!(guard.after(SECOND, true, CAP, CAP), None, "an answer to somebody from before closes nothing");
        assert_eq!(guard.after(SECOND, false, CAP, CAP), None, "nor does it open it for longer");
        assert_eq!(request(&mut guard, 1005, true).0, Gate::Ask);
    }

    #[test]
    fn a_granted_probe_closes_the_breaker() {
        let mut guard = breaker(2);
        request(&mut guard, 0, false);
        request(&mut guard, 0, false);
        assert_eq!(request(&mut guard, 1000, true), (Gate::Ask, vec![Edge::BreakerHalfOpen, Edge::BreakerClosed]));
        assert!(!guard.must_look());
        assert_eq!(request(&mut guard, 1000, false), (Gate::Ask, vec![]), "and it counts from 0");
    }

    #[test]
    fn a_refused_probe_opens_it_again_however_high_the_threshold() {
        let mut guard = breaker(2);
        request(&mut guard, 0, false);
        request(&mut guard, 0, false);
        assert_eq!(request(&mut guard, 1500, false), (Gate::Ask, vec![Edge::BreakerHalfOpen, Edge::BreakerOpened]));
        assert_eq!(request(&mut guard, 1500, true), refusal_in(1000));
    }

    #[test]
    fn only_one_probe_is_out_until_it_was_answered() {
        let mut guard = breaker(1);
        request(&mut guard, 0, false);
        assert_eq!(guard.before(SECOND), (Gate::Ask, Some(Edge::BreakerHalfOpen)));
        assert_eq!(request(&mut guard, 1000, true), refusal_in(1000));
        assert_eq!(request(&mut guard, 9000, true), refusal_in(1000));
        assert!(guard.must_look());
        assert_eq!(guard.after(SECOND, true, CAP, CAP), Some(Edge::BreakerClosed));
        assert_eq!(request(&mut guard, 9000, true), (Gate::Ask, vec![]));
    }

    #[test]
    fn a_clock_that_goes_back_shortens_no_open_period() {
        let mut guard = breaker(1);
        assert_eq!(guard.before(Nanos::from_millis(500)).0, Gate::Ask);
        guard.after(Nanos::ZERO, false, Tokens::ZERO, CAP);
        assert_eq!(request(&mut guard, 0, true), refusal_in(1000), "opened at 500, the latest time seen");
        assert_eq!(request(&mut guard, 1499, true), refusal_in(1));
        assert_eq!(request(&mut guard, 0, true), refusal_in(1), "what has passed has passed");
        assert_eq!(request(&mut guard, 1500, true).0, Gate::Ask);

        let mut guard = breaker(1);
        guard.after(SECOND, true, CAP, CAP);
        guard.after(Nanos::ZERO, false, Tokens::ZERO, CAP);
        assert_eq!(request(&mut guard, 1999, true), refusal_in(1), "an answer's time counts as well");
    }

    #[test]
    fn the_largest_numbers_open_it_for_ever_and_a_threshold_of_0_is_1() {
        let mut guard = Guard::new(&Enforcement::CircuitBreaker { threshold: 0, open_for: Nanos::NEVER });
        assert_eq!(request(&mut guard, 1, false), (Gate::Ask, vec![Edge::BreakerOpened]));
        assert_eq!(guard.before(Nanos(u64::MAX - 1)).0, Gate::Refuse(Nanos(1)));
    }

    proptest! {
        /// Against the definition over the whole history, with interleaved requests and a clock that jumps.
        #[test]
        fn a_breaker_is_its_definition(
            threshold in 1u32..4, open_for in 0u64..50,
            steps in prop::collection::vec((-20i64..40, 0u8..4), 1..200),
        ) {
            let mut guard =
                Guard::new(&Enforcement::CircuitBreaker { threshold, open_for: Nanos(open_for) });
            // The history: refusals in a row, when it opened last, whether a probe is out, questions not yet answered.
            let (mut now, mut latest, mut row, mut opened, mut probe) = (0i64, 0u64, 0, None::<u64>, false);
            let mut asked = 0u32;
            for (step, act) in steps {
                now = (now + step).max(0);
                let time = Nanos(now.unsigned_abs());
                if act >= 2 && asked == 0 {
                    continue;
                }
                latest = latest.max(time.0);
                if act < 2 {
                    let (gate, edge) = guard.before(time);
                    let closed = opened.is_none();
                    let probes = !probe && opened.is_some_and(|opened| latest >= opened + open_for);
                    prop_assert_eq!(gate == Gate::Ask, closed || probes);
                    prop_assert_eq!(edge, probes.then_some(Edge::BreakerHalfOpen));
                    asked += u32::from(closed || probes);
                    probe |= probes;
                } else {
                    let granted = act == 3;
                    let edge = guard.after(time, granted, CAP, CAP);
                    asked -= 1;
                    if opened.is_some() && !probe {
                        prop_assert_eq!(edge, None);
                        continue;
                    }
                    row = if granted { 0 } else { row + 1 };
                    let opens = !granted && (probe || row >= threshold);
                    let closes = granted && probe;
                    let expected = if opens { Some(Edge::BreakerOpened) } else { None };
                    prop_assert_eq!(edge, if closes { Some(Edge::BreakerClosed) } else { expected });
                    if opens { opened = Some(latest) }
                    if closes { opened = None }
                    probe = false;
                }
                prop_assert_eq!(guard.must_look(), opened.is_some() || row > 0);
            }
        }
    }
}
