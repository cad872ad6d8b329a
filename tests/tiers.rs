//! What a limiter with several tiers promises: all of them give, or none does.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use common::{drain, limit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate::runtime::clock::ManualClock;
use tidegate::runtime::decision::{DENIED, NEVER, OK, TIMED_OUT};
use tidegate::runtime::{TIERS_MAX, WEIGHT_MAX};
use tidegate::{runtime, Config, ErrorKind, Limit, Limiter, Nanos, Runtime, Tier};

/// A cluster of 10, topics of 4, consumers of 2, each refilled at its burst per second.
fn seed() -> [Tier; 3] {
    [
        Tier::new("cluster", limit(10, 10)),
        Tier::new("topic", limit(4, 4)).per("topic"),
        Tier::new("consumer", limit(2, 2)).per("consumer"),
    ]
}

fn stopped(tiers: &[Tier]) -> (ManualClock, Limiter) {
    let (clock, runtime) = common::stopped();
    let limiter = runtime.tiered("test", tiers).unwrap();
    (clock, limiter)
}

fn at<'a>(topic: &'a str, consumer: &'a str) -> [(&'static str, &'a str); 2] {
    [("topic", topic), ("consumer", consumer)]
}

#[test]
fn a_key_gives_what_its_tightest_tier_gives_and_the_refusing_tier_is_named() {
    let (_clock, limiter) = stopped(&seed());
    let key = limiter.key_in(&at("orders", "a")).unwrap();
    assert_eq!(drain(&key), 2);
    let refusal = key.try_acquire(1);
    assert_eq!((refusal.status, limiter.tier_name(refusal.tier.into())), (DENIED, Some("consumer")));
}

#[test]
fn a_refused_request_takes_nothing_from_the_tiers_that_would_have_let_it_pass() {
    let (_clock, limiter) = stopped(&seed());
    let [a, b] = ["a", "b"].map(|consumer| limiter.key_in(&at("orders", consumer)).unwrap());
    drain(&a);
    (0..50).for_each(|_| assert_eq!(a.try_acquire(1).status, DENIED));
    assert_eq!(a.try_acquire(2).status, DENIED);
    assert_eq!(drain(&b), 2, "the topic's four were not burnt by refusals");
    let c = limiter.key_in(&at("orders", "c")).unwrap();
    assert_eq!(limiter.tier_name(c.try_acquire(1).tier.into()), Some("topic"));
}

#[test]
fn keys_share_the_buckets_of_the_tiers_that_they_have_in_common() {
    let (_clock, limiter) = stopped(&seed());
    let granted: u64 = (0..10)
        .map(|i| {
            let (topic, consumer) = (format!("topic-{}", i % 5), format!("consumer-{i}"));
            drain(&limiter.key_in(&at(&topic, &consumer)).unwrap())
        })
        .sum();
    assert_eq!(granted, 10, "the cluster's");
}

#[test]
fn retry_after_is_the_longest_of_the_refusing_tiers() {
    let slow = Limit::token_bucket(1, Nanos::from_secs(60), 1).unwrap();
    let (clock, limiter) = stopped(&[Tier::new("fast", limit(1, 1)), Tier::new("slow", slow)]);
    let key = limiter.key("").unwrap();
    assert_eq!(drain(&key), 1);
    let refusal = key.try_acquire(1);
    assert_eq!((refusal.retry_after_ns, refusal.tier), (60_000_000_000, 1));
    clock.advance(Duration::from_secs(59));
    assert_eq!(key.try_acquire(1).tier, 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(key.try_acquire(1).status, OK);
}

#[test]
fn several_bandwidths_on_one_value_are_tiers_of_one_scope() {
    let minute = Limit::token_bucket(5, Nanos::from_secs(60), 5).unwrap();
    let (clock, limiter) =
        stopped(&[Tier::new("second", limit(2, 2)).per("tenant"), Tier::new("minute", minute).per("tenant")]);
    let key = limiter.key("acme").unwrap();
    let granted: u64 = (0..10)
        .map(|_| {
            let granted = drain(&key);
            clock.advance(Duration::from_secs(1));
            granted
        })
        .sum();
    assert_eq!(granted, 5);
    assert_eq!(drain(&limiter.key("other").unwrap()), 2);
}

#[test]
fn a_permit_costs_its_weight_in_each_tier_and_remaining_counts_what_can_still_be_asked_for() {
    let tiers = [Tier::new("calls", limit(100, 100)), Tier { weight: 30, ..Tier::new("work", limit(100, 100)) }];
    let (_clock, limiter) = stopped(&tiers);
    let key = limiter.key("").unwrap();
    let decision = key.try_acquire(1);
    assert_eq!((decision.status, decision.remaining, decision.tier), (OK, 2, 1));
    assert_eq!(key.try_acquire(4).status, NEVER);
    assert_eq!((drain(&key), key.try_acquire(1).tier), (2, 1));
}

#[test]
fn a_tier_whose_dimension_the_context_lacks_is_an_error_and_never_skipped() {
    let (_clock, limiter) = stopped(&seed());
    let missing = limiter.key_in(&[("topic", "orders")]).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Argument);
    for word in ["consumer", "topic"] {
        assert!(missing.message().contains(word), "{}", missing.message());
    }
    assert_eq!(limiter.try_acquire_in(&[("topic", "orders")], 1).status, ErrorKind::Argument as i32);
    assert!(limiter.key("orders").unwrap_err().message().contains("context"));
    let twice = [("topic", "a"), ("consumer", "b"), ("topic", "c")];
    assert!(limiter.key_in(&twice).unwrap_err().message().contains("twice"));
    let more = [("topic", "a"), ("consumer", "b"), ("unused", "c")];
    assert!(limiter.key_in(&more).is_ok());
}

#[test]
fn tiers_that_cannot_be_told_apart_or_are_out_of_range_are_refused() {
    let runtime = Runtime::open(&Config::new()).unwrap();
    let tier = || Tier::new("x", limit(1, 1));
    let many: Vec<Tier> = (0..=TIERS_MAX).map(|i| Tier::new(&i.to_string(), limit(1, 1))).collect();
    let wrong: [&[Tier]; 6] = [
        &[],
        &many,
        &[tier(), tier()],
        &[Tier::new("", limit(1, 1))],
        &[tier().per("")],
        &[Tier { weight: WEIGHT_MAX + 1, ..tier() }],
    ];
    for tiers in wrong {
        assert_eq!(runtime.tiered("wrong", tiers).unwrap_err().kind(), ErrorKind::Argument, "{tiers:?}");
    }
    assert!(runtime.tiered("right", &many[1..]).is_ok());
}

#[test]
fn a_released_key_is_out_of_date_and_its_buckets_live_on_for_others() {
    let (_clock, limiter) = stopped(&seed());
    let [first, second] = [0, 1].map(|_| limiter.key_id_in(&at("orders", "a")).unwrap());
    assert!(runtime::acquire::try_acquire(first, 1).is_granted());
    runtime::release(first).unwrap();
    assert_eq!(runtime::acquire::try_acquire(first, 1).status, ErrorKind::Stale as i32);
    assert_eq!(runtime::release(first).unwrap_err().kind(), ErrorKind::Stale);
    assert!(runtime::acquire::try_acquire(second, 1).is_granted());
    assert_eq!(runtime::acquire::try_acquire(second, 1).status, DENIED);
}

#[test]
fn who_waits_at_one_tier_holds_up_no_key_that_this_tier_would_have_let_pass() {
    let runtime = Runtime::open(&Config::new()).unwrap();
    let hour = Limit::token_bucket(1, Nanos::from_secs(3_600), 1).unwrap();
    let tiers = [Tier::new("cluster", limit(1_000, 1_000)), Tier::new("tenant", hour).per("tenant")];
    let limiter = runtime.tiered("waiting", &tiers).unwrap();
    let [a, b] = ["a", "b"].map(|tenant| limiter.key(tenant).unwrap());
    assert_eq!(drain(&a), 1);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| a.acquire(1, Duration::from_millis(300)));
        while a.status().unwrap().waiting == 0 {
            std::thread::yield_now();
        }
        assert!(b.try_acquire(1).is_granted());
        let decision = waiting.join().unwrap();
        assert_eq!((decision.status, decision.tier), (TIMED_OUT, 1));
    });
}

#[test]
fn who_waits_goes_on_as_soon_as_every_tier_has_enough() {
    let runtime = Runtime::open(&Config::new()).unwrap();
    let tiers = [Tier::new("wide", limit(100, 5)), Tier::new("narrow", limit(50, 5))];
    let key = runtime.tiered("goes-on", &tiers).unwrap().key("").unwrap();
    drain(&key);
    assert_eq!(key.acquire(3, Duration::from_secs(10)).status, OK);
    assert!(key.status().unwrap().waiting == 0);
}

#[test]
fn under_concurrency_every_tier_loses_exactly_what_was_granted() {
    let never = Limit::token_bucket(1, Nanos::from_secs(3_600 * 24), 3_000).unwrap();
    let wide = Limit::token_bucket(1, Nanos::from_secs(3_600 * 24), 100_000).unwrap();
    let runtime = Runtime::open(&Config::new()).unwrap();
    let tiers = [Tier::new("wide", wide), Tier::new("narrow", never).per("who"), Tier::new("last", wide)];
    let limiter = runtime.tiered("race", &tiers).unwrap();
    let granted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for who in ["a", "b", "a", "b"] {
            let (limiter, granted) = (&limiter, &granted);
            scope.spawn(move || {
                let key = limiter.key(who).unwrap();
                for i in 0..6_000u64 {
                    if key.try_acquire(1 + i % 3).is_granted() {
                        granted.fetch_add(1 + i % 3, Ordering::Relaxed);
                    }
                    if i % 64 == 0 {
                        key.peek();
                    }
                }
            });
        }
    });
    let granted = granted.into_inner();
    let key = limiter.key("c").unwrap();
    assert!(granted <= 6_000 && granted > 5_990, "{granted}");
    let left = drain(&limiter.key("a").unwrap()) + drain(&limiter.key("b").unwrap());
    assert_eq!(granted + left, 6_000, "the narrow tiers gave all they had and no more");
    assert_eq!(drain(&key), 3_000);
    let peeked = limiter.key("d").unwrap().peek();
    assert!(peeked.is_granted());
}

/// Two tiers for each of several consumers, and one that they share; nothing refills while a test runs. A real clock: with
/// another one nothing is decided without a lock. A key takes permits beforehand once a bucket's first credit is used up, a
/// sixteenth of its burst.
fn hoarding(shared: u64) -> (Runtime, Limiter) {
    let never = |burst| Limit::token_bucket(1, Nanos::from_secs(3_600 * 24), burst).unwrap();
    let tiers = [
        Tier::new("own", never(100_000)).per("who"),
        Tier::new("shared", never(shared)),
        Tier { weight: 3, ..Tier::new("weighed", never(300_000)).per("who") },
    ];
    // A runtime of its own: one of equal configuration is the same.
    static ROOM: AtomicU64 = AtomicU64::new(1_000);
    let mut config = Config::new();
    config.set("keys.max", &ROOM.fetch_add(1, Ordering::Relaxed).to_string()).unwrap();
    let runtime = Runtime::open(&config).unwrap();
    let limiter = runtime.tiered("hoard", &tiers).unwrap();
    (runtime, limiter)
}

#[test]
fn what_a_key_took_beforehand_and_did_not_use_is_there_for_every_other_key() {
    let (_runtime, limiter) = hoarding(1_600);
    let [a, b] = ["a", "b"].map(|who| limiter.key(who).unwrap());
    assert_eq!((0..107).filter(|_| a.try_acquire(1).is_granted()).count(), 107);
    assert!(b.try_acquire(1_493).is_granted(), "all that is left");
    assert_eq!([&a, &b].map(|key| key.try_acquire(1).status), [DENIED; 2]);
}

#[test]
fn keys_that_take_turns_get_all_that_their_tier_has_and_no_more() {
    let (_runtime, limiter) = hoarding(1_600);
    let keys = ["a", "b", "c"].map(|who| limiter.key(who).unwrap());
    let granted: usize = (0..3_000).filter(|i| keys[i * i / 7 % 3].try_acquire(1).is_granted()).count();
    assert_eq!(granted, 1_600);
}

#[test]
fn what_a_key_took_beforehand_comes_back_when_it_is_released_and_its_id_takes_nothing_more() {
    let (runtime, limiter) = hoarding(1_600);
    let [a, b] = [(); 2].map(|()| limiter.key_id_in(&[("who", "a")]).unwrap());
    assert!([100, 1].iter().all(|permits| runtime::acquire::try_acquire(a, *permits).is_granted()));
    runtime::release(a).unwrap();
    // Another key in its place, which takes permits beforehand, too.
    let c = limiter.key_id_in(&[("who", "c")]).unwrap();
    assert!([100, 1].iter().all(|permits| runtime::acquire::try_acquire(c, *permits).is_granted()));
    assert_eq!(runtime::acquire::try_acquire(a, 1).status, ErrorKind::Stale as i32);
    assert!(runtime::acquire::try_acquire(b, 1_398).is_granted(), "all that is left");
    assert!([b, c].map(|key| runtime::acquire::try_acquire(key, 1).status) == [DENIED; 2]);
    assert_eq!(runtime.metrics().permits_granted, 1_600 * 5);
}

#[test]
fn remaining_and_the_count_of_granted_permits_are_exact_however_little_was_settled() {
    let (runtime, limiter) = hoarding(1_600);
    let key = limiter.key("a").unwrap();
    for taken in 1..=1_600 {
        let decision = key.try_acquire(1);
        assert_eq!((decision.remaining, limiter.tier_name(decision.tier.into())), (1_600 - taken, Some("shared")));
        assert_eq!(runtime.metrics().permits_granted, taken * 5, "a permit, one of the shared tier, and three");
    }
    assert_eq!(key.try_acquire(1).status, DENIED);
}

#[test]
fn under_concurrency_keys_are_used_and_released_and_the_shared_tier_gives_exactly_what_it_has() {
    let (_runtime, limiter) = hoarding(20_000);
    let granted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for who in ["a", "b", "a", "c"] {
            let (limiter, granted) = (&limiter, &granted);
            scope.spawn(move || {
                for round in 0..60u64 {
                    let key = limiter.key(who).unwrap();
                    for i in 0..200 + round {
                        if key.try_acquire(1 + i % 2).is_granted() {
                            granted.fetch_add(1 + i % 2, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let left = drain(&limiter.key("d").unwrap());
    assert_eq!(granted.into_inner() + left, 20_000);
}

#[test]
fn while_another_closes_a_keys_purse_all_the_time_its_tiers_lose_exactly_what_was_granted() {
    const MANY: u64 = if cfg!(miri) { 120 } else { 60_000 };
    let (runtime, limiter) = hoarding(MANY);
    let [key, other] = ["a", "b"].map(|who| limiter.key(who).unwrap());
    let (granted, takers) = (AtomicU64::new(0), AtomicU64::new(3));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let got = (0..MANY / 2).filter(|_| key.try_acquire(1).is_granted()).count() as u64;
                granted.fetch_add(got, Ordering::Relaxed);
                takers.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while takers.load(Ordering::Relaxed) > 0 {
            other.peek();
        }
    });
    assert_eq!((granted.into_inner(), drain(&other)), (MANY, 0));
    // One that found the last permit gone may have burnt what it took before, if that was settled meanwhile: a few, at the end.
    assert!((MANY * 5..=MANY * 5 + 30).contains(&runtime.metrics().permits_granted));
}

#[test]
fn a_context_decides_at_once_on_the_buckets_that_keys_hold() {
    let (_clock, limiter) = stopped(&seed());
    let key = limiter.key_in(&at("orders", "a")).unwrap();
    assert!(limiter.try_acquire_in(&at("orders", "a"), 1).is_granted());
    assert!(key.try_acquire(1).is_granted());
    assert_eq!(limiter.try_acquire_in(&at("orders", "a"), 1).status, DENIED);
    assert!(limiter.try_acquire_in(&at("orders", "b"), 1).is_granted());
}

#[test]
fn one_tier_gets_other_numbers_and_the_others_keep_theirs() {
    let (clock, limiter) = stopped(&seed());
    assert_eq!(limiter.set_limit(limit(1, 1), Duration::ZERO).unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(limiter.set_tier_limit(3, limit(1, 1), Duration::ZERO).unwrap_err().kind(), ErrorKind::Argument);
    limiter.set_tier_limit(2, limit(4, 4), Duration::ZERO).unwrap();
    let key = limiter.key_in(&at("orders", "a")).unwrap();
    clock.advance(Duration::from_secs(5));
    assert_eq!(drain(&key), 4);
}

#[test]
fn a_limiter_without_tiers_refuses_a_context_instead_of_taking_it_for_no_value() {
    let runtime = Runtime::open(&Config::new()).unwrap();
    let plain = runtime.limiter("no dimensions", limit(10, 10)).unwrap();
    let refused = plain.key_in(&[("topic", "orders")]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Argument);
    assert!(refused.message().contains("value"), "{}", refused.message());
    assert_eq!(plain.try_acquire_in(&[("topic", "orders")], 1).status, ErrorKind::Argument as i32);
    assert!(plain.key_in(&[]).unwrap().try_acquire(1).is_granted());
}
