//! What is written beside the log: messages of the compacted state topic, one at a time, so that a large snapshot does not
//! hold up the records that shares live from. And the mark that ties them to one log.

use super::health::Health;
use super::words;
use crate::lock::Mutex;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) type Message = (Vec<u8>, Vec<u8>);

/// A message is only good for the log that it was made from: a topic of the same name that was created anew has another
/// id, and offsets that mean something else. It stands before each value; zero = not known.
pub(super) type LogId = (i64, i64);
const MARK: usize = 16;

pub(super) fn mark(id: Option<LogId>, value: &[u8]) -> Vec<u8> {
    let (high, low) = id.unwrap_or((0, 0));
    [&high.to_le_bytes()[..], &low.to_le_bytes(), value].concat()
}

/// The value behind the mark; `None` if it was made from another log than `id`.
pub(super) fn unmark(id: Option<LogId>, mut value: Vec<u8>) -> Option<Vec<u8>> {
    let number = |at: usize| value.get(at..at + 8)?.try_into().ok().map(i64::from_le_bytes);
    let made_from = (number(0)?, number(8)?);
    let other = id.is_some_and(|id| id != made_from) && made_from != (0, 0);
    let rest = value.split_off(MARK);
    (!other).then_some(rest)
}

/// Messages that wait to be written: the latest that was handed over of each partition, no more.
pub(super) struct StateWriter {
    waiting: Mutex<Waiting>,
    health: Arc<Health>,
}

#[derive(Default)]
struct Waiting {
    of: BTreeMap<u32, VecDeque<Message>>,
    /// The partition whose message is under way.
    sent: Option<u32>,
    denied: Option<Instant>,
}

/// Who may not write tries again after so long: a producer that is refused has to be replaced, and holds up the records.
const DENIED: Duration = Duration::from_secs(600);

impl Waiting {
    fn is_denied(&self) -> bool {
        self.denied.is_some_and(|at| at.elapsed() < DENIED)
    }
}

impl StateWriter {
    pub(super) fn new(health: Arc<Health>) -> StateWriter {
        StateWriter { waiting: Mutex::default(), health }
    }

    pub(super) fn put(&self, partition: u32, messages: Vec<Message>) {
        let mut waiting = self.waiting.lock();
        if !waiting.is_denied() {
            waiting.of.insert(partition, messages.into());
        }
    }

    /// The next message, if none is under way.
    pub(super) fn take(&self) -> Option<(u32, Message)> {
        let mut waiting = self.waiting.lock();
        if waiting.sent.is_some() || waiting.is_denied() {
            return None;
        }
        let partition = *waiting.of.first_key_value()?.0;
        let messages = waiting.of.get_mut(&partition)?;
        let message = messages.pop_front();
        if messages.is_empty() {
            waiting.of.remove(&partition);
        }
        waiting.sent = message.is_some().then_some(partition);
        Some((partition, message?))
    }

    /// What became of the message under way. What is half written is worth nothing: after a failure the rest is dropped.
    pub(super) fn done(&self, failure: Option<Code>) {
        let mut waiting = self.waiting.lock();
        if let (Some(partition), true) = (waiting.sent.take(), failure.is_some()) {
            waiting.of.remove(&partition);
        }
        if failure.is_some_and(words::denied) {
            waiting.denied = Some(Instant::now());
            waiting.of.clear();
        }
        drop(waiting);
        self.health.state_written(failure);
    }

    /// The producer gave up and tells nothing of what it had: whether that was a message of the state.
    pub(super) fn lost(&self, code: Code) -> bool {
        let under_way = self.waiting.lock().sent.is_some();
        if under_way {
            self.done(Some(code));
        }
        under_way
    }

    pub(super) fn is_idle(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.sent.is_none() && waiting.of.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> StateWriter {
        StateWriter::new(Arc::new(Health::new()))
    }

    fn messages(of: u8, count: u8) -> Vec<Message> {
        (0..count).map(|i| (vec![of, i], vec![i])).collect()
    }

    #[test]
    fn a_message_of_another_log_is_told_from_one_of_this_log() {
        let (one, other) = (Some((1, 2)), Some((1, 3)));
        assert_eq!(unmark(one, mark(one, b"x")), Some(b"x".to_vec()));
        assert_eq!(unmark(other, mark(one, b"x")), None);
        assert_eq!(unmark(None, mark(one, b"x")), Some(b"x".to_vec()), "who does not know the log's id takes it");
        assert_eq!(unmark(one, mark(None, b"x")), Some(b"x".to_vec()));
        assert_eq!(unmark(one, b"short".to_vec()), None);
    }

    #[test]
    fn one_message_at_a_time_is_under_way_and_all_come_in_order() {
        let writer = writer();
        writer.put(3, messages(3, 2));
        assert_eq!(writer.take().unwrap(), (3, (vec![3, 0], vec![0])));
        assert_eq!(writer.take(), None);
        writer.done(None);
        assert_eq!(writer.take().unwrap(), (3, (vec![3, 1], vec![1])));
        assert!(!writer.is_idle());
        writer.done(None);
        assert!(writer.is_idle() && writer.take().is_none());
    }

    #[test]
    fn a_failure_drops_the_rest_of_its_partition_only_and_is_remembered_until_one_is_written() {
        let writer = writer();
        writer.put(1, messages(1, 5));
        writer.put(2, messages(2, 1));
        writer.take();
        writer.done(Some(Code::MessageSizeTooLarge));
        assert_eq!(writer.health.state_failure(), Some(Code::MessageSizeTooLarge));
        assert_eq!(writer.take().unwrap().0, 2);
        writer.done(None);
        assert_eq!(writer.health.state_failure(), None);
    }

    #[test]
    fn who_may_not_write_does_not_try_at_once_again() {
        let writer = writer();
        writer.put(1, messages(1, 2));
        assert!(!writer.lost(Code::Fail), "nothing is under way");
        writer.take();
        assert!(writer.lost(Code::TopicAuthorizationFailed));
        writer.put(1, messages(1, 2));
        assert!(writer.take().is_none() && writer.is_idle());
    }
}
