//! What the topic must be like. A topic that exists is never changed, only judged.

use super::settings::AUTO_REPLICATION;
use super::words::Problem;
use std::collections::BTreeMap;

/// A claims topic that keeps its records for less could lose them before the snapshots that replace them are written.
pub(super) const RETENTION_MIN_MS: i64 = 3_600_000;
/// What Tidegate gives a claims topic: a fleet that was stopped for so long finds its state in the snapshots.
const RETENTION_MS: i64 = 7 * 86_400_000;

/// How Tidegate creates the claims topic.
pub(super) fn settings_of_a_new_topic(copies: u16) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("cleanup.policy", "delete".into()),
        ("retention.ms", RETENTION_MS.to_string()),
        // By size the log could lose what was said a minute ago.
        ("retention.bytes", "-1".into()),
        // Kafka removes whole segments: with its own default of a week, records would stay for two.
        ("segment.ms", "86400000".into()),
    ];
    settings.extend(common(copies));
    settings
}

/// How Tidegate creates the state topic: snapshots that were replaced go soon, so that a start reads little.
pub(super) fn settings_of_a_new_state_topic(copies: u16) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("cleanup.policy", "compact".into()),
        ("segment.ms", "600000".into()),
        ("segment.bytes", "16777216".into()),
        ("min.cleanable.dirty.ratio", "0.05".into()),
        ("max.compaction.lag.ms", "3600000".into()),
    ];
    settings.extend(common(copies));
    settings
}

fn common(copies: u16) -> Vec<(&'static str, String)> {
    vec![
        ("min.insync.replicas", copies.min(2).to_string()),
        ("unclean.leader.election.enable", "false".into()),
        // For people who look at the log; the protocol uses no clock of the brokers.
        ("message.timestamp.type", "LogAppendTime".into()),
    ]
}

const AUTO: u32 = AUTO_REPLICATION as u32;
type Settings = BTreeMap<String, String>;

fn must(
    topic: &str,
    settings: &Settings,
    name: &str,
    fits: impl Fn(&str) -> bool,
    cure: &str,
    why: &str,
) -> Result<(), Problem> {
    let is = settings.get(name).map_or("", String::as_str);
    if is.is_empty() || fits(is) {
        return Ok(());
    }
    let command = format!("kafka-configs.sh --alter --topic {topic} --add-config {name}={cure}");
    let message = format!("the topic `{topic}` has {name}={is}, but it must be {cure}: {why}; run {command}");
    Err(Problem::new(name, true, message))
}

/// Err: the claims topic cannot be used. Ok: can be, perhaps with a warning.
pub(super) fn judge(
    topic: &str,
    replication: u32,
    brokers: u32,
    settings: &Settings,
) -> Result<Option<Problem>, Problem> {
    let delete = "compaction would remove records that the shares depend on";
    must(topic, settings, "cleanup.policy", |is| is == "delete", "delete", delete)?;
    let long = |is: &str| is.parse().is_ok_and(|ms: i64| ms == -1 || ms >= RETENTION_MIN_MS);
    let time = "records must stay for an hour (3600000) at least, until a snapshot has replaced them";
    must(topic, settings, "retention.ms", long, &RETENTION_MS.to_string(), time)?;
    let bytes = "by size the log could lose records before a snapshot has replaced them; limit it by retention.ms";
    must(topic, settings, "retention.bytes", |is| is == "-1", "-1", bytes)?;
    Ok(copies(topic, replication, brokers, settings))
}

/// The same of the state topic.
pub(super) fn judge_state(
    topic: &str,
    replication: u32,
    brokers: u32,
    settings: &Settings,
) -> Result<Option<Problem>, Problem> {
    let compact =
        "by time it would lose the snapshots of partitions that are quiet, and without compaction it would grow \
                   for ever";
    must(topic, settings, "cleanup.policy", |is| is == "compact", "compact", compact)?;
    Ok(copies(topic, replication, brokers, settings))
}

/// What is less safe than it could be.
fn copies(topic: &str, replication: u32, brokers: u32, settings: &Settings) -> Option<Problem> {
    let get = |name: &str| settings.get(name).map_or("", String::as_str);
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
    warning.map(|what| Problem::new("topic", false, format!("the topic `{topic}` {what}")))
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
            ("retention.ms", "3599999"),
            ("retention.ms", "0"),
            ("retention.bytes", "1"),
        ] {
            let problem = judge("t", 3, 3, &with(&[(name, value)], 3)).unwrap_err();
            assert!(problem.fatal && problem.message.contains("--add-config"), "{}", problem.message);
            assert!(problem.message.contains(&format!("{name}={value}")), "{}", problem.message);
        }
    }

    #[test]
    fn records_may_expire_after_an_hour_or_never() {
        for value in ["3600000", "-1", "604800000"] {
            assert_eq!(judge("t", 3, 3, &with(&[("retention.ms", value)], 3)), Ok(None), "{value}");
        }
    }

    #[test]
    fn a_state_topic_as_tidegate_creates_it_passes_and_one_that_expires_is_refused_with_the_command() {
        let settings: Settings =
            settings_of_a_new_state_topic(3).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(judge_state("s", 3, 3, &settings), Ok(None));
        for policy in ["delete", "compact,delete"] {
            let settings = Settings::from([("cleanup.policy".to_owned(), policy.to_owned())]);
            let problem = judge_state("s", 3, 3, &settings).unwrap_err();
            assert!(problem.fatal && problem.message.contains("--topic s --add-config cleanup.policy=compact"));
        }
    }

    #[test]
    fn settings_that_may_not_be_seen_are_not_judged() {
        assert_eq!(judge("t", 1, 1, &BTreeMap::new()), Ok(None));
    }
}
