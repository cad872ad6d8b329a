//! Properties by name: Tidegate's own, and librdkafka's passed through unchanged.

use crate::core::limit::Outage;
use crate::{Error, ErrorKind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// One property of Tidegate's own.
struct Property {
    name: &'static str,
    default: &'static str,
    what: &'static str,
    check: fn(&str) -> Result<(), &'static str>,
}

/// All of Tidegate's own properties. `docs/reference/config.md` is printed from this table.
const PROPERTIES: &[Property] = &[
    Property {
        name: "storage",
        default: "",
        what: "`memory`: this process alone; `kafka`: shared and durable. Unset: kafka if `bootstrap.servers` is set",
        check: |value| one_of(value, &["", "memory", "kafka"], "expected `memory` or `kafka`"),
    },
    Property {
        name: "topic",
        default: "rate-limiter-state",
        what:
            "name of the state topic; the claims of the processes are in the topic of this name with `-claims` appended",
        check: |value| {
            let fits = !value.is_empty() && value.len() <= 200;
            let legal = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            (fits && legal).then_some(()).ok_or("expected 1 to 200 letters, digits, `.`, `_` or `-`")
        },
    },
    Property {
        name: "partitions",
        default: "12",
        what: "partitions of the topics when Tidegate creates them; more can be added while processes run: keys move by themselves",
        check: |value| number(value, 1, 4_096, "expected a number from 1 to 4096"),
    },
    Property {
        name: "replication.factor",
        default: "3",
        what: "copies of each partition when Tidegate creates the topics; `auto`: 3, or as many as there are brokers",
        check: |value| match value {
            "auto" => Ok(()),
            _ => number(value, 1, 32, "expected `auto` or a number from 1 to 32"),
        },
    },
    Property {
        name: "ttl.ms",
        default: "15000",
        what: "silence after which the other processes take over this one's shares; those of a process killed on their own host at once",
        check: |value| number(value, 500, 600_000, "expected milliseconds from 500 to 600000"),
    },
    Property {
        name: "on.outage",
        default: "keep_share",
        what: "what limits do when the log is away, unless they say otherwise: `keep_share`, `deny` or `allow`",
        check: |value| one_of(value, &["keep_share", "deny", "allow"], "expected `keep_share`, `deny` or `allow`"),
    },
    Property {
        name: "keys.max",
        default: "1000000",
        what: "most live keys of this runtime",
        check: |value| number(value, 1, 16_000_000, "expected a number from 1 to 16000000"),
    },
    Property {
        name: "client.note",
        default: "",
        what: "what other processes see of this one; unset: host name and process id",
        check: |value| (value.len() <= 200).then_some(()).ok_or("expected at most 200 bytes"),
    },
];

fn one_of(value: &str, legal: &[&str], expected: &'static str) -> Result<(), &'static str> {
    legal.contains(&value).then_some(()).ok_or(expected)
}

fn number(value: &str, low: u64, high: u64, expected: &'static str) -> Result<(), &'static str> {
    value.parse().ok().filter(|n| (low..=high).contains(n)).map(|_: u64| ()).ok_or(expected)
}

/// Which storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// This process alone.
    Memory,
    /// Shared and durable.
    Kafka,
}

/// A set of properties to open a runtime with.
///
/// ```
/// let mut config = tidegate::Config::new();
/// config.set("storage", "memory").unwrap();
/// let error = config.set("ttl.ms", "soon").unwrap_err();
/// assert!(error.message().contains("ttl.ms"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Config {
    own: BTreeMap<&'static str, String>,
    /// librdkafka's, checked by librdkafka itself when the runtime opens.
    client: BTreeMap<String, String>,
}

/// Most bytes of a property's name, and of its value.
const NAME_MAX: usize = 256;
const VALUE_MAX: usize = 1 << 20;

impl Config {
    /// No property set.
    pub fn new() -> Config {
        Config::default()
    }

    /// Sets a property: one of Tidegate's, or one of librdkafka's (`bootstrap.servers`, `security.protocol`, `sasl.*`,
    /// `ssl.*`, ..). Setting it again replaces the value.
    ///
    /// # Errors
    /// `Config` when the name is unknown or the value is not one of the property's. A value of librdkafka's is
    /// checked here only for its name; its value when the runtime is opened.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(ErrorKind::Config, text));
        if name.is_empty() || name.len() > NAME_MAX || value.len() > VALUE_MAX || value.contains('\0') {
            return refuse(format!(
                "property name must have 1 to {NAME_MAX} bytes, its value at most {VALUE_MAX} and no NUL"
            ));
        }
        if let Some(property) = PROPERTIES.iter().find(|property| property.name == name) {
            if let Err(expected) = (property.check)(value) {
                return refuse(format!("`{name}` is `{value}`; {expected}"));
            }
            self.own.insert(property.name, value.to_owned());
            return Ok(());
        }
        #[cfg(feature = "kafka")]
        if let Err(why) = crate::storage::kafka::check_property(name, value) {
            return refuse(why);
        }
        if cfg!(not(feature = "kafka")) {
            return refuse(format!("`{name}` is no property of Tidegate, and this build has no Kafka client to ask"));
        }
        self.client.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// One property a line, with defaults; secrets are hidden.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for property in PROPERTIES {
            let _ = writeln!(text, "{} = {}", property.name, self.get(property.name));
        }
        for (name, value) in &self.client {
            let shown = if is_secret(name) { "(hidden)" } else { value };
            let _ = writeln!(text, "{name} = {shown}");
        }
        text
    }

    /// The reference of Tidegate's own properties, as a Markdown table.
    pub fn reference() -> String {
        let mut text = String::from("| Property | Default | What it is |\n|---|---|---|\n");
        for Property { name, default, what, .. } in PROPERTIES {
            let default = if default.is_empty() { "" } else { &format!("`{default}`") };
            let _ = writeln!(text, "| `{name}` | {default} | {what} |");
        }
        text
    }

    fn get(&self, name: &str) -> &str {
        let default =
            || PROPERTIES.iter().find(|property| property.name == name).map_or("", |property| property.default);
        self.own.get(name).map_or_else(default, String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        // Checked when it was set.
        self.get(name).parse().unwrap_or_default()
    }

    pub(crate) fn storage(&self) -> Result<Storage, Error> {
        let servers = self.client.contains_key("bootstrap.servers") || self.client.contains_key("metadata.broker.list");
        match self.get("storage") {
            "memory" if !self.client.is_empty() => Err(Error::new(
                ErrorKind::Config,
                format!(
                    "`storage` is `memory`, but properties of the Kafka client are set ({}); remove one or the other",
                    self.client.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            )),
            "memory" => Ok(Storage::Memory),
            "" if self.client.is_empty() => Ok(Storage::Memory),
            _ if !servers => Err(Error::new(
                ErrorKind::Config,
                "`bootstrap.servers` is not set; name the brokers, for example `kafka1:9092,kafka2:9092`",
            )),
            _ => Ok(Storage::Kafka),
        }
    }

    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_millis(self.number("ttl.ms"))
    }

    pub(crate) fn outage(&self) -> Outage {
        match self.get("on.outage") {
            "deny" => Outage::Deny,
            "allow" => Outage::Allow,
            _ => Outage::KeepShare,
        }
    }

    pub(crate) fn keys_max(&self) -> usize {
        usize::try_from(self.number("keys.max")).unwrap_or(usize::MAX)
    }

    pub(crate) fn note(&self) -> String {
        match self.get("client.note") {
            "" => format!("{}/{}", host_name(), std::process::id()),
            note => note.to_owned(),
        }
    }

    #[cfg(feature = "kafka")]
    pub(crate) fn kafka(&self) -> crate::storage::kafka::KafkaSettings {
        use crate::storage::kafka::{KafkaSettings, Replication};
        KafkaSettings {
            topic: self.get("topic").to_owned(),
            partitions: self.number("partitions") as u32,
            replication: match self.get("replication.factor") {
                "auto" => Replication::Auto,
                factor => Replication::Factor(factor.parse().unwrap_or(3)),
            },
            client: self.client.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// Equal for configurations that mean the same runtime. Holds secrets: never shown.
    pub(crate) fn identity(&self) -> String {
        let own = PROPERTIES.iter().map(|property| format!("{}={}\0", property.name, self.get(property.name)));
        let client = self.client.iter().map(|(name, value)| format!("{name}={value}\0"));
        own.chain(client).collect()
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "secret", "key.pem", "oauthbearer.config", "token", "jaas"].iter().any(|part| name.contains(part))
}

fn host_name() -> String {
    let mut buffer = [0u8; 256];
    // Miri has no host. SAFETY: the buffer is valid for its length, and one byte stays for the terminator.
    let failed = cfg!(miri) || unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) } != 0;
    let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(0);
    if failed {
        String::from("unknown-host")
    } else {
        String::from_utf8_lossy(&buffer[..end]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "kafka")]
    fn set(properties: &[(&str, &str)]) -> Config {
        let mut config = Config::new();
        properties.iter().for_each(|(name, value)| config.set(name, value).unwrap());
        config
    }

    #[test]
    fn every_default_is_a_value_that_its_property_accepts() {
        for property in PROPERTIES {
            assert_eq!((property.check)(property.default), Ok(()), "{}", property.name);
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_the_name_and_what_was_expected() {
        let error = Config::new().set("replication.factor", "many").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.message(), "`replication.factor` is `many`; expected `auto` or a number from 1 to 32");
    }

    #[test]
    #[cfg(feature = "kafka")]
    fn storage_follows_from_bootstrap_servers_unless_said() {
        assert_eq!(set(&[]).storage(), Ok(Storage::Memory));
        assert_eq!(set(&[("bootstrap.servers", "a:1")]).storage(), Ok(Storage::Kafka));
        let contradiction = set(&[("storage", "memory"), ("bootstrap.servers", "a:1")]).storage().unwrap_err();
        assert!(contradiction.message().contains("bootstrap.servers"));
        let missing = set(&[("storage", "kafka")]).storage().unwrap_err();
        assert!(missing.message().contains("bootstrap.servers"));
    }

    #[test]
    #[cfg(feature = "kafka")]
    fn a_described_configuration_shows_no_secret() {
        let config =
            set(&[("bootstrap.servers", "a:1"), ("sasl.password", "hunter2"), ("ssl.key.password", "hunter3")]);
        let text = format!("{}{config:?}", config.describe());
        assert!(text.contains("bootstrap.servers = a:1") && !text.contains("hunter"), "{text}");
    }

    #[test]
    #[cfg(feature = "kafka")]
    fn equal_configurations_have_one_identity_whatever_the_order() {
        let one = set(&[("ttl.ms", "900"), ("bootstrap.servers", "a:1")]);
        let same = set(&[("bootstrap.servers", "a:1"), ("ttl.ms", "800"), ("ttl.ms", "900")]);
        assert_eq!(one.identity(), same.identity());
        assert_ne!(one.identity(), set(&[("bootstrap.servers", "a:1")]).identity());
    }
}
