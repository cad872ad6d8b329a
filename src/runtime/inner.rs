//! What all handles of one runtime share.

use super::clock::{self, Clock};
use super::driver::Driver;
use super::events::{Event, Events};
use super::keys::{Place, Room, Stripe, STRIPES};
use super::limit_of::LimitOf;
use super::link::{Desk, Link};
use super::report::{Metrics, Report};
use super::rule::Rule;
use super::slot::{self, KeyId};
use super::validity::OwnValidity;
use super::{fork, Basis};
use crate::core::bucket::{Bucket, Refill, Saved};
use crate::core::limit::{Kind, Limit, Outage};
use crate::core::meter::Meter;
use crate::core::placement::BucketId;
use crate::core::units::{Nanos, Tokens, MILLISECOND};
use crate::lock::{Mutex, MutexGuard};
use crate::storage::lag::LagSource;
use crate::storage::{LogStore, StorageInfo};
use crate::{Error, ErrorKind};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicU8, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Most limiters of a runtime.
pub const LIMITERS_MAX: usize = 65_536;
/// Longest name of a limiter, and longest scope value, in bytes.
pub const NAME_MAX: usize = 1_024;

/// How many stripes are swept where there is no room for a key.
const SWEPT_AT_ONCE: usize = 8;

/// What a closed runtime says.
pub(super) const CLOSED: &str = "the runtime was closed";

/// What a poisoned runtime says.
pub(super) const POISONED: &str = "a panic inside Tidegate; the runtime refuses every further call";

/// What a runtime of another process says.
pub(super) const FORKED: &str = "this process was forked from the one that opened the runtime; open another one here";

/// Whether a runtime can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    Closed,
    /// A panic left it in a state that nobody knows.
    Poisoned,
}

impl Life {
    /// The failure that a call answers with, if any.
    pub(super) fn check(self) -> Result<(), ErrorKind> {
        match self {
            Life::Open => Ok(()),
            Life::Closed => Err(ErrorKind::Closed),
            Life::Poisoned => Err(ErrorKind::Bug),
        }
    }
}

/// What all handles of one runtime share.
#[derive(Debug)]
pub(super) struct Inner {
    life: AtomicU8,
    /// Handles: runtimes and limiters. The last one closes.
    users: AtomicUsize,
    clock: Clock,
    forks: u32,
    outage: Outage,
    room: Room,
    /// By limiter and tier.
    limits: Mutex<BTreeMap<(String, u32), Arc<LimitOf>>>,
    /// Of a local runtime: for ever, until it is closed.
    local: Option<OwnValidity>,
    /// To the thread that speaks with the log; a local runtime has none.
    link: Option<Link>,
    /// Stripes swept for want of room.
    swept: AtomicUsize,
    events: Events,
    lag_source: Option<Arc<dyn LagSource>>,
    /// By limiter, why its lag cannot be measured.
    lag_trouble: Mutex<BTreeMap<String, String>>,
    allowed: AtomicU64,
    shadowed: AtomicU64,
    /// Permits granted and refused by keys that ended.
    ended_granted: AtomicU64,
    ended_refused: AtomicU64,
}

impl Inner {
    /// A runtime with one user.
    pub(super) fn new(
        clock: Clock,
        outage: Outage,
        keys_max: usize,
        link: Option<Link>,
        lag_source: Option<Arc<dyn LagSource>>,
    ) -> Result<Inner, Error> {
        clock::calibrate();
        fork::watch();
        let local = match &link {
            Some(_) => None,
            None => Some(OwnValidity::take().ok_or_else(too_many_runtimes)?),
        };
        if let Some(local) = &local {
            match clock {
                Clock::System => local.publish(clock.now(), Nanos::NEVER, Basis::Local, false),
                Clock::Manual(_) => local.publish_slowly(Nanos::NEVER, Basis::Local),
            }
        }
        Ok(Inner {
            life: AtomicU8::new(Life::Open as u8),
            users: AtomicUsize::new(1),
            clock,
            forks: fork::count(),
            outage,
            room: Room::new(keys_max),
            limits: Mutex::default(),
            local,
            link,
            swept: AtomicUsize::new(0),
            events: Events::default(),
            lag_source,
            lag_trouble: Mutex::default(),
            allowed: AtomicU64::new(0),
            shadowed: AtomicU64::new(0),
            ended_granted: AtomicU64::new(0),
            ended_refused: AtomicU64::new(0),
        })
    }

    pub(super) fn is_local(&self) -> bool {
        self.link.is_none()
    }

    /// What measures lags, if there is a Kafka to measure them in.
    pub(super) fn lag_source(&self) -> Option<&Arc<dyn LagSource>> {
        self.lag_source.as_ref()
    }

    /// The lag that the limiter `name` follows was measured, or why it could not be.
    pub(super) fn hear_of_lag(&self, name: &str, trouble: Option<&String>) {
        let mut all = self.lag_trouble.lock();
        match trouble {
            Some(trouble) => _ = all.insert(name.to_owned(), trouble.clone()),
            None => _ = all.remove(name),
        }
    }

    /// Why some lag cannot be measured.
    pub(super) fn lag_trouble(&self) -> Option<String> {
        self.lag_trouble.lock().first_key_value().map(|(name, why)| format!("limiter `{name}` keeps its pace: {why}"))
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn life(&self) -> Life {
        match self.life.load(Ordering::Acquire) {
            0 => Life::Open,
            1 => Life::Closed,
            _ => Life::Poisoned,
        }
    }

    /// Whether it belongs to a process that this one was forked from: its locks must not be touched, nor dropped.
    pub(super) fn is_of_another_process(&self) -> bool {
        self.forks != fork::count()
    }

    /// Whether `desk` is the one that it shares with its thread.
    pub(super) fn is_at(&self, desk: &Arc<Desk>) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_at(desk))
    }

    /// Whether it can be used from this process.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_of_another_process() {
            return Err(Error::new(ErrorKind::Forked, FORKED));
        }
        let words = |kind| if kind == ErrorKind::Closed { CLOSED } else { POISONED };
        self.life().check().map_err(|kind| Error::new(kind, words(kind)))
    }

    /// One more user; false when it is closed or of another process.
    pub(super) fn join(&self) -> bool {
        let more = |users| (users > 0).then_some(users + 1);
        self.check().is_ok() && self.users.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// One user less; the last one closes it, which takes at most about `timeout`.
    pub(super) fn leave(self: &Arc<Inner>, timeout: Duration) -> bool {
        if self.is_of_another_process() {
            // For ever: to drop it would touch locks and threads that exist only in the parent.
            std::mem::forget(self.clone());
            return true;
        }
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            return self.close(timeout);
        }
        true
    }

    /// Gives all shares back, and ends every key. False if the goodbye was not confirmed in time.
    fn close(&self, timeout: Duration) -> bool {
        let before =
            self.life.compare_exchange(Life::Open as u8, Life::Closed as u8, Ordering::AcqRel, Ordering::Acquire);
        if before == Err(Life::Closed as u8) {
            return true;
        }
        if let Some(local) = &self.local {
            local.void();
        }
        let confirmed = self.link.as_ref().is_none_or(|link| link.close(timeout));
        for limit in self.limits() {
            for mut stripe in limit.keys().each() {
                for place in stripe.drain() {
                    if let Place::Live { key, .. } = place {
                        slot::destroy(key.index());
                    }
                }
            }
        }
        self.end_released();
        self.events.close();
        confirmed
    }

    /// Ends the keys that were given back and that no driver looks after any more.
    fn end_released(&self) {
        for key in self.link.iter().flat_map(Link::take_released) {
            slot::destroy(key.index());
        }
    }

    /// After a panic: nothing here can be trusted.
    pub(super) fn poison(&self) {
        self.life.store(Life::Poisoned as u8, Ordering::Release);
        self.events.close();
        if let Some(local) = &self.local {
            local.void();
        }
    }

    /// The limit of tier `tier` of the limiter `name`.
    pub(super) fn limit(&self, name: &str, tier: u32, rule: &Rule) -> Result<Arc<LimitOf>, Error> {
        self.check()?;
        check_name("limiter name", name)?;
        let place = (name.to_owned(), tier);
        let mut limits = self.limits.lock();
        let known = limits.get(&place);
        if let Some(known) = known.filter(|known| !known.is_open() && !known.is(rule, self.outage)) {
            // What is only remembered, and over by now, is no reason to refuse other numbers.
            (0..2).for_each(|_| self.sweep_all(known));
        }
        if let Some(known) = known.filter(|known| known.is(rule, self.outage)) {
            return Ok(known.clone());
        }
        if known.is_some_and(|known| Arc::strong_count(known) > 1) {
            let text =
                format!("limiter `{name}` is open in this process with other numbers or another enforcement, or what it let through still counts; use the same, or another name");
            return Err(Error::new(ErrorKind::Argument, text));
        }
        if limits.len() >= LIMITERS_MAX {
            // One that no limiter and no key holds any more is forgotten, unless a bucket must be remembered.
            limits.retain(|_, limit| Arc::strong_count(limit) > 1 || !limit.keys().is_empty());
        }
        if limits.len() >= LIMITERS_MAX {
            let text =
                format!("{LIMITERS_MAX} limiters are open; `{name}` was not added. Use keys for values, not limiters");
            return Err(Error::new(ErrorKind::Capacity, text));
        }
        let new = Arc::new(LimitOf::new(name, tier, rule, self.outage, self.is_local()));
        if let Some(old) = limits.insert(place, new.clone()) {
            new.take_over(&old, self.clock.now());
        }
        Ok(new)
    }

    fn limits(&self) -> Vec<Arc<LimitOf>> {
        self.limits.lock().values().cloned().collect()
    }

    /// The key of `value` under `limit`: to be given back if it is to be held, otherwise good until it was not used for
    /// a while.
    pub(super) fn key(self: &Arc<Inner>, limit: &Arc<LimitOf>, value: &str, hold: bool) -> Result<KeyId, Error> {
        self.check()?;
        check_value(value)?;
        let bucket = limit.bucket(value);
        let Some(mut stripe) = self.stripe_with_room(limit, bucket) else {
            return Err(self.no_key("`keys.max` keys are live", value));
        };
        let place = stripe.get(bucket);
        let (key, times) = match place {
            Some(Place::Live { key, times, .. }) => (key, times),
            _ => {
                let saved = if let Some(Place::Idle(saved)) = place { Some(saved) } else { None };
                let now = self.clock.now();
                let (validity, first) = match &self.local {
                    Some(local) => (local.index(), local_meter(limit, &stripe, saved, now)),
                    None => {
                        let empty = Bucket::empty(Tokens::ZERO, Refill::NONE, now);
                        (self.link.as_ref().map_or(0, Link::lobby), Meter::Bucket(empty))
                    }
                };
                let Some(key) = slot::create(self, bucket, limit, value, validity, first) else {
                    if place.is_none() {
                        self.room.give_back(1);
                    }
                    return Err(self.no_key("all places for keys of this process are taken", value));
                };
                (key, 0)
            }
        };
        stripe.set(bucket, Place::Live { key, times: times.saturating_add(u32::from(hold)), used: true });
        drop(stripe);
        if let Err(closed) = self.check() {
            // Closed meanwhile: nobody else would end it any more.
            self.release(limit, bucket, key);
            return Err(closed);
        }
        Ok(key)
    }

    fn no_key(&self, what: &str, value: &str) -> Error {
        let text = format!("{what}; key `{value}` was not added. Release keys that are idle, or raise `keys.max`");
        Error::new(ErrorKind::Capacity, text)
    }

    /// The stripe of a bucket, with room taken for it if it is new; `None` when `keys.max` are in use. A stripe that would
    /// have to grow is swept first, and where there is no room at all so are some others, in turns.
    pub(super) fn stripe_with_room<'a>(&self, limit: &'a LimitOf, bucket: BucketId) -> Option<MutexGuard<'a, Stripe>> {
        let with_room = || {
            let mut stripe = limit.stripe(bucket);
            if stripe.get(bucket).is_none() {
                if stripe.is_crowded() {
                    self.sweep(&mut stripe);
                }
                if !self.room.take() {
                    return None;
                }
            }
            Some(stripe)
        };
        with_room().or_else(|| {
            self.sweep_some();
            with_room()
        })
    }

    /// Sweeps the next stripes, of whatever limit.
    fn sweep_some(&self) {
        let limits = self.limits();
        let from = self.swept.fetch_add(SWEPT_AT_ONCE, Ordering::Relaxed);
        for at in from..from + SWEPT_AT_ONCE {
            let Some(limit) = limits.get(at / STRIPES % limits.len().max(1)) else { return };
            if let Some(mut stripe) = limit.keys().nth(at % STRIPES) {
                self.sweep(&mut stripe);
            }
        }
    }

    /// Sweeps all stripes of a limit, one after the other.
    pub(super) fn sweep_all(&self, limit: &LimitOf) {
        limit.keys().each().for_each(|mut stripe| self.sweep(&mut stripe));
    }

    fn sweep(&self, stripe: &mut Stripe) {
        let (dropped, unused) = stripe.sweep(self.clock.now());
        self.room.give_back(dropped);
        for (bucket, key) in unused {
            self.retire(stripe, bucket, key);
        }
    }

    /// Ends a live key that nobody holds. What a local one still has to wait for is remembered.
    fn retire(&self, stripe: &mut Stripe, bucket: BucketId, key: KeyId) {
        if self.is_local() && self.life() == Life::Open {
            if let Some(key) = slot::stay(key, self.clock.now()) {
                return stripe.set(bucket, Place::Live { key, times: 0, used: true });
            }
        }
        let left = match &self.link {
            // The driver gives the share back first, and then ends the key.
            Some(link) => {
                link.release(key);
                None
            }
            None => slot::destroy(key.index()).filter(|meter| !meter.is_full()).and_then(|meter| meter.save()),
        };
        match left {
            Some(left) if self.life() == Life::Open => stripe.set(bucket, Place::Idle(left)),
            _ => {
                stripe.remove(bucket);
                self.room.give_back(1);
            }
        }
    }

    /// Gives a key back once.
    pub(super) fn release(&self, limit: &LimitOf, bucket: BucketId, key: KeyId) {
        let mut stripe = limit.stripe(bucket);
        if stripe.give_back(bucket, key) {
            self.retire(&mut stripe, bucket, key);
        }
        drop(stripe);
        if self.life() != Life::Open {
            self.end_released();
        }
    }

    /// Tells the driver that a bucket was refused; false = it could not be told now.
    pub(super) fn tell_driver(&self, key: KeyId) -> bool {
        self.link.as_ref().is_none_or(|link| link.tell(key))
    }

    /// A key ended: what it granted and refused stays counted.
    pub(super) fn count_ended(&self, granted: u64, refused: u64) {
        self.ended_granted.fetch_add(granted, Ordering::Relaxed);
        self.ended_refused.fetch_add(refused, Ordering::Relaxed);
    }

    pub(super) fn count_allowed(&self, permits: u64) {
        self.allowed.fetch_add(permits, Ordering::Relaxed);
    }

    pub(super) fn count_shadowed(&self, permits: u64) {
        self.shadowed.fetch_add(permits, Ordering::Relaxed);
    }

    /// Starts the background thread.
    pub(super) fn start(self: &Arc<Inner>, driver: Driver, storage: Box<dyn LogStore>) -> Result<(), Error> {
        self.link.as_ref().map_or(Ok(()), |link| link.start(driver, storage, Arc::downgrade(self)))
    }

    /// The processes that hold or want something of a key's bucket; 0 if the thread does not answer in `timeout`.
    pub(super) fn processes(&self, key: KeyId, timeout: Duration) -> u32 {
        self.link.as_ref().map_or(1, |link| link.status(key, timeout).map_or(0, |status| status.processes))
    }

    /// Changes a limit, for the whole fleet where it is shared. Waits until every partition has it, for at most `timeout`.
    pub(super) fn set_limit(&self, limit: &Arc<LimitOf>, new: Limit, timeout: Duration) -> Result<(), Error> {
        self.check()?;
        if new.kind() != limit.configured.kind() {
            let text = "a limit cannot become another kind: a token bucket stays one, and so does a sliding window";
            return Err(Error::new(ErrorKind::Argument, text));
        }
        let Some(link) = &self.link else {
            limit.change(new, self.clock.now());
            return Ok(());
        };
        link.define(limit, new, timeout).unwrap_or_else(|| {
            let name = &limit.limiter;
            let text = format!("the new limit of `{name}` was not confirmed in time; it will be, when the log answers");
            Err(Error::new(ErrorKind::Storage, text))
        })
    }

    /// What decisions without a share follow, in words.
    pub(super) fn policy(&self) -> &'static str {
        match self.outage {
            Outage::Allow => "without a share everything is let through (`on.outage` = allow)",
            Outage::Deny => "without a share everything is refused (`on.outage` = deny)",
            Outage::KeepShare => "without a share everything is refused (`on.outage` = keep_share)",
        }
    }

    /// Counters, summed over the live keys and the partitions.
    pub(super) fn metrics(&self) -> Metrics {
        let report = self.report();
        let mut metrics = Metrics {
            permits_granted: self.ended_granted.load(Ordering::Relaxed),
            permits_refused: self.ended_refused.load(Ordering::Relaxed),
            permits_allowed: self.allowed.load(Ordering::Relaxed),
            permits_shadowed: self.shadowed.load(Ordering::Relaxed),
            partitions_followed: report.partitions_followed.into(),
            sessions_valid: report.sessions_valid.into(),
            records_sent: report.agents.records_sent,
            records_resent: report.agents.records_resent,
            records_read: report.agents.records_read,
            records_refused: report.agents.records_refused,
            sessions_lost: report.agents.sessions_lost,
            sessions_lost_while_valid: report.agents.lost_while_valid,
            evictions_sent: report.agents.evictions_sent,
            digest_mismatches: report.agents.digest_mismatches,
            gaps: report.agents.gaps,
            digests_compared: report.agents.digests_compared,
            snapshots_written: report.agents.snapshots_written,
            snapshots_restored: report.agents.snapshots_restored,
            snapshot_age_ms: report.snapshot.map_or(0, |(age, _)| age.0 / MILLISECOND),
            snapshot_offset: report.snapshot.map_or(0, |(_, offset)| offset),
            resets: report.agents.resets,
            ..Metrics::default()
        };
        if self.is_of_another_process() {
            return metrics;
        }
        for limit in self.limits() {
            let mut live = Vec::new();
            for stripe in limit.keys().each() {
                metrics.permits_granted += stripe.granted;
                metrics.permits_refused += stripe.refused;
                live.extend(stripe.live());
            }
            metrics.keys += live.len() as u64;
            for key in live {
                let Some(slot) = slot::get(key.index()) else { continue };
                slot.with(key, |slot, cold| {
                    metrics.permits_granted += cold.granted + cold.unsettled(slot).whole();
                    metrics.permits_refused += cold.refused + slot.refused.load(Ordering::Relaxed);
                    metrics.waiting += cold.waiters.len() as u64;
                });
            }
        }
        metrics.keys_idle = (self.room.count() as u64).saturating_sub(metrics.keys);
        metrics
    }

    /// The next event, waited for up to `timeout`.
    pub(super) fn next_event(&self, timeout: Duration) -> Result<Option<Event>, Error> {
        self.check()?;
        let next = self.events.next(timeout, || self.clock.now());
        if next.is_none() {
            self.check()?;
        }
        Ok(next)
    }

    /// Ends the waits for events.
    pub(super) fn wake(&self) {
        self.events.wake();
    }

    /// What the driver last reported.
    pub(super) fn report(&self) -> Report {
        let link = self.link.as_ref().filter(|_| !self.is_of_another_process());
        link.map_or_else(Report::default, |link| link.report())
    }

    /// What the storage knows about itself.
    pub(super) fn storage(&self) -> StorageInfo {
        match &self.link {
            Some(_) => self.report().storage,
            None => StorageInfo { backend: "memory", ..StorageInfo::default() },
        }
    }
}

/// The meter of a local key: what was kept of it, or a new one.
fn local_meter(limit: &LimitOf, stripe: &Stripe, saved: Option<Saved>, now: Nanos) -> Meter {
    let numbers = limit.local();
    let bucket = stripe.bucket(saved, now);
    match numbers.kind() {
        Kind::SlidingWindow => {
            let mut meter = Meter::alone(&numbers, limit.ppm(), now);
            // Of the time when the limiter was a bucket: what is missing counts as taken now.
            meter.settle(now, stripe.burst - bucket.level());
            meter
        }
        Kind::TokenBucket => Meter::Bucket(bucket),
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > NAME_MAX {
        let text = format!("the {what} has {} bytes; 1 to {NAME_MAX} are allowed", name.len());
        return Err(Error::new(ErrorKind::Argument, text));
    }
    Ok(())
}

pub(super) fn check_value(value: &str) -> Result<(), Error> {
    if value.len() > NAME_MAX {
        let text = format!("the key has {} bytes; at most {NAME_MAX} are allowed", value.len());
        return Err(Error::new(ErrorKind::Argument, text));
    }
    Ok(())
}

pub(super) fn too_many_runtimes() -> Error {
    let max = super::validity::VALIDITIES_MAX;
    Error::new(
        ErrorKind::Capacity,
        format!("the runtimes of this process follow {max} partitions, the maximum; close some"),
    )
}
