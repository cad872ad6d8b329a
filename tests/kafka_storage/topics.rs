//! The topic: created, checked, deleted under a running process, grown. On a real broker.

use crate::harness::*;
use rdkafka::admin::{NewTopic, TopicReplication};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::{KafkaSettings, Replication};
use tidegate::storage::{LogStore, ReadFrom, StorageEvent};

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
    for (name, value) in [("cleanup.policy", "compact"), ("retention.ms", "3599999")] {
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
        let mut over = [user.until(|_| true), user.until(|_| true)];
        over.sort_by_key(|event| *event == StorageEvent::Recovered);
        assert_eq!(over, [StorageEvent::Topics { partitions: 2, replication: 1 }, StorageEvent::Recovered]);
    }
}

#[test]
fn a_topic_deleted_under_a_running_process_is_created_again_and_read_from_its_start() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    for partition in [0, 1] {
        user.read(partition);
        user.append(partition, "old");
        user.records(partition, 1);
    }
    let (admin, options) = admin(&address);
    wait(admin.delete_topics(&[&settings.claims_topic()], &options)).unwrap()[0].as_ref().unwrap();
    user.until(|e| matches!(e, StorageEvent::Gap { partition: 0, .. }));
    user.read(0);
    let deadline = Instant::now() + PATIENCE;
    // The producer may still think of the topic that is gone: what it cannot send, the caller says again; and the reading
    // may be told more than once that the topic is another one.
    let bytes = loop {
        user.append(0, "new");
        match user.events.recv_timeout(Duration::from_millis(500)) {
            Ok(StorageEvent::Record { partition: 0, bytes, .. }) => break bytes,
            Ok(StorageEvent::Gap { partition: 0, .. } | StorageEvent::Missing { partition: 0 }) => user.read(0),
            _ => assert!(Instant::now() < deadline, "nothing is read from the new topic"),
        }
    };
    assert_eq!(bytes, b"new");
}

fn delete_before(address: &str, settings: &KafkaSettings, offset: i64) {
    let (admin, options) = admin(address);
    let mut until = rdkafka::TopicPartitionList::new();
    until.add_partition_offset(&settings.claims_topic(), 0, rdkafka::Offset::Offset(offset)).unwrap();
    wait(admin.delete_records(&until, &options)).unwrap();
}

#[test]
fn an_offset_that_was_removed_or_is_not_there_yet_is_missing_and_the_logs_start_is_read() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut user = User::ready(settings.clone());
    for i in 0..10 {
        user.append(0, &i.to_string());
    }
    user.read(0);
    user.records(0, 10);
    delete_before(&address, &settings, 6);
    let mut late = User::ready(settings.clone());
    late.log.follow(0);
    for offset in [0, 5, 11] {
        late.read_from(0, ReadFrom::Offset(offset));
        late.until(|e| matches!(e, StorageEvent::Missing { partition: 0 }));
    }
    for (from, first) in [(ReadFrom::Offset(7), 7), (ReadFrom::Start, 6)] {
        late.read_from(0, from);
        assert_eq!(late.records(0, 10 - first)[0].0, first as u64);
        late.caught_up(0);
    }
    late.read_from(0, ReadFrom::Offset(10));
    late.caught_up(0);
    delete_before(&address, &settings, 10);
    late.read_from(0, ReadFrom::Start);
    late.caught_up(0);
    late.append(0, "next");
    assert_eq!(late.records(0, 1)[0].0, 10);
}

fn message(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn newest(found: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    found.into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
}

#[test]
fn what_is_written_beside_the_log_is_read_by_others_also_what_was_written_while_closing() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut writer = User::ready(settings.clone());
    let large = "x".repeat(512 * 1024);
    writer.log.write_state(3, vec![message("a", "1"), message("b", "2"), message("a", "3")]);
    // More than the client's queue holds at once.
    let many: Vec<_> = (0..24).map(|i| message(&format!("{i:02}"), &large)).collect();
    writer.log.write_state(4, many.clone());
    writer.log.close(Duration::from_secs(30));
    let mut reader = User::ready(settings);
    assert_eq!(newest(reader.state(3)), [message("a", "3"), message("b", "2")]);
    assert_eq!(newest(reader.state(4)), many);
    assert_eq!(reader.state(0), []);
    assert_eq!(newest(reader.state(3)), [message("a", "3"), message("b", "2")], "again when asked again");
}

#[test]
fn what_was_written_beside_a_log_that_was_deleted_is_not_read_beside_its_namesake() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let mut writer = User::ready(settings.clone());
    writer.log.write_state(0, vec![message("a", "old")]);
    writer.log.close(Duration::from_secs(10));
    let (admin, options) = admin(&address);
    wait(admin.delete_topics(&[&settings.claims_topic()], &options)).unwrap()[0].as_ref().unwrap();
    // The controller has deleted it; the broker hears of that a moment later.
    let deadline = Instant::now() + PATIENCE;
    while topics(&address).contains(&settings.claims_topic()) {
        assert!(Instant::now() < deadline, "the topic goes");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut late = User::ready(settings.clone());
    assert_eq!(late.state(0), []);
    late.log.write_state(0, vec![message("b", "new")]);
    late.log.close(PATIENCE);
    // A state that is slow to come is taken for read: so once more, on a busy machine.
    let mut reader = User::ready(settings);
    let found = (0..5).map(|_| reader.state(0)).find(|found| !found.is_empty());
    assert_eq!(found, Some(vec![message("b", "new")]));
}

#[test]
fn the_state_topic_is_created_like_the_claims_topic_but_compacted() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    create(&address, &settings, &[("retention.ms", "-1")]);
    let user = User::ready(settings.clone());
    let (admin, options) = admin(&address);
    let topic = rdkafka::admin::ResourceSpecifier::Topic(&settings.topic);
    let found = wait(admin.describe_configs([&topic], &options)).unwrap().remove(0).unwrap();
    assert_eq!(found.get("cleanup.policy").unwrap().value.as_deref(), Some("compact"));
    assert_eq!(partitions(&address, &settings.topic), 2);
    drop(user);
}

#[test]
fn a_state_topic_that_expires_is_trouble_until_somebody_mends_it() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let (admin, options) = admin(&address);
    let topic = NewTopic::new(&settings.topic, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "delete");
    wait(admin.create_topics([&topic], &options)).unwrap()[0].as_ref().unwrap();
    let user = User::open(settings.clone());
    let (message, fatal) = user.trouble();
    assert!(fatal && message.contains("--add-config cleanup.policy=compact"), "{message}");
    let mended = rdkafka::admin::AlterConfig::new(rdkafka::admin::ResourceSpecifier::Topic(&settings.topic))
        .set("cleanup.policy", "compact");
    wait(admin.alter_configs([&mended], &options)).unwrap()[0].as_ref().unwrap();
    user.until(|e| matches!(e, StorageEvent::Topics { partitions: 12, .. }));
}

#[test]
fn snapshots_that_cannot_be_written_are_a_warning_that_says_what_it_may_come_to_and_sharing_goes_on() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let (admin, options) = admin(&address);
    let topic = NewTopic::new(&settings.topic, 12, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("max.message.bytes", "300");
    wait(admin.create_topics([&topic], &options)).unwrap()[0].as_ref().unwrap();
    let mut user = User::ready(settings.clone());
    user.read(0);
    user.log.write_state(0, vec![message("a", &"x".repeat(400)), message("b", "never sent")]);
    let warned = |event: &StorageEvent| matches!(event, StorageEvent::Warning { .. });
    let StorageEvent::Warning { message: Some(text) } = user.until(warned) else { panic!("over before it began") };
    assert!(text.contains(&format!("written to the topic `{}`", settings.topic)), "{text}");
    assert!(text.contains("sharing goes on") && text.contains("expire"), "{text}");
    user.append(0, "goes on");
    user.records(0, 1);
    assert_eq!(user.state(0), [], "of what is half written the rest is dropped");
    user.log.write_state(1, vec![message("c", "fits")]);
    assert_eq!(user.until(warned), StorageEvent::Warning { message: None });
}
