//! Noticing that the process was forked.
//!
//! A child has the parent's memory but none of its threads, and must not spend the parent's shares. The hook that
//! runs in the child voids all of them with plain stores; what comes after sees that the count of forks differs from
//! that of the slot or runtime, touches none of its locks, and answers `Forked`. A child may open runtimes of its
//! own: the locks of the tables that they share with the parent's are held over the fork.

use super::{registry, slot, validity};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Once;

static FORKS: AtomicU32 = AtomicU32::new(0);
static HOOK: Once = Once::new();

/// How many forks lie between this process and the first that loaded the library.
#[inline]
pub(super) fn count() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Installs the hooks, once.
pub(super) fn watch() {
    HOOK.call_once(|| {
        // SAFETY: the hooks only lock and unlock parking_lot mutexes and store to atomics.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}

extern "C" fn before() {
    registry::lock_for_fork();
    slot::lock_for_fork();
    validity::lock_for_fork();
}

extern "C" fn in_parent() {
    validity::unlock_after_fork();
    slot::unlock_after_fork();
    registry::unlock_after_fork();
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    validity::void_all();
    in_parent();
}
