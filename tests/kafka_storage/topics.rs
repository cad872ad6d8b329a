//! The topic: created, checked, deleted under a running process, grown. On a real broker.

use crate::harness::*;
use rdkafka::admin::{NewTopic, TopicReplication};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::{KafkaSettings, Replication};
use tidegate::storage::{LogStore, StorageEvent};

fn create(address: &str, settings: &KafkaSettings, config: &[(&str, &str)]) {
    let (admin, options) = admin(address);
    let name = settings.claims_topic();
    let topic = NewTopic { config: config.to_vec(), ..NewTopic::new(&name, 2, TopicReplication::Fixed(1)) };
    wait(admin.create_topics([&topic], &options)).unwrap()[0].as_ref().unwrap();
}

#[test]
fn racing_processes_create_one_topic_with_as_many_copies_as_there_are_brokers() {
    let Some(address) = kafka() else { return };
    let brokers = std::env::var("TIDEGATE_TEST_KAFKA_BROKERS").map_or(1, |n| n.parse().unwrap());
    let settings = KafkaSettings { replication: Replication::Auto, ..fresh(&address) };
    let users: Vec<User> = (0..4).map(|_| User::open(settings.clone())).collect();
    for user in &users {
        let event = user.until(|e| !matches!(e, StorageEvent::Recovered));
        assert_eq!(event, StorageEvent::Topics { partitions: 12, replication: brokers });
        let info = user.log.info();
        assert_eq!((info.partitions, info.replication, info.shared, info.persistent), (12, brokers, true, true));
    }
}

#[test]
fn the_partitions_of_a_topic_that_exists_win() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    create(&address, &settings, &[("retention.ms", "-1")]);
    let user = User::open(settings);
    assert_eq!(user.until(|_| true), StorageEvent::Topics { partitions: 2, replication: 1 });
}

#[test]
fn more_copies_than_brokers_is_trouble_that_offers_auto() {
    let Some(address) = kafka() else { return };
    let user = User::open(KafkaSettings { replication: Replication::Factor(9), ..fresh(&address) });
    let (message, fatal) = user.trouble();
    assert!(fatal && message.contains("`replication.factor`") && message.contains("`auto`"), "{message}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(user.events.try_recv().ok(), None, "one trouble is told once, however often it is tried");
}

#[test]
fn a_topic_that_loses_records_is_trouble_until_somebody_mends_it() {
    let Some(address) = kafka() else { return };
    for (name, value) in [("cleanup.policy", "compact"), ("retention.ms", "3600000")] {
        let settings = fresh(&address);
        create(&address, &settings, &[(name, value)]);
        let user = User::open(settings.clone());
        let (message, fatal) = user.trouble();
        assert!(fatal && message.contains(&format!("{name}={value}")), "{message}");
        let (admin, options) = admin(&address);
        let claims = settings.claims_topic();
        let mended = rdkafka::admin::AlterConfig::new(rdkafka::admin::ResourceSpecifier::Topic(&claims))
            .set("cleanup.policy", "delete")
            .set("retention.ms", "-1");
        wait(admin.alter_configs([&mended], &options)).unwrap()[0].as_ref().unwrap();
        assert_eq!(user.until(|_| true), StorageEvent::Topics { partitions: 2, replication: 1 });
        assert_eq!(user.until(|_| true), StorageEvent::Recovered);
    }
}

#[test]
fn a_topic_deleted_under_a_running_process_is_created_again_and_read_from_its_start() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    for partition in [0, 1] {
        user.log.follow(partition);
        user.append(partition, "old");
        user.records(partition, 1);
    }
    let (admin, options) = admin(&address);
    wait(admin.delete_topics(&[&settings.claims_topic()], &options)).unwrap()[0].as_ref().unwrap();
    user.until(|e| matches!(e, StorageEvent::Gap { .. }));
    user.caught_up(0);
    let deadline = Instant::now() + PATIENCE;
    // The producer may still think of the topic that is gone: what it cannot send, the caller says again.
    let bytes = loop {
        user.append(0, "new");
        match user.events.recv_timeout(Duration::from_millis(500)) {
            Ok(StorageEvent::Record { partition: 0, bytes, .. }) => break bytes,
            _ => assert!(Instant::now() < deadline, "nothing is read from the new topic"),
        }
    };
    assert_eq!(bytes, b"new");
}

#[test]
fn records_removed_before_a_process_starts_do_not_stop_it() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    for i in 0..10 {
        user.append(0, &i.to_string());
    }
    user.log.follow(0);
    user.records(0, 10);
    let (admin, options) = admin(&address);
    let mut until = rdkafka::TopicPartitionList::new();
    until.add_partition_offset(&settings.claims_topic(), 0, rdkafka::Offset::Offset(6)).unwrap();
    wait(admin.delete_records(&until, &options)).unwrap();
    let mut late = User::ready(settings);
    late.log.follow(0);
    let read = late.records(0, 4);
    assert_eq!(read[0], (6, b"6".to_vec()));
    late.caught_up(0);
}
