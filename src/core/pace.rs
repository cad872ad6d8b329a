//! How fast a limit refills just now, in parts per million of its configured rate: 0 is a pause, 1,000,000 is full.
//!
//! Three parts, each optional, of which the slowest counts ([`Pace`]): [`LagGate`] pauses while a consumer is too far
//! behind, [`LagRamp`] slows down as it falls behind, [`Adaptive`] finds the rate that a service bears from the
//! outcomes of calls to it. None ever makes a limit faster than configured. [`scaled`] applies the result to a
//! refill. Lag is a number of records; who measures it is none of this module's business.
//!
//! Cost: a few multiplications for each measurement, nothing for a decision.
//!
//! Source of the algorithm: additive increase, multiplicative decrease is Chiu and Jain, "Analysis of the increase and
//! decrease algorithms for congestion avoidance in computer networks" (1989); the gate is a Schmitt trigger.

use super::bucket::Refill;
use super::units::{clamp, mul_div, Nanos};
use std::fmt;

/// Parts per million that mean the configured rate.
pub const FULL: u32 = 1_000_000;

/// `refill` at `ppm` parts per million, rounded down; above [`FULL`] counts as full. Exact for the refill of a limit,
/// whose numerator is whole permits.
pub fn scaled(refill: Refill, ppm: u32) -> Refill {
    match mul_div(refill.num, u64::from(ppm.min(FULL)), u64::from(FULL)) {
        0 => Refill::NONE,
        num => Refill { num, den: refill.den },
    }
}

/// Why a pace was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceError(&'static str);

impl fmt::Display for PaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PaceError {}

fn require(holds: bool, otherwise: &'static str) -> Result<(), PaceError> {
    if holds {
        Ok(())
    } else {
        Err(PaceError(otherwise))
    }
}

/// Pauses above one lag, resumes at a lower one: between the two it stays as it is and does not flutter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagGate {
    pause_above: u64,
    resume_below: u64,
    paused: bool,
}

impl LagGate {
    /// Pauses when the lag exceeds `pause_above`, resumes when it is `resume_below` or less.
    ///
    /// # Errors
    /// When it would resume at a lag at which it pauses.
    pub fn new(pause_above: u64, resume_below: u64) -> Result<LagGate, PaceError> {
        require(resume_below <= pause_above, "resume_below is above pause_above; a lag between them would do both")?;
        Ok(LagGate { pause_above, resume_below, paused: false })
    }

    /// Takes a measurement; says whether it is paused now, if that changed.
    pub fn on_lag(&mut self, lag: u64) -> Option<bool> {
        let paused = if self.paused { lag > self.resume_below } else { lag > self.pause_above };
        let changed = paused != self.paused;
        self.paused = paused;
        changed.then_some(paused)
    }

    /// Whether nothing is to be let through.
    pub fn is_paused(&self) -> bool {
        self.paused
    }
}

/// Slows down in proportion: full up to one lag, a floor from another one on, a straight line between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagRamp {
    from: u64,
    to: u64,
    floor_ppm: u32,
}

impl LagRamp {
    /// Full at a lag of `from` or less, `floor_ppm` at `to` or more.
    ///
    /// # Errors
    /// When `from` is not below `to`, or the floor is above full.
    pub fn new(from: u64, to: u64, floor_ppm: u32) -> Result<LagRamp, PaceError> {
        require(from < to, "the ramp's `from` is not below its `to`")?;
        require(floor_ppm <= FULL, "the ramp's floor is above 1000000 parts per million")?;
        Ok(LagRamp { from, to, floor_ppm })
    }

    /// The pace at `lag`, rounded down.
    pub fn ppm(&self, lag: u64) -> u32 {
        let above = lag.clamp(self.from, self.to) - self.from;
        let drop = u128::from(FULL - self.floor_ppm) * u128::from(above);
        FULL - narrow(clamp(drop.div_ceil(u128::from(self.to - self.from))))
    }
}

/// Feels for the rate that a service bears: a step up while all goes well, a cut when it is overloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    floor_ppm: u32,
    step_ppm: u32,
    cut_ppm: u32,
    every: Nanos,
    ppm: u32,
    changed: Option<Nanos>,
    /// An overload since then that was not answered yet.
    overloaded: bool,
}

impl Adaptive {
    /// Adds `step_ppm` of the configured rate, or cuts `cut_ppm` of the *current* one (300,000 leaves 70 %), once in
    /// `every` at most and never below `floor_ppm`. Begins at full.
    ///
    /// # Errors
    /// When the step or the cut is 0, or one of the parts is above full.
    pub fn new(floor_ppm: u32, step_ppm: u32, cut_ppm: u32, every: Nanos) -> Result<Adaptive, PaceError> {
        require(step_ppm > 0, "the adaptive step is 0; a rate once cut would never recover")?;
        require(cut_ppm > 0, "the adaptive cut is 0; overload would change nothing")?;
        let largest = floor_ppm.max(step_ppm).max(cut_ppm);
        require(largest <= FULL, "the adaptive floor, step or cut is above 1000000 parts per million")?;
        Ok(Adaptive { floor_ppm, step_ppm, cut_ppm, every, ppm: FULL, changed: None, overloaded: false })
    }

    /// Takes the outcome of a call and returns the pace. An overload within `every` of the last change is answered
    /// when that is over. A `now` before the last change changes nothing.
    pub fn on_outcome(&mut self, now: Nanos, overloaded: bool) -> u32 {
        self.overloaded |= overloaded;
        if self.changed.is_some_and(|changed| now < changed.plus(self.every)) {
            return self.ppm;
        }
        let ppm = if self.overloaded {
            let left = mul_div(u64::from(self.ppm), u64::from(FULL - self.cut_ppm), u64::from(FULL));
            narrow(left).max(self.floor_ppm)
        } else {
            self.ppm.saturating_add(self.step_ppm).min(FULL)
        };
        // What changes nothing, a success at full speed, does not put off the answer to the next overload.
        if ppm != self.ppm {
            self.changed = Some(now);
        }
        self.overloaded = false;
        self.ppm = ppm;
        ppm
    }

    /// The pace now.
    pub fn ppm(&self) -> u32 {
        self.ppm
    }
}

/// All parts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Pauses by lag.
    pub gate: Option<LagGate>,
    /// Slows down by lag.
    pub ramp: Option<LagRamp>,
    /// Slows down by outcomes.
    pub adaptive: Option<Adaptive>,
    lag: u64,
}

impl Pace {
    /// The slowest of what is given; full until something was measured.
    pub fn new(gate: Option<LagGate>, ramp: Option<LagRamp>, adaptive: Option<Adaptive>) -> Pace {
        Pace { gate, ramp, adaptive, lag: 0 }
    }

    /// Pauses by lag from now on, at once if the last one was too great.
    pub fn pause_by(&mut self, mut gate: LagGate) {
        gate.on_lag(self.lag);
        self.gate = Some(gate);
    }

    /// The lags between which something changes: a measurement need not be finer.
    pub fn thresholds(&self) -> Vec<u64> {
        let gate = self.gate.iter().flat_map(|gate| [gate.pause_above, gate.resume_below]);
        gate.chain(self.ramp.iter().flat_map(|ramp| [ramp.from, ramp.to])).collect()
    }

    /// Takes a lag; says whether the limit is paused now, if that changed.
    pub fn on_lag(&mut self, lag: u64) -> Option<bool> {
        self.lag = lag;
        self.gate.as_mut()?.on_lag(lag)
    }

    /// Takes the outcome of a call, and returns the pace of all parts.
    pub fn on_outcome(&mut self, now: Nanos, overloaded: bool) -> u32 {
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.on_outcome(now, overloaded);
        }
        self.ppm()
    }

    /// The pace now.
    pub fn ppm(&self) -> u32 {
        let gate = if self.gate.is_some_and(|gate| gate.is_paused()) { 0 } else { FULL };
        let ramp = self.ramp.map_or(FULL, |ramp| ramp.ppm(self.lag));
        gate.min(ramp).min(self.adaptive.map_or(FULL, |adaptive| adaptive.ppm()))
    }
}

/// `ppm`, at most full.
fn narrow(ppm: u64) -> u32 {
    u32::try_from(ppm).map_or(FULL, |ppm| ppm.min(FULL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::limit::Limit;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    #[test]
    fn a_gate_pauses_above_one_lag_and_resumes_at_a_lower_one() {
        let mut gate = LagGate::new(100, 10).unwrap();
        let seen: Vec<_> = [100, 101, 500, 100, 11, 10, 0, 100, 101].map(|lag| gate.on_lag(lag)).into();
        let (pause, resume) = (Some(true), Some(false));
        assert_eq!(seen, [None, pause, None, None, None, resume, None, None, pause]);
        assert!(gate.is_paused());
    }

    #[test]
    fn a_gate_without_a_gap_still_never_does_both_and_a_negative_gap_cannot_be_built() {
        let mut gate = LagGate::new(0, 0).unwrap();
        assert_eq!([1, 1, 0, 0].map(|lag| gate.on_lag(lag)), [Some(true), None, Some(false), None]);
        assert!(LagGate::new(9, 10).is_err());
    }

    #[test]
    fn a_ramp_is_full_at_its_beginning_its_floor_at_its_end_and_a_line_between() {
        let ramp = LagRamp::new(100, 200, 200_000).unwrap();
        let seen = [0, 100, 101, 150, 199, 200, u64::MAX].map(|lag| ramp.ppm(lag));
        assert_eq!(seen, [FULL, FULL, 992_000, 600_000, 208_000, 200_000, 200_000]);
        assert_eq!(LagRamp::new(0, 3, 0).unwrap().ppm(1), 666_666, "rounded down");
        assert_eq!(LagRamp::new(0, u64::MAX, 0).unwrap().ppm(u64::MAX), 0);
    }

    #[test]
    fn an_illegal_ramp_or_adaptation_cannot_be_built() {
        assert!(LagRamp::new(5, 5, 0).is_err());
        assert!(LagRamp::new(4, 5, FULL + 1).is_err());
        assert!(LagRamp::new(4, 5, FULL).is_ok());
        for (floor, step, cut, legal) in [
            (0, 0, 1, false),
            (0, 1, 0, false),
            (FULL + 1, 1, 1, false),
            (0, FULL + 1, 1, false),
            (0, 1, FULL + 1, false),
            (FULL, FULL, FULL, true),
        ] {
            assert_eq!(Adaptive::new(floor, step, cut, ms(1)).is_ok(), legal);
        }
    }

    #[test]
    fn overload_cuts_a_part_of_the_current_pace_and_success_adds_a_step_of_the_full_one() {
        let mut pace = Adaptive::new(100_000, 50_000, 300_000, ms(1)).unwrap();
        let outcomes = [true, true, false, false, true];
        let seen: Vec<_> = (1..).zip(outcomes).map(|(now, overloaded)| pace.on_outcome(ms(now), overloaded)).collect();
        assert_eq!(seen, [700_000, 490_000, 540_000, 590_000, 413_000]);
        assert_eq!(pace.ppm(), 413_000);
    }

    #[test]
    fn an_adaptation_stays_between_its_floor_and_full() {
        let mut pace = Adaptive::new(100_000, 400_000, 900_000, ms(1)).unwrap();
        let outcomes = [true, true, false, false, false, false];
        let seen: Vec<_> = (1..).zip(outcomes).map(|(now, overloaded)| pace.on_outcome(ms(now), overloaded)).collect();
        assert_eq!(seen, [100_000, 100_000, 500_000, 900_000, FULL, FULL]);
    }

    #[test]
    fn there_is_one_change_in_a_while_and_an_overload_meanwhile_is_answered_after_it() {
        let mut pace = Adaptive::new(0, 1, 500_000, ms(10)).unwrap();
        let mut at = |now, overloaded| pace.on_outcome(ms(now), overloaded);
        assert_eq!(at(0, false), FULL);
        assert_eq!(at(1, true), 500_000, "a success at full speed puts nothing off");
        assert_eq!(at(10, true), 500_000);
        assert_eq!(at(11, false), 250_000, "the overload at 10 counts");
        assert_eq!(at(20, false), 250_000);
        assert_eq!(at(21, false), 250_001, "and counts once");
        assert_eq!(at(5, true), 250_001, "a clock that goes back changes nothing");
    }

    #[test]
    fn the_slowest_part_counts() {
        let gate = LagGate::new(1000, 0).unwrap();
        let ramp = LagRamp::new(0, 100, 400_000).unwrap();
        let adaptive = Adaptive::new(0, 1, 500_000, ms(1)).unwrap();
        let mut pace = Pace::new(Some(gate), Some(ramp), Some(adaptive));
        assert_eq!(pace.ppm(), FULL, "nothing measured yet");
        assert_eq!((pace.on_lag(50), pace.ppm()), (None, 700_000));
        assert_eq!(pace.on_outcome(ms(1), true), 500_000);
        assert_eq!((pace.on_lag(100), pace.ppm()), (None, 400_000));
        assert_eq!((pace.on_lag(1001), pace.ppm()), (Some(true), 0));
        assert_eq!((pace.on_lag(0), pace.ppm()), (Some(false), 500_000));
    }

    #[test]
    fn a_pace_without_parts_is_full_whatever_happens() {
        let mut pace = Pace::default();
        assert_eq!((pace.on_lag(u64::MAX), pace.on_outcome(ms(1), true), pace.ppm()), (None, FULL, FULL));
    }

    #[test]
    fn a_refill_is_scaled_exactly_and_never_up() {
        let refill = Limit::token_bucket(3, Nanos::from_secs(1), 0).unwrap().refill();
        assert_eq!(scaled(refill, 1), Refill { num: 3, den: refill.den });
        assert_eq!(scaled(refill, u32::MAX), refill);
        assert_eq!(scaled(refill, 0), Refill::NONE);
        assert_eq!(scaled(Refill { num: 1, den: 7 }, FULL - 1), Refill::NONE, "rounded down");
    }

    proptest! {
        #[test]
        fn a_scaled_refill_is_the_largest_of_its_denominator_that_is_not_faster(num: u64, den in 1u64.., ppm in 0..=FULL) {
            let part = scaled(Refill { num, den }, ppm);
            let exact = u128::from(num) * u128::from(ppm);
            prop_assert!(u128::from(part.num) * u128::from(FULL) <= exact);
            prop_assert!((u128::from(part.num) + 1) * u128::from(FULL) > exact);
            prop_assert!(part == Refill::NONE || part.den == den);
        }

        #[test]
        fn more_lag_is_never_faster(from in 0u64..1000, length in 1u64..1000, floor in 0..=FULL, lag in 0u64..3000) {
            let ramp = LagRamp::new(from, from + length, floor).unwrap();
            prop_assert!(ramp.ppm(lag + 1) <= ramp.ppm(lag));
            prop_assert!((floor..=FULL).contains(&ramp.ppm(lag)));
        }
    }
}
