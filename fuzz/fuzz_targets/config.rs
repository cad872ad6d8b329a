//! No property makes the configuration panic, and no secret is ever described or named in an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::Config;
use tidegate_fuzz::Input;

const NAMES: [&str; 12] = [
    "storage",
    "topic",
    "partitions",
    "replication.factor",
    "ttl.ms",
    "on.outage",
    "keys.max",
    "client.note",
    "bootstrap.servers",
    "sasl.password",
    "ssl.key.password",
    "sasl.jaas.config",
];

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut config = Config::new();
    while !input.is_empty() {
        let name = match usize::from(input.byte()) {
            at if at < NAMES.len() => NAMES[at].to_owned(),
            _ => String::from_utf8_lossy(&input.bytes()).into_owned(),
        };
        let value = String::from_utf8_lossy(&input.bytes()).into_owned();
        let before = config.clone();
        let result = config.set(&name, &value);
        if let Err(error) = &result {
            assert!(!error.message().is_empty());
            assert!(config == before, "a refused property changes nothing");
        }
        // A value that cannot be there by chance: a name could spell it, together with what stands around it.
        if name.contains("password") && value.len() > 12 && !before.describe().contains(&value) {
            let shown = |text: &str| text.replace(&name, "").contains(&value);
            assert!(!shown(&config.describe()), "{name} is described");
            assert!(!result.is_err_and(|error| shown(error.message())), "the value of {name} is in an error");
        }
    }
    let _ = config.describe();
});
