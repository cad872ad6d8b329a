use super::*;
use crossbeam::channel::{bounded, unbounded, Receiver};

fn next(events: &Receiver<StorageEvent>) -> StorageEvent {
    events.recv_timeout(Duration::from_secs(5)).expect("an event")
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
    first.follow(1);
    second.follow(1);
    assert!(first.append(1, b"one".to_vec()));
    assert!(second.append(1, b"two".to_vec()));
    assert!(first.append(0, b"not followed".to_vec()));
    for events in [&a, &b] {
        assert_eq!(next(events), StorageEvent::Topics { partitions: 2, replication: 1 });
        assert_eq!(next(events), StorageEvent::CaughtUp { partition: 1 });
        assert_eq!(next(events), record(1, 0, "one"));
        assert_eq!(next(events), record(1, 1, "two"));
        assert!(events.try_recv().is_err(), "a partition that nobody follows is not delivered");
    }
}

#[test]
fn caught_up_comes_after_what_was_there_and_before_what_comes_later() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    log.append(0, b"old".to_vec());
    log.follow(0);
    log.append(0, b"new".to_vec());
    next(&received);
    assert_eq!(next(&received), record(0, 0, "old"));
    assert_eq!(next(&received), StorageEvent::CaughtUp { partition: 0 });
    assert_eq!(next(&received), record(0, 1, "new"));
}

#[test]
fn following_again_starts_over_after_a_gap() {
    let hub = MemoryHub::new(1);
    let (events, received) = unbounded();
    let mut log = hub.open(events);
    log.append(0, b"one".to_vec());
    log.follow(0);
    log.unfollow(0);
    log.append(0, b"two".to_vec());
    assert_eq!(received.try_iter().count(), 3, "an unfollowed partition is silent");
    log.follow(0);
    assert!(matches!(next(&received), StorageEvent::Gap { partition: 0, .. }));
    assert_eq!(next(&received), record(0, 0, "one"));
    assert_eq!(next(&received), record(0, 1, "two"));
    assert_eq!(next(&received), StorageEvent::CaughtUp { partition: 0 });
}

#[test]
fn a_full_channel_neither_drops_nor_blocks() {
    let hub = MemoryHub::new(1);
    let (events, received) = bounded(2);
    let mut log = hub.open(events);
    log.follow(0);
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
    log.follow(0);
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
    log.follow(0);
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
