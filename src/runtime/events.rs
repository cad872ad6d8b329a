//! What limits have to say beyond their decisions: pulled by who wants to hear it, from a queue that forgets the oldest.

use super::limit_of::LimitOf;
use super::slot::{self, Cold, KeyId};
use crate::core::enforcement::Edge;
use crate::core::units::Nanos;
use crate::lock::{Condvar, Mutex};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most events that wait to be pulled; the oldest are dropped, and counted.
pub const EVENTS_MAX: usize = 4_096;
/// Most keys under pressure that are looked after at once; beyond, the pressure of one ends with its next decision.
const PRESSED_MAX: usize = 65_536;
/// How soon keys under pressure are looked at again.
const LOOK_AGAIN: (Nanos, Nanos) = (Nanos::from_millis(1), Nanos::from_millis(250));

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// A limit with backpressure began to refuse: slow down.
    PressureOn = 1,
    /// Half of its burst is there again: go on.
    PressureOff = 2,
    /// A circuit breaker opened: requests are refused unasked.
    BreakerOpened = 3,
    /// It lets one request through.
    BreakerHalfOpen = 4,
    /// It closed.
    BreakerClosed = 5,
    /// A consumer is too far behind: the limit does not refill.
    Paused = 6,
    /// It refills again.
    Resumed = 7,
}

impl From<Edge> for EventKind {
    fn from(edge: Edge) -> EventKind {
        match edge {
            Edge::PressureOn => EventKind::PressureOn,
            Edge::PressureOff => EventKind::PressureOff,
            Edge::BreakerOpened => EventKind::BreakerOpened,
            Edge::BreakerHalfOpen => EventKind::BreakerHalfOpen,
            Edge::BreakerClosed => EventKind::BreakerClosed,
        }
    }
}

/// Something that a limit has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// The limiter's name.
    pub limiter: String,
    /// The tier, counted from 0.
    pub tier: u32,
    /// The scope value of the bucket; empty for what concerns all of them.
    pub value: String,
    /// Events before this one that were dropped because nobody pulled them.
    pub dropped: u64,
}

/// The events of a runtime.
#[derive(Debug, Default)]
pub(super) struct Events {
    queue: Mutex<Queue>,
    bell: Condvar,
    /// Keys under pressure: somebody has to see when it ends.
    pressed: Mutex<BTreeSet<u64>>,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    dropped: u64,
    closed: bool,
    /// Calls that wait.
    waiting: usize,
    /// How often those who wait were woken.
    woken: u64,
    /// Somebody woke who was still to come.
    wake_next: bool,
}

impl Queue {
    /// What a call that began when `woken` stood at this finds without waiting: an event, or that it shall not wait.
    fn poll(&mut self, woken: u64) -> Option<Option<Event>> {
        let event = self.events.pop_front();
        (event.is_some() || self.closed || self.woken != woken || std::mem::take(&mut self.wake_next)).then_some(event)
    }
}

impl Events {
    /// Something happened to a limit.
    pub(super) fn push(&self, kind: EventKind, limit: &LimitOf, value: &str) {
        let mut queue = self.queue.lock();
        if queue.events.len() >= EVENTS_MAX {
            let oldest = queue.events.pop_front();
            queue.dropped += 1 + oldest.map_or(0, |event| event.dropped);
        }
        let (limiter, tier, value) = (limit.limiter.clone(), limit.tier, value.to_owned());
        let dropped = std::mem::take(&mut queue.dropped);
        queue.events.push_back(Event { kind, limiter, tier, value, dropped });
        // All: how long they may sleep can have changed.
        self.bell.notify_all();
    }

    /// A guard turned over.
    pub(super) fn edge(&self, edge: Edge, cold: &Cold) {
        let mut pressed = self.pressed.lock();
        match edge {
            Edge::PressureOn if pressed.len() < PRESSED_MAX => _ = pressed.insert(cold.id.0),
            Edge::PressureOff => _ = pressed.remove(&cold.id.0),
            _ => {}
        }
        drop(pressed);
        self.push(edge.into(), &cold.limit, &cold.value);
    }

    /// A bucket has another id.
    pub(super) fn renamed(&self, old: KeyId, new: KeyId) {
        let mut pressed = self.pressed.lock();
        if pressed.remove(&old.0) {
            pressed.insert(new.0);
        }
    }

    /// The runtime is closed: nobody waits any longer.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.bell.notify_all();
    }

    /// Ends the waits that there are; where nobody waits, the next call does not.
    pub(super) fn wake(&self) {
        let mut queue = self.queue.lock();
        queue.wake_next = queue.waiting == 0;
        queue.woken = queue.woken.wrapping_add(1);
        self.bell.notify_all();
    }

    /// The next event, waited for up to `timeout`. `now` is the runtime's clock.
    pub(super) fn next(&self, timeout: Duration, now: impl Fn() -> Nanos) -> Option<Event> {
        let deadline = Instant::now().checked_add(timeout);
        let woken = self.queue.lock().woken;
        loop {
            // What is there goes first: there may be many keys to look after.
            if let Some(found) = self.queue.lock().poll(woken) {
                return found;
            }
            let look_again = self.look_after_pressed(now());
            let mut queue = self.queue.lock();
            if let Some(found) = queue.poll(woken) {
                return found;
            }
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            // Somebody may come under pressure meanwhile, which rings.
            let nap = look_again.map_or(left, |nap| left.min(Duration::from_nanos(nap.0)));
            queue.waiting += 1;
            queue = self.bell.wait_for(queue, nap.min(Duration::from_secs(3_600)));
            queue.waiting -= 1;
        }
    }

    /// Ends the pressure where it may end, and says when to look again, if anybody is left.
    fn look_after_pressed(&self, now: Nanos) -> Option<Nanos> {
        let pressed: Vec<u64> = self.pressed.lock().iter().copied().collect();
        let mut next: Option<Nanos> = None;
        for key in pressed.into_iter().map(KeyId) {
            let rests_in = slot::get(key.index()).and_then(|slot| slot.with(key, |slot, cold| cold.rest(slot, now)));
            match rests_in {
                Some(Some(wait)) => next = Some(next.map_or(wait, |next| next.min(wait))),
                // Over: whoever ended it took the key out, and somebody may have put it in again.
                Some(None) => {}
                // The key ended.
                None => _ = self.pressed.lock().remove(&key.0),
            }
        }
        next.map(|wait| wait.clamp(LOOK_AGAIN.0, LOOK_AGAIN.1))
    }
}

/// A limit that stands still, or no more.
pub(super) fn paused(events: &Events, limit: &Arc<LimitOf>, paused: bool) {
    events.push(if paused { EventKind::Paused } else { EventKind::Resumed }, limit, "");
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn next(events: &Events, timeout: Duration) -> Option<Event> {
        events.next(timeout, || Nanos::ZERO)
    }

    #[test]
    fn a_wake_ends_every_wait_there_is() {
        let events = Events::default();
        std::thread::scope(|scope| {
            let waits = [(); 2].map(|()| scope.spawn(|| next(&events, LONG)));
            while events.queue.lock().waiting < 2 {
                std::thread::yield_now();
            }
            events.wake();
            assert!(waits.into_iter().all(|wait| wait.join().unwrap().is_none()));
        });
        assert!(!events.queue.lock().wake_next, "it was for those who waited");
    }

    #[test]
    fn a_wake_before_the_wait_ends_that_one_wait_and_no_other() {
        let events = Events::default();
        events.wake();
        let began = Instant::now();
        assert_eq!(next(&events, LONG), None);
        assert!(began.elapsed() < LONG);
        assert!(events.queue.lock().poll(1).is_none(), "the second would wait");
    }
}
