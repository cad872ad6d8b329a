//! The places where buckets live: one table for the whole process, addressed by key ids.
//!
//! An id is a slot's index and generation. Slots are never freed, only reused under the next generation, so an id
//! that is out of date is found out and can do no harm.
//!
//! Two layers: `credit` is what may be taken with one atomic step; `cold`, behind a lock of its own, holds the bucket
//! that the credit was paid out from; a part of it may be in the [`purse`](super::purse) of a key. What was spent is the
//! difference, counted when the bucket is settled next ([`Cold::settle`]). Taking credit looks at no clock for the refill: a
//! bucket that was settled earlier holds less than the truth, never more.

use crate::core::enforcement::{Edge, Guard};
use crate::core::meter::{Meter, Stamp};
use crate::core::placement::BucketId;
use crate::core::share::Share;
use crate::core::units::{Nanos, Tokens};
use crate::lock::Mutex;
use crate::runtime::arena::Arena;
use crate::runtime::decide::{as_if_alone, Use};
use crate::runtime::inner::Inner;
use crate::runtime::limit_of::LimitOf;
use crate::runtime::purse::{Lent, Purse};
use crate::runtime::validity;
use crate::runtime::waiters::Waiters;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

/// Bits of a credit word that hold credit; the generation stands above them.
const CREDIT_BITS: u32 = 40;
/// Most credit that can be paid out at once: about a million permits. A larger request settles each time.
pub(super) const CREDIT_MAX: u64 = (1 << CREDIT_BITS) - 1;
const GENERATION_MASK: u32 = (1 << (64 - CREDIT_BITS)) - 1;

/// Pauses of the processor after which a thread that lost a race for a credit word tries again: some hundred nanoseconds.
const BACK_OFF: u32 = 32;

/// Most slots in a process.
pub const SLOTS_MAX: usize = super::arena::PLACES_MAX;

/// A key's name: slot index below, generation above, where it stands in a credit word. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub u64);

impl KeyId {
    fn new(index: u32, generation: u32) -> KeyId {
        KeyId(u64::from(generation) << CREDIT_BITS | u64::from(index))
    }

    /// The slot's index; beyond all slots for a number that was never an id.
    #[inline]
    pub(super) fn index(self) -> u32 {
        u32::try_from(self.0 & CREDIT_MAX).unwrap_or(u32::MAX)
    }

    /// The generation where it stands in a credit word.
    #[inline]
    pub(super) fn tag(self) -> u64 {
        self.0 & !CREDIT_MAX
    }
}

/// One bucket's place.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Generation and credit in one word: one atomic step checks both.
    pub(super) credit: AtomicU64,
    /// Index of the [`validity`](super::validity) that the credit needs.
    pub(super) validity: AtomicU32,
    /// Number of forks before it was taken: another number means that the cold side belongs to a parent process.
    pub(super) forks: AtomicU32,
    /// Before this tick not even one permit comes.
    pub(super) dry_until: AtomicU64,
    /// Permits refused without settling.
    pub(super) refused: AtomicU64,
    /// What the bucket held beyond what was paid out, for people.
    pub(super) beyond: AtomicU64,
    /// How often the credit was taken back: what was taken before cannot be put back into it.
    pub(super) settlements: AtomicU32,
    /// The driver was told that this bucket was refused.
    pub(super) flagged: AtomicBool,
    pub(super) cold: Mutex<Option<Box<Cold>>>,
}

/// What the lock of a slot protects.
#[derive(Debug)]
pub(super) struct Cold {
    pub(super) owner: Arc<Inner>,
    pub(super) id: KeyId,
    pub(super) bucket_id: BucketId,
    pub(super) limit: Arc<LimitOf>,
    /// The scope value, for people.
    pub(super) value: Box<str>,
    pub(super) meter: Meter,
    /// What the limit's enforcement remembers, if it remembers anything.
    pub(super) guard: Option<Box<Guard>>,
    /// The credit as last paid out, and what of it went into a key's purse.
    paid_out: u64,
    lent: Option<Lent>,
    /// The purse that it took its part back from last.
    pub(super) recalled: Option<&'static Purse>,
    /// For so many more decisions under the lock nothing is lent: several keys want it.
    pub(super) contended: u8,
    pub(super) share: Share,
    pub(super) waiters: Waiters,
    /// Permits granted and refused so far, as of the last settlement.
    pub(super) granted: u64,
    pub(super) refused: u64,
    granted_fraction: Tokens,
    /// Asked for since the last usage report: granted, refused, and new to the queue. Who waits asks once.
    pub(super) asked: Tokens,
    pub(super) is_refused: bool,
    pub(super) largest_refused: Tokens,
}

pub(super) static SLOTS: Arena<Slot> = Arena::new();

/// The slot at `index`; `None` if no key ever stood there.
#[inline]
pub(super) fn get(index: u32) -> Option<&'static Slot> {
    SLOTS.get(index)
}

/// The slot of a live key, by what the driver calls it.
pub(super) fn of_ref(bucket: crate::core::share::BucketRef) -> Option<&'static Slot> {
    get(bucket.0)
}

/// A new key with a bucket, without a share where the limit is shared.
pub(super) fn create(
    owner: &Arc<Inner>,
    bucket_id: BucketId,
    limit: &Arc<LimitOf>,
    value: &str,
    validity: u32,
    meter: Meter,
) -> Option<KeyId> {
    let index = SLOTS.take()?;
    let slot = get(index)?;
    let local = owner.is_local();
    let mut cold = slot.cold.lock();
    let id = slot.next_id(index);
    slot.validity.store(validity, Ordering::Relaxed);
    slot.forks.store(super::fork::count(), Ordering::Relaxed);
    slot.dry_until.store(0, Ordering::Relaxed);
    slot.refused.store(0, Ordering::Relaxed);
    // A local bucket has nobody to tell.
    slot.flagged.store(local, Ordering::Relaxed);
    let mut new = Box::new(Cold {
        owner: owner.clone(),
        id,
        bucket_id,
        limit: limit.clone(),
        value: value.into(),
        meter,
        guard: Guard::remembers(&limit.enforcement).then(|| Box::new(Guard::new(&limit.enforcement))),
        paid_out: 0,
        lent: None,
        recalled: None,
        contended: 0,
        share: if local { Share { rate: limit.rate(), burst: limit.burst() } } else { Share::NONE },
        waiters: Waiters::default(),
        granted: 0,
        refused: 0,
        granted_fraction: Tokens::ZERO,
        asked: Tokens::ZERO,
        is_refused: false,
        largest_refused: Tokens::ZERO,
    });
    new.pay_out(slot);
    *cold = Some(new);
    Some(id)
}

/// Ends a key that nobody holds: it has another id from here on, so that nothing is taken while its bucket is put away.
/// That id, if the bucket must stay where it is.
pub(super) fn stay(key: KeyId, now: Nanos) -> Option<KeyId> {
    get(key.index())?.with(key, |slot, cold| {
        cold.settle(slot, now);
        cold.id = slot.next_id(key.index());
        cold.owner.events().renamed(key, cold.id);
        // Who waits with the old id finds out, and reservations can no longer be ended.
        cold.meter.spend_all_held();
        std::mem::take(&mut cold.waiters).call_all();
        cold.pay_out(slot);
        cold.must_stay(now).then_some(cold.id)
    })?
}

/// Ends a key: its id is out of date from here on, and who waited for it is told. Answers what it counted.
pub(super) fn destroy(index: u32) -> Option<Meter> {
    let slot = get(index)?;
    let mut guard = slot.cold.lock();
    let mut cold = guard.take()?;
    cold.settle(slot, Nanos::ZERO);
    // No credit under any generation that an id carries.
    slot.credit.store(cold.id.tag(), Ordering::Release);
    slot.validity.store(0, Ordering::Release);
    drop(guard);
    SLOTS.give_back(index);
    cold.owner.count_ended(cold.granted, cold.refused);
    cold.waiters.call_all();
    if cold.guard.as_ref().is_some_and(|guard| guard.is_under_pressure()) {
        cold.owner.events().edge(Edge::PressureOff, &cold);
    }
    Some(cold.meter)
}

/// Somebody else was quicker: leaves the word to them for a moment, so that they take several times while their processor
/// has it, instead of once each time that it went back and forth. Source: Anderson, "The performance of spin lock
/// alternatives for shared-memory multiprocessors" (1990).
#[cold]
pub(super) fn back_off(word: &AtomicU64) -> u64 {
    (0..BACK_OFF).for_each(|_| std::hint::spin_loop());
    word.load(Ordering::Acquire)
}

impl Slot {
    /// The id of the next key here.
    fn next_id(&self, index: u32) -> KeyId {
        let last = (self.credit.load(Ordering::Relaxed) >> CREDIT_BITS) as u32;
        let generation = last.wrapping_add(1) & GENERATION_MASK;
        KeyId::new(index, if generation == 0 { 1 } else { generation })
    }

    /// Takes `cost` out of the credit under the generation `tag`, in one step: what is left of it, or the word that does not
    /// have it; no word if another thread was quicker.
    #[inline(always)]
    pub(super) fn take_credit_once(&self, tag: u64, cost: u64) -> Result<u64, Option<u64>> {
        let word = self.credit.load(Ordering::Acquire);
        let have = word.wrapping_sub(tag);
        if have > CREDIT_MAX || have < cost {
            return Err(Some(word));
        }
        let taken = self.credit.compare_exchange(word, word - cost, Ordering::AcqRel, Ordering::Relaxed);
        taken.map(|_| have - cost).map_err(|_| None)
    }

    /// The same until nobody is quicker: whether it was there.
    #[inline]
    pub(super) fn take_credit(&self, tag: u64, cost: u64) -> bool {
        loop {
            match self.take_credit_once(tag, cost) {
                Err(None) => self.back_off(),
                taken => return taken.is_ok(),
            }
        }
    }

    /// After another thread was quicker.
    pub(super) fn back_off(&self) {
        back_off(&self.credit);
    }

    /// The tick before which not even one permit comes, if it is known and still ahead at the tick `now`, and the driver
    /// need not be told.
    #[inline]
    pub(super) fn dry_after(&self, now: u64) -> Option<u64> {
        let dry = self.dry_until.load(Ordering::Acquire);
        (now < dry && self.flagged.load(Ordering::Relaxed)).then_some(dry)
    }

    /// The credit was gone between a look and a step: takes `cost` of what the bucket has beyond, under its lock, so that nobody
    /// is quicker again.
    #[cold]
    #[inline(never)]
    pub(super) fn take_more(&'static self, id: KeyId, cost: u64) -> bool {
        let taken = self.with(id, |slot, cold| {
            let now = cold.owner.clock().now();
            // What a share mints once it is not valid any more is nobody's: the time may be another since it was looked at.
            if now >= validity::get(slot.validity.load(Ordering::Relaxed)).until() {
                return false;
            }
            cold.settled(slot, now, |cold| {
                let enough = cold.payable() > 0 && cold.level() >= Tokens(cost);
                if enough {
                    cold.take(Tokens(cost), Use::Spend);
                }
                enough
            })
        });
        taken == Some(true)
    }

    /// What was foreseen, that nothing comes before some tick, does not hold any more.
    fn forget_foreseen(&self) {
        self.dry_until.store(0, Ordering::Release);
    }

    /// Puts back what was just taken, as if it had not been: unless the bucket was settled after `settlements` was read,
    /// which counted it as spent.
    #[cold]
    pub(super) fn give_credit_back(&self, tag: u64, cost: u64, settlements: u32) {
        // The lock keeps settlements out.
        let guard = self.cold.lock();
        if guard.as_ref().is_some_and(|cold| cold.id.tag() == tag)
            && self.settlements.load(Ordering::Acquire) == settlements
        {
            self.credit.fetch_add(cost, Ordering::AcqRel);
        }
    }

    /// Whether this process was forked from the one that the key belongs to: its lock must not be touched.
    pub(super) fn is_of_another_process(&self) -> bool {
        self.forks.load(Ordering::Relaxed) != super::fork::count()
    }

    /// Runs `act` on the cold side of the key `id`, if it is still that key.
    pub(super) fn with<T>(&'static self, id: KeyId, act: impl FnOnce(&'static Slot, &mut Cold) -> T) -> Option<T> {
        let mut guard = self.cold.lock();
        let cold = guard.as_mut().filter(|cold| cold.id == id)?;
        let result = catch_unwind(AssertUnwindSafe(|| act(self, cold)));
        match result {
            Ok(result) => Some(result),
            Err(panic) => {
                // In the middle of a bucket's change: nothing of this runtime can be trusted any more.
                cold.owner.poison();
                resume_unwind(panic)
            }
        }
    }
}

impl Cold {
    /// Takes the credit back, lets `act` use the settled bucket, and pays out the rest: one step against admissions.
    pub(super) fn settled<T>(&mut self, slot: &Slot, now: Nanos, act: impl FnOnce(&mut Cold) -> T) -> T {
        self.settle(slot, now);
        let result = act(self);
        self.pay_out(slot);
        result
    }

    /// Takes the credit back, mints up to `now`, and counts what was spent.
    pub(super) fn settle(&mut self, slot: &Slot, now: Nanos) {
        slot.settlements.fetch_add(1, Ordering::AcqRel);
        let left = slot.credit.swap(self.id.tag(), Ordering::AcqRel) & CREDIT_MAX;
        let spent = Tokens(self.paid_out - left - self.recall());
        self.paid_out = 0;
        self.meter.settle(now, spent);
        self.count_spent(spent);
        let refused = slot.refused.swap(0, Ordering::Relaxed);
        if refused > 0 {
            self.count_refused(refused, Tokens::permits(1));
        }
    }

    /// Takes back what is in a purse.
    fn recall(&mut self) -> u64 {
        let Some(Lent { purse, unit }) = self.lent.take() else { return 0 };
        let left = purse.close();
        self.recalled = Some(purse);
        left * unit
    }

    /// Puts what is in a purse back into the credit: its key ends.
    pub(super) fn take_back(&mut self, slot: &Slot, purse: &Purse) {
        if self.lent.is_some_and(|lent| std::ptr::eq(lent.purse, purse)) {
            slot.credit.fetch_add(self.recall(), Ordering::AcqRel);
        }
    }

    /// What the hot path may spend of the settled bucket: nothing if somebody waits for it in front of others or each grant
    /// matters.
    pub(super) fn payable(&self) -> u64 {
        let looks = self.guard.as_ref().is_some_and(|guard| guard.must_look());
        if self.waiters.is_empty() && !looks {
            self.meter.credit().0.min(CREDIT_MAX)
        } else {
            0
        }
    }

    /// Lets the hot path spend what is there.
    pub(super) fn pay_out(&mut self, slot: &Slot) {
        self.pay_out_and_lend(slot, 0, None);
    }

    /// The same; so many permits of it go into a purse, which is filled afterwards.
    pub(super) fn pay_out_and_lend(&mut self, slot: &Slot, permits: u64, lent: Option<Lent>) {
        let credit = self.payable();
        self.paid_out = credit;
        self.lent = lent;
        slot.beyond.store((self.level().0 - credit).min(CREDIT_MAX), Ordering::Relaxed);
        let own = credit - lent.map_or(0, |lent| permits * lent.unit);
        slot.credit.store(self.id.tag() | own, Ordering::Release);
    }

    /// Takes `amount` out of the settled bucket.
    pub(super) fn take(&mut self, amount: Tokens, use_: Use) {
        let taken = match use_ {
            Use::Spend => self.meter.take(amount),
            Use::Hold => self.meter.hold(amount),
        };
        if taken {
            self.count_spent(amount);
        }
    }

    /// Ends the hold of `amount` since `stamp`, of which `spent` was used: the rest comes back, or what is beyond is owed.
    pub(super) fn end_hold(&mut self, slot: &Slot, amount: Tokens, spent: Tokens, stamp: Stamp) {
        slot.forget_foreseen();
        let back = self.meter.end_hold(amount, spent, stamp);
        self.granted = self.granted.saturating_sub(back.whole());
        self.asked = self.asked - back;
        self.count_spent(spent - amount);
    }

    /// Takes on the numbers that a local limit has now, or the pace of any: what was minted so far stays, up to the new
    /// burst.
    pub(super) fn change(&mut self, slot: &Slot, limit: &Arc<LimitOf>, now: Nanos) {
        if !Arc::ptr_eq(&self.limit, limit) {
            return;
        }
        self.settled(slot, now, |cold| {
            if limit.alone {
                cold.share = Share { rate: limit.rate(), burst: limit.burst() };
                slot.forget_foreseen();
                cold.meter.follow(&limit.local(), limit.ppm());
            } else {
                cold.reshape(slot, cold.share);
            }
        });
        self.waiters.call_first();
    }

    /// Gives the settled bucket another share, and returns what stood above its burst.
    pub(super) fn reshape(&mut self, slot: &Slot, share: Share) -> Tokens {
        self.share = share;
        slot.forget_foreseen();
        self.meter.take_on(share, self.limit.ppm())
    }

    /// Nobody may be asking, for the pressure: whether it can end, or how long until somebody should look again.
    pub(super) fn rest(&mut self, slot: &Slot, now: Nanos) -> Option<Nanos> {
        self.settled(slot, now, |cold| {
            let half = Tokens(cold.cap().0.div_ceil(2));
            let half_of_all = Tokens(cold.limit.burst().0.div_ceil(2));
            let patience = if cold.limit.ppm() == 0 { Nanos::NEVER } else { as_if_alone(cold, half_of_all) };
            let (level, cap) = (cold.level(), cold.cap());
            let guard = cold.guard.as_mut()?;
            let edge = guard.rest(now, level, cap, patience);
            let pressed = guard.is_under_pressure();
            if let Some(edge) = edge {
                cold.owner.events().edge(edge, cold);
            }
            pressed.then(|| cold.meter.wait_for(half).unwrap_or(patience).min(patience))
        })
    }

    /// What a guard takes for all there could be.
    pub(super) fn cap(&self) -> Tokens {
        self.meter.cap().max(Tokens::permits(1))
    }

    /// Whether it has something to remember that does not fit into a few bytes.
    fn must_stay(&self, now: Nanos) -> bool {
        let full = self.meter.is_full();
        let kept = self.meter.save().is_some() && self.limit.ppm() > 0;
        // Refusals that were counted are forgotten with a bucket that is full again, or every value would stay for ever.
        let guarded =
            self.guard.as_ref().is_some_and(|guard| guard.must_look() && !(full && guard.refuses(now).is_none()));
        guarded || !(kept || full)
    }

    /// What was spent since the last settlement.
    pub(super) fn unsettled(&self, slot: &Slot) -> Tokens {
        let lent = self.lent.map_or(0, |lent| lent.purse.left() * lent.unit);
        Tokens(self.paid_out.saturating_sub((slot.credit.load(Ordering::Acquire) & CREDIT_MAX) + lent))
    }

    /// What is left, as of the last settlement.
    pub(super) fn level(&self) -> Tokens {
        self.meter.level()
    }

    pub(super) fn count_spent(&mut self, spent: Tokens) {
        self.asked = self.asked.plus(spent);
        let total = self.granted_fraction.plus(spent);
        self.granted = self.granted.saturating_add(total.whole());
        self.granted_fraction = total - Tokens::permits(total.whole());
    }

    pub(super) fn count_refused(&mut self, permits: u64, largest: Tokens) {
        self.refused = self.refused.saturating_add(permits);
        self.asked = self.asked.plus(Tokens::permits(permits));
        self.is_refused = true;
        self.largest_refused = self.largest_refused.max(largest);
    }
}

const _: () = assert!(size_of::<Slot>() == 128);
const _: () = assert!(CREDIT_BITS > 32 && KeyId(0).0 == 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_slot_and_generation_and_is_never_zero() {
        let id = KeyId::new(0, 1);
        assert_ne!(id.0, 0);
        assert_eq!((id.index(), id.tag() >> CREDIT_BITS), (0, 1));
        assert_eq!(KeyId::new(7, 3).tag() >> CREDIT_BITS, 3);
    }

    #[test]
    fn a_number_that_differs_from_an_id_in_any_bit_has_another_slot_or_generation() {
        let id = KeyId::new(5, 9);
        for bit in 0..64 {
            let other = KeyId(id.0 ^ 1 << bit);
            assert!(other.index() != id.index() || other.tag() != id.tag(), "bit {bit}");
        }
    }

    /// A local key whose bucket is full, with the runtime that keeps it.
    fn local_key(permits: u64, period: Nanos, burst: u64) -> (crate::Runtime, KeyId, &'static Slot) {
        let runtime = crate::Runtime::local(&crate::Options::default()).unwrap();
        let limit = crate::Limit::token_bucket(permits, period, burst).unwrap();
        let key = runtime.limiter("x", limit).unwrap().key_id("").unwrap();
        (runtime, key, get(key.index()).unwrap())
    }

    #[test]
    fn a_key_that_is_used_at_half_its_rate_is_never_refused_and_keeps_fifteen_sixteenths_of_its_burst() {
        let (_runtime, key, slot) = local_key(1_000, Nanos::from_secs(1), 160);
        let one = Tokens::permits(1);
        let mut now = crate::runtime::clock::boot_time();
        for _ in 0..1_000 {
            now = now.plus(Nanos::from_millis(2));
            if !slot.take_credit(key.tag(), one.0) {
                slot.with(key, |slot, cold| cold.settled(slot, now, |cold| assert!(cold.meter.take(one)))).unwrap();
            }
        }
        slot.with(key, |slot, cold| cold.settle(slot, now)).unwrap();
        assert!(slot.with(key, |_, cold| cold.level()).unwrap() >= Tokens::permits(150 - 1));
    }

    #[test]
    fn what_a_bucket_has_beyond_its_credit_is_paid_out_while_it_is_valid_and_not_after() {
        let (_runtime, key, slot) = local_key(1, Nanos::from_secs(3_600), 160);
        let ten = Tokens::permits(10).0;
        assert!(slot.take_credit(key.tag(), ten) && !slot.take_credit(key.tag(), ten));
        assert!(slot.take_more(key, ten));
        let valid = slot.validity.swap(0, Ordering::Relaxed);
        assert!(!slot.take_more(key, ten));
        slot.validity.store(valid, Ordering::Relaxed);
        assert!(slot.take_more(key, ten));
        assert!(!slot.take_more(KeyId(key.0 ^ 1 << CREDIT_BITS), ten), "another generation");
    }

    #[test]
    fn a_panic_in_the_middle_of_a_bucket_poisons_its_runtime_and_no_other() {
        let [(broken, broken_key, slot), (_sound, sound_key, _)] =
            [(); 2].map(|()| local_key(1, Nanos::from_secs(1), 5));
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let panicked = catch_unwind(AssertUnwindSafe(|| slot.with(broken_key, |_, _| panic!("on purpose"))));
        std::panic::set_hook(hook);
        assert!(panicked.is_err());
        let status = |key| crate::runtime::acquire::try_acquire(key, 1).status;
        assert_eq!([broken_key, sound_key].map(status), [crate::ErrorKind::Bug as i32, 0]);
        assert_eq!(broken.health().state, crate::HealthState::Failed);
    }
}
