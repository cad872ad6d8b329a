//! Looks after the topic of snapshots. Sharing goes on without it for as long as the claims are kept, so what is wrong with
//! it is a warning; except that it loses snapshots, which would be noticed only when they are needed.

use super::admin::{Admin, Failed};
use super::checks;
use super::words::{self, Problem};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::time::Duration;

/// So many looks pass until a topic that was just created is there, with leaders.
const NEWBORN: u32 = 20;

pub(super) struct StateTopic {
    admin: Admin,
    name: String,
    /// Its settings were looked at.
    checked: bool,
    looks: u32,
}

pub(super) enum State {
    /// So many partitions can be used, perhaps with a warning that nobody has to wait for.
    There(u32, Option<Problem>),
    /// It was just created: look again.
    Soon,
    /// It cannot be used now.
    Without(Option<String>),
    Wrong(Problem),
}

/// What is known of the claims topic, which this one follows.
pub(super) struct Like {
    pub partitions: u32,
    pub replication: u32,
    pub brokers: u32,
    pub controller: bool,
}

impl StateTopic {
    pub(super) fn new(admin: Admin, name: &str) -> StateTopic {
        StateTopic { admin, name: name.to_owned(), checked: false, looks: 0 }
    }

    pub(super) fn look(&mut self, like: &Like, waiting: &mut dyn FnMut(Duration) -> bool) -> Result<State, Failed> {
        let cannot =
            |code, text: &str, doing| Ok(State::Without(Some(words::no_snapshots(code, text, doing, &self.name))));
        let topic = match self.admin.look(waiting) {
            Ok(cluster) => cluster.topic,
            Err(Failed::Kafka(Code::TopicAuthorizationFailed, text)) => {
                return cannot(Code::TopicAuthorizationFailed, &text, "looked for in");
            }
            Err(failed) => return Err(failed),
        };
        let Some(topic) = topic else {
            self.checked = false;
            // A mock broker has no controller, and the topics that it was started with.
            if !like.controller {
                return Ok(State::Without(None));
            }
            let copies = u16::try_from(like.replication).unwrap_or(u16::MAX).max(1);
            let settings = checks::settings_of_a_new_state_topic(copies);
            return match self.admin.create(like.partitions, copies, &settings, waiting) {
                Ok(()) if self.looks < NEWBORN => {
                    self.looks += 1;
                    Ok(State::Soon)
                }
                Ok(()) => Ok(State::Without(None)),
                Err(Failed::Kafka(code, text)) => cannot(code, &text, "kept in"),
                Err(failed) => Err(failed),
            };
        };
        if topic.leaderless.is_some() && self.looks < NEWBORN {
            self.looks += 1;
            return Ok(State::Soon);
        }
        let mut warning = None;
        if like.controller && !self.checked {
            match self.admin.settings(waiting) {
                Ok(found) => match checks::judge_state(&self.name, topic.replication, like.brokers, &found) {
                    Err(problem) => return Ok(State::Wrong(problem)),
                    Ok(found) => warning = found,
                },
                Err(Failed::Stopped) => return Err(Failed::Stopped),
                // Not allowed to see them: then they are not judged.
                Err(Failed::Kafka(..)) => {}
            }
            self.checked = true;
        }
        if like.controller && topic.partitions < like.partitions {
            // The claims topic was given more: their snapshots need a place, and can do without for a while.
            return match self.admin.grow(like.partitions, waiting) {
                Ok(()) if self.looks < NEWBORN => {
                    self.looks += 1;
                    Ok(State::Soon)
                }
                Err(Failed::Stopped) => Err(Failed::Stopped),
                _ => Ok(State::There(topic.partitions, warning)),
            };
        }
        self.looks = 0;
        Ok(State::There(topic.partitions, warning))
    }
}
