//! Those who wait for one bucket, first come, first served.
//!
//! The first sleeps until its permits should be there; the others until the first leaves. Whoever leaves, served or
//! timed out, wakes the new first.

use crate::core::units::{Nanos, Tokens};
use crate::lock::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Most waiters of one bucket.
pub(super) const WAITERS_MAX: usize = 65_536;

/// One waiter.
#[derive(Debug, Default)]
pub(super) struct Waiter {
    called: Mutex<bool>,
    bell: Condvar,
}

impl Waiter {
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

    /// Whether nobody is before `me`; without a `me`, whether nobody waits.
    pub(super) fn is_first(&self, me: Option<&Arc<Waiter>>) -> bool {
        match (self.queue.front(), me) {
            (None, _) => true,
            (Some((first, _)), Some(me)) => Arc::ptr_eq(first, me),
            (Some(_), None) => false,
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
        if at == 0 {
            self.call_first();
        }
    }

    /// Something changed: the first should look again.
    pub(super) fn call_first(&self) {
        if let Some((first, _)) = self.queue.front() {
            first.call();
        }
    }

    /// Everything is over: all should look again.
    pub(super) fn call_all(&self) {
        self.queue.iter().for_each(|(waiter, _)| waiter.call());
    }
}
