//! What a fleet finds again when it starts anew: here on a log in memory, with the real driver threads and the real clock.
//! The same on Kafka is in `kafka_storage`.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::time::{Duration, Instant};
use tidegate::core::record::{Record, Sender};
use tidegate::runtime::decision::NEVER;
use tidegate::storage::memory::MemoryHub;
use tidegate::storage::LogStore;
use tidegate::{HealthState, Key, Limit, Limiter, Nanos, Options, Runtime};

/// Until then things that take milliseconds must have happened.
const SOON: Duration = Duration::from_secs(20);
const DAY: Nanos = Nanos::from_secs(86_400);

fn join(hub: &MemoryHub, ttl: Duration) -> Runtime {
    let options = Options { ttl, ..Options::default() };
    Runtime::shared(&options, |events| Ok(Box::new(hub.open(events)))).unwrap()
}

/// A hundred permits that do not come back while the test runs.
fn hundred(runtime: &Runtime) -> Limiter {
    runtime.limiter("shared", Limit::token_bucket(100, DAY, 100).unwrap()).unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn take(key: &Key, permits: u64) {
    let mut left = permits;
    until("the permits", || {
        left -= u64::from(left > 0 && key.try_acquire(1).is_granted());
        left == 0
    });
}

/// What is left when nothing more comes.
fn rest(key: &Key) -> u64 {
    until("a share", || {
        key.try_acquire(101);
        key.status().unwrap().share.burst.whole() >= 100
    });
    (0..).take_while(|_| key.try_acquire(1).is_granted()).count() as u64
}

/// Takes sixty of a hundred, and leaves.
fn spend_and_leave(hub: &MemoryHub) {
    let runtime = join(hub, Duration::from_secs(15));
    let key = hundred(&runtime).key("k").unwrap();
    take(&key, 60);
    drop(key);
    runtime.close(SOON).unwrap();
}

#[test]
fn a_fleet_that_restarts_has_what_was_left_and_no_fresh_burst() {
    let hub = MemoryHub::new(1);
    spend_and_leave(&hub);
    let runtime = join(&hub, Duration::from_secs(15));
    assert_eq!(rest(&hundred(&runtime).key("k").unwrap()), 40);
}

#[test]
fn a_fleet_that_restarts_when_the_log_has_lost_everything_finds_it_in_the_snapshot_at_once() {
    let hub = MemoryHub::new(1);
    let runtime = join(&hub, Duration::from_secs(15));
    let limiter = hundred(&runtime);
    let key = limiter.key("k").unwrap();
    take(&key, 1);
    limiter.set_limit(Limit::token_bucket(90, DAY, 90).unwrap(), SOON).unwrap();
    take(&key, 50);
    drop((key, limiter));
    runtime.close(SOON).unwrap();
    hub.remove_before(0, hub.records(0));
    let start = Instant::now();
    let runtime = join(&hub, Duration::from_secs(15));
    let key = hundred(&runtime).key("k").unwrap();
    take(&key, 40);
    assert!(start.elapsed() < SOON / 4);
    assert!(!key.try_acquire(1).is_granted(), "ten less than configured: the definition was kept, too");
    assert_eq!(key.try_acquire(95).status, NEVER);
    until("the metrics", || runtime.metrics().snapshots_restored == 1 && runtime.metrics().snapshot_offset > 0);
}

#[test]
fn what_is_no_whole_snapshot_is_passed_over_and_the_log_is_read() {
    let hub = MemoryHub::new(1);
    spend_and_leave(&hub);
    hub.with_state(0, |state| {
        assert!(!state.is_empty(), "the last who leaves writes a snapshot");
        for value in state.values_mut() {
            let last = value.len() - 1;
            value[last] ^= 1;
        }
        state.insert(b"junk".to_vec(), vec![0; 100]);
        state.insert(Vec::new(), Vec::new());
    });
    let runtime = join(&hub, Duration::from_secs(15));
    assert_eq!(rest(&hundred(&runtime).key("k").unwrap()), 40);
    assert_eq!(runtime.metrics().snapshots_restored, 0);
}

#[test]
fn without_a_state_to_start_from_nothing_is_granted_until_somebody_alive_writes_it_down() {
    let hub = MemoryHub::new(1);
    let veteran = join(&hub, Duration::from_secs(2));
    let held = hundred(&veteran).key("k").unwrap();
    take(&held, 60);
    hub.set_down(true);
    let stranger = join(&hub, Duration::from_secs(2));
    let key = hundred(&stranger).key("k").unwrap();
    hub.remove_before(0, hub.records(0));
    hub.set_down(false);
    until("health says so", || {
        assert!(!key.try_acquire(1).is_granted());
        let health = stranger.health();
        health.state == HealthState::Degraded && health.message.contains("no snapshot")
    });
    until("the veteran answers, and both share", || {
        key.try_acquire(1);
        held.try_acquire(1);
        key.status().unwrap().share.burst.whole() > 20
    });
    assert!(veteran.metrics().snapshots_written > 0);
    assert_eq!((veteran.metrics().resets, stranger.metrics().resets), (0, 0));
    until("health", || stranger.health().state == HealthState::Ok);
}

#[test]
fn processes_that_start_at_different_times_compare_their_states_and_a_contradiction_is_healed() {
    let hub = MemoryHub::new(1);
    // A heartbeat every 150 ms: digests are taken every 64 records.
    let runtimes = [(); 4].map(|()| join(&hub, Duration::from_millis(600)));
    let fast = Limit::token_bucket(1_000, Nanos::from_secs(1), 1_000).unwrap();
    let keys = runtimes.each_ref().map(|runtime| runtime.limiter("fast", fast).unwrap().key("k").unwrap());
    let ask = || keys.iter().for_each(|key| _ = key.try_acquire(1));
    until("states are compared", || {
        ask();
        runtimes.iter().all(|runtime| runtime.metrics().digests_compared > 4)
    });
    assert!(runtimes.iter().all(|runtime| runtime.metrics().digest_mismatches == 0));
    let mark = hub.records(0) as u64 / 64 * 64;
    let sender = Sender::Hello { ttl_ms: 500, newest_format: 1, lock: 0, note: "a liar".into() };
    let lie = Record { sender, nonce: 1, seq: 1, tag: 1, digest: Some((mark, 4711)), ops: Vec::new() };
    assert!(hub.open(crossbeam::channel::bounded(0).0).append(0, lie.encode()));
    until("everybody has noticed", || runtimes.iter().all(|runtime| runtime.metrics().digest_mismatches > 0));
    until("everybody is back", || {
        ask();
        runtimes.iter().all(|runtime| runtime.metrics().gaps > 0 && runtime.health().state == HealthState::Ok)
            && keys.iter().all(|key| key.status().unwrap().share.burst.whole() > 0)
    });
    let gaps: u64 = runtimes.iter().map(|runtime| runtime.metrics().gaps).sum();
    let compared: Vec<u64> = runtimes.iter().map(|runtime| runtime.metrics().digests_compared).collect();
    until("states are compared again", || {
        ask();
        runtimes.iter().zip(&compared).all(|(runtime, before)| runtime.metrics().digests_compared > before + 4)
    });
    let later: u64 = runtimes.iter().map(|runtime| runtime.metrics().gaps).sum();
    assert!(later <= gaps + 4, "an old lie is not answered for ever: {gaps}, then {later}");
}

#[test]
fn more_keys_than_fit_into_a_record_are_given_back_and_found_again() {
    let hub = MemoryHub::new(1);
    let runtime = join(&hub, Duration::from_secs(15));
    let limiter = hundred(&runtime);
    let keys: Vec<Key> = (0..1_000).map(|i| limiter.key(&i.to_string()).unwrap()).collect();
    keys.iter().for_each(|key| take(key, 1));
    drop((keys, limiter));
    runtime.close(SOON).unwrap();
    let runtime = join(&hub, Duration::from_secs(15));
    let limiter = hundred(&runtime);
    assert!([0, 500, 999].iter().all(|i| rest(&limiter.key(&i.to_string()).unwrap()) == 99));
}
