//! How far a consumer group is behind: what is asked and what is answered, whoever measures it.

use crate::error::{Error, ErrorKind};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How often a group may be measured: more often is load without news, more rarely is no control.
pub const EVERY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
/// Topics of one watch.
pub const MAX_TOPICS: usize = 64;
/// Partitions of all topics of one watch.
pub const MAX_PARTITIONS: usize = 10_000;
/// Entries of `older_than`: each costs a question to Kafka per measurement.
pub const MAX_AGES: usize = 4;
/// The bytes of a group's name.
pub const MAX_GROUP: usize = 255;

/// Measures how far consumer groups are behind, without joining them.
pub trait LagSource: Send + Sync + std::fmt::Debug {
    /// Measures at once and then every `watch.every`, in a thread of its own, until the returned guard is dropped. What
    /// goes wrong is reported too, each time, and the watch goes on. Only a watch that cannot work is refused.
    ///
    /// Dropping the guard takes at most about a second, also while Kafka is away; nothing is reported after it, unless
    /// a `report` takes longer than that. The guard may be dropped by a `report`, too.
    fn watch(&self, watch: Watch, report: Report) -> Result<LagGuard, Error>;
}

/// Ends its watch when dropped.
pub type LagGuard = Box<dyn Send + Sync>;

/// Hears each measurement, or a sentence that names what is wrong and the cure.
pub type Report = Box<dyn FnMut(Result<Lag, String>) + Send>;

/// What of a group is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The group's name.
    pub group: String,
    /// Empty: all topics that the group has committed offsets for, as far as the principal may see them. Of each topic
    /// all partitions count, also those added later.
    pub topics: Vec<String>,
    /// The time from one measurement's beginning to the next one's, within [`EVERY`]; longer when Kafka is slower.
    pub every: Duration,
    /// Ages that [`Lag::older`] tells of, at most [`MAX_AGES`].
    pub older_than: Vec<Duration>,
}

/// How far a group is behind.
///
/// A partition's unread records begin at its committed offset; at the log's start if none was committed, or if what was
/// committed is below it (what retention has deleted cannot be read any more). They end where the log ends, and are
/// counted by their offsets: what compaction has removed, and the markers and aborted records of transactions, count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The unread records of all partitions.
    pub records: u64,
    /// For each of `older_than`: whether there is an unread record that is older. Records are as old as their time
    /// stamps say, by this machine's clock: this, and nothing else here, needs clocks that agree. Behind a younger
    /// record of its partition a record is taken to be as young, which matters only where producers' time stamps run
    /// backwards.
    pub older: Vec<bool>,
}

impl Watch {
    /// Whether it can work, before anybody is asked.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Argument, message));
        if self.group.is_empty() || self.group.len() > MAX_GROUP || self.group.contains('\0') {
            return wrong(format!(
                "the group to watch has a name of {} bytes: name it with 1 to {MAX_GROUP}, none of them zero",
                self.group.len()
            ));
        }
        if self.topics.len() > MAX_TOPICS {
            let count = self.topics.len();
            return wrong(format!("{count} topics are to be watched: at most {MAX_TOPICS} are possible in one watch"));
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if let Some(name) = self.topics.iter().find(|n| n.is_empty() || n.len() > 249 || !n.chars().all(legal)) {
            let shown: String = name.chars().take(250).collect();
            return wrong(format!(
                "the topic to watch is `{shown}`: Kafka allows 1 to 249 letters, digits, `.`, `_` and `-` here"
            ));
        }
        if !EVERY.contains(&self.every) {
            let (least, most) = (EVERY.start(), EVERY.end());
            return wrong(format!(
                "the lag is to be measured every {:?}: {least:?} to {most:?} are possible",
                self.every
            ));
        }
        if self.older_than.len() > MAX_AGES {
            let count = self.older_than.len();
            return wrong(format!("{count} ages are to be watched: at most {MAX_AGES} are possible in one watch"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch { group: "g".into(), topics: vec!["t".into()], every: *EVERY.start(), older_than: vec![] }
    }

    fn refused(watch: Watch, because: &str) {
        let error = watch.check().expect_err(because);
        assert!(error.kind() == ErrorKind::Argument && error.message().contains(because), "{error}");
    }

    #[test]
    fn what_is_within_all_bounds_is_taken() {
        watch().check().unwrap();
        let topics = (0..MAX_TOPICS).map(|i| format!("t-{i}")).collect();
        let older_than = vec![Duration::MAX; MAX_AGES];
        Watch { group: "g".repeat(MAX_GROUP), topics, every: *EVERY.end(), older_than }.check().unwrap();
        Watch { topics: vec![], ..watch() }.check().unwrap();
    }

    #[test]
    fn a_group_without_a_name_or_with_too_long_a_one_is_refused() {
        for group in [String::new(), "g".repeat(MAX_GROUP + 1), "g\0".into()] {
            refused(Watch { group, ..watch() }, "group");
        }
    }

    #[test]
    fn topics_that_kafka_cannot_have_and_too_many_are_refused() {
        for name in ["", "a b", "a/b", "a\0", &"t".repeat(250)] {
            refused(Watch { topics: vec![name.into()], ..watch() }, "topic");
        }
        refused(Watch { topics: vec!["t".into(); MAX_TOPICS + 1], ..watch() }, "topics");
    }

    #[test]
    fn too_often_too_rarely_and_too_many_ages_are_refused() {
        let step = Duration::from_nanos(1);
        for every in [Duration::ZERO, *EVERY.start() - step, *EVERY.end() + step, Duration::MAX] {
            refused(Watch { every, ..watch() }, "every");
        }
        refused(Watch { older_than: vec![Duration::ZERO; MAX_AGES + 1], ..watch() }, "ages");
    }
}
