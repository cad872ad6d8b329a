//! Login, TLS and permissions, against a real broker that has them (`cluster.py --secure`).

use crate::harness::*;
use tidegate::storage::kafka::KafkaSettings;
use tidegate::storage::LogStore;

fn listener(name: &str) -> Option<String> {
    let address = std::env::var(format!("TIDEGATE_TEST_KAFKA_{name}")).ok();
    if address.is_none() {
        println!("SKIPPED: no TIDEGATE_TEST_KAFKA_{name}: run under tests/kafka/cluster.py --secure");
    }
    address
}

fn login(address: &str, mechanism: &str, user: &str, password: &str) -> KafkaSettings {
    fresh(address)
        .with("security.protocol", "SASL_PLAINTEXT")
        .with("sasl.mechanism", mechanism)
        .with("sasl.username", user)
        .with("sasl.password", password)
}

fn works(settings: KafkaSettings) {
    let mut user = User::ready(settings);
    user.log.follow(0);
    user.append(0, "hello");
    assert_eq!(user.records(0, 1)[0].1, b"hello");
}

#[test]
fn a_right_password_works_with_every_mechanism() {
    let Some(address) = listener("LOGIN") else { return };
    works(login(&address, "PLAIN", "ann", "ann-secret"));
    works(login(&address, "SCRAM-SHA-256", "ann", "ann-secret"));
}

#[test]
fn a_wrong_password_is_fatal_trouble_that_names_the_properties_and_not_the_password() {
    let Some(address) = listener("LOGIN") else { return };
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let (message, fatal) = User::open(login(&address, mechanism, "ann", "wr0ngpass")).trouble();
        assert!(fatal && message.contains("`sasl.password`") && message.contains(mechanism), "{message}");
        assert!(!message.contains("wr0ngpass"), "{message}");
    }
}

#[test]
fn whoever_may_not_use_the_topic_is_told_what_to_grant() {
    let Some(address) = listener("LOGIN") else { return };
    let settings = login(&address, "PLAIN", "bob", "bob-secret");
    let topic = settings.claims_topic();
    let (message, fatal) = User::open(settings).trouble();
    assert!(fatal && message.contains("grant") && message.contains(&topic), "{message}");
}

#[test]
fn tls_works_with_the_right_authority_and_with_no_other() {
    let (Some(address), Some(authority)) = (listener("TLS"), listener("CA")) else { return };
    let tls = || fresh(&address).with("security.protocol", "SSL");
    works(tls().with("ssl.ca.location", &authority));
    let (message, fatal) = User::open(tls()).trouble();
    assert!(fatal && message.contains("`ssl.ca.location`") && message.contains("verify failed"), "{message}");
}

#[test]
fn plaintext_to_a_tls_listener_is_no_way_in() {
    let Some(address) = listener("TLS") else { return };
    let (message, _) = User::open(fresh(&address)).trouble();
    assert!(message.contains("security.protocol"), "{message}");
}

#[test]
fn tls_to_a_plaintext_listener_is_no_way_in() {
    let Some(address) = kafka() else { return };
    let (message, _) = User::open(fresh(&address).with("security.protocol", "SSL")).trouble();
    assert!(message.contains("TLS") || message.contains("security.protocol"), "{message}");
}
