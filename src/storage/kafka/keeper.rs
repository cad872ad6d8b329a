//! Looks after the topic: creates or checks it, notices when it changes, and says what is wrong. The only thread that
//! speaks of trouble, so that each is said once and taken back when it is over.

use super::admin::{Admin, Failed, Topic};
use super::checks;
use super::settings::{Checked, Replication, AUTO_REPLICATION};
use super::shared::Shared;
use super::words::{self, Problem};
use crate::storage::StorageEvent;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks at the topic while all is well: how soon added partitions, or a topic that was deleted and
/// created again, are noticed.
const STEADY: Duration = Duration::from_secs(30);
/// Time between two tries while something is wrong.
const RETRY: Duration = Duration::from_millis(500);
/// However much news there is, looks are at least so far apart.
const BETWEEN: Duration = Duration::from_millis(100);
/// So long an answer may take before the cause, if one is known, is said aloud.
const PATIENCE: Duration = Duration::from_millis(300);

/// A topic that was just created has no leaders for a moment: so many looks pass before that is trouble.
const NEWBORN: u32 = 20;

pub(super) struct Keeper {
    admin: Admin,
    settings: Checked,
    mouth: Mouth,
    known: Option<Topic>,
    /// The topic whose settings were checked.
    checked: Option<(i64, i64)>,
    leaderless_looks: u32,
}

enum Look {
    Well,
    Wrong(Problem),
    Stopped,
}

impl Keeper {
    pub fn new(admin: Admin, settings: Checked, shared: Arc<Shared>) -> Keeper {
        Keeper { admin, settings, mouth: Mouth { shared, told: None }, known: None, checked: None, leaderless_looks: 0 }
    }

    pub fn run(mut self) {
        let shared = self.mouth.shared.clone();
        while !shared.stopping() {
            let pause = match self.look() {
                Look::Stopped => return,
                Look::Wrong(problem) => {
                    self.mouth.say(Some(problem));
                    RETRY
                }
                Look::Well => {
                    shared.health.reached();
                    let append = shared.health.append_failure().map(|code| words::append_error(code, &self.settings));
                    self.mouth.say(append);
                    STEADY
                }
            };
            std::thread::sleep(BETWEEN);
            shared.health.wait(pause);
        }
    }

    fn look(&mut self) -> Look {
        match self.try_look() {
            Ok(None) => Look::Well,
            Ok(Some(problem)) => Look::Wrong(problem),
            Err((Failed::Stopped, _)) => Look::Stopped,
            Err((Failed::Kafka(code, text), doing)) => Look::Wrong(match code {
                Code::OperationTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::RequestTimedOut => words::unreachable(self.mouth.shared.health.cause(), &self.settings),
                code => words::topic_error(code, &text, doing, &self.settings),
            }),
        }
    }

    fn try_look(&mut self) -> Result<Option<Problem>, (Failed, &'static str)> {
        let (admin, settings, mouth) = (&self.admin, &self.settings, &mut self.mouth);
        let mut waiting = |waited| mouth.waiting(waited, settings);
        let Some(topic) = admin.describe(&mut waiting).map_err(|e| (e, "read"))? else {
            let brokers = admin.brokers(&mut waiting).map_err(|e| (e, "read"))?;
            let copies = match settings.replication {
                Replication::Auto => brokers.clamp(1, AUTO_REPLICATION),
                Replication::Factor(factor) => factor,
            };
            let config = checks::settings_of_a_new_topic(copies);
            admin.create(settings.partitions, copies, &config, &mut waiting).map_err(|e| (e, "create"))?;
            // It takes the brokers a moment to know of it: the next look finds it.
            mouth.shared.health.look();
            return Ok(None);
        };
        if let Some(partition) = topic.leaderless {
            self.leaderless_looks += 1;
            if self.known.is_none() && self.leaderless_looks < NEWBORN {
                mouth.shared.health.look();
                return Ok(None);
            }
            let message = format!(
                "partition {partition} of the topic `{}` has no leader: a broker is down; Kafka chooses another within \
                 about 10 s if replicas are left",
                settings.topic
            );
            return Ok(Some(Problem::new("no leader", false, message)));
        }
        self.leaderless_looks = 0;
        if self.checked != Some(topic.id) {
            match admin.settings(&mut waiting) {
                Ok(found) => match checks::judge(&settings.topic, topic.replication, &found) {
                    Err(problem) => return Ok(Some(problem)),
                    Ok(warning) => mouth.warn(warning),
                },
                Err(Failed::Stopped) => return Err((Failed::Stopped, "read")),
                // Not allowed to see them, or a server that has none: nothing to check.
                Err(Failed::Kafka(..)) => {}
            }
            self.checked = Some(topic.id);
        }
        self.learn(topic);
        Ok(None)
    }

    fn learn(&mut self, topic: Topic) {
        let shared = &self.mouth.shared;
        if self.known.as_ref().is_some_and(|known| known.id != topic.id) {
            shared.start_over();
            let name = &self.settings.topic;
            let message =
                format!("the topic `{name}` was deleted and created again: its state is gone, shares start anew");
            self.mouth.warn(Some(Problem::new("created anew", false, message)));
        }
        let shared = &self.mouth.shared;
        let numbers = |topic: &Topic| (topic.partitions, topic.replication);
        if self.known.as_ref().map(numbers) != Some(numbers(&topic)) {
            shared.topic_is(topic.partitions, topic.replication);
        }
        self.known = Some(topic);
    }
}

/// Says each trouble once.
struct Mouth {
    shared: Arc<Shared>,
    told: Option<Problem>,
}

impl Mouth {
    fn say(&mut self, problem: Option<Problem>) {
        let same = match (&self.told, &problem) {
            (Some(a), Some(b)) => a.kind == b.kind && a.fatal == b.fatal,
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        match &problem {
            Some(Problem { message, fatal, .. }) => {
                self.shared.send(StorageEvent::Trouble { message: message.clone(), fatal: *fatal })
            }
            None => self.shared.send(StorageEvent::Recovered),
        }
        self.told = problem;
    }

    /// Something that nobody has to wait for.
    fn warn(&mut self, warning: Option<Problem>) {
        if let Some(warning) = warning {
            self.say(Some(warning));
            self.say(None);
        }
    }

    /// An answer takes long: says why, if the client knows. False: stop waiting.
    fn waiting(&mut self, waited: Duration, settings: &Checked) -> bool {
        if waited > PATIENCE && self.told.is_none() {
            if let Some(cause) = self.shared.health.cause() {
                self.say(Some(words::unreachable(Some(cause), settings)));
            }
        }
        !self.shared.stopping()
    }
}
