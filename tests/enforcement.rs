//! What limits do where they are reached, beyond a plain no; and what they tell.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use common::{drain, events, limit, stopped, stopped_limiter, stopped_with_room};
use std::time::{Duration, Instant};
use tidegate::runtime::decision::{DENIED, NEVER, OK, TIMED_OUT};
use tidegate::runtime::EVENTS_MAX;
use tidegate::{Basis, Enforcement, EventKind, Limit, Nanos, Rule, Runtime, Tier};

const SECOND: Duration = Duration::from_secs(1);

fn breaker(threshold: u32) -> Rule {
    let open_for = Nanos::from_secs(5);
    Rule::from(limit(1, 2)).enforced(Enforcement::CircuitBreaker { threshold, open_for })
}

/// Of a limit that gives two, and no third within a test.
fn slow_breaker() -> Rule {
    let limit = Limit::token_bucket(1, Nanos::from_secs(86_400 * 365), 2).unwrap();
    Rule::from(limit).enforced(Enforcement::CircuitBreaker { threshold: 1, open_for: Nanos::from_secs(5) })
}

#[test]
fn a_hard_limit_tells_nothing() {
    let (_clock, runtime, limiter) = stopped_limiter(limit(1, 1));
    drain(&limiter.key("").unwrap());
    assert_eq!(events(&runtime), []);
}

#[test]
fn a_breaker_opens_after_refusals_in_a_row_and_then_refuses_unasked() {
    let (clock, runtime, limiter) = stopped_limiter(breaker(3));
    let key = limiter.key("tenant").unwrap();
    assert_eq!(drain(&key), 2);
    assert_eq!(key.try_acquire(1).basis(), Basis::Local, "the second refusal");
    clock.advance(SECOND);
    assert_eq!(drain(&key), 1, "a grant: it counts anew");
    assert_eq!([key.try_acquire(1).basis(), key.try_acquire(1).basis()], [Basis::Local; 2]);
    clock.advance(SECOND);
    let refused = key.try_acquire(1);
    assert_eq!((refused.status, refused.basis()), (DENIED, Basis::Breaker), "although a permit is there");
    assert_eq!(refused.retry_after_ns, 4_000_000_000);
    assert_eq!(events(&runtime), [EventKind::BreakerOpened]);
    clock.advance(4 * SECOND);
    assert_eq!(key.try_acquire(1).status, OK);
    assert_eq!(events(&runtime), [EventKind::BreakerHalfOpen, EventKind::BreakerClosed]);
}

#[test]
fn a_probe_that_is_refused_opens_the_breaker_again() {
    let (clock, runtime, limiter) = stopped_limiter(slow_breaker());
    let key = limiter.key("").unwrap();
    assert_eq!(key.try_acquire(2).status, OK);
    assert_eq!(key.try_acquire(1).basis(), Basis::Local);
    clock.advance(5 * SECOND);
    assert_eq!(key.try_acquire(3).status, NEVER, "no probe: it says nothing of the limit");
    assert_eq!(key.try_acquire(1).basis(), Basis::Local);
    assert_eq!(key.try_acquire(1).basis(), Basis::Breaker);
    use EventKind::{BreakerHalfOpen, BreakerOpened};
    assert_eq!(events(&runtime), [BreakerOpened, BreakerHalfOpen, BreakerOpened]);
}

#[test]
fn who_would_wait_or_reserve_is_refused_by_an_open_breaker_at_once() {
    let (_clock, _runtime, limiter) = stopped_limiter(breaker(1));
    let key = limiter.key("").unwrap();
    drain(&key);
    let start = Instant::now();
    assert_eq!(key.acquire(1, 30 * SECOND).basis(), Basis::Breaker);
    assert!(start.elapsed() < 10 * SECOND);
    let (decision, reservation) = key.reserve(1, 30 * SECOND);
    assert_eq!((decision.status, decision.basis(), reservation.is_none()), (DENIED, Basis::Breaker, true));
}

#[test]
fn an_open_breaker_of_one_tier_takes_nothing_from_the_others_and_leaves_their_guards_alone() {
    let (clock, runtime) = stopped();
    let tiers = [
        Tier::new("all", limit(100, 100)),
        Tier::new("probe", breaker(1)),
        Tier { weight: 2, ..Tier::new("heavy", breaker(1)) },
    ];
    let key = runtime.tiered("tiers", &tiers).unwrap().key("").unwrap();
    assert_eq!(drain(&key), 1);
    assert_eq!(key.try_acquire(1).tier, 2);
    assert_eq!(key.try_acquire(1).basis(), Basis::Breaker);
    assert_eq!(runtime.metrics().permits_granted, 1 + 1 + 2, "what the one grant cost, and nothing since");
    // The heavy one opened; the light one has a permit left and was never refused.
    assert_eq!(events(&runtime), [EventKind::BreakerOpened]);
    clock.advance(5 * SECOND);
    assert_eq!(key.try_acquire(1).status, OK);
    assert_eq!(events(&runtime), [EventKind::BreakerHalfOpen, EventKind::BreakerClosed]);
}

#[test]
fn requests_for_more_than_there_can_be_open_no_breaker_and_press_nobody() {
    for rule in [breaker(1), Rule::from(limit(1, 2)).enforced(Enforcement::Backpressure)] {
        let (_clock, runtime, limiter) = stopped_limiter(rule);
        let key = limiter.key("").unwrap();
        assert_eq!(
            [key.try_acquire(3).status, key.try_acquire(3).status, key.try_acquire(2).status],
            [NEVER, NEVER, OK]
        );
        assert_eq!(events(&runtime), []);
    }
}

#[test]
fn refusals_that_were_counted_make_no_value_stay_for_ever() {
    let (clock, runtime) = stopped_with_room("64");
    let limiter = runtime.limiter("test", breaker(3)).unwrap();
    for round in 0..10 {
        for value in 0..64 {
            let value = format!("{round}-{value}");
            assert!((0..64).any(|_| limiter.try_acquire(&value, 2).is_granted()), "{value}");
            assert_eq!(limiter.try_acquire(&value, 1).status, DENIED);
        }
        clock.advance(10 * SECOND);
    }
}

#[test]
fn by_value_a_breaker_is_the_same_one() {
    let (_clock, _runtime, limiter) = stopped_limiter(breaker(1));
    assert_eq!(limiter.try_acquire("a", 2).status, OK);
    assert_eq!(limiter.try_acquire("a", 1).basis(), Basis::Local);
    assert_eq!(limiter.try_acquire("a", 1).basis(), Basis::Breaker);
    assert_eq!(limiter.key("a").unwrap().try_acquire(1).basis(), Basis::Breaker);
    assert_eq!(limiter.try_acquire("b", 1).status, OK, "each value has its own");
}

#[test]
fn pressure_is_told_on_both_edges_once() {
    let (clock, runtime, limiter) = stopped_limiter(Rule::from(limit(10, 10)).enforced(Enforcement::Backpressure));
    let key = limiter.key("orders").unwrap();
    assert_eq!((drain(&key), drain(&key)), (10, 0));
    let on = runtime.next_event(Duration::ZERO).unwrap();
    assert_eq!((on.kind, on.limiter.as_str(), on.value.as_str()), (EventKind::PressureOn, "test", "orders"));
    clock.advance(Duration::from_millis(400));
    assert_eq!(key.try_acquire(1).status, OK);
    assert_eq!(events(&runtime), [], "four of ten are not half");
    clock.advance(Duration::from_millis(300));
    assert_eq!(key.try_acquire(1).status, OK);
    assert_eq!(events(&runtime), [EventKind::PressureOff]);
    assert_eq!(drain(&key), 5);
    assert_eq!(events(&runtime), [EventKind::PressureOn]);
}

#[test]
fn pressure_ends_for_a_source_that_stopped_asking() {
    let (clock, runtime, limiter) = stopped_limiter(Rule::from(limit(10, 10)).enforced(Enforcement::Backpressure));
    drain(&limiter.key("").unwrap());
    assert_eq!(events(&runtime), [EventKind::PressureOn], "looked at too early");
    clock.advance(Duration::from_millis(500));
    assert_eq!(events(&runtime), [EventKind::PressureOff]);
    drain(&limiter.key("").unwrap());
    assert_eq!(events(&runtime), [EventKind::PressureOn]);
}

/// Here real time is the point: somebody sleeps in `next_event`.
#[test]
fn who_waits_for_an_event_is_woken_by_it_and_at_the_end_of_the_pressure() {
    let runtime = Runtime::open(&tidegate::Config::new()).unwrap();
    let rule = Rule::from(limit(100, 20)).enforced(Enforcement::Backpressure);
    let limiter = runtime.limiter("awaited", rule).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| [(); 2].map(|()| runtime.next_event(30 * SECOND).map(|event| event.kind)));
        let key = limiter.key("").unwrap();
        while key.try_acquire(1).is_granted() {}
        assert_eq!(waiter.join().unwrap(), [Some(EventKind::PressureOn), Some(EventKind::PressureOff)]);
    });
    assert!(runtime.next_event(Duration::from_millis(1)).is_none());
}

#[test]
fn what_was_reserved_with_a_key_that_was_given_back_under_pressure_counts_as_used_and_no_longer() {
    let (clock, runtime, limiter) = stopped_limiter(Rule::from(limit(10, 10)).enforced(Enforcement::Backpressure));
    let key = limiter.key("").unwrap();
    let reservation = key.reserve(6, Duration::ZERO).1.unwrap();
    drain(&key);
    drop(key);
    assert_eq!(events(&runtime), [EventKind::PressureOn]);
    reservation.cancel().unwrap();
    let key = limiter.key("").unwrap();
    assert_eq!(drain(&key), 0, "nothing came back");
    clock.advance(SECOND);
    assert_eq!(drain(&key), 10, "and nothing is held for ever");
}

#[test]
fn a_key_that_ends_takes_its_pressure_with_it() {
    let (_clock, runtime, limiter) = stopped_limiter(Rule::from(limit(1, 1)).enforced(Enforcement::Backpressure));
    let key = limiter.key("").unwrap();
    drain(&key);
    assert_eq!(events(&runtime), [EventKind::PressureOn]);
    drop((key, limiter));
    assert_eq!(events(&runtime), [], "it is remembered, and so is the pressure");
    drop(runtime);
}

#[test]
fn events_that_nobody_takes_are_bounded_and_what_was_dropped_is_counted() {
    let (clock, runtime, limiter) = stopped_limiter(slow_breaker());
    let key = limiter.key("").unwrap();
    drain(&key);
    let more = 10;
    for _ in 0..(EVENTS_MAX + more) / 2 {
        // Half open, and open again.
        clock.advance(5 * SECOND);
        assert!(!key.try_acquire(1).is_granted());
    }
    let all: Vec<_> = std::iter::from_fn(|| runtime.next_event(Duration::ZERO)).collect();
    assert_eq!(all.len(), EVENTS_MAX);
    assert_eq!(all.iter().map(|event| event.dropped).sum::<u64>(), more as u64 + 1);
}

#[test]
fn throttling_delays_what_comes_in_time_and_refuses_the_rest_at_once() {
    let (_clock, _runtime, limiter) = stopped_limiter(
        Rule::from(limit(10, 2)).enforced(Enforcement::Throttling { max_wait: Nanos::from_millis(150) }),
    );
    let key = limiter.key("").unwrap();
    drain(&key);
    let start = Instant::now();
    let refused = key.acquire(2, 30 * SECOND);
    assert_eq!((refused.status, refused.retry_after_ns), (DENIED, 200_000_000));
    assert!(start.elapsed() < 10 * SECOND);
    assert_eq!(key.reserve(2, 30 * SECOND).0.status, DENIED);
    let (decision, reservation) = key.reserve(1, 30 * SECOND);
    assert_eq!(decision.status, tidegate::runtime::decision::PENDING, "100 ms are not too long");
    drop(reservation);
    // The clock stands still: the time-out is cut to the longest delay, and passes.
    assert_eq!(key.acquire(1, 30 * SECOND).status, TIMED_OUT);
    assert!(start.elapsed() < 10 * SECOND);
}

#[test]
fn in_shadow_mode_everything_passes_and_what_would_not_have_is_counted() {
    let (clock, runtime, limiter) = stopped_limiter(Rule::from(limit(10, 2)).shadow());
    let key = limiter.key("").unwrap();
    let basis = |permits| {
        let decision = key.try_acquire(permits);
        assert!(decision.is_granted());
        decision.basis()
    };
    assert_eq!([basis(1), basis(1), basis(1), basis(7)], [Basis::Local, Basis::Local, Basis::Shadow, Basis::Shadow]);
    let metrics = runtime.metrics();
    assert_eq!((metrics.permits_granted, metrics.permits_refused, metrics.permits_shadowed), (2, 8, 8));
    clock.advance(Duration::from_millis(100));
    assert_eq!([basis(1), basis(1)], [Basis::Local, Basis::Shadow], "it counts on as if it were kept");
    assert_eq!(limiter.try_acquire("", 1).basis(), Basis::Shadow);
}

#[test]
fn a_tier_in_shadow_mode_holds_up_nobody_and_the_others_still_do() {
    let (_clock, runtime) = stopped();
    let tiers = [Tier::new("kept", limit(1, 3)), Tier::new("tried", Rule::from(limit(1, 1)).shadow())];
    let key = runtime.tiered("tiers", &tiers).unwrap().key("").unwrap();
    assert_eq!(drain(&key), 3);
    let refused = key.try_acquire(1);
    assert_eq!((refused.tier, refused.status), (0, DENIED));
    assert_eq!(runtime.metrics().permits_shadowed, 2);
}

#[test]
fn what_a_shadow_let_pass_is_not_given_back_when_the_reservation_is_cancelled() {
    let (_clock, _runtime, limiter) = stopped_limiter(Rule::from(limit(1, 2)).shadow());
    let key = limiter.key("").unwrap();
    let held = key.reserve(2, Duration::ZERO).1.unwrap();
    let passed = key.reserve(2, Duration::ZERO).1.unwrap();
    passed.cancel().unwrap();
    assert_eq!(key.try_acquire(1).basis(), Basis::Shadow, "nothing came back");
    held.cancel().unwrap();
    assert_eq!(key.try_acquire(2).basis(), Basis::Local);
}

#[test]
fn one_name_with_two_enforcements_is_refused() {
    let (_clock, runtime, _limiter) = stopped_limiter(limit(1, 2));
    for rule in [breaker(1), Rule::from(limit(1, 2)).shadow()] {
        assert!(runtime.limiter("test", rule).unwrap_err().message().contains("enforcement"));
    }
}
