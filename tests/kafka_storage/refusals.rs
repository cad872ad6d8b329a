//! Settings that cannot work are refused at once, in words that name the property and the cure. No broker needed.

use crossbeam::channel::bounded;
use std::time::{Duration, Instant};
use tidegate::storage::kafka::{KafkaLog, KafkaSettings, Replication, SettingsError};

const SECRET: &str = "tr0ub4dor";

fn opened(settings: KafkaSettings) -> Result<KafkaLog, SettingsError> {
    KafkaLog::open(settings, bounded(100).0)
}

fn plain() -> KafkaSettings {
    KafkaSettings::new("127.0.0.1:1")
}

fn login() -> KafkaSettings {
    plain().with("security.protocol", "SASL_SSL")
}

/// What must be refused: the settings, the property to blame, and what the message must say besides.
fn refused() -> Vec<(KafkaSettings, &'static str, &'static str)> {
    let auto = |change: fn(&mut KafkaSettings)| {
        let mut settings = plain();
        change(&mut settings);
        settings
    };
    vec![
        (plain().with("bootstrap.server", "x"), "bootstrap.server", "CONFIGURATION.md"),
        (plain().with("socket.timeout.ms", "soon"), "socket.timeout.ms", "Invalid value"),
        (plain().with("security.protocol", "TLS"), "security.protocol", "TLS"),
        (KafkaSettings::new(""), "bootstrap.servers", "host:port"),
        (KafkaSettings::new("kafka:ninetytwo"), "bootstrap.servers", "kafka:ninetytwo"),
        (KafkaSettings::new("kafka:9092,,b:1"), "bootstrap.servers", "host:port"),
        (plain().with("acks", "1"), "acks", "must stay `all`"),
        (plain().with("request.required.acks", "0"), "request.required.acks", "must stay `all`"),
        (plain().with("enable.idempotence", "false"), "enable.idempotence", "must stay"),
        (plain().with("auto.offset.reset", "earliest"), "auto.offset.reset", "must stay `error`"),
        (plain().with("enable.auto.commit", "true"), "enable.auto.commit", "must stay"),
        (plain().with("group.id", "mine"), "group.id", "without a consumer group"),
        (plain().with("isolation.level", "read_committed"), "isolation.level", "transaction"),
        (plain().with("transactional.id", "x"), "transactional.id", "remove it"),
        (plain().with("max.in.flight", "6"), "client", "max.in.flight"),
        (plain().with("sasl.password", SECRET), "sasl.password", "`security.protocol` is `plaintext`"),
        (plain().with("ssl.ca.location", "/ca.pem"), "ssl.ca.location", "without TLS"),
        (login(), "sasl.mechanism", "is missing"),
        (login().with("sasl.mechanism", "GSSAPI"), "sasl.mechanism", "SCRAM-SHA-256"),
        (login().with("sasl.mechanism", "PLAIN").with("sasl.password", SECRET), "sasl.username", "is missing"),
        (login().with("sasl.mechanism", "PLAIN").with("sasl.username", "ann"), "sasl.password", "is missing"),
        (plain().with("security.protocol", "SSL").with("ssl.ca.location", "/no/such"), "ssl.ca.location", "/no/such"),
        (auto(|s| s.topic = "white space".into()), "topic", "white space"),
        (auto(|s| s.partitions = 0), "partitions", "1 to"),
        (auto(|s| s.replication = Replication::Factor(0)), "replication.factor", "auto"),
    ]
}

#[test]
fn what_cannot_work_is_refused_at_once_and_the_property_is_named() {
    for (settings, property, words) in refused() {
        let shown = format!("{settings:?}");
        assert!(!shown.contains(SECRET), "{shown}");
        let start = Instant::now();
        let error = opened(settings).err().unwrap_or_else(|| panic!("{shown} was accepted"));
        assert!(start.elapsed() < Duration::from_secs(2), "{shown} took {:?}", start.elapsed());
        assert_eq!(error.property, property, "{error}");
        assert!(error.message.contains(words) && !error.message.contains(SECRET), "{error}");
        if property != "client" {
            assert!(error.message.contains(property), "{error}");
        }
    }
}

#[test]
fn what_can_work_is_not_refused() {
    let full = login()
        .with("sasl.mechanisms", "SCRAM-SHA-512")
        .with("sasl.username", "ann")
        .with("sasl.password", SECRET)
        .with("socket.timeout.ms", "7000")
        .with("acks", "all")
        .with("client.id", "orders");
    for settings in [plain(), KafkaSettings::new("[::1]:9092, kafka"), full] {
        let shown = format!("{settings:?}");
        if let Err(error) = opened(settings) {
            panic!("{shown}: {error}");
        }
    }
}
