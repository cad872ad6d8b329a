//! Short rounds in which all who are compared take turns, so that a noisy machine disturbs all alike.
//!
//! criterion measures one after the other, seconds apart, in which another program may come or go; and it has one
//! thread. What counts here is a ratio: of processor time per call, in the same round.

use serde_json::json;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Somebody who answers calls: the numbers of calls in, the number of granted ones out.
pub struct Contender<'a> {
    pub name: String,
    run: Box<dyn Fn(Range<usize>) -> usize + Sync + 'a>,
}

impl<'a> Contender<'a> {
    /// `one` is the call of the given number.
    pub fn new(name: impl Into<String>, one: impl Fn(usize) -> bool + Sync + 'a) -> Contender<'a> {
        let run = move |calls: Range<usize>| calls.map(|at| usize::from(std::hint::black_box(one(at)))).sum();
        Contender { name: name.into(), run: Box::new(run) }
    }

    /// Calls that are not measured.
    pub fn call(&self, times: usize) {
        (self.run)(0..times);
    }
}

/// What is measured in one go.
pub struct Case<'a> {
    /// A name that the report knows.
    pub name: &'a str,
    pub threads: usize,
    /// Of each thread in a round.
    pub calls: usize,
    pub rounds: usize,
    /// Whether all of them are granted, or none.
    pub granted: bool,
}

impl Case<'_> {
    /// Prints a line for each contender: a sentence, or with `--json` an object.
    pub fn measure(&self, contenders: &[Contender<'_>]) {
        let mut all = vec![Vec::new(); contenders.len()];
        let rounds = if super::is_quick() { self.rounds / 4 } else { self.rounds };
        for round in 0..rounds + 1 {
            for turn in 0..contenders.len() {
                let who = (round + turn) % contenders.len();
                let ns = self.round(&contenders[who], round);
                // The first warms up.
                if round > 0 {
                    all[who].push(ns);
                }
            }
        }
        for (contender, rounds) in contenders.iter().zip(&all) {
            print(self.name, &contender.name, "ns", rounds);
        }
    }

    /// Nanoseconds of processor time per call; `None` if the threads were not all there all the time.
    fn round(&self, contender: &Contender<'_>, round: usize) -> Option<f64> {
        let waiting = AtomicUsize::new(self.threads);
        let thread = |number: usize| {
            pin(number);
            let first = (round * self.threads + number) * self.calls;
            waiting.fetch_sub(1, Ordering::AcqRel);
            while waiting.load(Ordering::Acquire) > 0 {
                std::hint::spin_loop();
            }
            let begin = (clock(libc::CLOCK_MONOTONIC), clock(libc::CLOCK_THREAD_CPUTIME_ID));
            let granted = (contender.run)(first..first + self.calls);
            let end = (clock(libc::CLOCK_THREAD_CPUTIME_ID), clock(libc::CLOCK_MONOTONIC));
            let is_right = granted == if self.granted { self.calls } else { 0 };
            // leaky-bucket, unfair, refuses what it has while another thread is at it: no round of granted calls.
            let may_collide = self.threads > 1 && contender.name == super::peers::LEAKY_UNFAIR;
            assert!(is_right || may_collide, "{}: {}: {granted} were granted", self.name, contender.name);
            is_right.then_some(Span { begin: begin.0, end: end.1, cpu: end.0 - begin.1 })
        };
        let spans: Option<Vec<Span>> = std::thread::scope(|scope| {
            let thread = &thread;
            let threads: Vec<_> = (0..self.threads).map(|number| scope.spawn(move || thread(number))).collect();
            let spans: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            spans.into_iter().collect()
        });
        let spans = spans?;
        let together = spans.iter().map(|span| span.end).min()? - spans.iter().map(|span| span.begin).max()?;
        let clean = |span: &Span| 10 * span.cpu.min(together) > 8 * span.wall();
        let cpu: i64 = spans.iter().map(|span| span.cpu).sum();
        spans.iter().all(clean).then_some(cpu as f64 / (self.threads * self.calls) as f64)
    }
}

struct Span {
    begin: i64,
    end: i64,
    cpu: i64,
}

impl Span {
    fn wall(&self) -> i64 {
        self.end - self.begin
    }
}

/// One processor for each thread.
fn pin(number: usize) {
    // SAFETY: an empty set is a valid one, and the calls only read and write it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(number % libc::sysconf(libc::_SC_NPROCESSORS_ONLN) as usize, &mut set);
        // Where it is forbidden, the rounds are merely noisier.
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

fn clock(which: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to.
    unsafe { libc::clock_gettime(which, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// A measurement of each round; `None` for one that does not count.
#[allow(clippy::print_stdout, reason = "this is what a benchmark is for")]
pub fn print(case: &str, who: &str, unit: &str, rounds: &[Option<f64>]) {
    if std::env::args().any(|argument| argument == "--json") {
        let rounds: Vec<_> = rounds.iter().map(|round| round.map(|value| (value * 100.0).round() / 100.0)).collect();
        println!("{}", json!({"part": "rust", "case": case, "who": who, "unit": unit, "rounds": rounds}));
        return;
    }
    let mut sorted: Vec<f64> = rounds.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.get(sorted.len() / 2) {
        Some(median) => println!("{case:36} {who:36} {median:9.1} {unit} ({} rounds)", sorted.len()),
        None => println!("{case:36} {who:36} no round in which all ran side by side"),
    }
}
