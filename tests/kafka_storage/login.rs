//! Login, TLS and permissions, against a real broker that has them (`cluster.py --secure`).

use crate::harness::*;
use tidegate::storage::kafka::KafkaSettings;

pub fn listener(name: &str) -> Option<String> {
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
    user.read(0);
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

fn denied(user: &User, topic: &str, cannot: &str) {
    let (message, fatal) = user.trouble();
    assert!(fatal && message.contains(cannot) && message.contains("grant") && message.contains(topic), "{message}");
    assert!(!message.contains("-secret"), "{message}");
}

pub fn user(address: &str, name: &str) -> KafkaSettings {
    login(address, "PLAIN", name, &format!("{name}-secret"))
}

#[test]
fn whoever_may_not_use_the_topic_is_told_what_to_grant() {
    let Some(address) = listener("LOGIN") else { return };
    let theirs = user(&address, "bob");
    denied(&User::open(theirs.clone()), &theirs.claims_topic(), "cannot");
}

#[test]
fn whoever_may_use_topics_but_not_create_them_is_told_so_and_works_where_somebody_else_did() {
    let Some(address) = listener("LOGIN") else { return };
    let theirs = user(&address, "uses");
    denied(&User::open(theirs.clone()), &theirs.claims_topic(), "cannot create");
    let mine = KafkaSettings { topic: theirs.topic.clone(), ..user(&address, "ann") };
    works(mine);
    let mut granted = User::ready(theirs);
    granted.read(0);
    granted.append(0, "me too");
    assert_eq!(granted.records(0, 2)[1].1, b"me too");
}

#[test]
fn whoever_may_only_read_or_only_write_is_told_what_is_missing() {
    let Some(address) = listener("LOGIN") else { return };
    for (name, cannot) in [("reads", "does not allow appending"), ("writes", "cannot read")] {
        let theirs = user(&address, name);
        works(KafkaSettings { topic: theirs.topic.clone(), ..user(&address, "ann") });
        let topic = theirs.claims_topic();
        let mut user = User::ready(theirs);
        user.read(0);
        user.append(0, "hello");
        denied(&user, &topic, cannot);
    }
}

#[test]
fn a_login_over_tls_works_with_the_right_password_and_the_right_authority_and_with_no_other() {
    let (Some(address), Some(authority), Some(other)) = (listener("LOGINTLS"), listener("CA"), listener("OTHER_CA"))
    else {
        return;
    };
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let with = |authority: &str, password: &str| {
            login(&address, mechanism, "ann", password)
                .with("security.protocol", "SASL_SSL")
                .with("ssl.ca.location", authority)
        };
        works(with(&authority, "ann-secret"));
        let (message, fatal) = User::open(with(&authority, "wr0ngpass")).trouble();
        assert!(fatal && message.contains("`sasl.password`") && !message.contains("wr0ngpass"), "{message}");
        // It does not get as far as the password.
        let (message, fatal) = User::open(with(&other, "ann-secret")).trouble();
        assert!(fatal && message.contains("`ssl.ca.location`") && !message.contains("ann-secret"), "{message}");
    }
}

#[test]
fn a_certificate_for_another_host_is_no_way_in() {
    let (Some(address), Some(authority)) = (listener("TLS"), listener("CA")) else { return };
    let named = address.replace("127.0.0.1", "localhost");
    let (message, fatal) =
        User::open(fresh(&named).with("security.protocol", "SSL").with("ssl.ca.location", &authority)).trouble();
    assert!(fatal && message.contains("`bootstrap.servers`"), "{message}");
}

#[test]
fn a_password_is_never_sent_to_a_listener_that_does_not_speak_as_asked() {
    let (Some(plain), Some(tls)) = (listener("LOGIN"), listener("LOGINTLS")) else { return };
    for (address, protocol) in [(&plain, "SASL_SSL"), (&tls, "SASL_PLAINTEXT")] {
        let (message, _) =
            User::open(login(address, "PLAIN", "ann", "ann-secret").with("security.protocol", protocol)).trouble();
        assert!(message.contains("TLS") || message.contains("security.protocol"), "{message}");
        assert!(!message.contains("ann-secret"), "{message}");
    }
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
