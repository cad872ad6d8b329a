//! The loop that asks for permits. Between two clock readings there is nothing but the call.

use super::counts::Counts;
use super::recorder::Recorder;
use super::Mode;
use crate::failure::Failure;
use crate::record::Admission;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidegate::runtime::clock::boot_time;
use tidegate::Key;

const PAUSE_AFTER_REFUSAL: Duration = Duration::from_micros(200);
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);
/// A call that took longer waited for its permits, or for a processor.
const WAITED_NS: u64 = 1_000_000;

pub fn spend(
    key: &Key,
    mode: Mode,
    pace: u64,
    recorder: Option<&Recorder>,
    counts: &Counts,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut pace = Pace::new(pace);
    while !stop.load(Ordering::Relaxed) {
        // Not recorded: not timed either, but for waits, which are long.
        let timed = recorder.is_some() || mode == Mode::Wait;
        let before = if timed { boot_time().0 } else { 0 };
        let decision = match mode {
            Mode::Spin => key.try_acquire(1),
            Mode::Wait => key.acquire(1, WAIT_TIMEOUT),
        };
        let after = if timed { boot_time().0 } else { 0 };
        if decision.is_granted() {
            counts.count_granted(decision.basis);
            if let Some(recorder) = recorder {
                recorder.record(Admission { before, after, permits: 1 });
            }
        } else if decision.status < 0 {
            return Err(Failure::failed(format!("acquire failed with status {}", decision.status)));
        } else {
            counts.count_denied(decision.basis);
        }
        if mode == Mode::Wait && after - before >= WAITED_NS {
            counts.count_waited();
        }
        if mode == Mode::Spin && !decision.is_granted() {
            std::thread::sleep(PAUSE_AFTER_REFUSAL);
        }
        pace.keep();
    }
    Ok(())
}

/// At most so many tries per second. What was missed is not made up for.
struct Pace {
    gap: Option<Duration>,
    next: Instant,
}

impl Pace {
    fn new(per_second: u64) -> Pace {
        let gap = (per_second > 0).then(|| Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(u32::MAX));
        Pace { gap, next: Instant::now() }
    }

    fn keep(&mut self) {
        let Some(gap) = self.gap else { return };
        let now = Instant::now();
        self.next = (self.next + gap).max(now);
        std::thread::sleep(self.next - now);
    }
}
