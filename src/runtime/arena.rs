//! Places that are addressed by an index for as long as the process lives: made in chunks, reused, never freed, so that
//! an index that is out of date still leads to valid memory.

use crate::lock::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicPtr, Ordering};

const CHUNK: usize = 1024;
const CHUNKS: usize = 16_384;
/// Most places of one arena.
pub(super) const PLACES_MAX: usize = CHUNK * CHUNKS;

/// One table of places, for the whole process.
pub(super) struct Arena<T: 'static> {
    chunks: [AtomicPtr<[T; CHUNK]>; CHUNKS],
    free: Mutex<Free>,
}

/// Which places can be taken.
pub(super) struct Free {
    /// Places below were in use at some time.
    next: u32,
    returned: Vec<u32>,
}

impl Free {
    /// In a forked child: somebody in the parent may have looked at a returned place with an old id just then, so that
    /// its lock is not to be trusted.
    pub(super) fn forget_returned(&mut self) {
        std::mem::forget(std::mem::take(&mut self.returned));
    }
}

impl<T: Default> Arena<T> {
    pub(super) const fn new() -> Arena<T> {
        Arena {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            free: Mutex::new(Free { next: 0, returned: Vec::new() }),
        }
    }

    /// The place at `index`; `None` if it was never taken.
    #[inline]
    pub(super) fn get(&'static self, index: u32) -> Option<&'static T> {
        let chunk = self.chunks.get(index as usize / CHUNK)?.load(Ordering::Acquire);
        // SAFETY: a chunk is published once, whole, and never freed.
        unsafe { chunk.as_ref() }.map(|chunk| &chunk[index as usize % CHUNK])
    }

    /// Takes a place; `None` when all are in use.
    pub(super) fn take(&'static self) -> Option<u32> {
        let mut free = self.free.lock();
        if let Some(index) = free.returned.pop() {
            return Some(index);
        }
        let index = free.next;
        let chunk = self.chunks.get(index as usize / CHUNK)?;
        if index as usize % CHUNK == 0 {
            let places: Box<[T; CHUNK]> =
                (0..CHUNK).map(|_| T::default()).collect::<Vec<_>>().into_boxed_slice().try_into().ok()?;
            chunk.store(Box::into_raw(places), Ordering::Release);
        }
        free.next += 1;
        Some(index)
    }

    /// Gives a place back, to be taken again.
    pub(super) fn give_back(&'static self, index: u32) {
        self.free.lock().returned.push(index);
    }

    /// To be held over a fork.
    pub(super) fn lock_for_fork(&'static self) -> MutexGuard<'static, Free> {
        self.free.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_back_is_taken_again_and_one_never_taken_is_not_there() {
        static ARENA: Arena<u64> = Arena::new();
        assert!(ARENA.get(0).is_none());
        assert_eq!((ARENA.take(), ARENA.take()), (Some(0), Some(1)));
        assert!(ARENA.get(1).is_some() && ARENA.get(CHUNK as u32).is_none() && ARENA.get(u32::MAX).is_none());
        ARENA.give_back(0);
        assert_eq!((ARENA.take(), ARENA.take()), (Some(0), Some(2)));
    }
}
