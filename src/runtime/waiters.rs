//! Those who wait for one bucket, first come, first served.
//!
//! A reservation stands in the same line without a thread behind it. Its place is kept until it should have looked again and
//! a little longer; after that others pass it, so that one who never comes back holds up nobody.
//!
//! The first sleeps until its permits should be there; the others until the first leaves. Whoever leaves, served or
//! timed out, wakes the new first.

use crate::core::units::{Nanos, Tokens};
use crate::lock::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Most waiters of one bucket.
pub(super) const WAITERS_MAX: usize = 65_536;

/// How long others wait for a reservation that should have looked again.
const GRACE: Nanos = Nanos::from_millis(100);
/// How long a reservation that does not look keeps a place at all.
const ABANDONED_AFTER: Nanos = Nanos::from_secs(60);

/// One waiter.
#[derive(Debug)]
pub(super) struct Waiter {
    called: Mutex<bool>,
    bell: Condvar,
    /// Until when its place is kept.
    kept_until: AtomicU64,
}

impl Waiter {
    /// A thread: it comes when it is called.
    pub(super) fn thread() -> Waiter {
        Waiter { called: Mutex::default(), bell: Condvar::default(), kept_until: AtomicU64::new(u64::MAX) }
    }

    /// A reservation that looks again at `due`.
    pub(super) fn reservation(due: Nanos) -> Waiter {
        let waiter = Waiter::thread();
        waiter.looks_at(due);
        waiter
    }

    /// A reservation looks again at `due`.
    pub(super) fn looks_at(&self, due: Nanos) {
        self.kept_until.store(due.plus(GRACE).0.min(u64::MAX - 1), Ordering::Relaxed);
    }

    fn kept_until(&self) -> Nanos {
        Nanos(self.kept_until.load(Ordering::Relaxed))
    }

    /// Sleeps until called, for at most `nap`. A call that came before is not missed.
    pub(super) fn sleep(&self, nap: Nanos) {
        let mut called = self.called.lock();
        if !*called {
            called = self.bell.wait_for(called, Duration::from_nanos(nap.0));
        }
        *called = false;
    }

    fn call(&self) {
        *self.called.lock() = true;
        self.bell.notify_one();
    }
}

/// The queue of one bucket.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    /// Who waits, and for how much.
    queue: VecDeque<(Arc<Waiter>, Tokens)>,
    total: Tokens,
}

impl Waiters {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// What all of them wait for.
    pub(super) fn total(&self) -> Tokens {
        self.total
    }

    /// The largest single wait.
    pub(super) fn first_amount(&self) -> Tokens {
        self.queue.front().map_or(Tokens::ZERO, |(_, amount)| *amount)
    }

    /// Whether nobody is before `me` whose place is kept; without a `me`, whether nobody waits.
    pub(super) fn is_first(&self, me: Option<&Arc<Waiter>>, now: Nanos) -> bool {
        let kept = self
            .queue
            .iter()
            .find(|(waiter, _)| now < waiter.kept_until() || me.is_some_and(|me| Arc::ptr_eq(waiter, me)));
        kept.is_none_or(|(first, _)| me.is_some_and(|me| Arc::ptr_eq(first, me)))
    }

    /// Until when the place of the first is kept.
    pub(super) fn first_kept_until(&self, now: Nanos) -> Nanos {
        self.queue.iter().map(|(waiter, _)| waiter.kept_until()).find(|until| now < *until).unwrap_or(Nanos::NEVER)
    }

    /// Takes out reservations that nobody came back for.
    pub(super) fn forget_abandoned(&mut self, now: Nanos) {
        while let Some((waiter, amount)) = self.queue.front() {
            if now.since(waiter.kept_until()) < ABANDONED_AFTER {
                return;
            }
            self.total = self.total - *amount;
            self.queue.pop_front();
        }
    }

    pub(super) fn join(&mut self, waiter: Arc<Waiter>, amount: Tokens) {
        self.total = self.total.plus(amount);
        self.queue.push_back((waiter, amount));
    }

    /// Takes `me` out, wherever it stands, and wakes the new first.
    pub(super) fn leave(&mut self, me: &Arc<Waiter>) {
        let Some(at) = self.queue.iter().position(|(waiter, _)| Arc::ptr_eq(waiter, me)) else { return };
        if let Some((_, amount)) = self.queue.remove(at) {
            self.total = self.total - amount;
        }
        // Whoever stands behind may be the first now whose place is kept.
        if at < self.queue.len() {
            self.call_first();
        }
    }

    /// Something changed: the first should look again, and as reservations hear nothing, so should the first thread.
    pub(super) fn call_first(&self) {
        if let Some((thread, _)) = self.queue.iter().find(|(waiter, _)| waiter.kept_until() == Nanos::NEVER) {
            thread.call();
        }
    }

    /// Everything is over: all should look again.
    pub(super) fn call_all(&self) {
        self.queue.iter().for_each(|(waiter, _)| waiter.call());
    }
}
