//! Runtimes that start anew on a real broker: what the snapshots are for.

use crate::harness::*;
use std::time::{Duration, Instant};
use tidegate::storage::{ReadFrom, StorageEvent};
use tidegate::{Config, Key, Limit, Limiter, Nanos, Runtime};

const KEYS: usize = 100_000;
/// Ten permits that do not come back while the test runs.
const BURST: u64 = 10;
const DAY: Nanos = Nanos::from_secs(86_400);

fn open(address: &str, topic: &str) -> Runtime {
    let mut config = Config::new();
    for (name, value) in
        [("bootstrap.servers", address), ("topic", topic), ("partitions", "1"), ("replication.factor", "1")]
    {
        config.set(name, value).unwrap();
    }
    Runtime::open(&config).unwrap()
}

fn limiter(runtime: &Runtime) -> Limiter {
    runtime.limiter("many", Limit::token_bucket(BURST, DAY, BURST).unwrap()).unwrap()
}

fn first_grant(key: &Key) {
    let deadline = Instant::now() + PATIENCE;
    while !key.try_acquire(1).is_granted() {
        assert!(Instant::now() < deadline, "nothing is granted: {:?}", key.status());
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn rest(key: &Key) -> usize {
    (0..).take_while(|_| key.try_acquire(1).is_granted()).count()
}

fn delete_everything(address: &str, topic: &str) {
    let (admin, options) = admin(address);
    let mut all = rdkafka::TopicPartitionList::new();
    all.add_partition_offset(&format!("{topic}-claims"), 0, rdkafka::Offset::End).unwrap();
    wait(admin.delete_records(&all, &options)).unwrap();
}

#[test]
fn a_process_with_100_000_keys_in_its_partition_grants_correctly_soon_after_its_start() {
    let Some(address) = kafka() else { return };
    let topic = fresh_topic();
    let start = Instant::now();
    let runtime = open(&address, &topic);
    let many = limiter(&runtime);
    let keys: Vec<Key> = (0..KEYS).map(|i| many.key(&i.to_string()).unwrap()).collect();
    let deadline = Instant::now() + 4 * PATIENCE;
    // Some at a time: what is refused is looked at again and again.
    for some in keys.chunks(2_000) {
        let mut left: Vec<&Key> = some.iter().collect();
        while !left.is_empty() {
            left.retain(|key| !key.try_acquire(1).is_granted());
            assert!(Instant::now() < deadline, "some keys have no share yet");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    println!("{KEYS} keys claimed in {:?}", start.elapsed());
    drop((keys, many));
    runtime.close(PATIENCE).unwrap();

    for lost in [false, true] {
        if lost {
            delete_everything(&address, &topic);
        }
        let start = Instant::now();
        let runtime = open(&address, &topic);
        let many = limiter(&runtime);
        let key = many.key(if lost { "77777" } else { "4711" }).unwrap();
        first_grant(&key);
        let took = start.elapsed();
        let from = if lost { "the snapshot, with the log gone" } else { "the snapshot and the log" };
        println!("{KEYS} keys in the partition: first grant {took:?} after the start, from {from}");
        assert_eq!(rest(&key), BURST as usize - 2, "one was taken before the restart, one after");
        let deadline = Instant::now() + PATIENCE;
        while runtime.metrics().snapshots_restored == 0 {
            assert!(Instant::now() < deadline, "no snapshot was read");
        }
        // Two seconds on a machine that has nothing else to do.
        assert!(took < Duration::from_secs(6), "{took:?}");
        drop((key, many));
        runtime.close(PATIENCE).unwrap();
    }
}

#[test]
fn a_reader_that_was_overtaken_by_retention_is_told_of_the_gap() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    user.read(0);
    user.caught_up(0);
    let large = "x".repeat(4_000);
    for _ in 0..16 {
        for _ in 0..1_000 {
            user.append(0, &large);
        }
        user.records(0, 1_000);
    }
    // Far more than the client reads ahead.
    let mut slow = User::open_with(settings.clone(), 2);
    slow.read(0);
    slow.until(|event| matches!(event, StorageEvent::Record { .. }));
    delete_everything(&address, &settings.topic);
    let mut next = 1;
    loop {
        match slow.until(|_| true) {
            StorageEvent::Record { offset, .. } => {
                assert_eq!(offset, next, "nothing is left out silently");
                next += 1;
            }
            StorageEvent::Gap { .. } => break,
            StorageEvent::CaughtUp { .. } => panic!("the end was reached at {next}"),
            _ => {}
        }
    }
    slow.read_from(0, ReadFrom::Start);
    slow.caught_up(0);
}

#[test]
fn a_stopped_fleet_whose_log_is_gone_goes_on_where_it_was() {
    let Some(address) = kafka() else { return };
    let topic = fresh_topic();
    for left in [BURST, BURST - 3, BURST - 6] {
        let runtime = open(&address, &topic);
        let key = limiter(&runtime).key("k").unwrap();
        first_grant(&key);
        assert!(key.try_acquire(2).is_granted());
        assert!(!key.try_acquire(left - 2).is_granted(), "no more than was left before");
        drop(key);
        runtime.close(PATIENCE).unwrap();
        delete_everything(&address, &topic);
    }
}
