//! Order, catching up, following and unfollowing: on a real broker.

use crate::harness::*;
use std::time::{Duration, Instant};
use tidegate::storage::kafka::KafkaSettings;
use tidegate::storage::{LogStore, StorageEvent};

#[test]
fn two_processes_read_what_either_appends_in_one_order() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let (mut a, mut b) = (User::ready(settings.clone()), User::ready(settings));
    a.read(3);
    b.read(3);
    a.caught_up(3);
    b.caught_up(3);
    for i in 0..200 {
        a.append(3, &format!("a{i}"));
        b.append(3, &format!("b{i}"));
    }
    let (by_a, by_b) = (a.records(3, 400), b.records(3, 400));
    assert_eq!(by_a, by_b);
    for who in ["a", "b"] {
        let mine: Vec<_> = by_a.iter().filter(|(_, bytes)| bytes.starts_with(who.as_bytes())).collect();
        let right: Vec<_> = (0..200).map(|i| format!("{who}{i}").into_bytes()).collect();
        assert!(mine.iter().map(|(_, bytes)| bytes).eq(right.iter()), "each one's records keep their order");
    }
    assert!(by_a.windows(2).all(|w| w[0].0 < w[1].0));
}

#[test]
fn caught_up_comes_after_all_that_was_there() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut writer = User::ready(settings.clone());
    for i in 0..3000 {
        writer.append(0, &i.to_string());
    }
    writer.read(0);
    writer.records(0, 3000);

    let mut late = User::ready(settings);
    late.read(0);
    let mut read = Vec::new();
    loop {
        match late.until(|_| true) {
            StorageEvent::Record { partition: 0, bytes, .. } => read.push(bytes),
            StorageEvent::CaughtUp { partition: 0 } => break,
            StorageEvent::StateRead { .. } | StorageEvent::Began { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read, numbers(0, 3000));
    std::thread::sleep(Duration::from_millis(300));
    assert!(late.events.try_iter().all(|e| matches!(e, StorageEvent::StateRead { .. })), "CaughtUp comes once");
}

#[test]
fn a_busy_log_does_not_hold_up_catching_up() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut writer = User::ready(settings.clone());
    let mut late = User::ready(settings);
    let stop = Instant::now() + Duration::from_secs(5);
    let done = std::thread::scope(|scope| {
        scope.spawn(move || {
            while Instant::now() < stop {
                writer.append(0, "x");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        late.read(0);
        late.caught_up(0);
        Instant::now()
    });
    assert!(done < stop - Duration::from_secs(2), "caught up while the log went on growing");
}

#[test]
fn following_again_starts_over_and_rounds_are_never_mixed() {
    let Some(address) = kafka() else { return };
    let mut user = User::ready(fresh(&address));
    for i in 0..2000 {
        user.append(0, &i.to_string());
    }
    user.read(0);
    user.records(0, 2000);
    for round in 0..30 {
        if round % 3 == 0 {
            user.log.unfollow(0);
        }
        user.read(0);
        std::thread::sleep(Duration::from_millis(7 * (round % 5)));
    }
    // Whatever was delivered: after its beginning a round starts with the first record, and from there every record in
    // order. Rounds that the reader never saw leave no trace.
    let (mut rounds, mut next, mut caught_up) = (0, 2000, false);
    while let Ok(event) = user.events.recv_timeout(Duration::from_secs(1)) {
        match event {
            StorageEvent::Began { partition: 0, .. } => (rounds, next, caught_up) = (rounds + 1, 0, false),
            StorageEvent::StateRead { .. } => {}
            StorageEvent::Record { bytes, .. } => {
                assert_eq!(String::from_utf8(bytes).unwrap(), next.to_string(), "in round {rounds}");
                next += 1;
            }
            StorageEvent::CaughtUp { .. } => caught_up = true,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((next, caught_up), (2000, true));
    assert!((10..=30).contains(&rounds), "{rounds} rounds");
}

#[test]
fn following_one_partition_does_not_disturb_another() {
    let Some(address) = kafka() else { return };
    let mut user = User::ready(fresh(&address));
    user.read(0);
    user.caught_up(0);
    let mut read = Vec::new();
    for i in 0..400 {
        user.append(0, &i.to_string());
        if i % 10 == 0 {
            let other = 1 + (i / 10) % 11;
            user.read(other as u32);
            user.log.unfollow(((other + 4) % 11 + 1) as u32);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    read.extend(user.records(0, 400).into_iter().map(|(_, bytes)| bytes));
    assert_eq!(read, numbers(0, 400));
}

#[test]
fn an_unfollowed_partition_falls_silent() {
    let Some(address) = kafka() else { return };
    let mut user = User::ready(fresh(&address));
    user.read(0);
    user.caught_up(0);
    user.log.unfollow(0);
    std::thread::sleep(Duration::from_millis(200));
    for i in 0..20 {
        user.append(0, &i.to_string());
    }
    user.read(1);
    user.caught_up(1);
    std::thread::sleep(Duration::from_millis(200));
    assert!(user.events.try_iter().all(|e| !matches!(e, StorageEvent::Record { .. })));
}

#[test]
fn a_full_channel_stops_the_reading_and_loses_nothing() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut writer = User::ready(settings.clone());
    for i in 0..2000 {
        writer.append(0, &i.to_string());
    }
    writer.read(0);
    writer.records(0, 2000);
    let mut slow = User::open_with(settings, 3);
    slow.read(0);
    std::thread::sleep(Duration::from_secs(1));
    let read: Vec<_> = slow.records(0, 2000).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(read, numbers(0, 2000));
    let start = Instant::now();
    slow.log.close(Duration::from_secs(2));
    assert!(start.elapsed() < Duration::from_secs(2));
}

/// Also prints what a shared limit feels: `cargo test --release --test kafka_storage -- --nocapture read_back`.
#[test]
fn an_append_is_read_back_within_milliseconds() {
    let Some(address) = kafka() else { return };
    let mut user = User::ready(fresh(&address));
    user.read(0);
    user.caught_up(0);
    user.append(0, "warm");
    user.records(0, 1);
    let mut times = Vec::new();
    for i in 0..500 {
        let start = Instant::now();
        user.append(0, &i.to_string());
        user.records(0, 1);
        times.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    times.sort();
    let info = user.log.info();
    println!(
        "append to read-back: p50 {:?} p90 {:?} p99 {:?} max {:?}",
        times[249], times[449], times[494], times[499]
    );
    println!("append to acknowledgement: p50 {:?} p99 {:?}", info.append_p50, info.append_p99);
    assert!(times[249] < Duration::from_millis(30), "half of all within 30 ms");
    assert!(info.append_p50 > Duration::ZERO && info.append_p50 <= info.append_p99);
    assert!(info.ack_age.is_some_and(|age| age < Duration::from_secs(5)));
    assert_eq!((info.appends_failed, info.producer_restarts), (0, 0));
}

/// What a first touch costs on a log that is open: follow, catch up, append, read back.
#[test]
fn a_first_touch_takes_a_fraction_of_a_second() {
    let Some(address) = kafka() else { return };
    let mut user = User::ready(fresh(&address));
    let mut times = Vec::new();
    for partition in 0..12 {
        let start = Instant::now();
        user.read(partition);
        user.caught_up(partition);
        let caught_up = start.elapsed();
        user.append(partition, "hello");
        user.records(partition, 1);
        times.push((caught_up, start.elapsed()));
    }
    println!("follow to caught up, to first read-back: {times:?}");
    times.sort();
    assert!(times[5].1 < Duration::from_millis(500), "half of all within 500 ms");
}

#[test]
fn nothing_is_appended_before_the_topic_is_known_nor_after_the_close() {
    let Some(address) = kafka() else { return };
    let mut early = User::open(KafkaSettings::new("127.0.0.1:1"));
    assert!(!early.log.append(0, vec![1]));
    assert_eq!(early.log.info().appends_failed, 1);
    let mut user = User::ready(fresh(&address));
    assert!(!user.log.append(12, vec![1]), "there is no partition 12");
    user.log.close(Duration::from_secs(5));
    assert!(!user.log.append(0, vec![1]));
}

#[test]
fn close_sends_what_was_appended() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    for i in 0..500 {
        user.append(0, &i.to_string());
    }
    user.log.close(Duration::from_secs(5));
    let mut next = User::ready(settings);
    next.read(0);
    let read: Vec<_> = next.records(0, 500).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(read, numbers(0, 500));
}
