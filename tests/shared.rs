//! What runtimes promise that share limits through one log: here a log in memory, with the real driver threads and
//! the real clock. The promises under faults are proven in `simulation`, and shown on Kafka in `kafka`.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::time::{Duration, Instant};
use tidegate::runtime::decision::{DENIED, NEVER, PENDING};
use tidegate::storage::memory::MemoryHub;
use tidegate::{Basis, Enforcement, HealthState, Key, Limit, Limiter, Nanos, Options, Outage, Rule, Runtime, Tier};

/// Until then things that take milliseconds must have happened.
const SOON: Duration = Duration::from_secs(10);

fn join(hub: &MemoryHub, ttl: Duration) -> Runtime {
    let options = Options { ttl, ..Options::default() };
    Runtime::shared(&options, |events| Ok(Box::new(hub.open(events)))).unwrap()
}

fn limiter(runtime: &Runtime, permits: u64, burst: u64, outage: Outage) -> Limiter {
    runtime
        .limiter(
            "shared",
            Rule::from(Limit::token_bucket(permits, Nanos::from_secs(1), burst).unwrap()).on_outage(outage),
        )
        .unwrap()
}

fn key(runtime: &Runtime, permits: u64, burst: u64) -> Key {
    limiter(runtime, permits, burst, Outage::KeepShare).key("k").unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < SOON, "not within {SOON:?}: {what}");
        std::thread::yield_now();
    }
}

fn take_all(key: &Key) -> u64 {
    (0..).take_while(|_| key.try_acquire(1).is_granted()).count() as u64
}

/// Asks for more than there is until the share is at least `burst` permits.
fn hold(key: &Key, burst: u64) {
    until("a share", || {
        key.try_acquire(1);
        key.status().unwrap().share.burst.whole() >= burst
    });
}

#[test]
fn a_process_alone_gets_the_whole_limit() {
    let runtime = join(&MemoryHub::new(3), Duration::from_secs(15));
    let key = key(&runtime, 1, 500);
    let first = key.try_acquire(1);
    assert_eq!(
        (first.status, first.basis()),
        (DENIED, Basis::NoShare),
        "nothing is granted before the log gave a share"
    );
    let mut granted = 0;
    until("the whole burst", || {
        granted += take_all(&key);
        granted >= 500
    });
    assert!(granted <= 501, "{granted}");
    let status = key.status().unwrap();
    assert_eq!((status.processes, status.basis, status.share.burst.whole()), (1, Basis::Shared, 500));
}

#[test]
fn two_processes_share_one_burst_and_not_one_each() {
    let hub = MemoryHub::new(3);
    let runtimes = [join(&hub, Duration::from_secs(15)), join(&hub, Duration::from_secs(15))];
    let keys = runtimes.each_ref().map(|runtime| key(runtime, 100, 1_000));
    let start = Instant::now();
    let mut granted = 0;
    until("half a share each", || {
        granted += keys.iter().map(take_all).sum::<u64>();
        keys.iter().all(|key| key.status().is_ok_and(|status| (450..=550).contains(&status.share.burst.whole())))
    });
    granted += keys.iter().map(take_all).sum::<u64>();
    let minted = u64::try_from(start.elapsed().as_millis()).unwrap() / 10 + 1;
    assert!(granted <= 1_000 + minted, "{granted} of 1000 + {minted}");
    assert!(granted >= 900, "{granted} of 1000: tokens must move, not vanish");
}

#[test]
fn a_clean_close_gives_the_share_back_at_once() {
    let hub = MemoryHub::new(3);
    let (stays, leaves) = (join(&hub, Duration::from_secs(600)), join(&hub, Duration::from_secs(600)));
    let (staying, leaving) = (key(&stays, 1_000, 1_000), key(&leaves, 1_000, 1_000));
    hold(&staying, 900);
    hold(&leaving, 400);
    drop(leaving);
    leaves.close(SOON).unwrap();
    hold(&staying, 1_000);
}

#[test]
fn a_released_key_gives_its_share_back_while_the_runtime_stays() {
    let hub = MemoryHub::new(1);
    let (stays, leaves) = (join(&hub, Duration::from_secs(600)), join(&hub, Duration::from_secs(600)));
    let (staying, leaving) = (key(&stays, 1_000, 1_000), key(&leaves, 1_000, 1_000));
    hold(&staying, 900);
    hold(&leaving, 400);
    drop(leaving);
    hold(&staying, 1_000);
}

#[test]
fn a_waiter_without_a_share_is_served_when_the_log_gives_one() {
    let runtime = join(&MemoryHub::new(3), Duration::from_secs(15));
    let start = Instant::now();
    assert!(key(&runtime, 10, 10).acquire(1, SOON).is_granted());
    assert!(start.elapsed() < SOON / 2, "it was woken, and did not find the share when its time was up");
}

#[test]
fn an_outage_of_the_log_refuses_under_deny_and_goes_on_under_keep_share() {
    let hub = MemoryHub::new(1);
    // Long enough that a busy machine does not look like one that stood still, which keeps nothing.
    let runtime = join(&hub, Duration::from_secs(2));
    let kept = key(&runtime, 1_000_000, 1_000_000);
    let strict = runtime.limiter(
        "strict",
        Rule::from(Limit::token_bucket(1_000_000, Nanos::from_secs(1), 0).unwrap()).on_outage(Outage::Deny),
    );
    let strict = strict.unwrap().key("k").unwrap();
    hold(&kept, 1);
    hold(&strict, 1);
    hub.set_down(true);
    until("strict refuses for want of a share", || {
        let decision = strict.try_acquire(1);
        decision.status == DENIED && decision.basis() == Basis::NoShare
    });
    until("the kept share says so", || kept.try_acquire(1).basis() == Basis::KeptShare);
    assert!(kept.try_acquire(1).is_granted());
    until("health says so", || runtime.health().state != HealthState::Ok);
    hub.set_down(false);
    until("both are back", || strict.try_acquire(1).is_granted() && kept.try_acquire(1).basis() == Basis::Shared);
    until("health is back", || runtime.health().state == HealthState::Ok);
}

#[test]
fn allow_lets_everything_through_only_when_the_log_is_away_and_counts_it() {
    let hub = MemoryHub::new(1);
    hub.set_down(true);
    let runtime = join(&hub, Duration::from_millis(600));
    let allowed = limiter(&runtime, 1, 1, Outage::Allow).key("k").unwrap();
    until("everything passes", || allowed.try_acquire(1).basis() == Basis::Allowed);
    assert!((0..100).all(|_| allowed.try_acquire(1).is_granted()));
    assert!(runtime.metrics().permits_allowed >= 101);
    hub.set_down(false);
    until("the limit is back", || allowed.try_acquire(1).status == DENIED);
}

#[test]
fn a_changed_limit_binds_the_whole_fleet_also_those_who_come_with_the_old_numbers() {
    let hub = MemoryHub::new(2);
    let (changes, follows) = (join(&hub, Duration::from_secs(15)), join(&hub, Duration::from_secs(15)));
    let (changing, following) = (limiter(&changes, 1_000, 1_000, Outage::KeepShare), key(&follows, 1_000, 1_000));
    let changer = changing.key("k").unwrap();
    hold(&changer, 900);
    hold(&following, 400);
    changing.set_limit(Limit::token_bucket(100, Nanos::from_secs(1), 200).unwrap(), SOON).unwrap();
    let burst = |key: &Key| key.status().unwrap().share.burst.whole();
    until("both came down", || {
        following.try_acquire(1);
        changer.try_acquire(1);
        burst(&changer) + burst(&following) <= 200 && burst(&following) > 0
    });
    until("the other one knows", || following.try_acquire(201).status == NEVER);
    let comes = join(&hub, Duration::from_secs(15));
    let coming = key(&comes, 1_000, 1_000);
    hold(&coming, 50);
    assert_eq!(coming.status().unwrap().burst.whole(), 200, "the log wins over the configuration");
}

#[test]
fn a_change_that_the_log_does_not_confirm_says_so_and_comes_when_it_does() {
    let hub = MemoryHub::new(1);
    let runtime = join(&hub, Duration::from_secs(15));
    let limits = limiter(&runtime, 10, 10, Outage::KeepShare);
    let key = limits.key("k").unwrap();
    hold(&key, 10);
    hub.set_down(true);
    let error = limits.set_limit(Limit::token_bucket(10, Nanos::from_secs(1), 5).unwrap(), Duration::from_millis(50));
    assert!(error.unwrap_err().is_retriable());
    hub.set_down(false);
    until("the change", || key.try_acquire(6).status == NEVER);
}

#[test]
fn two_deployments_with_different_numbers_follow_the_log_and_the_one_that_came_later_says_so() {
    let hub = MemoryHub::new(1);
    let (first, second) = (join(&hub, Duration::from_secs(15)), join(&hub, Duration::from_secs(15)));
    let settled = key(&first, 1_000, 2_000);
    hold(&settled, 1);
    let other = limiter(&second, 10, 5, Outage::KeepShare).key("k").unwrap();
    hold(&other, 10);
    until("health names the numbers", || second.health().message.contains("configured"));
    let health = second.health();
    assert_eq!(health.state, HealthState::Degraded);
    assert_eq!(
        health.message,
        "limiter `shared` is configured here with 10 per second, burst 5, but stands in the log with 1000 per second, \
         burst 2000: the log wins; configure the same numbers in every process, or change the fleet's with `set_limit`"
    );
    assert_eq!(other.status().unwrap().burst.whole(), 2_000);
    until("who came first has nothing to say of it", || first.health().message == "shares are renewed");
    assert_eq!(first.health().state, HealthState::Ok);
    drop(other);
    until("who does not use it has nothing to say of it", || second.health().state == HealthState::Ok);
}

#[test]
fn a_changed_limit_is_no_trouble_for_those_who_come_with_the_old_numbers_but_health_names_it() {
    let hub = MemoryHub::new(1);
    let runtime = join(&hub, Duration::from_secs(15));
    let limits = limiter(&runtime, 1_000, 2_000, Outage::KeepShare);
    let key = limits.key("k").unwrap();
    hold(&key, 1);
    limits.set_limit(Limit::token_bucket(3, Nanos::from_secs(2), 7).unwrap(), SOON).unwrap();
    until("health names the change", || runtime.health().message.contains("set_limit"));
    let health = runtime.health();
    assert_eq!(health.state, HealthState::Ok);
    assert!(health.message.contains("was changed by `set_limit` to 1.5 per second, burst 7"), "{}", health.message);
    limits.set_limit(Limit::token_bucket(1_000, Nanos::from_secs(1), 2_000).unwrap(), SOON).unwrap();
    until("and no more when it is as configured", || runtime.health().message == "shares are renewed");
}

#[test]
fn one_partition_of_the_log_is_read_for_one_key() {
    let runtime = join(&MemoryHub::new(12), Duration::from_secs(15));
    let key = key(&runtime, 10, 10);
    hold(&key, 1);
    until("the count", || runtime.metrics().partitions_followed > 1);
    assert_eq!(runtime.metrics().partitions_followed, 2, "its own, and the directory");
}

/// A session that another process opened; what others on its host find of it; a claim on the whole limit of [`key`].
mod stranger {
    use super::*;
    use crossbeam::channel::unbounded;
    use std::fs::File;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;
    use tidegate::core::placement::{bucket_id, limit_id};
    use tidegate::core::record::{Amounts, Claim, Define, Op, Record, Sender};
    use tidegate::core::units::{Rate, Tokens};
    use tidegate::storage::{LogStore, ReadFrom, StorageEvent};

    pub fn path(lock: u128) -> PathBuf {
        format!("/dev/shm/tidegate-{lock:032x}.lock").into()
    }

    /// Its file, locked as long as it is held.
    pub struct Life(pub u128, File);

    impl Life {
        pub fn new() -> Life {
            // A number that nobody else has.
            static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
            let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let lock = u128::from(std::process::id()) << 64 | u128::from(next);
            let file = File::create_new(path(lock)).unwrap();
            // SAFETY: the descriptor is open.
            assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }, 0);
            Life(lock, file)
        }

        /// As kill -9: the file stays.
        pub fn die(&self) {
            // SAFETY: the descriptor is open.
            assert_eq!(unsafe { libc::flock(self.1.as_raw_fd(), libc::LOCK_UN) }, 0);
        }
    }

    impl Drop for Life {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(path(self.0));
        }
    }

    pub fn joins(hub: &MemoryHub, lock: u128) {
        let limit = limit_id("shared", 0);
        let (rate, burst) = (Rate::of(1_000, Nanos::from_secs(1)), Tokens::permits(1_000));
        let claim = Claim {
            bucket: bucket_id("shared", 0, "k"),
            limit,
            name: String::new(),
            released: Amounts::default(),
            want: rate,
            min: Tokens::permits(1),
            requeue: false,
        };
        let define = Define { limit, version: 1, rate, burst, name: String::new() };
        let sender = Sender::Hello { ttl_ms: 600_000, newest_format: 1, lock, note: "stranger".into() };
        let ops = vec![Op::Define(define), Op::Claim(claim)];
        let record = Record { sender, nonce: 1, seq: 1, tag: 1, digest: None, ops };
        assert!(hub.open(unbounded().0).append(0, record.encode()));
    }

    /// What the Hellos in the log say.
    pub fn locks(hub: &MemoryHub) -> Vec<u128> {
        let (events, received) = unbounded();
        let mut log = hub.open(events);
        log.follow(0);
        log.read_from(0, ReadFrom::Start, 1);
        let lock = |event| match event {
            StorageEvent::Record { bytes, .. } => match Record::decode(&bytes).unwrap().sender {
                Sender::Hello { lock, .. } => Some(lock),
                _ => None,
            },
            _ => None,
        };
        received.try_iter().filter_map(lock).collect()
    }
}

#[test]
fn a_process_killed_on_this_host_does_not_keep_its_share_for_its_time_to_live() {
    let hub = MemoryHub::new(1);
    let life = stranger::Life::new();
    stranger::joins(&hub, life.0);
    life.die();
    let runtime = join(&hub, Duration::from_secs(600));
    let key = key(&runtime, 1_000, 1_000);
    hold(&key, 1_000);
    assert_eq!(stranger::locks(&hub).len(), 2, "with the first record");
}

#[test]
fn a_process_that_lives_keeps_its_share_until_it_is_killed() {
    let hub = MemoryHub::new(1);
    let life = stranger::Life::new();
    stranger::joins(&hub, life.0);
    let runtime = join(&hub, Duration::from_secs(600));
    let key = key(&runtime, 1_000, 1_000);
    let start = Instant::now();
    until("it was looked at several times", || {
        key.try_acquire(1);
        start.elapsed() > Duration::from_millis(1_300)
    });
    assert_eq!((key.status().unwrap().processes, runtime.metrics().evictions_sent), (2, 0));
    life.die();
    hold(&key, 1_000);
    until("it is counted", || runtime.metrics().evictions_sent == 1);
}

#[test]
fn a_process_whose_file_is_not_here_is_left_alone() {
    let hub = MemoryHub::new(1);
    let gone = stranger::Life::new().0;
    stranger::joins(&hub, gone);
    let runtime = join(&hub, Duration::from_secs(600));
    let key = key(&runtime, 1_000, 1_000);
    let start = Instant::now();
    until("it was looked at", || {
        key.try_acquire(1);
        start.elapsed() > Duration::from_millis(700)
    });
    assert_eq!((key.status().unwrap().processes, runtime.metrics().evictions_sent), (2, 0));
}

#[test]
fn a_runtime_has_a_file_from_its_first_word_to_its_last_and_leaves_none() {
    let hub = MemoryHub::new(1);
    let runtime = join(&hub, Duration::from_secs(600));
    let key = key(&runtime, 1_000, 1_000);
    hold(&key, 1_000);
    let lock = stranger::locks(&hub)[0];
    assert!(lock != 0 && stranger::path(lock).exists());
    drop(key);
    runtime.close(SOON).unwrap();
    assert!(!stranger::path(lock).exists());
}

#[test]
fn a_runtime_that_could_not_say_goodbye_leaves_the_proof_that_it_uses_nothing() {
    let hub = MemoryHub::new(1);
    let (leaves, stays) = (join(&hub, Duration::from_secs(600)), join(&hub, Duration::from_secs(600)));
    let (leaving, staying) = (key(&leaves, 1_000, 1_000), key(&stays, 1_000, 1_000));
    hold(&leaving, 1_000);
    let lock = stranger::locks(&hub)[0];
    hub.set_down(true);
    drop(leaving);
    assert!(leaves.close(Duration::from_millis(50)).is_err());
    hub.set_down(false);
    hold(&staying, 1_000);
    std::fs::remove_file(stranger::path(lock)).unwrap();
}

#[test]
fn several_tiers_are_shared_each_with_those_who_have_the_same_scope_value() {
    let hub = MemoryHub::new(3);
    let [one, two] = [0, 1].map(|_| join(&hub, Duration::from_secs(15)));
    // Nothing comes back within the test.
    let limit = |burst| Limit::token_bucket(1, Nanos::from_secs(1_000_000), burst).unwrap();
    let tiers = [Tier::new("cluster", limit(300)), Tier::new("tenant", limit(200)).per("tenant")];
    let keys = [(&one, "a"), (&two, "a"), (&two, "b")]
        .map(|(runtime, tenant)| runtime.tiered("tiers", &tiers).unwrap().key(tenant).unwrap());
    let mut granted = [0; 3];
    until("the tenant's and then the cluster's burst", || {
        for (key, granted) in keys.iter().zip(&mut granted).take(2) {
            *granted += take_all(key);
        }
        granted[0] + granted[1] >= 200
    });
    assert_eq!(granted[0] + granted[1], 200);
    until("what is left of the cluster", || {
        granted[2] += take_all(&keys[2]);
        granted[2] >= 100
    });
    for _ in 0..1_000 {
        granted.iter_mut().zip(&keys).for_each(|(granted, key)| *granted += take_all(key));
    }
    assert_eq!((granted[0] + granted[1], granted[2]), (200, 100));
}

#[test]
fn a_value_without_a_key_uses_the_share_of_the_process_and_ends_when_it_is_not_used_any_more() {
    let hub = MemoryHub::new(1);
    let options = Options { ttl: Duration::from_secs(15), keys_max: 8, ..Options::default() };
    let runtime = Runtime::shared(&options, |events| Ok(Box::new(hub.open(events)))).unwrap();
    let limiter = limiter(&runtime, 1, 50, Outage::KeepShare);
    let mut granted = 0;
    until("the whole burst", || {
        granted += u64::from(limiter.try_acquire("a", 1).is_granted());
        granted >= 50
    });
    assert!(!limiter.try_acquire("a", 10).is_granted());
    // More values than there is room for: each ends after a while, and its share goes back.
    for i in 0..100 {
        until("a permit for each", || limiter.try_acquire(&i.to_string(), 1).is_granted());
    }
    assert!(runtime.metrics().keys <= 8);
}

#[test]
fn a_reservation_of_a_shared_limit_is_granted_when_the_share_comes_and_given_back_to_it() {
    let runtime = join(&MemoryHub::new(1), Duration::from_secs(15));
    let key = key(&runtime, 1, 500);
    let (first, reservation) = key.reserve(400, Duration::from_secs(3_600));
    assert_eq!(first.status, PENDING);
    let mut reservation = reservation.unwrap();
    until("its turn", || reservation.poll().is_granted());
    reservation.settle(100).unwrap();
    let mut granted = 100;
    until("the rest", || {
        granted += take_all(&key);
        granted >= 499
    });
    assert!(granted <= 500 + 20, "{granted}");
}

#[test]
fn processes_that_share_a_window_let_no_more_through_in_any_span_than_it_says() {
    let hub = MemoryHub::new(1);
    let runtimes = [join(&hub, Duration::from_secs(15)), join(&hub, Duration::from_secs(15))];
    let span = Duration::from_millis(500);
    let window = Limit::sliding_window(100, Nanos(500_000_000), 20).unwrap();
    let keys = runtimes.each_ref().map(|runtime| runtime.limiter("window", window).unwrap().key("").unwrap());
    let start = Instant::now();
    let mut granted = Vec::new();
    while start.elapsed() < 4 * span {
        for key in &keys {
            let before = start.elapsed();
            if key.try_acquire(1).is_granted() {
                granted.push((before, start.elapsed()));
            }
        }
    }
    // Each was granted at some moment between the two: counted is what certainly fell into one span.
    let most =
        granted.iter().map(|(_, first)| granted.iter().filter(|(b, a)| b >= first && *a < *first + span).count());
    let most = most.max().unwrap_or(0);
    assert!(most <= 100, "{most} in one span");
    assert!(granted.len() >= 200, "only {} in four spans", granted.len());
}

#[test]
fn a_share_stands_still_with_its_consumers_lag_and_goes_on_with_it() {
    let runtime = join(&MemoryHub::new(1), Duration::from_secs(15));
    let limiter = limiter(&runtime, 1_000, 10, Outage::KeepShare);
    let key = limiter.key("k").unwrap();
    limiter.pause_on_lag(100, 10).unwrap();
    hold(&key, 10);
    limiter.observe_lag(101).unwrap();
    take_all(&key);
    let start = Instant::now();
    let refused =
        std::iter::repeat_with(|| key.try_acquire(1)).take_while(|_| start.elapsed() < Duration::from_millis(100));
    assert!(refused.into_iter().all(|decision| decision.status == DENIED), "a hundred permits were due");
    limiter.observe_lag(10).unwrap();
    until("the share refills again", || key.try_acquire(1).is_granted());
}

#[test]
fn a_share_that_is_still_to_come_opens_no_breaker() {
    let runtime = join(&MemoryHub::new(1), Duration::from_secs(15));
    let breaker = Enforcement::CircuitBreaker { threshold: 1, open_for: Nanos::from_secs(3_600) };
    let rule = Rule::from(Limit::token_bucket(1, Nanos::from_secs(3_600), 2).unwrap()).enforced(breaker);
    let key = runtime.limiter("broken", rule).unwrap().key("").unwrap();
    assert_eq!(key.try_acquire(1).basis(), Basis::NoShare);
    until("a share, and it is asked", || key.try_acquire(1).is_granted());
    until("used up", || !key.try_acquire(1).is_granted());
    assert_eq!(key.try_acquire(1).basis(), Basis::Breaker, "a refusal with a share does");
}
