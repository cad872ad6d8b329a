//! The two librdkafka clients of one log: one reads, one appends. Neither prints, logs, nor joins a consumer group.

use super::acks::Acks;
use super::health::Health;
use super::state::StateWriter;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Arc;

pub(super) type Consumer = BaseConsumer<Silent>;
pub(super) type Producer = BaseProducer<Reports>;

/// The reading side's errors are read from its queue; the rest of what librdkafka says is dropped.
pub(super) struct Silent;

impl ClientContext for Silent {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn stats_raw(&self, _statistics: &[u8]) {}
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Silent {}

/// Receives what becomes of each append.
pub(super) struct Reports {
    pub acks: Arc<Acks>,
    pub health: Arc<Health>,
    pub state: Arc<StateWriter>,
}

/// In the place of an append's time: a message of the state.
pub(super) const STATE: usize = usize::MAX;

impl ClientContext for Reports {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
        self.health.client_error(code, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: usize) {
        if sent == STATE {
            let failure = result.as_ref().err().map(|(error, _)| error.rdkafka_error_code());
            return self.state.done(failure.map(|code| code.unwrap_or(RDKafkaErrorCode::Fail)));
        }
        match result {
            Ok(_) => {
                self.acks.acked(sent);
                self.health.append_worked();
            }
            Err((error, _)) => {
                self.acks.failed(sent);
                match error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail) {
                    // Our own doing: the client was replaced or closed.
                    RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight => {}
                    code => self.health.append_failed(code),
                }
            }
        }
    }
}
