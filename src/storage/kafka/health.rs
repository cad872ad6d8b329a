//! What the clients' threads have noticed, kept until the keeper looks at it. Holds the latest of each kind: no queue.

use crate::lock::{Condvar, Mutex};
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

pub(super) struct Health {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Why a broker could not be reached, since the last successful check.
    cause: Option<(RDKafkaErrorCode, String)>,
    /// Why the latest append failed, until one works.
    append: Option<RDKafkaErrorCode>,
    /// Why the topic may not be read, until something is read.
    read: Option<RDKafkaErrorCode>,
    /// Why the latest message of the state could not be written, until one can.
    state: Option<RDKafkaErrorCode>,
    /// Why the state could not be read when it last could not.
    state_read: Option<RDKafkaErrorCode>,
    news: bool,
}

impl Health {
    pub(super) fn new() -> Health {
        Health { state: Mutex::new(State::default()), changed: Condvar::default() }
    }

    /// A client could not do something. Single brokers come and go: the keeper finds out whether it matters.
    pub(super) fn client_error(&self, code: RDKafkaErrorCode, text: &str) {
        // The client looks for a group coordinator that Tidegate does not use; not being allowed to find one is fine.
        if code == RDKafkaErrorCode::GroupAuthorizationFailed {
            return;
        }
        let mut state = self.state.lock();
        if state.cause.as_ref().is_none_or(|(known, _)| telling(code) >= telling(*known)) {
            state.cause = Some((code, text.to_owned()));
        }
        state.news = true;
        self.changed.notify_all();
    }

    pub(super) fn append_failed(&self, code: RDKafkaErrorCode) {
        self.set_append(Some(code));
    }

    pub(super) fn append_worked(&self) {
        self.set_append(None);
    }

    fn set_append(&self, append: Option<RDKafkaErrorCode>) {
        self.set(|state| &mut state.append, append);
    }

    pub(super) fn read_failed(&self, code: RDKafkaErrorCode) {
        self.set(|state| &mut state.read, Some(code));
    }

    pub(super) fn read_worked(&self) {
        self.set(|state| &mut state.read, None);
    }

    fn set(&self, what: fn(&mut State) -> &mut Option<RDKafkaErrorCode>, new: Option<RDKafkaErrorCode>) {
        let mut state = self.state.lock();
        let known = what(&mut state);
        if *known != new {
            *known = new;
            state.news = true;
            self.changed.notify_all();
        }
    }

    pub(super) fn state_written(&self, failure: Option<RDKafkaErrorCode>) {
        let mut state = self.state.lock();
        if state.state != failure {
            state.state = failure;
            state.news = true;
            self.changed.notify_all();
        }
    }

    pub(super) fn state_read_failed(&self, code: RDKafkaErrorCode) {
        let mut state = self.state.lock();
        state.news |= state.state_read != Some(code);
        state.state_read = Some(code);
        self.changed.notify_all();
    }

    pub(super) fn state_read_failure(&self) -> Option<RDKafkaErrorCode> {
        self.state.lock().state_read
    }

    pub(super) fn state_failure(&self) -> Option<RDKafkaErrorCode> {
        self.state.lock().state
    }

    /// Makes the keeper look again.
    pub(super) fn look(&self) {
        self.state.lock().news = true;
        self.changed.notify_all();
    }

    pub(super) fn cause(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.state.lock().cause.clone()
    }

    pub(super) fn append_failure(&self) -> Option<RDKafkaErrorCode> {
        self.state.lock().append
    }

    pub(super) fn read_failure(&self) -> Option<RDKafkaErrorCode> {
        self.state.lock().read
    }

    /// Kafka answered.
    pub(super) fn reached(&self) {
        self.state.lock().cause = None;
    }

    /// Until there is news, at most so long.
    pub(super) fn wait(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while !state.news && Instant::now() < deadline {
            state = self.changed.wait_for(state, deadline.saturating_duration_since(Instant::now()));
        }
        state.news = false;
    }
}

/// A refused login is followed by "all brokers are down", which tells less.
fn telling(code: RDKafkaErrorCode) -> u8 {
    match code {
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL | RDKafkaErrorCode::SaslAuthenticationFailed => 3,
        RDKafkaErrorCode::AllBrokersDown => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_cause_is_kept_until_kafka_answers() {
        let health = Health::new();
        health.client_error(RDKafkaErrorCode::Authentication, "bad login");
        health.client_error(RDKafkaErrorCode::AllBrokersDown, "1/1 down");
        assert_eq!(health.cause().unwrap().1, "bad login");
        health.reached();
        health.client_error(RDKafkaErrorCode::AllBrokersDown, "1/1 down");
        assert_eq!(health.cause().unwrap().1, "1/1 down");
    }

    #[test]
    fn a_group_that_may_not_be_looked_up_is_no_trouble() {
        let health = Health::new();
        health.client_error(RDKafkaErrorCode::GroupAuthorizationFailed, "denied");
        assert_eq!(health.cause(), None);
    }

    #[test]
    fn an_append_that_works_ends_the_trouble_of_one_that_failed() {
        let health = Health::new();
        health.append_failed(RDKafkaErrorCode::MessageTimedOut);
        assert_eq!(health.append_failure(), Some(RDKafkaErrorCode::MessageTimedOut));
        health.read_failed(RDKafkaErrorCode::TopicAuthorizationFailed);
        health.append_worked();
        assert_eq!(health.append_failure(), None);
        assert_eq!(health.read_failure(), Some(RDKafkaErrorCode::TopicAuthorizationFailed));
        health.read_worked();
        assert_eq!(health.read_failure(), None);
    }
}
