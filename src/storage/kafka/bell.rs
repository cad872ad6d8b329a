//! Waiting for what a producer has to tell without spinning: `BaseProducer::poll` spins through the last millisecond of its
//! time-out, which librdkafka cannot wait for, so that an idle process would use a hundredth of a processor.

use super::client::Producer;
use rdkafka::bindings as sys;
use rdkafka::producer::Producer as _;
use std::ffi::c_void;
use std::thread::{self, Thread};
use std::time::Duration;

/// Rings while a producer has something to tell that nobody took.
struct Bell<'a> {
    producer: &'a Producer,
    queue: *mut sys::rd_kafka_queue_t,
    /// Where librdkafka finds whom to call.
    listener: Box<Thread>,
}

impl Bell<'_> {
    fn of(producer: &Producer) -> Bell<'_> {
        // SAFETY: the producer outlives the bell.
        let queue = unsafe { sys::rd_kafka_queue_get_main(producer.client().native_ptr()) };
        let bell = Bell { producer, queue, listener: Box::new(thread::current()) };
        let listener = std::ptr::from_ref(&*bell.listener).cast_mut().cast();
        // SAFETY: the listener stays where it is until the bell is taken down.
        unsafe { sys::rd_kafka_queue_cb_event_enable(bell.queue, Some(ring), listener) };
        bell
    }

    fn answer(&self) {
        // SAFETY: the queue lives until the bell is dropped.
        while unsafe { sys::rd_kafka_queue_length(self.queue) } > 0 {
            self.producer.poll(Duration::ZERO);
        }
    }
}

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        // SAFETY: librdkafka rings under the queue's lock, which this takes too: afterwards nobody rings any more.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

unsafe extern "C" fn ring(_: *mut sys::rd_kafka_t, listener: *mut c_void) {
    // SAFETY: the listener of a bell that was not taken down.
    unsafe { &*listener.cast::<Thread>() }.unpark();
}

/// Takes what a producer has to tell, and waits for more, up to `longest`.
pub(super) fn serve(producer: &Producer, longest: Duration) {
    let bell = Bell::of(producer);
    bell.answer();
    thread::park_timeout(longest);
    bell.answer();
}
