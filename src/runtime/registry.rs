//! The runtimes of this process: equal configurations share one.

use super::inner::Inner;
use once_cell::sync::Lazy;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

static RUNTIMES: Lazy<Mutex<BTreeMap<String, Weak<Inner>>>> = Lazy::new(|| Mutex::new(BTreeMap::new()));

/// The open runtime under `key`, or the one that `open` makes. In both cases with one more user.
pub(super) fn share<E>(key: &str, open: impl FnOnce() -> Result<Arc<Inner>, E>) -> Result<Arc<Inner>, E> {
    let mut runtimes = RUNTIMES.lock();
    if let Some(inner) = runtimes.get(key).and_then(Weak::upgrade).filter(|inner| inner.join()) {
        return Ok(inner);
    }
    runtimes.retain(|_, inner| inner.strong_count() > 0);
    let inner = open()?;
    runtimes.insert(key.to_owned(), Arc::downgrade(&inner));
    Ok(inner)
}

/// Holds the lock over a fork.
pub(super) fn lock_for_fork() {
    std::mem::forget(RUNTIMES.lock());
}

/// After the fork, in parent and child.
pub(super) fn unlock_after_fork() {
    // SAFETY: `lock_for_fork` locked it on this thread and forgot the guard.
    unsafe { RUNTIMES.force_unlock() };
}
