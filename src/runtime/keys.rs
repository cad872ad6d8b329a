//! Which key stands for which bucket in one runtime: a table in stripes, each with its own lock.

use super::slot::KeyId;
use crate::core::placement::BucketId;
use crate::lock::Mutex;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

const STRIPES: usize = 64;

/// The keys of one runtime.
#[derive(Debug)]
pub(super) struct Keys {
    stripes: Vec<Mutex<HashMap<BucketId, Held>>>,
    count: AtomicUsize,
    max: usize,
}

#[derive(Debug)]
struct Held {
    key: KeyId,
    /// How often it was asked for and not given back.
    times: u64,
}

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// `keys.max` keys are live.
    Full,
    /// The process has no slot or validity left.
    Exhausted,
}

impl Keys {
    pub(super) fn new(max: usize) -> Keys {
        Keys { stripes: (0..STRIPES).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0), max }
    }

    /// Live keys.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn stripe(&self, bucket: BucketId) -> &Mutex<HashMap<BucketId, Held>> {
        &self.stripes[(bucket.0 >> 64) as usize % STRIPES]
    }

    /// The key of `bucket`, made by `make` if there is none yet.
    pub(super) fn get(&self, bucket: BucketId, make: impl FnOnce() -> Option<KeyId>) -> Result<KeyId, NoKey> {
        let mut stripe = self.stripe(bucket).lock();
        match stripe.entry(bucket) {
            Entry::Occupied(mut held) => {
                held.get_mut().times += 1;
                Ok(held.get().key)
            }
            Entry::Vacant(place) => {
                if self.count.fetch_add(1, Ordering::Relaxed) >= self.max {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(NoKey::Full);
                }
                let Some(key) = make() else {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(NoKey::Exhausted);
                };
                place.insert(Held { key, times: 1 });
                Ok(key)
            }
        }
    }

    /// Gives `key` back once; true when that was the last time, and it is out of the table.
    pub(super) fn give_back(&self, bucket: BucketId, key: KeyId) -> bool {
        let mut stripe = self.stripe(bucket).lock();
        let Entry::Occupied(mut held) = stripe.entry(bucket) else { return false };
        if held.get().key != key {
            return false;
        }
        held.get_mut().times -= 1;
        if held.get().times > 0 {
            return false;
        }
        held.remove();
        self.count.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// All keys, as of some moment during the call.
    pub(super) fn all(&self) -> Vec<KeyId> {
        self.stripes.iter().flat_map(|stripe| stripe.lock().values().map(|held| held.key).collect::<Vec<_>>()).collect()
    }

    /// Takes all keys out.
    pub(super) fn drain(&self) -> Vec<KeyId> {
        let keys = self.stripes.iter().flat_map(|stripe| std::mem::take(&mut *stripe.lock()).into_values());
        let keys: Vec<KeyId> = keys.map(|held| held.key).collect();
        self.count.fetch_sub(keys.len(), Ordering::Relaxed);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BucketId = BucketId(1 << 64);
    const B: BucketId = BucketId(2 << 64);

    #[test]
    fn a_key_asked_for_twice_is_the_same_and_goes_with_the_second_return() {
        let keys = Keys::new(10);
        let first = keys.get(A, || Some(KeyId(7))).unwrap();
        assert_eq!(keys.get(A, || panic!("made twice")).unwrap(), first);
        assert!(!keys.give_back(A, first));
        assert!(keys.give_back(A, first));
        assert!(!keys.give_back(A, first));
        assert_eq!(keys.count(), 0);
    }

    #[test]
    fn a_key_beyond_the_maximum_is_refused_and_one_given_back_makes_room() {
        let keys = Keys::new(1);
        let first = keys.get(A, || Some(KeyId(7))).unwrap();
        assert_eq!(keys.get(B, || Some(KeyId(8))), Err(NoKey::Full));
        keys.give_back(A, first);
        assert!(keys.get(B, || Some(KeyId(8))).is_ok());
    }

    #[test]
    fn a_key_that_could_not_be_made_does_not_count() {
        let keys = Keys::new(1);
        assert_eq!(keys.get(A, || None), Err(NoKey::Exhausted));
        assert!(keys.get(A, || Some(KeyId(7))).is_ok());
    }
}
