//! A hash table whose entries lie side by side: a look touches the cache line or two where an entry belongs, where a table
//! with a directory touches that first. With a million keys those lines are most of a decision's cost.
//!
//! Linear probing; what is removed is filled up by its followers, so that there are no graves to clean up. Source: Knuth,
//! "The Art of Computer Programming" vol. 3, 6.4, algorithms L and R.

use std::hash::BuildHasher;

/// Fewest places of a table that is not empty.
const LEAST: usize = 8;

/// What can be told from an empty place.
pub(super) trait Entry: Copy {
    /// An empty place.
    const EMPTY: Self;
    type Key: Copy + PartialEq + std::hash::Hash;

    /// `None` for an empty place.
    fn key(&self) -> Option<Self::Key>;
}

/// A set of entries by their keys.
#[derive(Clone, Debug)]
pub(super) struct Table<E, H> {
    places: Box<[E]>,
    len: usize,
    hasher: H,
}

impl<E, H: Default> Default for Table<E, H> {
    fn default() -> Table<E, H> {
        Table { places: Box::default(), len: 0, hasher: H::default() }
    }
}

impl<E: Entry, H: BuildHasher> Table<E, H> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many it has room for without growing: four fifths of its places, or searches become long.
    pub(super) fn capacity(&self) -> usize {
        self.places.len() * 4 / 5
    }

    pub(super) fn get(&self, key: E::Key) -> Option<&E> {
        self.find(key).ok().and_then(|at| self.places.get(at))
    }

    pub(super) fn get_mut(&mut self, key: E::Key) -> Option<&mut E> {
        self.find(key).ok().and_then(|at| self.places.get_mut(at))
    }

    /// Puts an entry in, in place of the one with its key, if there is one.
    pub(super) fn insert(&mut self, entry: E) {
        let Some(key) = entry.key() else { return };
        let place = match self.find(key) {
            Ok(at) => at,
            Err(_) if self.len == self.capacity() => {
                self.grow();
                return self.insert(entry);
            }
            Err(free) => {
                self.len += 1;
                free
            }
        };
        self.places[place] = entry;
    }

    pub(super) fn remove(&mut self, key: E::Key) {
        let Ok(mut hole) = self.find(key) else { return };
        self.len -= 1;
        let mut at = hole;
        loop {
            at = self.after(at);
            let Some(key) = self.places[at].key() else { break };
            // It may move up where its home does not lie between the hole and where it is.
            let home = self.home(key);
            let is_between = if hole <= at { hole < home && home <= at } else { hole < home || home <= at };
            if !is_between {
                self.places[hole] = self.places[at];
                hole = at;
            }
        }
        self.places[hole] = E::EMPTY;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.places.iter().filter(|entry| entry.key().is_some())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut E> {
        self.places.iter_mut().filter(|entry| entry.key().is_some())
    }

    /// Half as many places again.
    pub(super) fn grow(&mut self) {
        let places = (self.places.len() * 3 / 2).max(LEAST);
        let old = std::mem::replace(&mut self.places, vec![E::EMPTY; places].into_boxed_slice());
        self.len = 0;
        old.iter().for_each(|entry| self.insert(*entry));
    }

    /// Where a key is, or the empty place where it would be put; `Err` of anything while there are no places.
    fn find(&self, key: E::Key) -> Result<usize, usize> {
        if self.places.is_empty() {
            return Err(0);
        }
        let mut at = self.home(key);
        loop {
            // A fifth of the places is empty, so this ends.
            match self.places[at].key() {
                None => return Err(at),
                Some(other) if other == key => return Ok(at),
                Some(_) => at = self.after(at),
            }
        }
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.places.len() {
            0
        } else {
            at + 1
        }
    }

    /// Where the search for a key begins: the hash scaled to the places. Source: Lemire, "Fast random integer generation in
    /// an interval" (2019).
    fn home(&self, key: E::Key) -> usize {
        ((u128::from(self.hasher.hash_one(key)) * self.places.len() as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::hash::{BuildHasherDefault, Hasher};

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Pair(u64, u64);

    impl Entry for Pair {
        const EMPTY: Pair = Pair(u64::MAX, 0);
        type Key = u64;
        fn key(&self) -> Option<u64> {
            (self.0 != u64::MAX).then_some(self.0)
        }
    }

    /// So bad that all keys crowd around the end of the table.
    #[derive(Default)]
    struct Crowd(u64);

    impl Hasher for Crowd {
        fn finish(&self) -> u64 {
            u64::MAX - ((self.0 % 3) << 60)
        }
        fn write(&mut self, _: &[u8]) {}
        fn write_u64(&mut self, key: u64) {
            self.0 = key;
        }
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds_after_any_steps(steps in prop::collection::vec((0u64..40, 0u8..3), 1..400)) {
            let mut table = Table::<Pair, BuildHasherDefault<Crowd>>::default();
            let mut map = HashMap::new();
            for (at, (key, step)) in (0u64..).zip(steps) {
                match step {
                    0 => {
                        table.remove(key);
                        map.remove(&key);
                    }
                    _ => {
                        table.insert(Pair(key, at));
                        map.insert(key, at);
                    }
                }
                prop_assert_eq!(table.len(), map.len());
                prop_assert!(table.len() <= table.capacity());
                for key in 0..40 {
                    prop_assert_eq!(table.get(key).map(|pair| pair.1), map.get(&key).copied());
                }
            }
            prop_assert_eq!(table.iter().count(), map.len());
        }
    }

    #[test]
    fn a_table_grows_when_four_fifths_are_taken_and_not_before() {
        let mut table = Table::<Pair, BuildHasherDefault<Crowd>>::default();
        table.insert(Pair(0, 0));
        let first = table.capacity();
        (1..first as u64).for_each(|key| table.insert(Pair(key, key)));
        assert_eq!((table.len(), table.capacity()), (first, first));
        table.insert(Pair(99, 0));
        assert!(table.capacity() > first && table.len() == first + 1);
        assert_eq!(table.get(1), Some(&Pair(1, 1)));
    }

    #[test]
    fn a_table_with_nothing_in_it_has_nothing_and_takes_no_memory() {
        let mut table = Table::<Pair, BuildHasherDefault<Crowd>>::default();
        table.remove(1);
        assert!(table.get(1).is_none() && table.get_mut(1).is_none() && table.capacity() == 0);
    }
}
