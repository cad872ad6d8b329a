//! Partitions added by somebody. The longest wait of all tests: in a module of its own so that it starts early.

use crate::harness::*;
use crate::login::{listener, user};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::KafkaSettings;
use tidegate::storage::{LogStore, ReadFrom, StorageEvent};

#[test]
fn either_topic_is_given_as_many_partitions_as_the_other() {
    let Some(address) = kafka() else { return };
    for grown_is_claims in [true, false] {
        let settings = fresh(&address);
        let names = [settings.claims_topic(), settings.topic.clone()];
        drop(User::ready(settings.clone()));
        let (grown, other) = if grown_is_claims { (&names[0], &names[1]) } else { (&names[1], &names[0]) };
        assert_eq!((partitions(&address, grown), partitions(&address, other)), (12, 12));
        grow(&address, grown, 15);
        let mut user = User::open(settings);
        user.until(|event| *event == StorageEvent::Topics { partitions: 15, replication: 1 });
        // The claims are announced as soon as they are there: snapshots can do without their place for a while.
        let deadline = Instant::now() + Duration::from_secs(10);
        while partitions(&address, other) < 15 {
            assert!(Instant::now() < deadline, "{other} is given as many");
            user.log.look();
            let _ = user.events.recv_timeout(Duration::from_millis(200));
        }
    }
}

#[test]
fn who_may_not_add_partitions_says_so_and_notices_within_seconds_when_somebody_else_has() {
    let Some(address) = kafka() else { return };
    let Some(login) = listener("LOGIN") else { return };
    let mine = fresh(&address);
    drop(User::ready(mine.clone()));
    // May read and write the topics, but not alter them.
    let mut user = User::ready(KafkaSettings { topic: mine.topic.clone(), ..user(&login, "uses") });
    grow(&address, &mine.topic, 14);
    user.log.look();
    let warned = user.until(|event| matches!(event, StorageEvent::Warning { .. }));
    let StorageEvent::Warning { message: Some(text) } = warned else { panic!("over before it began") };
    assert!(text.contains("--partitions 14") && text.contains("Alter"), "{text}");
    let from = Instant::now();
    grow(&address, &mine.claims_topic(), 14);
    user.until(|event| matches!(event, StorageEvent::Topics { partitions: 14, .. }));
    // Once all is well, only every 30 s is looked.
    assert!(from.elapsed() < Duration::from_secs(15), "noticed after {:?}", from.elapsed());
    user.until(|event| *event == StorageEvent::Warning { message: None });
}

#[test]
fn a_partition_that_was_followed_before_it_existed_is_read_and_written_when_it_does() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    user.log.follow(13);
    grow(&address, &settings.claims_topic(), 14);
    user.log.look();
    user.until(|event| *event == StorageEvent::Topics { partitions: 14, replication: 1 });
    user.until(|event| *event == StorageEvent::StateRead { partition: 13 });
    user.log.read_from(13, ReadFrom::Offset(0), 1);
    user.until(|event| *event == StorageEvent::CaughtUp { partition: 13 });
    // The producer asks for the new partitions by itself: until then it refuses them.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        user.log.append(13, b"hello".to_vec());
        let read = user.events.recv_timeout(Duration::from_millis(200));
        if matches!(read, Ok(StorageEvent::Record { partition: 13, .. })) {
            break;
        }
        assert!(Instant::now() < deadline, "the new partition can be written");
    }
}

#[test]
fn who_asks_for_the_partitions_is_told_again() {
    let Some(address) = kafka() else { return };
    let mut user = User::ready(fresh(&address));
    user.log.look();
    assert_eq!(user.until(|_| true), StorageEvent::Topics { partitions: 12, replication: 1 });
}

#[test]
fn added_partitions_are_reported() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let user = User::ready(settings.clone());
    grow(&address, &settings.claims_topic(), 13);
    // The topic is looked at every 30 s.
    let deadline = Instant::now() + Duration::from_secs(40);
    let event = loop {
        match user.events.recv_deadline(deadline).expect("word of the added partition") {
            event @ StorageEvent::Topics { .. } => break event,
            _ => continue,
        }
    };
    assert_eq!(event, StorageEvent::Topics { partitions: 13, replication: 1 });
}
