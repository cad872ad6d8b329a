//! The two clocks of a decision.
//!
//! [`boot_time`] is `CLOCK_BOOTTIME`: monotonic, and it counts the time that the machine was suspended. All that
//! refills or expires is measured by it. Reading it costs 25 ns and more, which is most of a decision; so the hot path
//! asks [`ticks`] only whether a *deadline* has passed, and deadlines are set from the true clock, early enough for
//! any error of the ticks. A tick that is wrong by less than a thousandth cannot loosen the bound: what refills never
//! looks at it.
//!
//! Ticks are the processor's time-stamp counter where the kernel itself keeps time by it, else `CLOCK_BOOTTIME`.

use crate::core::units::Nanos;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::sync::OnceLock;

/// Miri knows no other clock, and no counter.
const BOOT: libc::clockid_t = if cfg!(miri) { libc::CLOCK_MONOTONIC } else { libc::CLOCK_BOOTTIME };

/// Nanoseconds of `CLOCK_BOOTTIME`.
pub fn boot_time() -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to; the clock exists since Linux 2.6.39, so the call cannot fail.
    unsafe { libc::clock_gettime(BOOT, &mut time) };
    Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// How ticks are counted on this machine.
struct Ticker {
    /// Ticks in 2^20 ns, a little too few; 0 = ticks are nanoseconds of [`boot_time`].
    per_2_20_ns: u64,
    /// The counter when first read. A counter below it was reset (suspend to RAM): everything has expired.
    floor: u64,
}

static TICKER: OnceLock<Ticker> = OnceLock::new();
/// For the hot path: `Ticker::floor`, or this when the counter is not to be used or not calibrated yet.
static FLOOR: AtomicU64 = AtomicU64::new(NO_COUNTER);
const NO_COUNTER: u64 = u64::MAX;
/// Nanoseconds in 2^32 ticks, a little too many.
static NANOS_PER_2_32: AtomicU64 = AtomicU64::new(1 << 32);

/// A reading that is only good for comparing with [`deadline`].
#[inline]
pub fn ticks() -> u64 {
    counted().unwrap_or_else(|| boot_time().0)
}

/// The same where ticks are the processor's counter, which takes no call to read.
#[inline(always)]
pub fn counted() -> Option<u64> {
    let floor = FLOOR.load(Ordering::Relaxed);
    (floor != NO_COUNTER).then(|| counter().wrapping_sub(floor))
}

/// The tick before which `span` has certainly not passed since `now` was read, and `now` was read before this call.
pub fn deadline(now: Nanos, until: Nanos) -> u64 {
    let ticker = ticker();
    if until == Nanos::NEVER {
        return u64::MAX;
    }
    if ticker.per_2_20_ns == 0 {
        return until.0;
    }
    let start = ticks();
    // Read after `start`: what passed in between comes off the span.
    let left = until.since(now.max(boot_time()));
    start.saturating_add(crate::core::units::mul_div(left.0, ticker.per_2_20_ns, 1 << 20))
}

/// Nanoseconds in `ticks`, rounded up. A multiplication: part of each refusal, where a division would be a third of it.
#[inline]
pub fn span(ticks: u64) -> Nanos {
    let nanos = (u128::from(ticks) * u128::from(NANOS_PER_2_32.load(Ordering::Relaxed))) >> 32;
    Nanos(crate::core::units::clamp(nanos).saturating_add(1))
}

/// A duration as core has it; what does not fit is the longest there is.
pub fn nanos(duration: std::time::Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// Prepares [`ticks`]: takes 10 ms once per process where the counter is used.
pub fn calibrate() {
    let _ = ticker();
}

fn ticker() -> &'static Ticker {
    TICKER.get_or_init(|| {
        let ticker = if counter_is_trusted() { measure() } else { Ticker { per_2_20_ns: 0, floor: 0 } };
        if ticker.per_2_20_ns > 0 {
            let nanos = crate::core::units::mul_div(1 << 52, 1, ticker.per_2_20_ns);
            NANOS_PER_2_32.store(nanos.saturating_add(1), Ordering::Relaxed);
            FLOOR.store(ticker.floor, Ordering::Release);
        }
        ticker
    })
}

/// Counts ticks over 10 ms, the shortest of three tries at each end.
fn measure() -> Ticker {
    let pair = || {
        (0..3)
            .map(|_| {
                let before = boot_time();
                let ticks = counter();
                (boot_time().since(before), ticks, before)
            })
            .min()
            .unwrap_or_default()
    };
    let (_, floor, from) = pair();
    std::thread::sleep(std::time::Duration::from_millis(10));
    let (doubt, end, to) = pair();
    let nanos = to.since(from).0 + doubt.0;
    let per = crate::core::units::mul_div(end.saturating_sub(floor), 1 << 20, nanos);
    // A thousandth too few: more than any calibration error or drift of the counter.
    Ticker { per_2_20_ns: per - per / 1_000, floor }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets programs use it unless told otherwise by
    // PR_SET_TSC, which would end any program that reads its clock.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    0
}

/// Whether the kernel itself keeps time by the counter: then it runs at one rate, on all cores alike.
fn counter_is_trusted() -> bool {
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    cfg!(target_arch = "x86_64") && !cfg!(miri) && source.is_ok_and(|name| name.trim() == "tsc")
}

/// Where a runtime takes its time from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// [`boot_time`].
    #[default]
    System,
    /// Stands still until the test moves it.
    Manual(ManualClock),
}

impl Clock {
    /// The time now.
    pub fn now(&self) -> Nanos {
        match self {
            Clock::System => boot_time(),
            Clock::Manual(clock) => clock.now(),
        }
    }
}

/// A clock that stands still until it is told to advance. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, span: std::time::Duration) {
        self.0.fetch_add(nanos(span).0, Ordering::AcqRel);
    }

    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_later_than_the_true_clock_says() {
        calibrate();
        let early = |_| {
            let now = boot_time();
            let until = now.plus(Nanos::from_millis(3));
            let deadline = deadline(now, until);
            let reached = loop {
                let now = boot_time();
                // Read after the true clock, which may have the thread stopped in between.
                if ticks() >= deadline {
                    break now;
                }
                assert!(now < until, "late by {:?}", boot_time().since(until));
            };
            until.since(reached)
        };
        // A thread that is stopped for a while makes some of them early.
        let least = (0..20).map(early).min().unwrap();
        assert!(least < Nanos::from_millis(1), "far too early by {least:?}: the rate is wrong");
    }

    #[test]
    fn a_span_of_ticks_is_its_deadline_told_back_and_never_too_short() {
        calibrate();
        for millis in [1, 1_000, 86_400_000] {
            let now = boot_time();
            let told = span(deadline(now, now.plus(Nanos::from_millis(millis))) - ticks());
            let wanted = Nanos::from_millis(millis);
            assert!(told <= wanted.plus(Nanos::from_millis(millis / 100)), "{told:?} of {wanted:?}");
            assert!(told.plus(boot_time().since(now)).plus(Nanos(1_000)) >= wanted, "{told:?} of {wanted:?}");
        }
        assert!(span(u64::MAX) > Nanos::from_secs(1_000_000_000) && span(0) == Nanos(1));
    }

    #[test]
    fn a_deadline_in_the_past_has_passed() {
        calibrate();
        let now = boot_time();
        assert!(deadline(now, Nanos(now.0 - 1)) <= ticks());
    }

    #[test]
    fn a_manual_clock_stands_still_until_told() {
        let clock = ManualClock::default();
        let same = Clock::Manual(clock.clone());
        assert_eq!(same.now(), Nanos::ZERO);
        clock.advance(std::time::Duration::from_secs(2));
        assert_eq!(same.now(), Nanos::from_secs(2));
    }
}
