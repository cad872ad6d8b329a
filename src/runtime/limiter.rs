//! Limiters and keys: what callers decide with.

use super::acquire;
use super::decide::TIERS_MAX;
use super::decision::Decision;
use super::inner::Inner;
use super::limit_of::LimitOf;
use super::pacing::Watched;
use super::path;
use super::rule::Rule;
use super::slot::KeyId;
use super::tickets::{self, TicketId};
use super::tiers::{self, InForce, Scope, Tier};
use super::{by_value, release, status, KeyStatus, DROP_TIMEOUT};
use crate::core::limit::Limit;
use crate::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// A named limit, or several that are kept at once. Keeps its runtime open.
#[derive(Debug)]
pub struct Limiter {
    inner: Arc<Inner>,
    tiers: Vec<InForce>,
    watched: Watched,
}

impl Limiter {
    pub(super) fn plain(inner: &Arc<Inner>, name: &str, rule: &Rule) -> Result<Limiter, Error> {
        let limit = inner.limit(name, 0, rule)?;
        Limiter::open(inner, vec![InForce { name: name.to_owned(), scope: Scope::Plain, weight: 1, limit }])
    }

    pub(super) fn tiered(inner: &Arc<Inner>, name: &str, tiers: &[Tier]) -> Result<Limiter, Error> {
        tiers::check(tiers)?;
        let in_force = |(at, tier): (u32, &Tier)| {
            let limit = inner.limit(name, at, &tier.rule)?;
            let scope = tier.scope.clone().map_or(Scope::Everybody, Scope::Of);
            Ok(InForce { name: tier.name.clone(), scope, weight: tier.weight, limit })
        };
        let tiers = (0..).zip(tiers).map(in_force).collect::<Result<_, Error>>()?;
        Limiter::open(inner, tiers)
    }

    fn open(inner: &Arc<Inner>, tiers: Vec<InForce>) -> Result<Limiter, Error> {
        if !inner.join() {
            return Err(Error::new(ErrorKind::Closed, super::inner::CLOSED));
        }
        tiers.iter().for_each(|tier| tier.limit.join());
        Ok(Limiter { inner: inner.clone(), tiers, watched: Watched::default() })
    }

    /// The key of a scope value: each value has a bucket of its own. Resolve once, then decide with it. With several tiers
    /// it is the value of their only dimension.
    ///
    /// # Errors
    /// `Argument` for a value that is too long, or when the tiers have several dimensions; `Capacity` when `keys.max`
    /// buckets are live, `Closed`.
    pub fn key(&self, value: &str) -> Result<Key, Error> {
        Ok(Key { id: self.key_id(value)? })
    }

    /// The key of a context: the values of the dimensions that the tiers ask for, as (dimension, value).
    ///
    /// # Errors
    /// `Argument` when a tier's dimension is missing or one is given twice; otherwise as [`Limiter::key`].
    pub fn key_in(&self, context: &[(&str, &str)]) -> Result<Key, Error> {
        Ok(Key { id: self.key_id_in(context)? })
    }

    /// [`Limiter::key`] as an id, to be given back with [`release`] as often as it was asked for.
    ///
    /// # Errors
    /// As [`Limiter::key`].
    pub fn key_id(&self, value: &str) -> Result<KeyId, Error> {
        self.resolve(&tiers::only(&self.tiers, value)?)
    }

    /// [`Limiter::key_in`] as an id, to be given back with [`release`] as often as it was asked for.
    ///
    /// # Errors
    /// As [`Limiter::key_in`].
    pub fn key_id_in(&self, context: &[(&str, &str)]) -> Result<KeyId, Error> {
        self.resolve(&tiers::values(&self.tiers, context)?)
    }

    fn resolve(&self, values: &[&str; TIERS_MAX]) -> Result<KeyId, Error> {
        if let [InForce { limit, weight: 1, .. }] = &self.tiers[..] {
            return self.inner.key(limit, values[0], true);
        }
        let mut held = Vec::with_capacity(self.tiers.len());
        for (tier, value) in self.tiers.iter().zip(values) {
            match self.inner.key(&tier.limit, value, true) {
                Ok(key) => held.push((key, tier.weight)),
                Err(why) => {
                    held.iter().for_each(|(key, _)| _ = release(*key));
                    return Err(why);
                }
            }
        }
        path::create(&held).ok_or_else(|| {
            held.iter().for_each(|(key, _)| _ = release(*key));
            Error::new(ErrorKind::Capacity, "all places for keys of this process are taken; release keys that are idle")
        })
    }

    /// Takes `permits` under a scope value now or not at all, without a key to resolve and release before and after: for
    /// values that come once. A value that is in use by a key is the same bucket.
    pub fn try_acquire(&self, value: &str, permits: u64) -> Decision {
        if let [InForce { limit, scope: Scope::Plain, .. }] = &self.tiers[..] {
            return by_value::try_acquire(&self.inner, limit, value, permits);
        }
        self.try_at(tiers::only(&self.tiers, value), permits)
    }

    /// The same in a context, as for [`Limiter::key_in`].
    pub fn try_acquire_in(&self, context: &[(&str, &str)], permits: u64) -> Decision {
        self.try_at(tiers::values(&self.tiers, context), permits)
    }

    fn try_at(&self, values: Result<[&str; TIERS_MAX], Error>, permits: u64) -> Decision {
        match values {
            Ok(values) => by_value::try_acquire_tiers(&self.inner, &self.tiers, &values, permits),
            Err(why) => Decision::failed(why.kind()),
        }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = &Arc<LimitOf>> {
        self.tiers.iter().map(|tier| &tier.limit)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.tiers[0].limit.limiter
    }

    /// How many tiers it has; a plain one has one.
    pub fn tier_count(&self) -> usize {
        self.tiers.len()
    }

    /// The name of a tier: what [`Decision::tier`] counts.
    pub fn tier_name(&self, tier: usize) -> Option<&str> {
        self.tiers.get(tier).map(|tier| tier.name.as_str())
    }

    /// Its limit, of the first tier, as configured here.
    pub fn limit(&self) -> &Limit {
        &self.tiers[0].limit.configured
    }

    /// Gives the limit other numbers, for the whole fleet: every process switches where it reads the change in the log, a
    /// new one that starts with the old numbers follows the log. A lowered burst or rate binds once the holders have read
    /// it. Waits until every partition of the log has the change, for at most `timeout`.
    ///
    /// # Errors
    /// `Argument` when it has several tiers; `Storage` when it was not confirmed in time: it will be, when the log answers.
    /// `Capacity`, `Closed`, `Forked`.
    pub fn set_limit(&self, limit: Limit, timeout: Duration) -> Result<(), Error> {
        if self.tiers.len() > 1 {
            let text = "the limiter has several tiers: say which one gets other numbers (`set_tier_limit`)";
            return Err(Error::new(ErrorKind::Argument, text));
        }
        self.set_tier_limit(0, limit, timeout)
    }

    /// [`Limiter::set_limit`] of one tier.
    ///
    /// # Errors
    /// `Argument` when there is no such tier; otherwise as [`Limiter::set_limit`].
    pub fn set_tier_limit(&self, tier: usize, limit: Limit, timeout: Duration) -> Result<(), Error> {
        let Some(tier) = self.tiers.get(tier) else {
            let text = format!("there is no tier {tier}; this limiter has {}", self.tiers.len());
            return Err(Error::new(ErrorKind::Argument, text));
        };
        self.inner.set_limit(&tier.limit, limit, timeout)
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.watched.end(&self.inner, self.name());
        self.rest();
        self.inner.leave(DROP_TIMEOUT);
    }
}

/// A resolved bucket of a limiter, or one of each tier; given back when dropped.
#[derive(Debug)]
pub struct Key {
    id: KeyId,
}

impl Key {
    /// Its id: what the other languages hold.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Takes `permits` now or not at all, from all tiers or from none. Never waits; takes no lock while the shares suffice.
    #[inline]
    pub fn try_acquire(&self, permits: u64) -> Decision {
        acquire::try_acquire(self.id, permits)
    }

    /// Takes `permits`, waiting for them up to `timeout`, behind those who came earlier.
    pub fn acquire(&self, permits: u64, timeout: Duration) -> Decision {
        acquire::acquire(self.id, permits, timeout)
    }

    /// Takes `permits` to be settled or cancelled later, or a place in line if they can be expected within `max_wait`; the
    /// reservation is `None` when the decision is neither granted nor pending. No thread waits: poll when it says.
    pub fn reserve(&self, permits: u64, max_wait: Duration) -> (Decision, Option<Reservation>) {
        let (decision, id) = tickets::reserve(self.id, permits, max_wait);
        (decision, (id.0 != 0).then_some(Reservation { id, permits, granted: decision.is_granted() }))
    }

    /// What a `try_acquire` of one permit would find, without taking it.
    pub fn peek(&self) -> Decision {
        acquire::peek(self.id)
    }

    /// The bucket as this process sees it; with several tiers the tightest.
    ///
    /// # Errors
    /// `Stale`, `Closed`, `Forked`.
    pub fn status(&self) -> Result<KeyStatus, Error> {
        status(self.id)
    }
}

/// Permits that are held, or a place in line for them. Dropped, it is settled in full once granted, and cancelled before.
#[derive(Debug)]
pub struct Reservation {
    id: TicketId,
    permits: u64,
    granted: bool,
}

impl Reservation {
    /// Whether it is its turn: granted once, else pending, or timed out.
    pub fn poll(&mut self) -> Decision {
        let decision = tickets::poll(self.id);
        self.granted |= decision.is_granted();
        decision
    }

    /// Gives everything back.
    ///
    /// # Errors
    /// `Stale` when it timed out; `Forked`.
    pub fn cancel(self) -> Result<(), Error> {
        tickets::cancel(self.id)
    }

    /// `used` were used of what is held: the rest comes back, what is beyond is owed.
    ///
    /// # Errors
    /// `Argument` while it is pending; `Stale` when it timed out; `Forked`.
    pub fn settle(self, used: u64) -> Result<(), Error> {
        tickets::settle(self.id, used)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Ended already, it is out of date, and this does nothing.
        let _ = if self.granted { tickets::settle(self.id, self.permits) } else { tickets::cancel(self.id) };
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = release(self.id);
    }
}
