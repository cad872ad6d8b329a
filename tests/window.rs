//! What a sliding window promises: at most so many in any span, whoever takes them and however.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use common::{drain, limit, stopped, stopped_limiter, stopped_with_room};
use std::time::Duration;
use tidegate::runtime::acquire::try_acquire;
use tidegate::runtime::decision::{DENIED, NEVER, OK, PENDING};
use tidegate::runtime::release;
use tidegate::{ErrorKind, Limit, Nanos, Tier};

const SECOND: Duration = Duration::from_secs(1);

fn per_minute(permits: u64) -> Limit {
    Limit::sliding_window(permits, Nanos::from_secs(60), 0).unwrap()
}

#[test]
fn a_permit_comes_back_a_span_after_it_was_taken_and_not_a_moment_earlier() {
    let (clock, _runtime, limiter) = stopped_limiter(per_minute(10));
    let key = limiter.key("").unwrap();
    assert_eq!(key.try_acquire(4).status, OK);
    clock.advance(20 * SECOND);
    assert_eq!(drain(&key), 6);
    assert_eq!((key.try_acquire(1).retry_after_ns, key.try_acquire(11).status), (40_000_000_000, NEVER));
    clock.advance(40 * SECOND - Duration::from_nanos(1));
    assert_eq!(key.try_acquire(1).status, DENIED);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(drain(&key), 4, "and not what a bucket would have refilled");
}

#[test]
fn a_bucket_lets_its_burst_and_a_refill_through_in_one_span_and_a_window_does_not() {
    let taken = |limit: Limit| {
        let (clock, _runtime, limiter) = stopped_limiter(limit);
        let key = limiter.key("").unwrap();
        let first = drain(&key);
        clock.advance(59 * SECOND);
        first + drain(&key)
    };
    assert_eq!(taken(per_minute(60)), 60);
    assert_eq!(taken(Limit::token_bucket(60, Nanos::from_secs(60), 0).unwrap()), 119);
}

#[test]
fn by_value_and_by_key_it_is_one_window_also_when_nobody_holds_the_key() {
    let (clock, runtime, limiter) = stopped_limiter(per_minute(3));
    assert_eq!(limiter.try_acquire("a", 1).status, OK);
    assert_eq!(drain(&limiter.key("a").unwrap()), 2);
    assert_eq!(limiter.try_acquire("a", 1).status, DENIED, "the key was given back and is remembered");
    assert_eq!(limiter.try_acquire("b", 3).status, OK);
    clock.advance(60 * SECOND);
    assert_eq!(limiter.try_acquire("a", 3).status, OK);
    assert_eq!(runtime.metrics().permits_granted, 9);
}

#[test]
fn a_key_that_was_given_back_is_out_of_date_although_its_window_is_remembered() {
    let (_clock, _runtime, limiter) = stopped_limiter(per_minute(3));
    let id = limiter.key_id("a").unwrap();
    assert_eq!(try_acquire(id, 2).status, OK);
    release(id).unwrap();
    assert_eq!(try_acquire(id, 1).status, ErrorKind::Stale as i32);
    assert_eq!(release(id).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(drain(&limiter.key("a").unwrap()), 1);
}

#[test]
fn windows_that_are_empty_again_make_room_for_other_values() {
    let (clock, runtime) = stopped_with_room("64");
    let limiter = runtime.limiter("test", per_minute(1)).unwrap();
    for round in 0..20 {
        for value in 0..64 {
            // Two sweeps go by before an unused one is found out.
            let value = format!("{round}-{value}");
            let granted = (0..64).any(|_| limiter.try_acquire(&value, 1).is_granted());
            assert!(granted, "{value}");
        }
        clock.advance(60 * SECOND);
    }
    let full: Vec<i32> = (0..200).map(|value| limiter.try_acquire(&format!("x{value}"), 1).status).collect();
    assert!(full.contains(&(ErrorKind::Capacity as i32)), "windows in use are not dropped for others");
}

#[test]
fn what_is_reserved_and_cancelled_comes_back_and_nobody_elses_is_forgotten() {
    let (clock, _runtime, limiter) = stopped_limiter(per_minute(10));
    let key = limiter.key("").unwrap();
    let reservation = key.reserve(6, Duration::ZERO).1.unwrap();
    clock.advance(10 * SECOND);
    assert_eq!(key.try_acquire(4).status, OK);
    reservation.cancel().unwrap();
    assert_eq!(drain(&key), 6);
    clock.advance(50 * SECOND);
    assert_eq!(drain(&key), 0, "what others took at 10 s is taken until 70 s");
    let (decision, waiting) = key.reserve(1, SECOND * 20);
    assert_eq!(decision.status, PENDING);
    clock.advance(10 * SECOND);
    assert_eq!(waiting.unwrap().poll().status, OK);
}

/// On the real clock: only there refusals are foreseen.
#[test]
fn what_a_reservation_gives_back_is_there_at_once_also_after_a_refusal() {
    let runtime = tidegate::Runtime::open(&tidegate::Config::new()).unwrap();
    let key = runtime.limiter("foreseen", per_minute(10)).unwrap().key("").unwrap();
    let reservation = key.reserve(10, Duration::ZERO).1.unwrap();
    assert_eq!([key.try_acquire(1).status, key.try_acquire(1).status], [DENIED; 2]);
    reservation.settle(4).unwrap();
    assert_eq!(drain(&key), 6);
}

#[test]
fn other_numbers_are_taken_once_nothing_is_counted_any_more() {
    let (clock, runtime, limiter) = stopped_limiter(per_minute(10));
    assert!(limiter.try_acquire("a", 1).is_granted());
    drop(limiter);
    assert!(runtime.limiter("test", per_minute(20)).unwrap_err().message().contains("still counts"));
    clock.advance(60 * SECOND);
    assert!(runtime.limiter("test", per_minute(20)).unwrap().try_acquire("a", 20).is_granted());
}

#[test]
fn a_window_and_a_bucket_can_be_tiers_of_one_limiter_and_all_give_or_none_does() {
    let (clock, runtime) = stopped();
    let tiers = [Tier::new("second", limit(2, 2)), Tier::new("minute", per_minute(5))];
    let key = runtime.tiered("both", &tiers).unwrap().key("").unwrap();
    let mut all = 0;
    for _ in 0..10 {
        all += drain(&key);
        clock.advance(SECOND);
    }
    assert_eq!(all, 5);
    assert_eq!(key.try_acquire(1).tier, 1);
    clock.advance(50 * SECOND);
    assert_eq!(drain(&key), 2);
}

#[test]
fn other_numbers_count_from_now_on_and_another_kind_is_refused() {
    let (_clock, _runtime, limiter) = stopped_limiter(per_minute(10));
    let key = limiter.key("").unwrap();
    assert_eq!(key.try_acquire(6).status, OK);
    limiter.set_limit(per_minute(7), SECOND).unwrap();
    assert_eq!((drain(&key), key.try_acquire(8).status), (1, NEVER));
    let error = limiter.set_limit(limit(7, 7), SECOND).unwrap_err();
    assert!(error.message().contains("kind"), "{error}");
}
