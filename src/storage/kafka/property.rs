//! Whether a single property is one of librdkafka's: asked of librdkafka itself, when the property is set.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

/// Refuses an unknown name, and a value that the property cannot have. The value is never repeated: it may be a secret.
pub fn check_property(name: &str, value: &str) -> Result<(), String> {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Critical).set(name, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(format!(
            "`{name}` is no property, neither of Tidegate nor of its Kafka client (librdkafka); check the spelling"
        )),
        Err(_) => Err(format!(
            "`{name}` has a value that the Kafka client (librdkafka) does not accept; see its CONFIGURATION.md"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::check_property;

    #[test]
    fn a_known_property_passes_an_unknown_one_is_named_and_a_bad_value_is_not_repeated() {
        assert_eq!(check_property("socket.timeout.ms", "3000"), Ok(()));
        assert!(check_property("socket.timeout", "3000").unwrap_err().contains("`socket.timeout`"));
        let bad = check_property("socket.timeout.ms", "hunter2").unwrap_err();
        assert!(bad.contains("`socket.timeout.ms`") && !bad.contains("hunter2"), "{bad}");
    }
}
