//! What runtimes promise when the log gets more partitions while it is used: here a log in memory, with the real driver
//! threads and the real clock. Under faults: `tests/simulation -- --growth`; on Kafka: `tests/kafka`.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::time::{Duration, Instant};
use tidegate::storage::memory::MemoryHub;
use tidegate::{Key, Limit, Nanos, Options, Runtime};

/// Until then things that take milliseconds must have happened.
const SOON: Duration = Duration::from_secs(10);
const TTL: Duration = Duration::from_secs(15);

fn join(hub: &MemoryHub, ttl: Duration) -> Runtime {
    let options = Options { ttl, ..Options::default() };
    Runtime::shared(&options, |events| Ok(Box::new(hub.open(events)))).unwrap()
}

fn per_second(permits: u64, burst: u64) -> Limit {
    Limit::token_bucket(permits, Nanos::from_secs(1), burst).unwrap()
}

#[test]
fn keys_move_to_added_partitions_and_the_limit_holds_throughout() {
    let hub = MemoryHub::new(2);
    let runtimes = [join(&hub, TTL), join(&hub, TTL)];
    let open = |runtime: &Runtime| {
        let limiter = runtime.limiter("grown", per_second(100, 20)).unwrap();
        (0..24).map(|n| limiter.key(&format!("key-{n}")).unwrap()).collect::<Vec<_>>()
    };
    let keys = runtimes.each_ref().map(open);
    let mut counts = vec![0; 24];
    let (start, mut grown) = (Instant::now(), false);
    while start.elapsed() < Duration::from_secs(2) {
        if start.elapsed() > Duration::from_millis(700) && !std::mem::replace(&mut grown, true) {
            hub.grow(12);
        }
        for (key, count) in counts.iter_mut().enumerate() {
            *count += keys.iter().filter(|keys| keys[key].try_acquire(1).is_granted()).count();
        }
    }
    let bound = 20 + start.elapsed().as_millis().div_ceil(10) as usize;
    assert!(counts.iter().all(|count| *count <= bound), "{counts:?} of {bound}");
    let used = (2..12).filter(|partition| hub.records(*partition) > 0).count();
    assert!(used > 5, "keys live in {used} of the added partitions");
    let served = |keys: &Vec<Key>| keys.iter().all(|key| key.acquire(1, SOON).is_granted());
    assert!(keys.iter().all(served), "every key is served by every process");
}

#[test]
fn a_limit_changed_before_the_growth_is_in_force_in_the_added_partitions() {
    let hub = MemoryHub::new(1);
    let runtime = join(&hub, TTL);
    let limiter = runtime.limiter("grown", per_second(1_000, 20)).unwrap();
    assert!(limiter.key("a").unwrap().acquire(1, SOON).is_granted());
    limiter.set_limit(per_second(2_000, 7), SOON).unwrap();
    hub.grow(16);
    // Opened with the configured numbers, as by a program that knows nothing of the change.
    let late = join(&hub, TTL);
    let limiter = late.limiter("grown", per_second(1_000, 20)).unwrap();
    for n in 0..20 {
        let key = limiter.key(&format!("key-{n}")).unwrap();
        assert!(key.acquire(1, SOON).is_granted());
        let status = key.status().unwrap();
        assert_eq!(status.share.burst.whole(), 7, "{n}: {status:?}");
    }
    assert!((1..16).any(|partition| hub.records(partition) > 0));
}

#[test]
fn a_key_that_ended_before_it_was_looked_at_is_not_taken_for_the_one_in_its_place() {
    let hub = MemoryHub::new(1);
    hub.set_down(true);
    let (first, second) = (join(&hub, TTL), join(&hub, TTL));
    let limiters = [&first, &second].map(|runtime| runtime.limiter("reused", per_second(1_000, 100)).unwrap());
    for round in 0..50 {
        let ended = limiters[0].key(&format!("ended-{round}")).unwrap();
        ended.try_acquire(1);
        drop(ended);
    }
    // The thread of the first ends them within a tenth of a second; nothing tells when.
    std::thread::sleep(Duration::from_millis(200));
    let keys: Vec<Key> = (0..50).map(|n| limiters[1].key(&format!("key-{n}")).unwrap()).collect();
    hub.set_down(false);
    for key in keys {
        assert!(key.acquire(1, SOON).is_granted());
        assert_eq!(key.status().unwrap().processes, 1, "nobody else asked for it");
    }
}
