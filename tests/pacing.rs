//! Limits that follow a lag or the outcomes of calls.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use common::{drain, events, limit, stopped, stopped_limiter};
use std::time::Duration;
use tidegate::runtime::decision::DENIED;
use tidegate::{Adaptive, ErrorKind, EventKind, LagUnit, Limit, Nanos, Runtime, Tier};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn nothing_refills_while_the_lag_is_too_great_and_the_time_is_not_made_up_for() {
    let (clock, runtime, limiter) = stopped_limiter(limit(10, 100));
    let key = limiter.key("").unwrap();
    limiter.pause_on_lag(1_000, 100).unwrap();
    drain(&key);
    clock.advance(SECOND);
    limiter.observe_lag(1_001).unwrap();
    assert_eq!(drain(&key), 10, "what had come before can be taken");
    clock.advance(60 * SECOND);
    assert_eq!((drain(&key), key.status().unwrap().pace_ppm), (0, 0));
    limiter.observe_lag(101).unwrap();
    clock.advance(60 * SECOND);
    assert_eq!(drain(&key), 0, "between the two it stays as it is");
    limiter.observe_lag(100).unwrap();
    assert_eq!(drain(&key), 0);
    clock.advance(SECOND);
    assert_eq!((drain(&key), key.status().unwrap().pace_ppm), (10, 1_000_000));
    assert_eq!(events(&runtime), [EventKind::Paused, EventKind::Resumed]);
}

#[test]
fn a_lag_at_the_threshold_pauses_nothing() {
    let (clock, runtime, limiter) = stopped_limiter(limit(10, 100));
    let key = limiter.key("").unwrap();
    limiter.pause_on_lag(1_000, 100).unwrap();
    limiter.observe_lag(1_000).unwrap();
    drain(&key);
    clock.advance(SECOND);
    assert_eq!(drain(&key), 10);
    assert_eq!(events(&runtime), []);
    assert_eq!(limiter.pause_on_lag(1, 2).unwrap_err().kind(), ErrorKind::Argument);
}

#[test]
fn a_lag_that_is_known_counts_as_soon_as_there_is_a_rule_for_it() {
    let (_clock, runtime, limiter) = stopped_limiter(limit(10, 100));
    limiter.observe_lag(1_001).unwrap();
    assert_eq!(limiter.pace_ppm(), 1_000_000);
    limiter.pause_on_lag(1_000, 100).unwrap();
    assert_eq!((limiter.pace_ppm(), events(&runtime)), (0, vec![EventKind::Paused]));
}

#[test]
fn the_rate_falls_with_the_lag_to_its_floor() {
    let (clock, _runtime, limiter) = stopped_limiter(limit(100, 1_000));
    let key = limiter.key("").unwrap();
    limiter.slow_on_lag(0, 100, 100_000).unwrap();
    for (lag, a_second) in [(0, 100), (50, 55), (100, 10), (10_000, 10)] {
        limiter.observe_lag(lag).unwrap();
        drain(&key);
        clock.advance(10 * SECOND);
        assert_eq!(drain(&key), 10 * a_second, "at a lag of {lag}");
    }
    assert_eq!(limiter.slow_on_lag(5, 5, 0).unwrap_err().kind(), ErrorKind::Argument);
}

#[test]
fn buckets_without_a_key_and_windows_stand_still_as_well() {
    let window = Limit::sliding_window(3, Nanos::from_secs(1), 0).unwrap();
    for limit in [limit(3, 3), window] {
        let (clock, _runtime, limiter) = stopped_limiter(limit);
        limiter.pause_on_lag(10, 10).unwrap();
        assert!(limiter.try_acquire("a", 3).is_granted());
        limiter.observe_lag(11).unwrap();
        clock.advance(10 * SECOND);
        assert_eq!(limiter.try_acquire("a", 1).status, DENIED, "and not never");
        assert!(limiter.try_acquire("b", 3).is_granted(), "a new one is full");
        clock.advance(10 * SECOND);
        assert!(!limiter.try_acquire("b", 1).is_granted());
        limiter.observe_lag(0).unwrap();
        clock.advance(SECOND);
        assert!(limiter.try_acquire("a", 3).is_granted() && limiter.try_acquire("b", 3).is_granted());
    }
}

#[test]
fn all_tiers_stand_still_together_and_tell_it() {
    let (clock, runtime) = stopped();
    let limiter = runtime.tiered("tiers", &[Tier::new("a", limit(1, 1)), Tier::new("b", limit(2, 2))]).unwrap();
    limiter.pause_on_lag(5, 0).unwrap();
    limiter.observe_lag(6).unwrap();
    let key = limiter.key("").unwrap();
    assert_eq!(drain(&key), 1);
    clock.advance(10 * SECOND);
    assert_eq!((drain(&key), limiter.pace_ppm()), (0, 0));
    assert_eq!(events(&runtime), [EventKind::Paused; 2]);
}

/// Here real time is the point: a thread waits.
#[test]
fn who_waits_survives_a_pause_and_goes_on_after_it() {
    let runtime = Runtime::open(&tidegate::Config::new()).unwrap();
    let limiter = runtime.limiter("paused", limit(100, 1)).unwrap();
    let key = limiter.key("").unwrap();
    limiter.pause_on_lag(0, 0).unwrap();
    limiter.observe_lag(1).unwrap();
    drain(&key);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| key.acquire(1, 30 * SECOND));
        while runtime.metrics().waiting == 0 {
            std::thread::yield_now();
        }
        assert!(!waiter.is_finished());
        limiter.observe_lag(0).unwrap();
        assert!(waiter.join().unwrap().is_granted());
    });
}

#[test]
fn a_rate_adapts_to_the_outcomes_of_calls_and_never_beyond_what_is_configured() {
    let (clock, _runtime, limiter) = stopped_limiter(limit(100, 1_000));
    let key = limiter.key("").unwrap();
    limiter.observe_outcome(true).unwrap();
    assert_eq!(limiter.pace_ppm(), 1_000_000, "off by default");
    limiter.adapt(Adaptive::new(100_000, 50_000, 500_000, Nanos::from_secs(1)).unwrap()).unwrap();
    limiter.observe_outcome(true).unwrap();
    assert_eq!(limiter.pace_ppm(), 500_000);
    drain(&key);
    clock.advance(SECOND);
    assert_eq!(drain(&key), 50);
    for _ in 0..100 {
        limiter.observe_outcome(false).unwrap();
        clock.advance(SECOND);
    }
    assert_eq!(limiter.pace_ppm(), 1_000_000);
}

#[test]
fn a_pause_ends_with_the_last_limiter_that_could_end_it() {
    let (clock, runtime, limiter) = stopped_limiter(limit(10, 10));
    let other = runtime.limiter("test", limit(10, 10)).unwrap();
    let key = other.key("").unwrap();
    limiter.pause_on_lag(1, 1).unwrap();
    limiter.observe_lag(2).unwrap();
    drop(limiter);
    drain(&key);
    clock.advance(SECOND);
    assert_eq!(drain(&key), 0, "the other one can still be told");
    drop(other);
    clock.advance(SECOND);
    assert_eq!(drain(&key), 10);
    assert_eq!(events(&runtime), [EventKind::Paused, EventKind::Resumed]);
}

#[test]
fn a_changed_limit_keeps_its_pace() {
    let (clock, _runtime, limiter) = stopped_limiter(limit(100, 1_000));
    let key = limiter.key("").unwrap();
    limiter.slow_on_lag(0, 10, 500_000).unwrap();
    limiter.observe_lag(10).unwrap();
    limiter.set_limit(limit(10, 1_000), SECOND).unwrap();
    drain(&key);
    clock.advance(10 * SECOND);
    assert_eq!(drain(&key), 50);
}

#[test]
fn without_kafka_there_is_no_lag_to_watch_and_the_error_says_what_to_do() {
    let (_clock, _runtime, limiter) = stopped_limiter(limit(1, 1));
    let error = limiter.watch_lag("group", &[], LagUnit::Records, SECOND).unwrap_err();
    assert!(error.message().contains("bootstrap.servers") && error.message().contains("observe_lag"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Config);
}
