//! Looks after the topic: creates or checks it, notices when it changes, and says what is wrong. The only thread that
//! speaks of trouble, so that each is said once and taken back when it is over.

use super::admin::{Admin, Failed};
use super::checks;
use super::client::Consumer;
use super::settings::{Checked, Replication, AUTO_REPLICATION};
use super::shared::Shared;
use super::state_topic::{Like, State, StateTopic};
use super::words::{self, Problem};
use crate::storage::StorageEvent;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two looks at the topic while all is well: how soon added partitions, or a topic that was deleted and
/// created again, are noticed.
const STEADY: Duration = Duration::from_secs(30);
/// Time between two tries while something is wrong.
const RETRY: Duration = Duration::from_millis(500);
/// The first time between two tries to have the topics as they should be, where that is no trouble yet: snapshots that have
/// no place, partitions that the other topic has. Each time twice as long, up to `STEADY`: the cause may be over at once (a
/// busy controller), or last until somebody grants a right.
const AGAIN: Duration = Duration::from_secs(1);
/// A connection was lost, though other brokers answer: its partitions may lose their leaders a little later.
const UNEASY: Duration = Duration::from_secs(15);
/// However much news there is, looks are at least so far apart.
const BETWEEN: Duration = Duration::from_millis(100);
/// So long an answer may take before the cause, if one is known, is said aloud: while nothing was reached yet, and later,
/// when the cause may well be one broker of many.
const PATIENCE: Duration = Duration::from_millis(300);
const PATIENCE_LATER: Duration = Duration::from_secs(2);

/// A topic that was just created has no leaders for a moment: so many looks pass before that is trouble.
const NEWBORN: u32 = 20;

/// A topic with fewer copies than `auto` wants is created only when no broker has come or gone for so long.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) struct Keeper {
    admin: Admin,
    state: StateTopic,
    settings: Checked,
    mouth: Mouth,
    /// Partitions and replication, as announced.
    known: Option<(u32, u32)>,
    id: Option<(i64, i64)>,
    /// The topic's settings were looked at.
    checked: bool,
    /// The topic that was known is not there.
    gone: bool,
    leaderless_looks: u32,
    /// How many brokers there were, and since when, while there was no topic.
    brokers: Option<(u16, Instant)>,
    /// Why there are no snapshots.
    no_state: Option<String>,
    /// The next pause while that is so.
    again: Duration,
}

enum Look {
    Well,
    Wrong(Problem),
    Stopped,
}

impl Keeper {
    pub(super) fn new(consumer: Arc<Consumer>, settings: Checked, shared: Arc<Shared>) -> Keeper {
        Keeper {
            admin: Admin::new(consumer.clone(), &settings.topic, &settings.servers),
            state: StateTopic::new(Admin::new(consumer, &settings.state, &settings.servers), &settings.state),
            settings,
            mouth: Mouth { shared, told: None, warned: None },
            no_state: None,
            again: AGAIN,
            known: None,
            id: None,
            checked: false,
            gone: false,
            leaderless_looks: 0,
            brokers: None,
        }
    }

    pub(super) fn run(mut self) {
        let shared = self.mouth.shared.clone();
        let mut uneasy_until = Instant::now();
        while !shared.stopping() {
            if shared.health.cause().is_some() {
                uneasy_until = Instant::now() + UNEASY;
            }
            let pause = match self.look() {
                Look::Stopped => return,
                Look::Wrong(problem) => {
                    self.mouth.say(Some(problem));
                    RETRY
                }
                Look::Well => {
                    shared.health.reached();
                    let append =
                        || shared.health.append_failure().map(|code| words::append_error(code, &self.settings));
                    let read =
                        shared.health.read_failure().map(|code| words::topic_error(code, "", "read", &self.settings));
                    self.mouth.say(read.or_else(append));
                    self.mouth.warn_of(self.state_warning());
                    let (pause, again) = match self.no_state {
                        Some(_) => (self.again, (self.again * 2).min(STEADY)),
                        None => (STEADY, AGAIN),
                    };
                    self.again = again;
                    if Instant::now() < uneasy_until {
                        RETRY
                    } else {
                        pause
                    }
                }
            };
            std::thread::sleep(BETWEEN);
            shared.health.wait(pause);
        }
    }

    fn state_warning(&self) -> Option<String> {
        let (health, name) = (&self.mouth.shared.health, &self.settings.state);
        let denied = |doing| move |code| words::no_snapshots(code, "", doing, name);
        self.no_state
            .clone()
            .or_else(|| health.state_failure().map(denied("written to")))
            .or_else(|| health.state_read_failure().map(denied("read from")))
    }

    fn look(&mut self) -> Look {
        match self.try_look() {
            Ok(None) => Look::Well,
            Ok(Some(problem)) => Look::Wrong(problem),
            Err((Failed::Stopped, _)) => Look::Stopped,
            Err((Failed::Kafka(code, text), doing)) => Look::Wrong(match code {
                code if words::unanswered(code) => words::unreachable(self.mouth.shared.health.cause(), &self.settings),
                code => words::topic_error(code, &text, doing, &self.settings),
            }),
        }
    }

    fn try_look(&mut self) -> Result<Option<Problem>, (Failed, &'static str)> {
        let (admin, settings, mouth) = (&mut self.admin, &self.settings, &mut self.mouth);
        let cluster = admin.look(&mut |waited| mouth.waiting(waited, settings)).map_err(|e| (e, "read"))?;
        let Some(topic) = cluster.topic else {
            self.gone = self.known.is_some();
            let copies = match settings.replication {
                Replication::Auto => cluster.brokers.clamp(1, AUTO_REPLICATION),
                Replication::Factor(factor) => factor,
            };
            // A cluster that is just starting shows its brokers one by one, and the copies stay as few for ever.
            let (brokers, since) = *self.brokers.get_or_insert((cluster.brokers, Instant::now()));
            if brokers != cluster.brokers {
                self.brokers = None;
            }
            if settings.replication == Replication::Auto && copies < AUTO_REPLICATION && since.elapsed() < SETTLE {
                mouth.shared.health.look();
                return Ok(None);
            }
            let config = checks::settings_of_a_new_topic(copies);
            admin
                .create(settings.partitions, copies, &config, &mut |waited| mouth.waiting(waited, settings))
                .map_err(|e| (e, "create"))?;
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
        let controller = cluster.controller;
        if controller && !self.checked {
            match admin.settings(&mut |waited| mouth.waiting(waited, settings)) {
                Ok(found) => {
                    match checks::judge(&settings.topic, topic.replication, u32::from(cluster.brokers), &found) {
                        Err(problem) => return Ok(Some(problem)),
                        Ok(warning) => mouth.warn(warning),
                    }
                }
                Err(Failed::Stopped) => return Err((Failed::Stopped, "read")),
                // Not allowed to see them: then they are not judged.
                Err(Failed::Kafka(..)) => {}
            }
            self.checked = true;
        }
        let id = if controller {
            match admin.topic_id(&mut |waited| mouth.waiting(waited, settings)) {
                Err(Failed::Stopped) => return Err((Failed::Stopped, "read")),
                Err(Failed::Kafka(..)) => None,
                Ok(id) => id,
            }
        } else {
            None
        };
        if id.is_some() {
            mouth.shared.log_is(id);
        }
        let like = Like {
            partitions: topic.partitions,
            replication: topic.replication,
            brokers: u32::from(cluster.brokers),
            controller,
        };
        match self.state.look(&like, &mut |waited| mouth.waiting(waited, settings)).map_err(|e| (e, "read"))? {
            State::There(partitions, warning) => {
                mouth.shared.state_is(partitions.min(topic.partitions));
                mouth.warn(warning);
                self.no_state = None;
                if partitions < topic.partitions {
                    self.no_state = Some(words::few_partitions(&settings.state, partitions, topic.partitions));
                }
                if partitions > topic.partitions {
                    // It was given more, as the one that people know by name: the claims follow.
                    match controller.then(|| admin.grow(partitions, &mut |waited| mouth.waiting(waited, settings))) {
                        Some(Ok(())) => {
                            mouth.shared.health.look();
                            return Ok(None);
                        }
                        Some(Err(Failed::Stopped)) => return Err((Failed::Stopped, "read")),
                        Some(Err(Failed::Kafka(..))) | None => {
                            self.no_state = Some(words::few_partitions(&settings.topic, topic.partitions, partitions));
                        }
                    }
                }
            }
            State::Soon => {
                mouth.shared.health.look();
                return Ok(None);
            }
            State::Without(why) => {
                mouth.shared.state_is(0);
                self.no_state = why.map(|why| settings.secrets.hide(&why));
            }
            State::Wrong(problem) => return Ok(Some(problem)),
        }
        let now = (topic.partitions, topic.replication);
        if self.known != Some(now) || mouth.shared.take_asked() {
            self.known = Some(now);
            mouth.shared.topic_is(topic.partitions, topic.replication);
        }
        if self.gone || (self.id.is_some() && id.is_some() && self.id != id) {
            let name = &settings.topic;
            let message =
                format!("the topic `{name}` was deleted and created again: its state is gone, shares start anew");
            mouth.warn(Some(Problem::new("created anew", false, message)));
            mouth.shared.start_over();
            (self.gone, self.checked, self.id) = (false, false, None);
            // Its settings are looked at next.
            mouth.shared.health.look();
        }
        self.id = id.or(self.id);
        Ok(None)
    }
}

/// Says each trouble once.
struct Mouth {
    shared: Arc<Shared>,
    told: Option<Problem>,
    warned: Option<String>,
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

    /// Something that harms nobody yet, told once; `None`: over.
    fn warn_of(&mut self, message: Option<String>) {
        if self.warned != message {
            self.warned.clone_from(&message);
            self.shared.send(StorageEvent::Warning { message });
        }
    }

    /// An answer takes long: says why, if the client knows. False: stop waiting.
    fn waiting(&mut self, waited: Duration, settings: &Checked) -> bool {
        let patience = if self.shared.partitions() == 0 { PATIENCE } else { PATIENCE_LATER };
        if waited > patience && self.told.is_none() {
            if let Some(cause) = self.shared.health.cause() {
                self.say(Some(words::unreachable(Some(cause), settings)));
            }
        }
        !self.shared.stopping()
    }
}
