//! One worker as the demonstration sees it: what it last said, and how fast its counts grow.

use super::child::Process;
use serde_json::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Rates are taken over so long.
const RATE_OVER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub granted: u64,
    pub denied: u64,
    pub waited: u64,
    pub records: u64,
}

/// What grows in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    pub granted: f64,
    pub denied: f64,
    pub waited: f64,
    pub records: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    Running,
    Killed,
    /// It ended by itself: that is no part of the plan.
    Ended,
}

pub struct Worker {
    pub number: usize,
    pub process: Option<Process>,
    pub state: State,
    pub share_rate: f64,
    /// It had a share at some time: of a tiny limit, not all can have one at once.
    pub joined: bool,
    pub basis: String,
    pub health: String,
    /// The last of its errors.
    pub error: Option<String>,
    /// Of processes under this number that have ended.
    before: Totals,
    now: Totals,
    recent: VecDeque<(Instant, Totals)>,
}

impl Worker {
    pub fn new(number: usize) -> Worker {
        Worker {
            number,
            process: None,
            state: State::Starting,
            share_rate: 0.0,
            joined: false,
            basis: "no_share".into(),
            health: String::new(),
            error: None,
            before: Totals::default(),
            now: Totals::default(),
            recent: VecDeque::new(),
        }
    }

    pub fn started(&mut self, process: Process) {
        self.process = Some(process);
        self.state = State::Starting;
    }

    /// A line that it said.
    pub fn hear(&mut self, line: &Value, at: Instant) {
        let number = |name: &str| line[name].as_u64().unwrap_or(0);
        match line["event"].as_str() {
            Some("ready") => self.state = State::Running,
            Some("tick") => {
                self.now = Totals {
                    granted: number("granted"),
                    denied: number("denied"),
                    waited: number("waited"),
                    records: number("records_sent"),
                };
                self.share_rate = line["share_rate"].as_f64().unwrap_or(0.0);
                self.joined |= self.share_rate > 0.0 || self.now.granted > 0;
                self.basis = line["basis"].as_str().unwrap_or_default().to_owned();
                self.health = line["health_message"].as_str().unwrap_or_default().to_owned();
                self.recent.push_back((at, self.now));
                while self.recent.get(1).is_some_and(|(then, _)| at.duration_since(*then) >= RATE_OVER) {
                    self.recent.pop_front();
                }
            }
            Some("error") => self.error = line["message"].as_str().map(str::to_owned),
            _ => {}
        }
    }

    /// Its process is gone.
    pub fn ended(&mut self, state: State) {
        self.state = state;
        self.before = self.totals();
        self.now = Totals::default();
        self.recent.clear();
        self.share_rate = 0.0;
        self.joined = false;
        self.basis = "no_share".into();
    }

    /// Since the demonstration began.
    pub fn totals(&self) -> Totals {
        let (a, b) = (self.before, self.now);
        Totals {
            granted: a.granted + b.granted,
            denied: a.denied + b.denied,
            waited: a.waited + b.waited,
            records: a.records + b.records,
        }
    }

    /// When it last spoke, and what it had been granted by then.
    pub fn last_told(&self) -> Option<(Instant, u64)> {
        self.recent.back().map(|(at, totals)| (*at, totals.granted))
    }

    pub fn rates(&self) -> Rates {
        let (Some((from, first)), Some((to, last))) = (self.recent.front(), self.recent.back()) else {
            return Rates::default();
        };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds == 0.0 {
            return Rates::default();
        }
        let rate = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        Rates {
            granted: rate(first.granted, last.granted),
            denied: rate(first.denied, last.denied),
            waited: rate(first.waited, last.waited),
            records: rate(first.records, last.records),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tick(granted: u64) -> Value {
        json!({"event": "tick", "granted": granted, "denied": 0, "waited": 0, "records_sent": 0, "share_rate": 5.0,
               "basis": "shared", "health": "ok", "health_message": "fine"})
    }

    #[test]
    fn rates_are_taken_over_the_last_second() {
        let (mut worker, start) = (Worker::new(1), Instant::now());
        worker.hear(&json!({"event": "ready"}), start);
        for quarter in 0..=8u32 {
            let granted = if quarter <= 4 { 0 } else { u64::from(quarter - 4) * 100 };
            worker.hear(&tick(granted), start + quarter * Duration::from_millis(250));
        }
        assert_eq!(worker.rates().granted, 400.0);
        assert!(worker.joined);
    }

    #[test]
    fn what_a_killed_process_was_granted_still_counts_after_its_return() {
        let mut worker = Worker::new(1);
        worker.hear(&tick(70), Instant::now());
        worker.ended(State::Killed);
        assert_eq!((worker.rates(), worker.joined), (Rates::default(), false));
        worker.hear(&tick(5), Instant::now());
        assert_eq!(worker.totals().granted, 75);
    }
}
