//! What a user may set, checked before anything touches the network: names, values, and what safety does not allow.

use super::secrets::Secrets;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::fmt;

/// The default of the configuration's `topic`.
pub const DEFAULT_TOPIC: &str = "rate-limiter-state";
/// The default number of partitions of a topic that Tidegate creates.
pub const DEFAULT_PARTITIONS: u32 = 12;
/// Copies of each partition under `replication = auto`, on a cluster that has so many brokers.
pub(super) const AUTO_REPLICATION: u16 = 3;

/// Copies of each partition of a topic that Tidegate creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Three, or as many as there are brokers.
    Auto,
    /// So many; refused when there are fewer brokers.
    Factor(u16),
}

/// How to reach Kafka and where the shared state lives there.
#[derive(Clone)]
pub struct KafkaSettings {
    /// The snapshots are in the topic of this name, the log is `{topic}-claims`.
    pub topic: String,
    /// Of topics that Tidegate creates; existing ones keep theirs.
    pub partitions: u32,
    /// Of topics that Tidegate creates.
    pub replication: Replication,
    /// librdkafka's own properties, passed on unchanged.
    pub client: Vec<(String, String)>,
}

impl KafkaSettings {
    /// Everything as Tidegate has it by default.
    pub fn new(bootstrap_servers: &str) -> KafkaSettings {
        KafkaSettings {
            topic: DEFAULT_TOPIC.into(),
            partitions: DEFAULT_PARTITIONS,
            replication: Replication::Auto,
            client: vec![("bootstrap.servers".into(), bootstrap_servers.into())],
        }
    }

    /// The same with one more property of librdkafka.
    pub fn with(mut self, property: &str, value: &str) -> KafkaSettings {
        self.client.push((property.into(), value.into()));
        self
    }

    /// The topic that the log is.
    pub fn claims_topic(&self) -> String {
        format!("{}-claims", self.topic)
    }
}

/// Values may be secrets: only names are shown.
impl fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.client.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("KafkaSettings")
            .field("topic", &self.topic)
            .field("partitions", &self.partitions)
            .field("replication", &self.replication)
            .field("client", &names)
            .finish()
    }
}

/// A setting that cannot work, in words that name the property and the cure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Its name.
    pub property: String,
    /// What is wrong, and the cure.
    pub message: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SettingsError {}

pub(super) fn wrong(property: &str, message: impl Into<String>) -> SettingsError {
    SettingsError { property: property.into(), message: message.into() }
}

/// Checked settings.
#[derive(Clone)]
pub(super) struct Checked {
    /// The claims.
    pub topic: String,
    /// The snapshots.
    pub state: String,
    pub partitions: u32,
    pub replication: Replication,
    pub consumer: ClientConfig,
    pub producer: ClientConfig,
    pub secrets: Secrets,
    /// For messages.
    pub servers: String,
    pub protocol: String,
    pub mechanism: String,
}

/// librdkafka's second names. Both spellings of one property would otherwise be set in no particular order.
const ALIASES: [(&str, &str); 9] = [
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("request.required.acks", "acks"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("compression.codec", "compression.type"),
    ("retries", "message.send.max.retries"),
    ("max.in.flight.requests.per.connection", "max.in.flight"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

/// What the user's own values may replace. Why each differs from librdkafka's default: it was made for bulk data, where
/// a minute of waiting is fine; here a process lives from renewals that are seconds apart.
const DEFAULTS: [(&str, &str); 26] = [
    ("client.id", "tidegate"),
    // A broker that died without a word must not hold up anything for the default 60 s.
    ("socket.timeout.ms", "5000"),
    ("socket.connection.setup.timeout.ms", "5000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "1000"),
    ("retry.backoff.ms", "50"),
    ("retry.backoff.max.ms", "500"),
    ("topic.metadata.refresh.interval.ms", "30000"),
    ("metadata.max.age.ms", "90000"),
    ("topic.metadata.propagation.max.ms", "10000"),
    ("enable.metrics.push", "false"),
    // A partition that is newly followed waits for the fetch that is under way, and if it is empty for one more: a first
    // touch costs up to twice this. Lower would only mean more empty fetches.
    ("fetch.wait.max.ms", "25"),
    ("fetch.min.bytes", "1"),
    ("fetch.error.backoff.ms", "50"),
    ("fetch.queue.backoff.ms", "20"),
    ("queued.min.messages", "5000"),
    ("queued.max.messages.kbytes", "4096"),
    ("check.crcs", "true"),
    ("linger.ms", "0"),
    // A record older than about a time-to-live is worthless: it is said anew, not queued.
    ("message.timeout.ms", "15000"),
    ("request.timeout.ms", "5000"),
    // The bounds of what waits for Kafka in an outage; beyond them appends are dropped and counted.
    ("queue.buffering.max.messages", "10000"),
    ("queue.buffering.max.kbytes", "8192"),
    ("compression.type", "none"),
    ("statistics.interval.ms", "0"),
];

/// What must be so, and why.
const FIXED: [(&str, &str, &str); 12] = [
    ("acks", "all", "a record that one broker alone has seen can vanish, and the limit would be given out twice"),
    ("enable.idempotence", "true", "the order of a process's records must survive retries"),
    ("enable.auto.commit", "false", "each process reads the whole log: there is no position to commit"),
    ("enable.auto.offset.store", "false", "each process reads the whole log: there is no position to store"),
    ("auto.offset.reset", "error", "skipping a part of the log silently would give the limit out twice"),
    ("enable.partition.eof", "true", "it tells when a process has caught up"),
    ("isolation.level", "read_uncommitted", "somebody's open transaction must not stop the reading"),
    ("allow.auto.create.topics", "false", "brokers would create the topic with their own defaults"),
    ("group.id", "tidegate", "each process reads the whole log, without a consumer group"),
    ("delivery.report.only.error", "false", "acknowledgements are measured"),
    ("enable.gapless.guarantee", "false", "one lost record must not stop all later ones"),
    ("message.send.max.retries", "2147483647", "message.timeout.ms bounds the retries"),
];

/// Properties that cannot be set at all, and why.
const REFUSED: [(&str, &str); 7] = [
    ("transactional.id", "Tidegate's records are not transactions"),
    ("group.instance.id", "each process reads the whole log, without a consumer group"),
    ("group.protocol", "each process reads the whole log, without a consumer group"),
    ("test.mock.num.brokers", "each client would get a cluster of its own; use tidegate's mock broker"),
    ("internal.termination.signal", "a library installs no signal handlers"),
    ("log.queue", "Tidegate reads the client's log itself"),
    ("log.thread.name", "Tidegate reads the client's log itself"),
];

impl KafkaSettings {
    pub(super) fn check(&self) -> Result<Checked, SettingsError> {
        self.check_topic()?;
        let mut given = BTreeMap::new();
        let mut spelled = BTreeMap::new();
        for (name, value) in &self.client {
            let canonical = ALIASES.iter().find(|(alias, _)| alias == name).map_or(name.as_str(), |(_, c)| c);
            if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == &canonical) {
                return Err(wrong(name, format!("`{name}` cannot be set: {why}; remove it")));
            }
            if let Some((_, fixed, why)) = FIXED.iter().find(|(fixed, ..)| fixed == &canonical) {
                if value != fixed && !(*fixed == "all" && value == "-1") {
                    return Err(wrong(name, format!("`{name}` must stay `{fixed}`: {why}; remove it")));
                }
                continue;
            }
            given.insert(canonical, value.as_str());
            spelled.insert(canonical, name.as_str());
        }
        let secrets = Secrets::of(&self.client);
        check_servers(&given)?;
        super::security::check(&given, &spelled)?;
        let mut config = ClientConfig::new();
        // Nothing of librdkafka's own log is shown, so it need not be written; errors come as events.
        config.set_log_level(RDKafkaLogLevel::Critical);
        for (name, value) in DEFAULTS.iter().chain(super::security::defaults(&given)) {
            config.set(*name, *value);
        }
        for (name, value) in &given {
            config.set(*name, *value);
        }
        for (name, value, _) in FIXED {
            config.set(name, value);
        }
        config.create_native_config().map_err(|error| explain(error, &spelled, &secrets))?;
        let get = |name: &str, default: &str| given.get(name).copied().unwrap_or(default).to_owned();
        Ok(Checked {
            topic: self.claims_topic(),
            state: self.topic.clone(),
            partitions: self.partitions,
            replication: self.replication,
            consumer: config.clone(),
            producer: config.clone(),
            servers: get("bootstrap.servers", ""),
            protocol: get("security.protocol", "plaintext"),
            mechanism: get("sasl.mechanisms", ""),
            secrets,
        })
    }

    fn check_topic(&self) -> Result<(), SettingsError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = self.claims_topic();
        if self.topic.is_empty() || name.len() > 249 || !name.chars().all(legal) {
            return Err(wrong(
                "topic",
                format!("`topic` is `{}`: Kafka allows 1 to 242 letters, digits, `.`, `_` and `-` here", self.topic),
            ));
        }
        if self.partitions == 0 || self.partitions > 10_000 {
            return Err(wrong("partitions", format!("`partitions` is {}: 1 to 10000 are possible", self.partitions)));
        }
        if self.replication == Replication::Factor(0) {
            return Err(wrong("replication.factor", "`replication.factor` is 0: use `auto`, or a number from 1"));
        }
        Ok(())
    }
}

fn check_servers(given: &BTreeMap<&str, &str>) -> Result<(), SettingsError> {
    let servers = given.get("bootstrap.servers").copied().unwrap_or("").trim();
    if servers.is_empty() {
        return Err(wrong(
            "bootstrap.servers",
            "`bootstrap.servers` is missing: name at least one broker as host:port",
        ));
    }
    for one in servers.split(',').map(str::trim) {
        let address = one.split_once("://").map_or(one, |(_, rest)| rest);
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
            Some(_) => (address, "9092"), // an IPv6 address without brackets has no port
            None => (address, "9092"),
        };
        if host.is_empty() || host.contains(char::is_whitespace) || port.parse::<u16>().map_or(true, |port| port == 0) {
            return Err(wrong(
                "bootstrap.servers",
                format!("`bootstrap.servers` holds `{one}`, which is not host:port"),
            ));
        }
    }
    Ok(())
}

/// librdkafka's refusal of a property, in our words.
pub(super) fn explain(error: KafkaError, spelled: &BTreeMap<&str, &str>, secrets: &Secrets) -> SettingsError {
    let as_written = |name: &str| spelled.get(name).copied().unwrap_or(name).to_owned();
    match error {
        KafkaError::ClientConfig(_, text, name, _) if text.starts_with("No such configuration property") => {
            let property = as_written(&name);
            let message = format!(
                "`{property}` is no property of the Kafka client: see librdkafka's CONFIGURATION.md for the names \
                 (the names of the Java client are not the same everywhere)"
            );
            SettingsError { property, message }
        }
        KafkaError::ClientConfig(_, text, name, _) => {
            let property = as_written(&name);
            let message = format!("`{property}` cannot have this value: {}", secrets.hide(&text));
            SettingsError { property, message }
        }
        KafkaError::ClientCreation(text) => {
            let text = secrets.hide(&text);
            let property = super::security::PROPERTIES.iter().find(|name| text.contains(**name)).unwrap_or(&"client");
            wrong(property, format!("the Kafka client refuses these settings: {text}"))
        }
        other => {
            wrong("client", format!("the Kafka client refuses these settings: {}", secrets.hide(&other.to_string())))
        }
    }
}
