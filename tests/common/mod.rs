//! What the tests of local limits share: limits, a runtime whose clock stands still, and taking all there is.

#![allow(dead_code, reason = "each test program uses a part")]

use tidegate::runtime::clock::ManualClock;
use tidegate::{Config, Key, Limit, Limiter, Nanos, Rule, Runtime};

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
