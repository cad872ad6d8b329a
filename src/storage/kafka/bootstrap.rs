//! Tells a client again of the brokers that it began with.
//!
//! Brokers that have just come up answer for a moment that there are none. librdkafka then forgets all that it knows and asks
//! nobody any more (its issue 5301): after an outage of all brokers two of twelve processes never came back.

use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::Metadata;
use std::ffi::CString;
use std::time::{Duration, Instant};

/// So long nobody answers before a client is told. Each time twice as long: librdkafka keeps what it was told, and while the
/// brokers are really away it knows whom to try.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_MAX: Duration = Duration::from_secs(300);

pub(super) struct Bootstrap {
    servers: CString,
    due: Option<Instant>,
    silence: Duration,
}

impl Bootstrap {
    /// `servers`: host:port, separated by commas.
    pub(super) fn new(servers: &str) -> Bootstrap {
        // A list with a zero in it was refused with the settings.
        Bootstrap { servers: CString::new(servers).unwrap_or_default(), due: None, silence: SILENCE }
    }

    /// What the brokers say of the topic and of themselves.
    pub(super) fn metadata<C: ClientContext>(
        &mut self,
        client: &Client<C>,
        topic: &str,
        timeout: Duration,
    ) -> KafkaResult<Metadata> {
        let metadata = client.fetch_metadata(Some(topic), timeout);
        let answered = metadata.as_ref().is_ok_and(|metadata| !metadata.brokers().is_empty());
        self.note(answered, client.native_ptr());
        metadata
    }

    /// The client was `answered` by a broker that knows some, or not. From one thread; the client is alive.
    pub(super) fn note(&mut self, answered: bool, client: *mut sys::rd_kafka_t) {
        if self.is_due(answered, Instant::now()) {
            // SAFETY: the client is alive, the list ends with a zero and is copied. Those that it knows are not added again.
            unsafe { sys::rd_kafka_brokers_add(client, self.servers.as_ptr()) };
        }
    }

    fn is_due(&mut self, answered: bool, now: Instant) -> bool {
        if answered {
            (self.due, self.silence) = (None, SILENCE);
            return false;
        }
        if now < *self.due.get_or_insert(now + self.silence) {
            return false;
        }
        self.silence = (self.silence * 2).min(SILENCE_MAX);
        self.due = Some(now + self.silence);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::admin::Admin;
    use super::super::client::Silent;
    use super::super::health::Health;
    use super::super::mock::MockBroker;
    use super::super::sender::Appender;
    use super::super::settings::Checked;
    use super::super::shared::Shared;
    use super::super::KafkaSettings;
    use super::*;
    use crossbeam::channel::bounded;
    use std::sync::Arc;

    /// Settings of clients that know no broker of those that they began with.
    fn forgetful(broker: &MockBroker) -> Checked {
        let mut checked = KafkaSettings { topic: "t".into(), ..broker.settings() }.check().unwrap();
        checked.consumer.set("bootstrap.servers", "127.0.0.1:1");
        checked.producer.set("bootstrap.servers", "127.0.0.1:1");
        checked
    }

    #[test]
    fn a_client_is_told_again_when_nobody_answers_for_a_while_and_less_and_less_often() {
        let (mut bootstrap, start) = (Bootstrap::new("a:1"), Instant::now());
        let due: Vec<u64> =
            (0..1_200).filter(|second| bootstrap.is_due(false, start + Duration::from_secs(*second))).collect();
        assert_eq!(due, [2, 6, 14, 30, 62, 126, 254, 510, 810, 1_110]);
    }

    #[test]
    fn a_client_that_was_answered_is_not_told() {
        let (mut bootstrap, start) = (Bootstrap::new("a:1"), Instant::now());
        assert!(!bootstrap.is_due(false, start));
        assert!(!bootstrap.is_due(true, start + SILENCE));
        assert!(!bootstrap.is_due(false, start + SILENCE), "the silence begins anew");
        assert!(bootstrap.is_due(false, start + SILENCE * 2));
    }

    #[test]
    fn the_topic_is_seen_by_a_client_that_had_forgotten_its_brokers() {
        let broker = MockBroker::start(1, "t", 1).unwrap();
        let checked = forgetful(&broker);
        let consumer = Arc::new(checked.consumer.create_with_context(Silent).unwrap());
        let mut admin = Admin::new(consumer, &checked.topic, &checked.servers);
        let until = Instant::now() + Duration::from_secs(60);
        while admin.look(&mut |_| true).is_err() {
            assert!(Instant::now() < until, "no broker answers");
        }
    }

    #[test]
    fn an_append_is_sent_by_a_client_that_had_forgotten_its_brokers() {
        let broker = MockBroker::start(1, "t", 1).unwrap();
        let health = Arc::new(Health::new());
        let appender = Appender::new(&forgetful(&broker), health.clone()).unwrap();
        let shared = Shared::new(bounded(10).0, health);
        std::thread::scope(|threads| {
            threads.spawn(|| appender.run(&shared));
            assert!(appender.append(0, b"record"));
            let until = Instant::now() + Duration::from_secs(60);
            while appender.acks.times().age.is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            shared.stop();
        });
        assert!(appender.acks.times().age.is_some(), "no broker has it");
    }
}
