//! How long appends take until Kafka acknowledges them, and how many failed.

use crate::lock::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Acknowledgements that the quantiles are over.
const KEPT: usize = 1024;

pub(super) struct Acks {
    start: Instant,
    kept: Mutex<Kept>,
    failed: AtomicU64,
}

struct Kept {
    micros: Vec<u32>,
    next: usize,
    last: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct AckTimes {
    pub p50: Duration,
    pub p99: Duration,
    pub age: Option<Duration>,
}

impl Acks {
    pub(super) fn new() -> Acks {
        let kept = Kept { micros: Vec::with_capacity(KEPT), next: 0, last: None };
        Acks { start: Instant::now(), kept: Mutex::new(kept), failed: AtomicU64::new(0) }
    }

    /// The moment of an append, for `acked`.
    pub(super) fn stamp(&self) -> usize {
        self.start.elapsed().as_micros() as usize
    }

    pub(super) fn acked(&self, stamp: usize) {
        let took = self.stamp().saturating_sub(stamp).min(u32::MAX as usize) as u32;
        let mut kept = self.kept.lock();
        let next = kept.next;
        if kept.micros.len() < KEPT {
            kept.micros.push(took);
        } else {
            kept.micros[next] = took;
        }
        kept.next = (next + 1) % KEPT;
        kept.last = Some(Instant::now());
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failures(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn times(&self) -> AckTimes {
        let (mut sorted, last) = {
            let kept = self.kept.lock();
            (kept.micros.clone(), kept.last)
        };
        sorted.sort_unstable();
        let at = |percent: usize| match sorted.len() {
            0 => Duration::ZERO,
            n => Duration::from_micros(u64::from(sorted[((n * percent).div_ceil(100)).max(1) - 1])),
        };
        AckTimes { p50: at(50), p99: at(99), age: last.map(|at| at.elapsed()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_first_acknowledgement_nothing_is_claimed() {
        assert_eq!(Acks::new().times(), AckTimes { p50: Duration::ZERO, p99: Duration::ZERO, age: None });
    }

    #[test]
    fn the_quantiles_forget_what_is_older_than_the_last_1024() {
        let acks = Acks { start: Instant::now() - Duration::from_secs(100), ..Acks::new() };
        for _ in 0..KEPT {
            acks.acked(0);
        }
        assert!(acks.times().p50 >= Duration::from_secs(100));
        for _ in 0..KEPT {
            acks.acked(acks.stamp());
        }
        assert!(acks.times().p99 < Duration::from_secs(50));
        assert!(acks.times().age.is_some());
    }
}
