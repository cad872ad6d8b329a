//! A limit that follows a real consumer group.

use crate::harness::*;
use crate::lag::{append, commit, create};
use std::time::{Duration, Instant};
use tidegate::{Config, ErrorKind, EventKind, HealthState, LagUnit, Limit, Limiter, Nanos, Runtime};

const OFTEN: Duration = Duration::from_millis(100);

fn open(address: &str) -> (Runtime, Limiter) {
    let mut config = Config::new();
    for (name, value) in [("bootstrap.servers", address), ("topic", &fresh_topic()), ("replication.factor", "1")] {
        config.set(name, value).unwrap();
    }
    let runtime = Runtime::open(&config).unwrap();
    let limiter = runtime.limiter("calls", Limit::token_bucket(1_000, Nanos::from_secs(1), 10).unwrap()).unwrap();
    (runtime, limiter)
}

fn next(runtime: &Runtime) -> EventKind {
    runtime.next_event(PATIENCE).expect("an event").kind
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_limit_stands_still_while_its_consumers_are_behind_and_goes_on_when_they_have_caught_up() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), fresh_topic());
    create(&address, &topic, 2);
    append(&address, &topic, &[60, 60], Duration::ZERO);
    commit(&address, &group, &topic, &[(0, 0), (1, 0)]);
    let (runtime, limiter) = open(&address);
    let key = limiter.key("").unwrap();
    until("a share", || key.try_acquire(1).is_granted());
    limiter.pause_on_lag(100, 50).unwrap();
    limiter.watch_lag(&group, &[], LagUnit::Records, OFTEN).unwrap();
    assert_eq!(next(&runtime), EventKind::Paused);
    // The share's burst is spent, and nothing comes.
    while key.try_acquire(1).is_granted() {}
    assert!(!key.acquire(1, 3 * OFTEN).is_granted());
    commit(&address, &group, &topic, &[(0, 50), (1, 0)]);
    assert!(!key.acquire(1, 3 * OFTEN).is_granted(), "70 is between the two");
    commit(&address, &group, &topic, &[(0, 60), (1, 20)]);
    assert_eq!(next(&runtime), EventKind::Resumed);
    assert!(key.acquire(1, PATIENCE).is_granted());
}

#[test]
fn an_age_is_compared_with_what_the_limit_was_told_and_nothing_else() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), fresh_topic());
    create(&address, &topic, 1);
    append(&address, &topic, &[1], Duration::from_secs(60));
    commit(&address, &group, &topic, &[(0, 0)]);
    let (runtime, limiter) = open(&address);
    let too_early = limiter.watch_lag(&group, &[&topic], LagUnit::Milliseconds, OFTEN).unwrap_err();
    assert_eq!(too_early.kind(), ErrorKind::Argument);
    limiter.pause_on_lag(30_000, 5_000).unwrap();
    limiter.watch_lag(&group, &[&topic], LagUnit::Milliseconds, OFTEN).unwrap();
    assert_eq!(next(&runtime), EventKind::Paused);
    commit(&address, &group, &topic, &[(0, 1)]);
    assert_eq!(next(&runtime), EventKind::Resumed);
}

#[test]
fn a_lag_that_cannot_be_measured_is_said_in_health_and_changes_nothing() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), fresh_topic());
    let (runtime, limiter) = open(&address);
    until("health", || runtime.health().state == HealthState::Ok);
    limiter.pause_on_lag(0, 0).unwrap();
    limiter.watch_lag(&group, &[&topic], LagUnit::Records, OFTEN).unwrap();
    until("trouble", || runtime.health().state == HealthState::Degraded);
    let message = runtime.health().message;
    assert!(message.contains(&group) && message.contains("`calls`"), "{message}");
    assert_eq!(limiter.pace_ppm(), 1_000_000);
    drop(limiter);
    until("over", || runtime.health().state == HealthState::Ok);
}
