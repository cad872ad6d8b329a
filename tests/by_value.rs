//! What decisions by scope value promise, without a key that somebody holds, and what is remembered of keys given back.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use std::time::Duration;
use tidegate::runtime::clock::ManualClock;
use tidegate::runtime::decision::{DENIED, NEVER};
use tidegate::{ErrorKind, Limit, Limiter, Nanos, Runtime};

fn stopped(keys_max: &str) -> (ManualClock, Runtime, Limiter) {
    let (clock, runtime) = common::stopped_with_room(keys_max);
    let limiter = runtime.limiter("test", Limit::token_bucket(10, Nanos::from_secs(1), 5).unwrap()).unwrap();
    (clock, runtime, limiter)
}

fn drain(limiter: &Limiter, value: &str) -> usize {
    (0..).take_while(|_| limiter.try_acquire(value, 1).is_granted()).count()
}

#[test]
fn each_value_has_a_bucket_that_gives_its_burst_and_refills() {
    let (clock, _runtime, limiter) = stopped("100");
    assert_eq!((drain(&limiter, "a"), drain(&limiter, "b")), (5, 5));
    let refusal = limiter.try_acquire("a", 1);
    assert_eq!((refusal.status, refusal.retry_after_ns), (DENIED, 100_000_000));
    clock.advance(Duration::from_millis(250));
    assert_eq!(drain(&limiter, "a"), 2);
    clock.advance(Duration::from_millis(50));
    assert_eq!(drain(&limiter, "a"), 1, "the half permit was kept");
}

#[test]
fn a_request_that_can_never_be_granted_or_means_nothing_says_so() {
    let (_clock, _runtime, limiter) = stopped("100");
    assert_eq!(limiter.try_acquire("a", 6).status, NEVER);
    assert_eq!(limiter.try_acquire("a", 0).status, ErrorKind::Argument as i32);
    assert_eq!(limiter.try_acquire(&"x".repeat(1_025), 1).status, ErrorKind::Argument as i32);
    assert_eq!(drain(&limiter, "a"), 5);
}

#[test]
fn a_key_and_its_value_are_one_bucket_before_while_and_after_the_key_is_held() {
    let (_clock, _runtime, limiter) = stopped("100");
    assert!(limiter.try_acquire("a", 1).is_granted());
    let key = limiter.key("a").unwrap();
    assert!(key.try_acquire(2).is_granted());
    assert!(limiter.try_acquire("a", 1).is_granted());
    drop(key);
    assert_eq!(drain(&limiter, "a"), 1);
}

#[test]
fn a_key_given_back_and_asked_for_again_is_not_full_again() {
    let (clock, _runtime, limiter) = stopped("100");
    assert!(limiter.key("a").unwrap().try_acquire(5).is_granted());
    assert_eq!(limiter.key("a").unwrap().try_acquire(1).status, DENIED);
    clock.advance(Duration::from_millis(300));
    let key = limiter.key("a").unwrap();
    assert!(key.try_acquire(3).is_granted());
    assert_eq!(key.try_acquire(1).status, DENIED);
}

#[test]
fn a_limiter_given_back_and_opened_again_is_not_full_again() {
    let (clock, runtime, limiter) = stopped("100");
    assert_eq!(drain(&limiter, "a"), 5);
    drop(limiter);
    let limit = Limit::token_bucket(20, Nanos::from_secs(1), 8).unwrap();
    clock.advance(Duration::from_millis(100));
    let other = runtime.limiter("test", limit).unwrap();
    assert_eq!(drain(&other, "a"), 1);
    clock.advance(Duration::from_millis(100));
    assert_eq!((drain(&other, "a"), drain(&other, "b")), (2, 8));
}

#[test]
fn buckets_beyond_the_maximum_are_refused_until_others_are_full_again_and_dropped() {
    let (clock, runtime, limiter) = stopped("1000");
    let granted = (0..2_000).filter(|i| limiter.try_acquire(&i.to_string(), 5).is_granted()).count();
    assert_eq!((granted, runtime.metrics().keys, runtime.metrics().keys_idle), (1_000, 0, 1_000));
    assert_eq!(limiter.try_acquire("new", 1).status, ErrorKind::Capacity as i32);
    assert_eq!(limiter.key("new").unwrap_err().kind(), ErrorKind::Capacity);
    clock.advance(Duration::from_secs(1));
    assert!(limiter.try_acquire("new", 1).is_granted());
    assert!(runtime.metrics().keys_idle < 1_000);
}

#[test]
fn what_is_idle_and_full_is_dropped_as_new_values_come_so_that_a_stream_of_values_needs_bounded_room() {
    let (clock, runtime, limiter) = stopped("5000");
    for i in 0..100_000 {
        assert!(limiter.try_acquire(&i.to_string(), 1).is_granted(), "{i}");
        clock.advance(Duration::from_millis(1));
    }
    assert!(runtime.metrics().keys_idle < 5_000);
    assert_eq!(runtime.metrics().permits_granted, 100_000);
}

#[test]
fn a_new_limit_counts_for_idle_buckets_from_when_it_came() {
    let (clock, _runtime, limiter) = stopped("100");
    assert_eq!(drain(&limiter, "a"), 5);
    clock.advance(Duration::from_millis(200));
    limiter.set_limit(Limit::token_bucket(1, Nanos::from_secs(1), 3).unwrap(), Duration::ZERO).unwrap();
    assert_eq!(drain(&limiter, "a"), 2);
    assert_eq!(drain(&limiter, "b"), 3);
}
