//! librdkafka's event queue, read directly: rust-rdkafka's poll does not say which partition an error is about.

use super::client::Consumer;
use rdkafka::consumer::Consumer as _;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Duration;

/// Of which of the two topics something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    Claims,
    State,
}

impl Topic {
    /// # Safety
    /// `name` is null or ends with a zero.
    unsafe fn of(name: *const std::os::raw::c_char, state: &CStr) -> Topic {
        // SAFETY: as promised by the caller.
        let is_state = !name.is_null() && unsafe { CStr::from_ptr(name) } == state;
        if is_state {
            Topic::State
        } else {
            Topic::Claims
        }
    }
}

/// What one poll brought.
pub(super) enum Polled {
    Nothing,
    Record {
        topic: Topic,
        partition: u32,
        offset: u64,
        key: Vec<u8>,
        bytes: Vec<u8>,
    },
    /// The end of the partition as it is now.
    End {
        topic: Topic,
        partition: u32,
    },
    PartitionError {
        topic: Topic,
        partition: u32,
        code: RDKafkaErrorCode,
        text: String,
    },
    ClientError {
        code: RDKafkaErrorCode,
        text: String,
    },
}

/// A reference to a queue of a consumer, which it keeps alive.
pub(super) struct Queue {
    raw: *mut sys::rd_kafka_queue_t,
    _consumer: Arc<Consumer>,
}

// SAFETY: librdkafka's queues may be used from any thread.
unsafe impl Send for Queue {}
// SAFETY: as above; nothing here has state of its own.
unsafe impl Sync for Queue {}

impl Queue {
    /// The queue of records and errors.
    pub(super) fn of_consumer(consumer: &Arc<Consumer>) -> Queue {
        // SAFETY: the client is alive, and stays so as long as the queue.
        let raw = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        assert!(!raw.is_null(), "a consumer with a group id has a queue");
        Queue { raw, _consumer: consumer.clone() }
    }

    /// A queue for the answers of admin calls.
    pub(super) fn for_answers(consumer: &Arc<Consumer>) -> Queue {
        // SAFETY: as above.
        let raw = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Queue { raw, _consumer: consumer.clone() }
    }

    pub(super) fn raw(&self) -> *mut sys::rd_kafka_queue_t {
        self.raw
    }

    /// Ends a poll that waits, in whatever thread. One that does not wait yet may miss it.
    pub(super) fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { sys::rd_kafka_queue_yield(self.raw) }
    }

    pub(super) fn poll_event(&self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is alive; the event is destroyed by `Event`.
        let raw = unsafe { sys::rd_kafka_queue_poll(self.raw, timeout.as_millis() as i32) };
        (!raw.is_null()).then_some(Event(raw))
    }

    /// `state`: the name of the state topic.
    pub(super) fn poll(&self, timeout: Duration, state: &CStr) -> Polled {
        self.poll_event(timeout).map_or(Polled::Nothing, |event| event.read(state))
    }
}

/// The end of the partition as its latest fetch saw it; asks nobody.
pub(super) fn end_as_fetched(consumer: &Consumer, topic: &CStr, partition: u32) -> Option<u64> {
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, the name ends with a zero, the numbers are ours.
    let code = unsafe {
        let client = consumer.client().native_ptr();
        sys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition as i32, &mut low, &mut high)
    };
    (RDKafkaErrorCode::from(code) == RDKafkaErrorCode::NoError).then(|| u64::try_from(high).ok()).flatten()
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: made by a function that hands out a reference; the client is still alive.
        unsafe { sys::rd_kafka_queue_destroy(self.raw) }
    }
}

/// An event; what it points to lives as long as it does.
pub(super) struct Event(*mut sys::rd_kafka_event_t);

impl Event {
    pub(super) fn raw(&self) -> *mut sys::rd_kafka_event_t {
        self.0
    }

    pub(super) fn code(&self) -> RDKafkaErrorCode {
        // SAFETY: the event is alive.
        unsafe { sys::rd_kafka_event_error(self.0) }.into()
    }

    pub(super) fn text(&self) -> String {
        // SAFETY: the event is alive, and so is its text.
        text(unsafe { sys::rd_kafka_event_error_string(self.0) })
    }

    fn read(&self, state: &CStr) -> Polled {
        // SAFETY: the event is alive.
        match unsafe { sys::rd_kafka_event_type(self.0) } {
            sys::RD_KAFKA_EVENT_FETCH => self.record(state),
            sys::RD_KAFKA_EVENT_ERROR => self.error(state),
            // The client's own log, statistics: nobody asked for them.
            _ => Polled::Nothing,
        }
    }

    fn record(&self, state: &CStr) -> Polled {
        // SAFETY: a fetch event holds one message, alive as long as the event.
        unsafe {
            let message = sys::rd_kafka_event_message_next(self.0);
            if message.is_null() || (*message).partition < 0 || (*message).offset < 0 {
                return Polled::Nothing;
            }
            let copy = |from: *mut std::os::raw::c_void, len: usize| {
                if from.is_null() {
                    Vec::new()
                } else {
                    std::slice::from_raw_parts(from.cast::<u8>(), len).to_vec()
                }
            };
            Polled::Record {
                topic: Topic::of(sys::rd_kafka_topic_name((*message).rkt), state),
                partition: (*message).partition as u32,
                offset: (*message).offset as u64,
                key: copy((*message).key, (*message).key_len),
                bytes: copy((*message).payload, (*message).len),
            }
        }
    }

    fn error(&self, state: &CStr) -> Polled {
        let code = self.code();
        // SAFETY: the event is alive; the partition is ours to destroy.
        let partition = unsafe {
            let found = sys::rd_kafka_event_topic_partition(self.0);
            if found.is_null() {
                None
            } else {
                let number = (*found).partition;
                let topic = Topic::of((*found).topic, state);
                sys::rd_kafka_topic_partition_destroy(found);
                u32::try_from(number).ok().map(|number| (topic, number))
            }
        };
        match partition {
            Some((topic, partition)) if code == RDKafkaErrorCode::PartitionEOF => Polled::End { topic, partition },
            Some((topic, partition)) => Polled::PartitionError { topic, partition, code, text: self.text() },
            None => Polled::ClientError { code, text: self.text() },
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and not destroyed yet.
        unsafe { sys::rd_kafka_event_destroy(self.0) }
    }
}

/// A C text, empty if there is none.
pub(super) fn text(raw: *const std::os::raw::c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: librdkafka's texts end with a zero, and the caller holds what they belong to.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}
