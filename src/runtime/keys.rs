//! The buckets of one limit in this process: those that are live, and what must be remembered of local ones that are not.
//!
//! A table in stripes, each with its own lock. A live bucket stands in a slot and is named by a key; an idle one is 48
//! bytes here, with its name: a limit that this process alone has must not be full again because its key was given back. An
//! idle bucket that is full is as good as none: such are dropped before a stripe grows, and so are live ones that nobody
//! holds and nobody used since the last time. Only a stripe is swept at a time.

use super::slot::KeyId;
use super::table::{Entry, Table};
use crate::core::bucket::{Bucket, Refill, Saved};
use crate::core::placement::BucketId;
use crate::core::units::{Nanos, Tokens};
use crate::lock::{Mutex, MutexGuard};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

pub(super) const STRIPES: usize = 64;

/// The buckets of one limit.
#[derive(Debug, Default)]
pub(super) struct Keys {
    stripes: OnceLock<Box<[Mutex<Stripe>]>>,
}

/// A part of them.
#[derive(Debug)]
pub(super) struct Stripe {
    places: Table<Packed, Scatter>,
    /// Of the limit, as far as it is local.
    pub(super) burst: Tokens,
    pub(super) refill: Refill,
    /// Permits granted and refused by buckets that were idle.
    pub(super) granted: u64,
    pub(super) refused: u64,
}

/// Where a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a slot; held so many times, and used since it was last swept over.
    Live { key: KeyId, times: u32, used: bool },
    /// Here, and local.
    Idle(Saved),
}

/// How many buckets all limits of a runtime have, and may have.
#[derive(Debug)]
pub(super) struct Room {
    count: AtomicUsize,
    max: usize,
}

impl Room {
    pub(super) fn new(max: usize) -> Room {
        Room { count: AtomicUsize::new(0), max }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Room for one more, if there is.
    pub(super) fn take(&self) -> bool {
        let taken = self.count.fetch_add(1, Ordering::Relaxed) < self.max;
        if !taken {
            self.give_back(1);
        }
        taken
    }

    pub(super) fn give_back(&self, places: usize) {
        self.count.fetch_sub(places, Ordering::Relaxed);
    }
}

impl Keys {
    /// The stripe of a bucket. `local`: what its limit refills by, should this be the first bucket.
    pub(super) fn stripe(&self, bucket: BucketId, local: impl FnOnce() -> (Tokens, Refill)) -> MutexGuard<'_, Stripe> {
        let stripes = self.stripes.get_or_init(|| {
            let (burst, refill) = local();
            (0..STRIPES).map(|_| Mutex::new(Stripe::new(burst, refill))).collect()
        });
        stripes[(bucket.0 >> 64) as usize % STRIPES].lock()
    }

    /// Each stripe, one after the other.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Stripe>> {
        self.stripes.get().into_iter().flat_map(|stripes| stripes.iter()).map(Mutex::lock)
    }

    /// One stripe; `None` as long as there are none.
    pub(super) fn nth(&self, at: usize) -> Option<MutexGuard<'_, Stripe>> {
        self.stripes.get()?.get(at).map(Mutex::lock)
    }

    /// Takes over what another limit of this name remembers, under its own numbers.
    pub(super) fn take_over(&self, old: &Keys, burst: Tokens, refill: Refill, now: Nanos) {
        let take = |mut stripe: MutexGuard<'_, Stripe>| {
            stripe.change(burst, refill, now);
            let places = std::mem::take(&mut stripe.places);
            Mutex::new(Stripe { places, ..Stripe::new(burst, refill) })
        };
        let stripes: Box<[Mutex<Stripe>]> = old.each().map(take).collect();
        if !stripes.is_empty() {
            let _ = self.stripes.set(stripes);
        }
    }

    /// Whether something must be remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.each().all(|stripe| stripe.places.len() == 0)
    }
}

impl Stripe {
    fn new(burst: Tokens, refill: Refill) -> Stripe {
        Stripe { places: Table::default(), burst, refill, granted: 0, refused: 0 }
    }

    pub(super) fn get(&self, bucket: BucketId) -> Option<Place> {
        self.places.get(Id::of(bucket)).map(|packed| packed.place())
    }

    /// Puts a bucket somewhere else, or there for the first time.
    pub(super) fn set(&mut self, bucket: BucketId, place: Place) {
        self.places.insert(Packed::of(Id::of(bucket), place));
    }

    pub(super) fn remove(&mut self, bucket: BucketId) {
        self.places.remove(Id::of(bucket));
    }

    /// Takes all out.
    pub(super) fn drain(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.places).iter().map(|packed| packed.place()).collect()
    }

    /// The live keys.
    pub(super) fn live(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.places.iter().filter_map(|packed| match packed.place() {
            Place::Live { key, .. } => Some(key),
            Place::Idle(_) => None,
        })
    }

    /// Gives a live bucket back once; true when that was the last time.
    pub(super) fn give_back(&mut self, bucket: BucketId, key: KeyId) -> bool {
        let Some(held) = self.places.get_mut(Id::of(bucket)) else { return false };
        match held.place() {
            Place::Live { key: live, times, used } if live == key && times > 0 => {
                held.put(Place::Live { key, times: times - 1, used });
                times == 1
            }
            _ => false,
        }
    }

    /// The bucket that was kept here, or a new one.
    pub(super) fn bucket(&self, saved: Option<Saved>, now: Nanos) -> Bucket {
        match saved {
            Some(saved) => Bucket::restore(saved, self.burst, self.refill, now),
            None => Bucket::full(self.burst, self.refill, now),
        }
    }

    /// Takes `amount` from a bucket that is idle here without asking for the time: what is left; `None` where the bucket is
    /// not here, or must be settled for that.
    pub(super) fn spend(&mut self, bucket: BucketId, amount: Tokens) -> Option<Tokens> {
        let packed = self.places.get_mut(Id::of(bucket))?;
        let Place::Idle(mut saved) = packed.place() else { return None };
        let left = saved.spend(amount, self.burst)?;
        packed.put(Place::Idle(saved));
        Some(left)
    }

    /// Runs `act` on a bucket that is idle here, settled; `None` when it is not here.
    pub(super) fn idle<T>(&mut self, bucket: BucketId, now: Nanos, act: impl FnOnce(&mut Bucket) -> T) -> Option<T> {
        let packed = self.places.get_mut(Id::of(bucket))?;
        let Place::Idle(saved) = packed.place() else { return None };
        let mut bucket = Bucket::restore(saved, self.burst, self.refill, now);
        let result = act(&mut bucket);
        packed.put(Place::Idle(bucket.save()));
        Some(result)
    }

    /// Whether the next new bucket makes the table grow.
    pub(super) fn is_crowded(&self) -> bool {
        self.places.len() == self.places.capacity()
    }

    /// Drops what is as good as nothing: idle buckets that are full by now. Answers how many, and the live ones that
    /// nobody holds and nobody used since the last sweep, for the caller to end; those used look unused from now on. What
    /// was spent from a bucket without asking for the time counts as spent now: such a bucket is full some time later.
    pub(super) fn sweep(&mut self, now: Nanos) -> (usize, Vec<(BucketId, KeyId)>) {
        let (burst, refill) = (self.burst, self.refill);
        let (mut full, mut unused) = (Vec::new(), Vec::new());
        for packed in self.places.iter_mut() {
            match packed.place() {
                Place::Idle(saved) => {
                    let bucket = Bucket::restore(saved, burst, refill, now);
                    packed.put(Place::Idle(bucket.save()));
                    if bucket.is_full() {
                        full.push(packed.id);
                    }
                }
                Place::Live { key, times: 0, used: false } => unused.push((packed.id.bucket(), key)),
                Place::Live { key, times, .. } => packed.put(Place::Live { key, times, used: false }),
            }
        }
        full.iter().for_each(|id| self.places.remove(*id));
        if self.places.len() > self.places.capacity() / 8 * 7 {
            // Or the next sweep would come soon again.
            self.places.grow();
        }
        (full.len(), unused)
    }

    /// The local limit has other numbers from now on: what was minted by the old ones stays, up to the new burst.
    pub(super) fn change(&mut self, burst: Tokens, refill: Refill, now: Nanos) {
        let (old_burst, old_refill) = (self.burst, self.refill);
        for packed in self.places.iter_mut() {
            if let Place::Idle(saved) = packed.place() {
                let mut bucket = Bucket::restore(saved, old_burst, old_refill, now);
                bucket.reshape(burst, refill);
                packed.put(Place::Idle(bucket.save()));
            }
        }
        (self.burst, self.refill) = (burst, refill);
    }
}

/// A bucket's id without the alignment of a `u128`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id(u64, u64);

impl Id {
    fn of(bucket: BucketId) -> Id {
        Id((bucket.0 >> 64) as u64, bucket.0 as u64)
    }

    fn bucket(self) -> BucketId {
        BucketId(u128::from(self.0) << 64 | u128::from(self.1))
    }
}

impl std::hash::Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
        state.write_u64(self.1);
    }
}

/// Scatters ids, which everybody can compute, in a way that nobody can foresee: whoever chooses the keys could choose
/// many that fall into one place of the table.
#[derive(Clone, Copy, Debug)]
struct Scatter {
    secrets: [u64; 2],
}

impl Default for Scatter {
    fn default() -> Scatter {
        static SECRETS: OnceLock<[u64; 2]> = OnceLock::new();
        Scatter { secrets: *SECRETS.get_or_init(|| [(); 2].map(|()| RandomState::new().hash_one(0))) }
    }
}

impl BuildHasher for Scatter {
    type Hasher = Scattered;

    fn build_hasher(&self) -> Scattered {
        Scattered { secrets: self.secrets, hash: 0 }
    }
}

/// A multiplication for each half, folded, with a secret in it: as wyhash does (Wang Yi, 2019).
struct Scattered {
    secrets: [u64; 2],
    hash: u64,
}

impl Hasher for Scattered {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let wide = u128::from(self.hash ^ number ^ self.secrets[0]) * u128::from(self.secrets[1] | 1);
        let folded = (wide >> 64) as u64 ^ wide as u64;
        let wide = u128::from(folded) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        self.hash = (wide >> 64) as u64 ^ wide as u64;
    }
}

/// A bucket's place in 48 bytes. A carry is less than ten years in nanoseconds, so that its highest bits tell what it is.
#[derive(Clone, Copy, Debug)]
struct Packed {
    id: Id,
    words: [u64; 4],
}

const LIVE: u64 = 1 << 63;
const NOTHING: u64 = LIVE | 1 << 62;

impl Packed {
    fn of(id: Id, place: Place) -> Packed {
        let words = match place {
            Place::Live { key, times, used } => [key.0, u64::from(times), LIVE | u64::from(used), 0],
            Place::Idle(Saved { level, carry, settled, spent }) => [level.0, settled.0, carry, spent.0],
        };
        Packed { id, words }
    }

    fn put(&mut self, place: Place) {
        *self = Packed::of(self.id, place);
    }

    fn place(self) -> Place {
        let [first, second, third, fourth] = self.words;
        if third & LIVE != 0 {
            let times = u32::try_from(second).unwrap_or(u32::MAX);
            return Place::Live { key: KeyId(first), times, used: third & 1 != 0 };
        }
        let (level, spent) = (Tokens(first), Tokens(fourth));
        Place::Idle(Saved { level, carry: third, settled: Nanos(second), spent })
    }
}

impl Entry for Packed {
    const EMPTY: Packed = Packed { id: Id(0, 0), words: [0, 0, NOTHING, 0] };
    type Key = Id;

    fn key(&self) -> Option<Id> {
        (self.words[2] != NOTHING).then_some(self.id)
    }
}

const _: () = assert!(size_of::<Packed>() == 48);
const _: () = assert!(crate::core::limit::PERIOD_MAX.0 < NOTHING - LIVE);

#[cfg(test)]
mod tests {
    use super::*;

    const A: BucketId = BucketId(1 << 64 | 5);
    const B: BucketId = BucketId(2 << 64 | 5);
    const ONE_A_SECOND: Refill = Refill { num: 1_000_000, den: 1_000_000_000 };

    fn stripe() -> Stripe {
        Stripe::new(Tokens::permits(10), ONE_A_SECOND)
    }

    fn idle(permits: u64, at: u64) -> Place {
        Place::Idle(Saved {
            level: Tokens::permits(permits),
            carry: 7,
            settled: Nanos::from_secs(at),
            spent: Tokens::ZERO,
        })
    }

    #[test]
    fn every_place_comes_out_as_it_went_in() {
        let mut spent = idle(3, 9);
        if let Place::Idle(saved) = &mut spent {
            saved.spent = Tokens(1);
        }
        for place in [idle(3, 9), spent, Place::Live { key: KeyId(7 << 40 | 3), times: 2, used: true }] {
            let mut stripe = stripe();
            stripe.set(A, place);
            assert_eq!((stripe.get(A), stripe.get(B)), (Some(place), None));
        }
    }

    #[test]
    fn a_key_held_twice_goes_with_the_second_return_and_not_by_another_key() {
        let mut stripe = stripe();
        stripe.set(A, Place::Live { key: KeyId(7), times: 2, used: false });
        assert!(!stripe.give_back(A, KeyId(8)) && !stripe.give_back(A, KeyId(7)));
        assert!(stripe.give_back(A, KeyId(7)));
        assert!(!stripe.give_back(A, KeyId(7)));
    }

    #[test]
    fn a_sweep_drops_idle_buckets_that_are_full_by_now_and_no_others() {
        let mut stripe = stripe();
        stripe.set(A, idle(3, 0));
        stripe.set(B, idle(4, 0));
        assert_eq!(stripe.sweep(Nanos::from_secs(6)), (1, vec![]));
        assert!(stripe.get(A).is_some() && stripe.get(B).is_none());
    }

    #[test]
    fn what_was_spent_without_a_clock_is_spent_when_the_next_sweep_comes_and_refills_from_then_on() {
        let mut stripe = stripe();
        stripe.set(A, idle(10, 0));
        let spent = |stripe: &mut Stripe| stripe.spend(A, Tokens::permits(1));
        assert_eq!((spent(&mut stripe), spent(&mut stripe)), (Some(Tokens::permits(9)), None));
        assert_eq!(stripe.sweep(Nanos::from_secs(100)), (0, vec![]));
        assert_eq!(stripe.sweep(Nanos::from_secs(101)), (1, vec![]));
        assert_eq!(stripe.spend(A, Tokens::permits(1)), None, "it is not here any more");
    }

    #[test]
    fn a_sweep_that_makes_little_room_makes_more_so_that_the_next_is_not_soon() {
        let mut stripe = stripe();
        let buckets = |count: u128| (0..count).map(|at| BucketId(at << 64 | at));
        buckets(1).for_each(|bucket| stripe.set(bucket, idle(0, 0)));
        let crowd = stripe.places.capacity() as u128;
        buckets(crowd).for_each(|bucket| stripe.set(bucket, idle(0, 0)));
        assert!(stripe.is_crowded());
        stripe.sweep(Nanos::ZERO);
        assert!(stripe.places.len() as u128 == crowd && !stripe.is_crowded());
        buckets(crowd).for_each(|bucket| stripe.set(bucket, idle(10, 0)));
        let places = stripe.places.capacity();
        stripe.sweep(Nanos::ZERO);
        assert!(stripe.places.len() == 0 && stripe.places.capacity() == places);
    }

    #[test]
    fn a_sweep_names_live_buckets_that_nobody_holds_when_it_comes_by_the_second_time() {
        let mut stripe = stripe();
        stripe.set(A, Place::Live { key: KeyId(7), times: 0, used: true });
        stripe.set(B, Place::Live { key: KeyId(8), times: 1, used: false });
        assert_eq!(stripe.sweep(Nanos::ZERO), (0, vec![]));
        assert_eq!(stripe.sweep(Nanos::ZERO), (0, vec![(A, KeyId(7))]));
    }

    #[test]
    fn new_numbers_count_from_when_they_came() {
        let mut stripe = stripe();
        stripe.set(A, idle(0, 0));
        stripe.change(Tokens::permits(2), Refill::NONE, Nanos::from_secs(5));
        let Some(Place::Idle(saved)) = stripe.get(A) else { panic!() };
        assert_eq!((saved.level, saved.settled), (Tokens::permits(2), Nanos::from_secs(5)));
    }

    #[test]
    fn ids_that_were_chosen_to_fall_into_one_place_do_not() {
        let chosen = (0..4_096u64).map(|at| Id(at << 40, 7)).chain((0..4_096).map(|at| Id(7, at << 40)));
        let places: std::collections::BTreeSet<u64> =
            chosen.map(|id| Scatter::default().hash_one(id) & 0xffff).collect();
        // By chance 7,690.
        assert!(places.len() > 7_000, "{} places for 8192 ids", places.len());
    }

    #[test]
    fn there_is_room_for_so_many_and_one_given_back_makes_room() {
        let room = Room::new(1);
        assert!(room.take() && !room.take());
        room.give_back(1);
        assert!(room.take());
    }
}
