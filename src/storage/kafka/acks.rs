//! How long appends take until Kafka acknowledges them, how many failed, and how long the oldest has waited.

use crate::lock::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Acknowledgements that the quantiles are over.
const KEPT: usize = 1024;

pub(super) struct Acks {
    start: Instant,
    /// How many appends that began at each moment are under way: as many as the producer's queue has room for.
    under_way: Mutex<BTreeMap<usize, u32>>,
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
        let under_way = Mutex::new(BTreeMap::new());
        Acks { start: Instant::now(), under_way, kept: Mutex::new(kept), failed: AtomicU64::new(0) }
    }

    fn now(&self) -> usize {
        self.start.elapsed().as_micros() as usize
    }

    /// An append begins: the moment, by which its end is told.
    pub(super) fn begun(&self) -> usize {
        let moment = self.now();
        *self.under_way.lock().entry(moment).or_default() += 1;
        moment
    }

    fn ended(&self, moment: usize) {
        let mut under_way = self.under_way.lock();
        let Some(count) = under_way.get_mut(&moment) else { return };
        *count -= 1;
        if *count == 0 {
            under_way.remove(&moment);
        }
    }

    /// How long the oldest append has been under way.
    pub(super) fn oldest(&self) -> Option<Duration> {
        let oldest = self.under_way.lock().first_key_value().map(|(moment, _)| *moment)?;
        Some(Duration::from_micros(self.now().saturating_sub(oldest) as u64))
    }

    /// Nothing more will be heard of what is under way.
    pub(super) fn forget(&self) {
        self.under_way.lock().clear();
    }

    pub(super) fn acked(&self, moment: usize) {
        self.ended(moment);
        let took = self.now().saturating_sub(moment).min(u32::MAX as usize) as u32;
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

    pub(super) fn failed(&self, moment: usize) {
        self.ended(moment);
        self.refused();
    }

    /// An append that did not even begin.
    pub(super) fn refused(&self) {
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
            acks.acked(acks.begun());
        }
        assert!(acks.times().p99 < Duration::from_secs(50));
        assert!(acks.times().age.is_some());
    }

    #[test]
    fn the_oldest_append_counts_until_it_was_acknowledged_or_failed() {
        let acks = Acks { start: Instant::now() - Duration::from_secs(100), ..Acks::new() };
        assert_eq!(acks.oldest(), None);
        acks.under_way.lock().insert(0, 2);
        let young = acks.begun();
        acks.acked(0);
        assert!(acks.oldest().is_some_and(|age| age >= Duration::from_secs(100)), "another one began with it");
        acks.failed(0);
        assert!(acks.oldest().is_some_and(|age| age < Duration::from_secs(50)));
        acks.acked(young);
        assert_eq!((acks.oldest(), acks.failures()), (None, 1));
        acks.acked(young);
        assert_eq!(acks.oldest(), None, "the end of one that was forgotten changes nothing");
    }

    #[test]
    fn what_will_never_be_heard_of_is_not_under_way() {
        let acks = Acks::new();
        acks.begun();
        acks.forget();
        assert_eq!(acks.oldest(), None);
    }
}
