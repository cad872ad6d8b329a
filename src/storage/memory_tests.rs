use super::*;
use crossbeam::channel::{bounded, unbounded, Receiver};

fn next(events: &Receiver<StorageEvent>) -> StorageEvent {
    events.recv_timeout(Duration::from_secs(5)).expect("an event")
}

/// Follows, and reads the log from its start.
fn read(log: &mut MemoryLog, events: &Receiver<StorageEvent>, partition: u32) {
    log.follow(partition);
    while next(events) != (StorageEvent::StateRead { partition }) {}
    log.read_from(partition, ReadFrom::Offset(0), 1);
    assert_eq!(next(events), StorageEvent::Began { partition, round: 1 });
}

fn record(partition: u32, offset: u64, text: &str) -> StorageEvent {
    StorageEvent::Record { partition, offset, bytes: text.as_bytes().to_vec() }
}

#[test]
fn two_users_read_what_either_appends_in_one_order() {
    let hub = MemoryHub::new(2);
    let (a_events, a) = unbounded();
    let (b_events, b) = unbounded();
    let (mut first, mut second) = (hub.open(a_events), hub.open(b_events));
    for (log, events) in [(&mut first, &a), (&mut second, &b)] {
        assert_eq!(next(events), StorageEvent::Topics { partitions: 2, replication: 1 });
        read(log, events, 1);
        assert_eq!(next(events), StorageEvent::CaughtUp { partition: 1 });
    }
    assert!(first.append(1, b"one".to_vec()));
    assert!(second.append(1, b"two".to_vec()));
    assert!(first.append(0, b"not followed".to_vec()));
    for events in [&a, &b] {
        assert_eq!(next(events), record(1, 0, "one"));
        assert_eq!(next(events), record(1, 1, "two"));
        assert!(events.try_recv().is_err(), "a partition that nobody follows is not delivered");
    }
}

#[test]
fn who_asks_for_the_partitions_is_told_again_and_nobody_else_is() {
    let hub = MemoryHub::new(2);
    let (a_events, a) = unbounded();
    let (b_events, b) = unbounded();
    let (mut asks, _other) = (hub.open(a_events), hub.open(b_events));
    let topics = StorageEvent::Topics { partitions: 2, replication: 1 };
    assert_eq!([next(&a), next(&b)], [topics.clone(), topics.clone()]);
    asks.look();
    assert_eq!(next(&a), topics);
    assert!(a.try_recv().is_err() && b.try_recv().is_err());
}

#[test]
fn caught_up_comes_after_what_was_there_and_before_what_comes_later() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    log.append(0, b"old".to_vec());
    read(&mut log, &received, 0);
    log.append(0, b"new".to_vec());
    assert_eq!(next(&received), record(0, 0, "old"));
    assert_eq!(next(&received), StorageEvent::CaughtUp { partition: 0 });
    assert_eq!(next(&received), record(0, 1, "new"));
}

#[test]
fn reading_again_starts_over_with_its_own_round() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    log.append(0, b"one".to_vec());
    read(&mut log, &received, 0);
    log.unfollow(0);
    log.append(0, b"two".to_vec());
    assert_eq!(received.try_iter().count(), 2, "an unfollowed partition is silent");
    read(&mut log, &received, 0);
    assert_eq!(next(&received), record(0, 0, "one"));
    log.read_from(0, ReadFrom::Offset(1), 2);
    let events: Vec<_> =
        received.try_iter().skip_while(|e| !matches!(e, StorageEvent::Began { round: 2, .. })).collect();
    assert_eq!(events[1..], [record(0, 1, "two"), StorageEvent::CaughtUp { partition: 0 }]);
}

#[test]
fn the_state_comes_first_and_again_without_disturbing_the_reading() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    let message = |key: &str, value: &str| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    log.write_state(0, vec![message("a", "1"), message("b", "2"), message("a", "3")]);
    let told = |(key, value): (Vec<u8>, Vec<u8>)| StorageEvent::State { partition: 0, key, value };
    next(&received);
    log.follow(0);
    let all = [told(message("a", "3")), told(message("b", "2")), StorageEvent::StateRead { partition: 0 }];
    assert_eq!(received.try_iter().collect::<Vec<_>>(), all, "the newest for each key, and nothing of the log");
    read(&mut log, &received, 0);
    assert_eq!(next(&received), StorageEvent::CaughtUp { partition: 0 });
    log.follow(0);
    log.append(0, b"one".to_vec());
    assert_eq!(received.try_iter().collect::<Vec<_>>(), [&all[..], &[record(0, 0, "one")]].concat());
}

#[test]
fn an_offset_that_the_log_does_not_hold_is_missing_and_its_start_is_not() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    (0..4).for_each(|i| assert!(log.append(0, vec![i])));
    read(&mut log, &received, 0);
    received.try_iter().count();
    hub.remove_before(0, 2);
    for offset in [0, 1, 5] {
        log.read_from(0, ReadFrom::Offset(offset), 9);
        assert_eq!(next(&received), StorageEvent::Began { partition: 0, round: 9 });
        assert_eq!(next(&received), StorageEvent::Missing { partition: 0 });
    }
    for (from, first) in [(ReadFrom::Offset(3), 3), (ReadFrom::Start, 2)] {
        log.read_from(0, from, 10);
        next(&received);
        assert!(matches!(next(&received), StorageEvent::Record { offset, .. } if offset == first));
        received.try_iter().count();
    }
    log.read_from(0, ReadFrom::Offset(4), 11);
    next(&received);
    assert_eq!(next(&received), StorageEvent::CaughtUp { partition: 0 }, "the end is a place to read from");
    assert!(received.try_recv().is_err());
}

#[test]
fn records_removed_before_they_were_read_are_a_gap_after_which_nothing_comes() {
    let hub = MemoryHub::new(1);
    let (events, received) = bounded(1);
    let mut log = hub.open(events);
    read(&mut log, &received, 0);
    (0..4).for_each(|i| assert!(log.append(0, vec![i])));
    // The channel is full, so that the reader is far behind.
    hub.remove_before(0, 3);
    let mut came = Vec::new();
    while let Ok(event) = received.recv_timeout(Duration::from_millis(100)) {
        came.push(event);
    }
    assert!(matches!(came.last(), Some(StorageEvent::Gap { partition: 0, .. })), "{came:?}");
    assert!(came.iter().all(|event| *event != StorageEvent::Record { partition: 0, offset: 3, bytes: vec![3] }));
}

#[test]
fn a_full_channel_neither_drops_nor_blocks() {
    let hub = MemoryHub::new(1);
    let (events, received) = bounded(2);
    let mut log = hub.open(events);
    read(&mut log, &received, 0);
    for i in 0..100u32 {
        assert!(log.append(0, i.to_string().into_bytes()));
    }
    let mut texts = Vec::new();
    while texts.len() < 100 {
        if let StorageEvent::Record { bytes, .. } = next(&received) {
            texts.push(String::from_utf8(bytes).unwrap());
        }
    }
    assert_eq!(texts, (0..100).map(|i| i.to_string()).collect::<Vec<_>>());
}

#[test]
fn while_down_appends_vanish_and_nothing_is_delivered_until_up_again() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let (other, _kept_full) = bounded(0);
    let mut log = hub.open(events);
    read(&mut log, &received, 0);
    let mut writer = hub.open(other);
    received.try_iter().count();
    hub.set_down(true);
    assert!(matches!(next(&received), StorageEvent::Trouble { fatal: false, .. }));
    writer.append(0, b"lost".to_vec());
    assert!(received.try_recv().is_err());
    hub.set_down(false);
    assert_eq!(next(&received), StorageEvent::Recovered);
    writer.append(0, b"kept".to_vec());
    assert_eq!(next(&received), record(0, 0, "kept"));
}

#[test]
fn a_closed_log_takes_and_gives_nothing() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    read(&mut log, &received, 0);
    log.close(Duration::ZERO);
    received.try_iter().count();
    assert!(!log.append(0, b"x".to_vec()));
    assert_eq!((hub.records(0), log.info().appends_failed), (0, 1));
    assert!(received.try_recv().is_err());
}

#[test]
fn a_partition_that_does_not_exist_is_refused() {
    let hub = MemoryHub::new(1);
    let mut log = hub.open(unbounded().0);
    log.follow(1);
    assert!(!log.append(1, b"x".to_vec()));
}
