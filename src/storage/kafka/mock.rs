//! A make-believe Kafka in this process: for demonstrations and tests where no broker can be had.
//!
//! It keeps its log in memory, speaks plaintext on 127.0.0.1 to other processes as well, and ends with its process. What
//! it does not have: acknowledgements by several brokers, expiry, topic settings, logins. An empty fetch waits its whole
//! time, so clients must set `fetch.wait.max.ms` low: use [`settings`].

use super::KafkaSettings;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// What an empty fetch waits; on the mock this is how late records are read.
const FETCH_WAIT_MS: &str = "5";

/// A stand-in for Kafka in this process: librdkafka's mock cluster, which keeps its log in memory.
pub struct MockBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    brokers: i32,
}

impl MockBroker {
    /// Starts `brokers` brokers with the two topics of `topic`.
    pub fn start(brokers: u16, topic: &str, partitions: u32) -> Result<MockBroker, String> {
        let brokers = i32::from(brokers.max(1));
        let cluster = MockCluster::new(brokers).map_err(|e| format!("the mock broker does not start: {e}"))?;
        let claims = KafkaSettings { topic: topic.to_owned(), ..KafkaSettings::new("unused:1") }.claims_topic();
        for name in [topic, &claims] {
            cluster
                .create_topic(name, partitions as i32, brokers.min(3))
                .map_err(|e| format!("the mock broker cannot create the topic `{name}`: {e}"))?;
        }
        Ok(MockBroker { cluster, brokers })
    }

    /// Valid for other processes of this machine too.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Settings that reach this broker and suit it.
    pub fn settings(&self) -> KafkaSettings {
        settings(&self.bootstrap_servers())
    }

    /// Down: all brokers close their connections and take no new ones. Up again: with everything they had.
    pub fn set_down(&self, down: bool) {
        for broker in 1..=self.brokers {
            let _ = if down { self.cluster.broker_down(broker) } else { self.cluster.broker_up(broker) };
        }
    }
}

/// Settings for a client of a mock broker, wherever it runs.
pub fn settings(bootstrap_servers: &str) -> KafkaSettings {
    KafkaSettings::new(bootstrap_servers).with("fetch.wait.max.ms", FETCH_WAIT_MS)
}
