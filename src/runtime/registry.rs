//! The runtimes of this process: equal configurations share one.

use super::inner::Inner;
use crate::lock::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

pub(super) type Runtimes = BTreeMap<String, Weak<Inner>>;

static RUNTIMES: Mutex<Runtimes> = Mutex::new(BTreeMap::new());

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

/// To be held over a fork.
pub(super) fn lock_for_fork() -> MutexGuard<'static, Runtimes> {
    RUNTIMES.lock()
}
