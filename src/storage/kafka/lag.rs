//! Watches how far a consumer group is behind: a thread and a client for each watch. The client bears the group's name,
//! as the questions of one consumer would, but it neither subscribes nor assigns: it is no member, and no rebalance
//! follows. The questions themselves are in `lag_offsets`.

use super::admin::Waiting;
use super::bootstrap::Bootstrap;
use super::client::{Consumer, Silent};
use super::health::Health;
use super::lag_offsets::{Failure, Offsets, Spec, Topic};
use super::queue::{Polled, Queue};
use super::settings::{explain, Checked};
use super::words;
use crate::error::{Error, ErrorKind};
use crate::storage::lag::{MAX_PARTITIONS, MAX_TOPICS};
use crate::storage::{Lag, LagGuard, LagSource, Report, Watch};
use crossbeam::channel::{bounded, Receiver, RecvTimeoutError, Sender, TryRecvError};
use rdkafka::consumer::Consumer as _;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fmt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A measurement that has taken so long failed: all its questions together.
const MEASURE_WITHIN: Duration = Duration::from_secs(5);
/// The dropping of a guard waits at most so long for its thread.
const END_WITHIN: Duration = Duration::from_secs(1);
/// How often the client's errors are taken from its queue between two measurements, so that they do not pile up.
const DRAIN: Duration = Duration::from_secs(1);

pub(super) struct KafkaLags {
    settings: Checked,
}

impl KafkaLags {
    pub(super) fn new(settings: Checked) -> KafkaLags {
        KafkaLags { settings }
    }
}

/// The settings may hold secrets.
impl fmt::Debug for KafkaLags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLags").field("servers", &self.settings.servers).finish_non_exhaustive()
    }
}

impl LagSource for KafkaLags {
    fn watch(&self, mut watch: Watch, report: Report) -> Result<LagGuard, Error> {
        watch.check()?;
        // Kafka is asked for each once.
        watch.topics = watch.topics.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let group = CString::new(watch.group.as_str()).expect("a checked group name");
        let (stop, stopped) = bounded(0);
        let (running, ended) = bounded::<()>(0);
        let client = Client::new(&self.settings, &watch.group)?;
        let watcher = Watcher { settings: self.settings.clone(), watch, group, client, health: Health::new(), stopped };
        let body = move || {
            let _running = running;
            watcher.run(report);
        };
        let thread = std::thread::Builder::new().name("tidegate-lag".into()).spawn(body).map_err(|error| {
            let cure = "raise the limit on threads of this process";
            Error::new(ErrorKind::Storage, format!("cannot start the thread `tidegate-lag` ({error}): {cure}"))
        })?;
        Ok(Box::new(Guard { thread: Some((stop, ended, thread)), pid: std::process::id() }))
    }
}

struct Guard {
    /// Dropping the first ends the thread; the second is disconnected once it has ended.
    thread: Option<(Sender<()>, Receiver<()>, JoinHandle<()>)>,
    pid: u32,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some((stop, ended, thread)) = self.thread.take() else { return };
        if self.pid != std::process::id() {
            // A child of `fork`: there is no thread, and the channels' locks may be held for ever.
            std::mem::forget((stop, ended, thread));
            return;
        }
        drop(stop);
        // A report may end its own watch; whoever waits for himself waits for ever.
        let own = thread.thread().id() == std::thread::current().id();
        if !own && ended.recv_timeout(END_WITHIN) == Err(RecvTimeoutError::Disconnected) {
            let _ = thread.join();
        }
        // A thread that is still busy ends by itself; it reports nothing more.
    }
}

struct Client {
    consumer: Arc<Consumer>,
    /// Of the client's errors: nothing else comes to one that reads nothing.
    errors: Queue,
}

impl Client {
    fn new(settings: &Checked, group: &str) -> Result<Client, Error> {
        let mut config = settings.consumer.clone();
        config.set("group.id", group);
        let refused = |error| explain(error, &BTreeMap::new(), &settings.secrets).message;
        let consumer = config.create_with_context(Silent);
        let consumer = Arc::new(consumer.map_err(|error| Error::new(ErrorKind::Config, refused(error)))?);
        let errors = Queue::of_consumer(&consumer);
        Ok(Client { consumer, errors })
    }
}

struct Watcher {
    settings: Checked,
    watch: Watch,
    group: CString,
    client: Client,
    /// Why Kafka cannot be reached, as far as the client knows.
    health: Health,
    /// Disconnected when the watch is over.
    stopped: Receiver<()>,
}

impl Watcher {
    fn run(self, mut report: Report) {
        let mut coordinator = None;
        let mut bootstrap = Bootstrap::new(&self.settings.servers);
        let mut due = Instant::now();
        loop {
            let measured = catch_unwind(AssertUnwindSafe(|| self.measure(&mut coordinator)));
            let measured = measured.unwrap_or_else(|_| Err(Failure::Said(words::lag_defect(&self.watch.group))));
            if self.is_over() {
                return;
            }
            if measured.is_ok() {
                self.health.reached();
            }
            let answered = !measured.as_ref().is_err_and(Failure::is_unanswered);
            bootstrap.note(answered, self.client.consumer.client().native_ptr());
            report(measured.map_err(|failure| self.explain(failure)));
            due = (due + self.watch.every).max(Instant::now());
            while Instant::now() < due {
                let until = due.min(Instant::now() + DRAIN);
                if self.stopped.recv_deadline(until) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                self.take_errors();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stopped.try_recv() != Err(TryRecvError::Empty)
    }

    fn take_errors(&self) {
        loop {
            match self.client.errors.poll(Duration::ZERO, c"") {
                Polled::Nothing => return,
                Polled::ClientError { code, text } => self.health.client_error(code, &text),
                _ => {}
            }
        }
    }

    fn measure(&self, coordinator: &mut Option<i32>) -> Result<Lag, Failure> {
        let start = Instant::now();
        let waiting: Waiting<'_> = &mut |_| {
            self.take_errors();
            !self.is_over() && start.elapsed() < MEASURE_WITHIN
        };
        let mut kafka = Offsets { consumer: &self.client.consumer, coordinator, waiting };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Watch { group, topics, older_than, .. } = &self.watch;

        // First of all: records that come, or are read, while the rest is asked are counted rather than missed.
        let committed = kafka.committed(&self.group)?;
        if committed.is_empty() && !kafka.is_known(&self.group)? {
            return Err(Failure::Said(words::unknown_group(group)));
        }
        let whatever_is_committed = topics.is_empty();
        let names: Vec<&str> = if whatever_is_committed {
            committed.keys().map(String::as_str).collect()
        } else {
            topics.iter().map(String::as_str).collect()
        };
        if names.is_empty() {
            return Err(Failure::Said(words::nothing_committed(group)));
        }
        if names.len() > MAX_TOPICS {
            return Err(Failure::Said(words::too_many(group, names.len(), "topics", MAX_TOPICS)));
        }
        let topics = kafka.topics(&names, whatever_is_committed)?;
        let count: usize = topics.iter().map(|topic| topic.partitions as usize).sum();
        if count > MAX_PARTITIONS {
            return Err(Failure::Said(words::too_many(group, count, "partitions", MAX_PARTITIONS)));
        }
        if count == 0 {
            // Its topics were just deleted.
            return Err(Failure::Said(words::nothing_committed(group)));
        }
        let (starts, ends) = (kafka.list(&topics, Spec::Start)?, kafka.list(&topics, Spec::End)?);
        let partitions: Vec<Unread> = committed_of(&topics, &committed)
            .zip(starts.into_iter().zip(ends))
            .map(|(committed, (start, end))| Unread::new(committed, start.unwrap_or(0), end.unwrap_or(0)))
            .collect();
        let records = partitions.iter().map(Unread::records).sum();
        let mut older = vec![false; older_than.len()];
        if records > 0 {
            for (older, age) in older.iter_mut().zip(older_than) {
                let since = i64::try_from(now.saturating_sub(*age).as_millis()).unwrap_or(i64::MAX);
                let young = kafka.list(&topics, Spec::Since(since))?;
                *older = partitions.iter().zip(young).any(|(partition, young)| partition.is_older_than(young));
            }
        }
        Ok(Lag { records, older })
    }

    fn explain(&self, failure: Failure) -> String {
        let (group, answered) = (&self.watch.group, !failure.is_unanswered());
        let text = match failure {
            Failure::Said(text) => text,
            Failure::Topic(topic, code) => words::lag_of_topic(code, &topic, group),
            Failure::Kafka(code, text) if answered => words::lag_of_group(code, &text, group),
            Failure::Stopped | Failure::Kafka(..) => words::lag_unreachable(group, self.health.cause(), &self.settings),
        };
        self.settings.secrets.hide(&text)
    }
}

/// What was committed for each partition, in the topics' order.
fn committed_of<'a>(
    topics: &'a [Topic],
    committed: &'a BTreeMap<String, BTreeMap<u32, u64>>,
) -> impl Iterator<Item = Option<u64>> + 'a {
    topics.iter().flat_map(|topic| {
        let of_topic = topic.name.to_str().ok().and_then(|name| committed.get(name));
        (0..topic.partitions).map(move |partition| of_topic.and_then(|of| of.get(&partition)).copied())
    })
}

/// What of one partition the group has not read.
struct Unread {
    from: u64,
    end: u64,
}

impl Unread {
    fn new(committed: Option<u64>, start: u64, end: u64) -> Unread {
        Unread { from: committed.unwrap_or(start).max(start), end }
    }

    fn records(&self) -> u64 {
        // A topic that was created anew ends before what was committed to the old one.
        self.end.saturating_sub(self.from)
    }

    /// `young`: the partition's first record that is not older; `None`: all are.
    fn is_older_than(&self, young: Option<u64>) -> bool {
        self.from < young.unwrap_or(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_is_what_lies_between_the_committed_offset_and_the_end() {
        assert_eq!(Unread::new(Some(30), 10, 100).records(), 70);
        assert_eq!(Unread::new(Some(100), 10, 100).records(), 0);
    }

    #[test]
    fn without_a_committed_offset_or_with_one_below_the_logs_start_the_start_counts() {
        assert_eq!(Unread::new(None, 10, 100).records(), 90);
        assert_eq!(Unread::new(Some(3), 10, 100).records(), 90);
        assert_eq!(Unread::new(None, 100, 100).records(), 0);
    }

    #[test]
    fn an_offset_beyond_the_end_counts_as_the_end() {
        let gone = Unread::new(Some(500), 0, 100);
        assert!(gone.records() == 0 && !gone.is_older_than(None) && !gone.is_older_than(Some(7)));
    }

    #[test]
    fn an_unread_record_is_old_when_it_comes_before_the_first_young_one() {
        let unread = Unread::new(Some(30), 10, 100);
        assert!(unread.is_older_than(Some(31)) && unread.is_older_than(None));
        assert!(!unread.is_older_than(Some(30)) && !unread.is_older_than(Some(12)));
        assert!(!Unread::new(Some(100), 10, 100).is_older_than(None), "there is none");
    }

    #[test]
    fn offsets_find_their_partitions_whatever_else_was_committed() {
        let topic = |name: &str, partitions| Topic { name: CString::new(name).unwrap(), partitions };
        let committed = BTreeMap::from([
            ("a".to_owned(), BTreeMap::from([(1, 11), (7, 17)])),
            ("b".to_owned(), BTreeMap::from([(0, 20)])),
        ]);
        let found: Vec<_> = committed_of(&[topic("b", 2), topic("c", 1), topic("a", 3)], &committed).collect();
        assert_eq!(found, [Some(20), None, None, None, Some(11), None]);
    }
}
