//! TLS and login settings that cannot mean what they say: half-set security is refused, never guessed.

use super::settings::{wrong, SettingsError};
use std::collections::BTreeMap;

/// What librdkafka's own complaints may name, most telling first.
pub(super) const PROPERTIES: [&str; 12] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.key.pem",
    "sasl.username",
    "sasl.password",
    "sasl.mechanism",
    "security.protocol",
];

const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

fn protocol(given: &BTreeMap<&str, &str>) -> String {
    given.get("security.protocol").unwrap_or(&"plaintext").to_ascii_lowercase()
}

pub(super) fn check(given: &BTreeMap<&str, &str>, spelled: &BTreeMap<&str, &str>) -> Result<(), SettingsError> {
    let protocol = protocol(given);
    let (login, tls) = (protocol.starts_with("sasl_"), protocol.ends_with("ssl"));
    for name in given.keys() {
        if !login && name.starts_with("sasl.") {
            let name = spelled[name];
            let cure = "set `security.protocol` to SASL_SSL (or SASL_PLAINTEXT), or remove it";
            return Err(wrong(
                name,
                format!("`{name}` is set, but `security.protocol` is `{protocol}`, without login: {cure}"),
            ));
        }
        if !tls && name.starts_with("ssl.") {
            let cure = "set `security.protocol` to SSL (or SASL_SSL), or remove it";
            return Err(wrong(
                name,
                format!("`{name}` is set, but `security.protocol` is `{protocol}`, without TLS: {cure}"),
            ));
        }
    }
    check_files(given)?;
    if !login {
        return Ok(());
    }
    let known = MECHANISMS.join(", ");
    let Some(mechanism) = given.get("sasl.mechanisms") else {
        return Err(wrong(
            "sasl.mechanism",
            format!("`security.protocol` is `{protocol}`, but `sasl.mechanism` is missing: one of {known}"),
        ));
    };
    let mechanism = mechanism.to_ascii_uppercase();
    if !MECHANISMS.contains(&mechanism.as_str()) {
        return Err(wrong("sasl.mechanism", format!("`sasl.mechanism` is `{mechanism}`: this build knows {known}")));
    }
    if mechanism != "OAUTHBEARER" {
        for name in ["sasl.username", "sasl.password"] {
            if given.get(name).is_none_or(|value| value.is_empty()) {
                return Err(wrong(name, format!("`sasl.mechanism` is `{mechanism}`, but `{name}` is missing")));
            }
        }
    }
    Ok(())
}

/// OpenSSL says of a missing file no more than "BIO lib".
fn check_files(given: &BTreeMap<&str, &str>) -> Result<(), SettingsError> {
    for (name, path) in
        given.iter().filter(|(name, path)| name.starts_with("ssl.") && name.ends_with(".location") && **path != "probe")
    {
        if let Err(error) = std::fs::metadata(path) {
            return Err(wrong(name, format!("`{name}` names `{path}`, which cannot be read: {error}")));
        }
    }
    Ok(())
}

/// The vendored OpenSSL does not know where this system keeps its certificates: it has to look for them.
pub(super) fn defaults(given: &BTreeMap<&str, &str>) -> &'static [(&'static str, &'static str)] {
    let named =
        ["ssl.ca.location", "ssl.ca.pem", "ssl.ca.certificate.stores"].iter().any(|name| given.contains_key(name));
    if protocol(given).ends_with("ssl") && !named {
        &[("ssl.ca.location", "probe")]
    } else {
        &[]
    }
}
