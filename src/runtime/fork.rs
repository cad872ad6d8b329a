//! Noticing that the process was forked.
//!
//! A child has the parent's memory but none of its threads, and must not spend the parent's shares. The hook that
//! runs in the child voids all of them with plain stores; what comes after sees that the count of forks differs from
//! that of the slot or runtime, touches none of its locks, and answers `Forked`. A child may open runtimes of its
//! own: the locks of the tables that they share with the parent's are held over the fork.

use super::{arena, path, registry, slot, tickets, validity};
use std::cell::UnsafeCell;
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
        // SAFETY: the hooks only lock and unlock mutexes and store to atomics.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
}

/// The tables, locked in this order, from before a fork until after it.
static HELD: Held = Held(UnsafeCell::new(None));
struct Held(UnsafeCell<Option<Tables>>);
type Tables = (Guard<registry::Runtimes>, [Guard<arena::Free>; 3], Guard<validity::Free>);
type Guard<T> = crate::lock::MutexGuard<'static, T>;

// SAFETY: only the thread that forks touches it, and only while it holds the locks.
unsafe impl Sync for Held {}

extern "C" fn before() {
    let registry = registry::lock_for_fork();
    let arenas = [slot::SLOTS.lock_for_fork(), path::PATHS.lock_for_fork(), tickets::TICKETS.lock_for_fork()];
    let tables = (registry, arenas, validity::lock_for_fork());
    // SAFETY: this thread holds the locks.
    unsafe { *HELD.0.get() = Some(tables) };
}

extern "C" fn in_parent() {
    // SAFETY: this thread has held the locks since `before`, and gives them up only afterwards.
    drop(unsafe { (*HELD.0.get()).take() });
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    validity::void_all();
    // SAFETY: as in the parent; the child's only thread is the one that forked.
    if let Some((_, arenas, _)) = unsafe { &mut *HELD.0.get() } {
        arenas.iter_mut().for_each(|free| free.forget_returned());
    }
    in_parent();
}
