//! What the topic must be like. A topic that exists is never changed, only judged.

use super::settings::AUTO_REPLICATION;
use super::words::Problem;
use std::collections::BTreeMap;

/// How Tidegate creates the topic.
pub(super) fn settings_of_a_new_topic(copies: u16) -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".into()),
        // Without snapshots on a topic of their own a process can only start from the first record: none may expire.
        // With them, hours would be enough.
        ("retention.ms", "-1".into()),
        ("retention.bytes", "-1".into()),
        ("min.insync.replicas", copies.min(2).to_string()),
        ("unclean.leader.election.enable", "false".into()),
        // For people who look at the log; the protocol uses no clock of the brokers.
        ("message.timestamp.type", "LogAppendTime".into()),
    ]
}

const AUTO: u32 = AUTO_REPLICATION as u32;

/// Err: cannot be used. Ok: can be, perhaps with a warning.
pub(super) fn judge(
    topic: &str,
    replication: u32,
    brokers: u32,
    settings: &BTreeMap<String, String>,
) -> Result<Option<Problem>, Problem> {
    let get = |name: &str| settings.get(name).map_or("", String::as_str);
    for (name, must, why) in [
        ("cleanup.policy", "delete", "compaction would remove records that the shares depend on"),
        ("retention.ms", "-1", "a process that starts must read the log from its first record"),
        ("retention.bytes", "-1", "a process that starts must read the log from its first record"),
    ] {
        let is = get(name);
        if !is.is_empty() && is != must {
            let cure = format!("kafka-configs.sh --alter --topic {topic} --add-config {name}={must}");
            let message = format!("the topic `{topic}` has {name}={is}, but it must be {must}: {why}; run {cure}");
            return Err(Problem::new(name, true, message));
        }
    }
    let insync = get("min.insync.replicas").parse::<u32>().unwrap_or(0);
    let warning = if get("unclean.leader.election.enable") == "true" {
        Some("has unclean.leader.election.enable=true: a lost record may let the limit be given out twice; set it to false".into())
    } else if insync > replication {
        Some(format!(
            "has min.insync.replicas={insync}, but only {replication} replicas: nothing can be written; lower it"
        ))
    } else if replication < brokers.min(AUTO) {
        Some(format!(
            "has only {replication} replicas although there are {brokers} brokers: it is less safe than it could be; add \
             replicas with kafka-reassign-partitions.sh"
        ))
    } else if replication > 1 && insync == replication {
        Some(format!(
            "has min.insync.replicas={insync} of {replication} replicas: any broker's restart stops writes; lower it"
        ))
    } else if replication > 2 && insync == 1 {
        Some("has min.insync.replicas=1: a record may be lost with one broker; set it to 2".into())
    } else {
        None
    };
    Ok(warning.map(|what| Problem::new("topic", false, format!("the topic `{topic}` {what}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(changes: &[(&str, &str)], copies: u16) -> BTreeMap<String, String> {
        let mut settings: BTreeMap<String, String> =
            settings_of_a_new_topic(copies).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        settings.extend(changes.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        settings
    }

    #[test]
    fn a_topic_as_tidegate_creates_it_passes_without_a_word() {
        for copies in [1, 3] {
            assert_eq!(judge("t", u32::from(copies), u32::from(copies), &with(&[], copies)), Ok(None));
        }
    }

    #[test]
    fn two_copies_are_warned_of_a_restart_that_stops_writes() {
        let warning = judge("t", 2, 2, &with(&[], 2)).unwrap().unwrap();
        assert!(warning.message.contains("min.insync.replicas=2 of 2"), "{}", warning.message);
    }

    #[test]
    fn fewer_copies_than_the_brokers_could_hold_are_warned_of() {
        let warning = judge("t", 1, 3, &with(&[], 1)).unwrap().unwrap();
        assert!(!warning.fatal && warning.message.contains("1 replicas"), "{}", warning.message);
        assert_eq!(judge("t", 3, 5, &with(&[], 3)), Ok(None));
    }

    #[test]
    fn a_topic_that_loses_records_is_refused_with_the_command_that_mends_it() {
        for (name, value) in [
            ("cleanup.policy", "compact"),
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "3600000"),
            ("retention.bytes", "1"),
        ] {
            let problem = judge("t", 3, 3, &with(&[(name, value)], 3)).unwrap_err();
            assert!(problem.fatal && problem.message.contains("--add-config"), "{}", problem.message);
            assert!(problem.message.contains(&format!("{name}={value}")), "{}", problem.message);
        }
    }

    #[test]
    fn settings_that_may_not_be_seen_are_not_judged() {
        assert_eq!(judge("t", 1, 1, &BTreeMap::new()), Ok(None));
    }
}
