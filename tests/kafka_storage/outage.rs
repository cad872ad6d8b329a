//! Brokers that are not there, go and come back.

use crate::harness::*;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::ClientContext;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::mock::{self, MockBroker};
use tidegate::storage::kafka::KafkaSettings;
use tidegate::storage::{LogStore, StorageEvent};

#[test]
fn opening_without_a_broker_succeeds_and_says_why_nothing_is_shared() {
    let start = Instant::now();
    let mut user = User::open(KafkaSettings::new("127.0.0.1:1"));
    assert!(start.elapsed() < Duration::from_secs(1));
    let (message, fatal) = user.trouble();
    assert!(!fatal && message.contains("127.0.0.1:1") && message.contains("refused"), "{message}");
    let start = Instant::now();
    user.log.close(Duration::from_secs(5));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_host_name_that_does_not_exist_is_named() {
    let user = User::open(KafkaSettings::new("no-such-host.invalid:9092"));
    let (message, fatal) = user.trouble();
    assert!(!fatal && message.contains("no-such-host.invalid") && message.contains("bootstrap.servers"), "{message}");
}

#[test]
fn something_that_is_no_kafka_is_trouble_in_words() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        // Takes a connection and closes it, as a TLS listener does that hears plaintext.
        while let Ok((connection, _)) = listener.accept() {
            drop(connection);
        }
    });
    let (message, _) = User::open(KafkaSettings::new(&address)).trouble();
    assert!(message.contains("security.protocol"), "{message}");
}

#[test]
fn a_log_dropped_without_close_does_not_hang_with_its_broker_away() {
    let broker = MockBroker::start(1, "t", 4).unwrap();
    let mut user = User::ready(KafkaSettings { topic: "t".into(), ..broker.settings() });
    user.read(0);
    user.caught_up(0);
    broker.set_down(true);
    for _ in 0..100 {
        user.append(0, "never sent");
    }
    let start = Instant::now();
    drop(user);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn an_outage_is_told_and_over_when_the_broker_is_back() {
    let broker = MockBroker::start(1, "t", 4).unwrap();
    let settings = KafkaSettings { topic: "t".into(), ..mock::settings(&broker.bootstrap_servers()) };
    let mut user = User::open(settings);
    assert_eq!(user.until(|_| true), StorageEvent::Topics { partitions: 4, replication: 1 });
    user.read(2);
    user.append(2, "before");
    user.records(2, 1);
    broker.set_down(true);
    let (message, fatal) = user.trouble();
    assert!(!fatal && message.contains("bootstrap.servers"), "{message}");
    user.append(2, "during");
    broker.set_down(false);
    user.until(|e| *e == StorageEvent::Recovered);
    user.append(2, "after");
    let deadline = Instant::now() + PATIENCE;
    while user.log.info().ack_age.is_none_or(|age| age > Duration::from_secs(1)) {
        assert!(Instant::now() < deadline, "no acknowledgement after the outage");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn records_sent_during_an_outage_arrive_in_order_after_it() {
    let broker = MockBroker::start(1, "t", 4).unwrap();
    let mut user = User::ready(KafkaSettings { topic: "t".into(), ..broker.settings() });
    user.read(0);
    user.caught_up(0);
    for i in 0..10 {
        user.append(0, &i.to_string());
    }
    user.records(0, 10);
    broker.set_down(true);
    for i in 10..20 {
        user.append(0, &i.to_string());
        std::thread::sleep(Duration::from_millis(50));
    }
    broker.set_down(false);
    let read: Vec<_> = user.records(0, 10).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(read, numbers(10, 20));
}

#[test]
fn the_queue_for_an_outage_is_bounded_and_what_does_not_fit_is_counted() {
    let broker = MockBroker::start(1, "t", 1).unwrap();
    let settings = KafkaSettings { topic: "t".into(), ..broker.settings() };
    let mut user = User::ready(settings.with("queue.buffering.max.messages", "50"));
    broker.set_down(true);
    std::thread::sleep(Duration::from_millis(300));
    let taken = (0..80).filter(|i| user.log.append(0, vec![*i as u8])).count();
    assert_eq!((taken, user.log.info().appends_failed), (50, 30));
}

#[test]
fn a_producer_that_gave_up_is_replaced_and_counted() {
    let cluster = rdkafka::mocking::MockCluster::new(1).unwrap();
    cluster.create_topic("t-claims", 1, 1).unwrap();
    let mut user = User::ready(KafkaSettings { topic: "t".into(), ..mock::settings(&cluster.bootstrap_servers()) });
    user.read(0);
    user.append(0, "before");
    user.records(0, 1);
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER as FATAL};
    cluster.request_errors(RDKafkaApiKey::Produce, &[FATAL]);
    user.append(0, "lost");
    let deadline = Instant::now() + PATIENCE;
    while user.log.info().producer_restarts == 0 {
        assert!(Instant::now() < deadline, "the producer was not replaced");
        std::thread::sleep(Duration::from_millis(10));
    }
    user.append(0, "after");
    assert_eq!(user.records(0, 1)[0].1, b"after");
    let info = user.log.info();
    assert_eq!((info.producer_restarts, info.appends_failed), (1, 1));
}

/// Counts what a producer delivered that has nothing but librdkafka behind it.
#[derive(Default)]
struct Delivered(AtomicUsize);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(usize::from(result.is_ok()), Ordering::Relaxed);
    }
}

#[test]
fn a_new_leader_is_found_sooner_than_librdkafka_alone_finds_it() {
    let cluster = rdkafka::mocking::MockCluster::new(2).unwrap();
    cluster.create_topic("t-claims", 1, 2).unwrap();
    cluster.partition_leader("t-claims", 0, Some(1)).unwrap();
    let servers = cluster.bootstrap_servers();
    let mut user = User::ready(KafkaSettings { topic: "t".into(), ..mock::settings(&servers) });
    let mut config = rdkafka::ClientConfig::new();
    // As Tidegate sets them.
    for (name, value) in [("reconnect.backoff.ms", "50"), ("reconnect.backoff.max.ms", "1000"), ("linger.ms", "0")] {
        config.set(name, value);
    }
    config.set("bootstrap.servers", servers).set("enable.idempotence", "true");
    let plain: BaseProducer<Delivered> = config.create_with_context(Delivered::default()).unwrap();
    let (mut ours, mut theirs) = (Duration::ZERO, Duration::ZERO);
    // Librdkafka looks once a second. Each time the other one of the two brokers dies, and leads no more 400 ms later.
    for (dies, leads) in [(1, 2), (2, 1)].into_iter().cycle().take(8) {
        let delivered = |count| {
            plain.poll(Duration::ZERO);
            plain.context().0.load(Ordering::Relaxed) > count
        };
        cluster.broker_down(dies).unwrap();
        let before = plain.context().0.load(Ordering::Relaxed);
        plain.send(BaseRecord::<(), [u8]>::to("t-claims").partition(0).payload(b"theirs")).unwrap();
        user.append(0, "ours");
        std::thread::sleep(Duration::from_millis(400));
        cluster.partition_leader("t-claims", 0, Some(leads)).unwrap();
        let (from, mut took) = (Instant::now(), [None, None]);
        while took.contains(&None) {
            assert!(from.elapsed() < PATIENCE, "not both were acknowledged: {took:?}");
            if took[0].is_none() && user.log.info().ack_age.is_some_and(|age| age < from.elapsed()) {
                took[0] = Some(from.elapsed());
            }
            if took[1].is_none() && delivered(before) {
                took[1] = Some(from.elapsed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        ours += took[0].unwrap();
        theirs += took[1].unwrap();
        cluster.broker_up(dies).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    println!("8 new leaders were found in {ours:?}, by librdkafka alone in {theirs:?}");
    assert!(ours * 10 < theirs * 7, "{ours:?}, librdkafka alone {theirs:?}");
}
