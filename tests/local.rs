//! What a limiter of one process promises, through the Rust API and a manual clock.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use common::{drain, limit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidegate::runtime::clock::ManualClock;
use tidegate::runtime::decision::{DENIED, NEVER, OK, TIMED_OUT};
use tidegate::{runtime, Basis, Config, ErrorKind, Limit, Limiter, Nanos, Runtime};

fn stopped(permits: u64, burst: u64) -> (ManualClock, Limiter) {
    let (clock, _, limiter) = common::stopped_limiter(limit(permits, burst));
    (clock, limiter)
}

fn running(keys_max: &str) -> Runtime {
    let mut config = Config::new();
    config.set("keys.max", keys_max).unwrap();
    Runtime::open(&config).unwrap()
}

#[test]
fn a_new_key_gives_its_burst_and_not_one_more() {
    let (_clock, limiter) = stopped(10, 25);
    let key = limiter.key("").unwrap();
    assert_eq!(drain(&key), 25);
    let refusal = key.try_acquire(1);
    assert_eq!((refusal.status, refusal.retry_after_ns, refusal.remaining), (DENIED, 100_000_000, 0));
}

#[test]
fn time_brings_permits_back_at_the_rate_and_up_to_the_burst() {
    let (clock, limiter) = stopped(10, 25);
    let key = limiter.key("").unwrap();
    drain(&key);
    clock.advance(Duration::from_millis(299));
    assert_eq!(drain(&key), 2);
    clock.advance(Duration::from_millis(1));
    assert_eq!(drain(&key), 1);
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(drain(&key), 25);
}

#[test]
fn a_refused_request_takes_nothing() {
    let (_clock, limiter) = stopped(10, 5);
    let key = limiter.key("").unwrap();
    assert!(key.try_acquire(3).is_granted());
    assert_eq!(key.try_acquire(3).status, DENIED);
    assert_eq!(key.try_acquire(2).status, OK);
}

#[test]
fn more_than_the_burst_is_never_granted_and_said_so() {
    let (_clock, limiter) = stopped(10, 5);
    let decision = limiter.key("").unwrap().try_acquire(6);
    assert_eq!((decision.status, decision.retry_after_ns), (NEVER, u64::MAX));
    assert_eq!(limiter.key("").unwrap().try_acquire(u64::MAX).status, NEVER);
}

#[test]
fn zero_permits_are_an_error_and_not_a_grant() {
    let (_clock, limiter) = stopped(10, 5);
    assert_eq!(limiter.key("").unwrap().try_acquire(0).status, ErrorKind::Argument as i32);
}

#[test]
fn a_peek_takes_nothing_and_counts_nothing() {
    let (_clock, limiter) = stopped(10, 2);
    let key = limiter.key("").unwrap();
    assert_eq!((key.peek().status, key.peek().remaining), (OK, 2));
    assert_eq!(drain(&key), 2);
    assert_eq!(key.peek().status, DENIED);
    let status = key.status().unwrap();
    assert_eq!((status.granted, status.refused), (2, 1));
}

#[test]
fn each_value_has_a_bucket_of_its_own_and_the_same_value_the_same() {
    let (_clock, limiter) = stopped(10, 2);
    let (a, b, a_again) = (limiter.key("a").unwrap(), limiter.key("b").unwrap(), limiter.key("a").unwrap());
    assert_eq!(drain(&a), 2);
    assert_eq!(drain(&b), 2);
    assert_eq!((drain(&a_again), a.id()), (0, a_again.id()));
}

#[test]
fn a_released_key_is_stale_and_its_id_is_not_used_again() {
    let (_clock, limiter) = stopped(10, 2);
    let id = limiter.key_id("a").unwrap();
    runtime::release(id).unwrap();
    assert_eq!(runtime::acquire::try_acquire(id, 1).status, ErrorKind::Stale as i32);
    assert_eq!(runtime::release(id).unwrap_err().kind(), ErrorKind::Stale);
    let next = limiter.key("b").unwrap();
    assert_ne!(next.id(), id);
    assert_eq!(runtime::acquire::try_acquire(id, 1).status, ErrorKind::Stale as i32, "also when its place is taken");
    assert_eq!(drain(&next), 2);
}

#[test]
fn an_id_that_never_was_is_stale() {
    for id in [0, 1, u64::MAX, 5 << 32, u64::from(u32::MAX)] {
        let id = tidegate::KeyId(id);
        assert_eq!(runtime::acquire::try_acquire(id, 1).status, ErrorKind::Stale as i32);
        assert_eq!(runtime::acquire::peek(id).status, ErrorKind::Stale as i32);
        assert!(runtime::release(id).is_err());
    }
}

#[test]
fn keys_outlive_no_runtime_but_are_never_dangling() {
    let (_clock, limiter) = stopped(10, 2);
    let id = limiter.key_id("a").unwrap();
    drop(limiter);
    assert!(runtime::acquire::try_acquire(id, 1).status < 0);
}

#[test]
fn one_name_with_two_limits_is_refused_with_the_name() {
    let runtime = running("11");
    let _one = runtime.limiter("twice", limit(1, 1)).unwrap();
    let error = runtime.limiter("twice", limit(2, 2)).unwrap_err();
    assert!(error.kind() == ErrorKind::Argument && error.message().contains("`twice`"), "{error}");
    assert!(runtime.limiter("twice", limit(1, 1)).is_ok());
}

#[test]
fn a_name_whose_limiters_and_keys_are_gone_can_have_other_numbers() {
    let runtime = running("17");
    let key = runtime.limiter("again", limit(1, 1)).unwrap().key("k").unwrap();
    assert!(runtime.limiter("again", limit(2, 2)).is_err(), "a key holds it");
    drop(key);
    assert!(runtime.limiter("again", limit(2, 2)).is_ok());
}

#[test]
fn a_changed_limit_binds_the_keys_there_are_and_the_ones_to_come() {
    let (clock, limiter) = stopped(10, 100);
    let key = limiter.key("a").unwrap();
    limiter.set_limit(limit(1_000, 5), Duration::ZERO).unwrap();
    assert_eq!(drain(&key), 5, "what stood above the new burst is gone");
    clock.advance(Duration::from_millis(4));
    assert_eq!(drain(&key), 4, "the new rate");
    assert_eq!(key.try_acquire(6).status, NEVER);
    assert_eq!(drain(&limiter.key("b").unwrap()), 5);
    limiter.set_limit(limit(1_000, 50), Duration::ZERO).unwrap();
    assert_eq!(drain(&key), 0, "a higher burst arrives empty");
    clock.advance(Duration::from_secs(1));
    assert_eq!(drain(&key), 50);
}

#[test]
fn keys_max_is_kept_and_a_released_key_makes_room() {
    let runtime = running("2");
    let limiter = runtime.limiter("few", limit(1, 1)).unwrap();
    let (a, _b) = (limiter.key("a").unwrap(), limiter.key("b").unwrap());
    let error = limiter.key("c").unwrap_err();
    assert!(error.kind() == ErrorKind::Capacity && error.message().contains("keys.max"), "{error}");
    drop(a);
    assert!(limiter.key("c").is_ok());
    assert_eq!(runtime.metrics().keys, 1, "c went with its handle");
}

#[test]
fn threads_on_one_key_get_exactly_the_burst_between_them() {
    let (_clock, limiter) = stopped(1, 100_000);
    let slow_path = limiter.key("manual clock").unwrap();
    let runtime = running("12");
    let fast = runtime.limiter("threads", Limit::token_bucket(1, Nanos::from_secs(86_400), 100_000).unwrap()).unwrap();
    let fast_path = fast.key("").unwrap();
    for key in [slow_path, fast_path] {
        let granted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| granted.fetch_add(drain(&key), Ordering::Relaxed));
            }
        });
        assert_eq!(granted.into_inner(), 100_000);
        assert_eq!(key.status().unwrap().granted, 100_000);
    }
}

#[test]
fn a_waiter_gets_its_permits_when_they_are_there_and_not_before() {
    let runtime = running("13");
    let limiter = runtime.limiter("wait", limit(20, 1)).unwrap();
    let key = limiter.key("").unwrap();
    assert_eq!(drain(&key), 1);
    let start = Instant::now();
    assert!(key.acquire(1, Duration::from_secs(5)).is_granted());
    assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
}

#[test]
fn a_wait_that_times_out_takes_nothing_and_delays_nobody() {
    let (clock, limiter) = stopped(10, 2);
    let key = limiter.key("").unwrap();
    drain(&key);
    let decision = key.acquire(2, Duration::from_millis(20));
    assert_eq!(decision.status, TIMED_OUT);
    clock.advance(Duration::from_millis(200));
    assert_eq!(drain(&key), 2);
    assert_eq!(key.status().unwrap().waiting, 0);
}

#[test]
fn those_who_wait_are_served_in_order_and_nobody_overtakes_them() {
    let runtime = running("14");
    let limiter = runtime.limiter("order", limit(50, 5)).unwrap();
    let key = limiter.key("").unwrap();
    drain(&key);
    let order = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            assert!(key.acquire(5, Duration::from_secs(10)).is_granted());
            order.fetch_add(1, Ordering::SeqCst)
        });
        while key.status().unwrap().waiting == 0 {
            std::thread::yield_now();
        }
        let second = scope.spawn(|| {
            assert!(key.acquire(1, Duration::from_secs(10)).is_granted());
            order.fetch_add(1, Ordering::SeqCst)
        });
        while order.load(Ordering::SeqCst) == 0 {
            let granted = key.try_acquire(1).is_granted();
            assert!(
                !granted || order.load(Ordering::SeqCst) > 0 || key.status().unwrap().waiting < 2,
                "overtook a waiter"
            );
        }
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (0, 1));
    });
}

#[test]
fn closing_ends_the_wait_of_those_who_wait() {
    let runtime = running("15");
    let limiter = runtime.limiter("close", Limit::token_bucket(1, Nanos::from_secs(3_600), 1).unwrap()).unwrap();
    let id = limiter.key_id("").unwrap();
    assert!(runtime::acquire::try_acquire(id, 1).is_granted());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| runtime::acquire::acquire(id, 1, Duration::from_secs(60)));
        while runtime.metrics().waiting == 0 {
            std::thread::yield_now();
        }
        drop(limiter);
        runtime.close(Duration::from_secs(1)).unwrap();
        assert!(waiting.join().unwrap().status < 0);
    });
}

#[test]
fn equal_configurations_share_one_runtime_and_different_ones_do_not() {
    let (one, same, other) = (running("21"), running("21"), running("22"));
    let a = one.limiter("shared", limit(1, 3)).unwrap().key("k").map(|key| (key.id(), drain(&key)));
    let key_of = |runtime: &Runtime| runtime.limiter("x", limit(1, 3)).unwrap().key("k").unwrap();
    let held = key_of(&one);
    assert_eq!((key_of(&same).id() == held.id(), key_of(&other).id() == held.id()), (true, false));
    assert_eq!(a.unwrap().1, 3);
}

#[test]
fn a_local_decision_says_that_it_is_local() {
    let runtime = running("16");
    let key = runtime.limiter("basis", limit(1, 3)).unwrap().key("").unwrap();
    let decision = key.try_acquire(1);
    assert_eq!((decision.status, decision.basis(), decision.remaining), (OK, Basis::Local, 2));
}
