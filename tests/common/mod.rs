//! What the tests of local limits share: limits, a runtime whose clock stands still, and taking all there is.

#![allow(dead_code, reason = "each test program uses a part")]

use std::time::Duration;
use tidegate::runtime::clock::ManualClock;
use tidegate::{Config, EventKind, Key, Limit, Limiter, Nanos, Rule, Runtime};

/// So many permits a second.
pub fn limit(permits: u64, burst: u64) -> Limit {
    Limit::token_bucket(permits, Nanos::from_secs(1), burst).unwrap()
}

/// A runtime of its own whose clock stands still.
pub fn stopped() -> (ManualClock, Runtime) {
    let clock = ManualClock::default();
    let runtime = Runtime::open_with_clock(&Config::new(), &clock).unwrap();
    (clock, runtime)
}

/// The same with room for so many keys.
pub fn stopped_with_room(keys_max: &str) -> (ManualClock, Runtime) {
    let clock = ManualClock::default();
    let mut config = Config::new();
    config.set("keys.max", keys_max).unwrap();
    let runtime = Runtime::open_with_clock(&config, &clock).unwrap();
    (clock, runtime)
}

/// The events that are there.
pub fn events(runtime: &Runtime) -> Vec<EventKind> {
    std::iter::from_fn(|| runtime.next_event(Duration::ZERO)).map(|event| event.kind).collect()
}

/// A limiter of this rule in such a runtime.
pub fn stopped_limiter(rule: impl Into<Rule>) -> (ManualClock, Runtime, Limiter) {
    let (clock, runtime) = stopped();
    let limiter = runtime.limiter("test", rule).unwrap();
    (clock, runtime, limiter)
}

/// Takes one permit after the other, and says how many there were.
pub fn drain(key: &Key) -> u64 {
    (0..).take_while(|_| key.try_acquire(1).is_granted()).count() as u64
}
