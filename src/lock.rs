//! The locks of this crate: those of std, without poison.
//!
//! Not parking_lot's, which keep all who wait in one table with locks of its own: a process that is forked while
//! another thread is in that table leaves its child a lock that nobody will ever open. Std's are one number each.
//! Poison is left to `Inner::poison`, which ends one runtime and says so.

use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use std::sync::MutexGuard;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T: ?Sized>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    /// Waits for a call, for at most `timeout`; may also return for no reason.
    pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
        self.0.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    #[cfg_attr(not(feature = "kafka"), allow(dead_code, reason = "only the Kafka storage wakes all who wait"))]
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
