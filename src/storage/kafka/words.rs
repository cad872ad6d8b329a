//! What librdkafka and the brokers complain about, in words that name the cause and the cure.

use super::settings::Checked;
use rdkafka::types::RDKafkaErrorCode as Code;

/// Something that stands in the way. Two of the same `kind` are the same trouble, whatever their texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub kind: String,
    pub message: String,
    pub fatal: bool,
}

impl Problem {
    pub(super) fn new(kind: impl Into<String>, fatal: bool, message: impl Into<String>) -> Problem {
        Problem { kind: kind.into(), message: message.into(), fatal }
    }
}

/// No broker could be used; `cause` is what the client said about it, if it said something.
pub(super) fn unreachable(cause: Option<(Code, String)>, settings: &Checked) -> Problem {
    let servers = &settings.servers;
    let Some((code, text)) = cause else {
        let message =
            format!("no Kafka broker at bootstrap.servers `{servers}` answers: check the address and the network");
        return Problem::new("unreachable", false, message);
    };
    let text = settings.secrets.hide(plain(&text));
    let (fatal, message) = match code {
        Code::Authentication | Code::SaslAuthenticationFailed => (
            true,
            format!(
                "Kafka refuses the login (sasl.mechanism {}): {text}: check `sasl.username`, `sasl.password` and `sasl.mechanism`",
                settings.mechanism
            ),
        ),
        Code::SSL => (
            true,
            format!(
                "no TLS with Kafka: {text}: check that `ssl.ca.location` names the authority that signed the broker's \
                 certificate, and that the certificate is for the host named in `bootstrap.servers`"
            ),
        ),
        Code::Resolve => (false, format!("host name not found: {text}: check the names in `bootstrap.servers` (`{servers}`)")),
        code if denied(code) => (true, format!("Kafka does not allow it: {text}: {}", grant(settings))),
        _ => (
            false,
            format!(
                "no Kafka broker at bootstrap.servers `{servers}` can be used: {text}: check that it runs and that this \
                 listener speaks security.protocol `{}`",
                settings.protocol
            ),
        ),
    };
    Problem::new(format!("{code:?}"), fatal, message)
}

/// Kafka answered a question about the topic with an error.
pub(super) fn topic_error(code: Code, text: &str, doing: &str, settings: &Checked) -> Problem {
    let text = settings.secrets.hide(plain(text));
    let topic = &settings.topic;
    let (fatal, message) = match code {
        code if denied(code) => (true, format!("cannot {doing} the topic `{topic}`: {text}: {}", grant(settings))),
        Code::InvalidReplicationFactor => (
            true,
            format!(
                "cannot {doing} the topic `{topic}`: `replication.factor` is more than the cluster has brokers ({text}): \
                 set `replication.factor` to `auto` or lower it"
            ),
        ),
        Code::PolicyViolation => (
            true,
            format!(
                "cannot {doing} the topic `{topic}`: the cluster's policy refuses it ({text}): have it created by hand, with \
                 {} partitions, cleanup.policy=delete, retention.ms=604800000",
                settings.partitions
            ),
        ),
        _ => (false, format!("cannot {doing} the topic `{topic}`: {text}")),
    };
    Problem::new(format!("{doing} {code:?}"), fatal, message)
}

/// Snapshots cannot be read or written: no trouble yet.
pub(super) fn no_snapshots(code: Code, text: &str, doing: &str, topic: &str) -> String {
    let text = if text.is_empty() { code.to_string() } else { plain(text).to_owned() };
    let cure = if denied(code) {
        format!("grant the principal Read, Write and DescribeConfigs on the topic `{topic}`, and Create unless it exists already")
    } else {
        "the next try may work".to_owned()
    };
    format!(
        "snapshots cannot be {doing} the topic `{topic}` ({text}): {cure}; sharing goes on, but when records expire from the \
         claims topic before a snapshot is written, processes that start then have to wait for many minutes"
    )
}

/// One of the two topics was given more partitions, and the other could not be.
pub(super) fn few_partitions(topic: &str, has: u32, needs: u32) -> String {
    format!(
        "the topic `{topic}` has {has} partitions and should have {needs}, as the topic beside it: run kafka-topics.sh --alter \
         --topic {topic} --partitions {needs}, or grant the principal Alter on it"
    )
}

/// Appends fail.
pub(super) fn append_error(code: Code, settings: &Checked) -> Problem {
    let topic = &settings.topic;
    let (fatal, message) = match code {
        Code::MessageTimedOut => (
            false,
            format!("Kafka did not acknowledge records for `{topic}` within `message.timeout.ms`: the leader is away or slow"),
        ),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => (
            false,
            format!("Kafka takes no records for `{topic}`: fewer replicas are in sync than the topic's min.insync.replicas: bring the missing brokers back"),
        ),
        Code::MessageSizeTooLarge => (true, format!("a record is larger than the topic `{topic}` allows: raise its max.message.bytes to 1 MiB")),
        code if denied(code) => (true, format!("Kafka does not allow appending to the topic `{topic}`: {}", grant(settings))),
        code => (false, format!("Kafka takes no records for `{topic}`: {code}")),
    };
    Problem::new(format!("append {code:?}"), fatal, message)
}

/// Nobody has heard of a group that is to be watched.
pub(super) fn unknown_group(group: &str) -> String {
    format!(
        "Kafka knows no group `{group}`: check its name, or start it: a group is known once it has a member or a \
         committed offset, until it has been without members for `offsets.retention.minutes`"
    )
}

pub(super) fn nothing_committed(group: &str) -> String {
    format!(
        "the group `{group}` has committed no offsets, so its topics are not known: name the topics to watch, or wait \
         until it commits"
    )
}

pub(super) fn too_many(group: &str, count: usize, what: &str, most: usize) -> String {
    format!(
        "the group `{group}` would be measured on {count} {what}, and at most {most} are possible: name fewer topics to \
         watch"
    )
}

/// The offsets of a group cannot be read.
pub(super) fn lag_of_group(code: Code, text: &str, group: &str) -> String {
    let text = if text.is_empty() { code.to_string() } else { plain(text).to_owned() };
    let cure = match code {
        Code::GroupAuthorizationFailed => format!("grant the principal Describe on the group `{group}`"),
        code if denied(code) => {
            format!("grant the principal Describe on the group `{group}` and on each topic to watch")
        }
        Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress => {
            "the broker that keeps them is changing, or away: another takes over within about 10 s".to_owned()
        }
        _ => "the next try may work".to_owned(),
    };
    format!("cannot read the offsets of the group `{group}`: {text}: {cure}")
}

/// The offsets of a topic cannot be read.
pub(super) fn lag_of_topic(code: Code, topic: &str, group: &str) -> String {
    let so = format!("cannot measure the group `{group}` on the topic `{topic}`");
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            format!("{so}: there is no such topic: create it, or correct the name of the topic to watch")
        }
        code if denied(code) => format!("{so}: {code}: grant the principal Describe on the topic `{topic}`"),
        Code::LeaderNotAvailable | Code::NotLeaderForPartition => {
            format!("{so}: a partition has no leader: Kafka chooses another within about 10 s if replicas are left")
        }
        code => format!("{so}: {code}: the next try may work"),
    }
}

pub(super) fn lag_unreachable(group: &str, cause: Option<(Code, String)>, settings: &Checked) -> String {
    format!("the group `{group}` cannot be measured: {}", unreachable(cause, settings).message)
}

pub(super) fn lag_defect(group: &str) -> String {
    format!("a defect in Tidegate: the group `{group}` could not be measured: report it; the next try may work")
}

/// No broker answered, or not in time.
pub(super) fn unanswered(code: Code) -> bool {
    matches!(
        code,
        Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown | Code::RequestTimedOut
    )
}

pub(super) fn denied(code: Code) -> bool {
    matches!(code, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed)
}

fn grant(settings: &Checked) -> String {
    format!(
        "grant the principal Read, Write and DescribeConfigs on the topic `{}`, and Create unless it exists already",
        settings.topic
    )
}

/// Without librdkafka's own statistics at the end: they change with every try.
fn plain(text: &str) -> &str {
    text.split(" (after ").next().unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::kafka::settings::KafkaSettings;

    fn settings() -> Checked {
        KafkaSettings::new("kafka.example:9093")
            .with("security.protocol", "SASL_PLAINTEXT")
            .with("sasl.mechanism", "PLAIN")
            .with("sasl.username", "ann")
            .with("sasl.password", "hunter2")
            .check()
            .unwrap()
    }

    #[test]
    fn a_refused_login_names_the_properties_and_not_the_password() {
        let cause = Some((Code::Authentication, "hunter2 is wrong (after 3ms in state AUTH)".to_owned()));
        let problem = unreachable(cause, &settings());
        assert!(problem.fatal);
        assert!(
            problem.message.contains("`sasl.password`") && !problem.message.contains("hunter2"),
            "{}",
            problem.message
        );
        assert!(!problem.message.contains("after 3ms"), "{}", problem.message);
    }

    #[test]
    fn a_broker_that_may_come_back_is_no_fatal_trouble() {
        for cause in [None, Some((Code::BrokerTransportFailure, "Connection refused".to_owned()))] {
            let problem = unreachable(cause, &settings());
            assert!(!problem.fatal && problem.message.contains("kafka.example:9093"), "{}", problem.message);
        }
    }

    #[test]
    fn a_group_and_a_topic_that_may_not_be_read_are_told_which_right_is_missing() {
        let group = lag_of_group(Code::GroupAuthorizationFailed, "Group authorization failed", "readers");
        assert!(group.contains("Describe on the group `readers`"), "{group}");
        let topic = lag_of_topic(Code::TopicAuthorizationFailed, "orders", "readers");
        assert!(topic.contains("Describe on the topic `orders`") && topic.contains("`readers`"), "{topic}");
        for other in [lag_of_group(Code::Fail, "", "readers"), lag_of_topic(Code::Fail, "orders", "readers")] {
            assert!(!other.contains("grant") && other.contains("next try"), "{other}");
        }
    }

    #[test]
    fn too_many_replicas_name_the_property_and_offer_auto() {
        let problem = topic_error(Code::InvalidReplicationFactor, "only 1 broker", "create", &settings());
        assert!(problem.fatal && problem.message.contains("`replication.factor` to `auto`"), "{}", problem.message);
    }
}
