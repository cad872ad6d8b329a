//! A limiter's limit, shared by all its keys.

use super::keys::{Keys, Stripe};
use super::slot;
use crate::core::fold::LimitNumbers;
use crate::core::limit::{Limit, Outage};
use crate::core::placement::{bucket_id, limit_id, BucketId};
use crate::core::units::{Nanos, Rate, Tokens};
use crate::lock::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// The limit of one tier, and whose it is.
#[derive(Debug)]
pub(super) struct LimitOf {
    pub(super) limiter: String,
    pub(super) tier: u32,
    /// As configured in this process: what the log says wins.
    pub(super) configured: Limit,
    pub(super) outage: Outage,
    pub(super) limit_id: u128,
    /// What a local limit refills by now.
    local: Mutex<Limit>,
    rate: AtomicU64,
    burst: AtomicU64,
    keys: Keys,
}

impl LimitOf {
    pub(super) fn new(limiter: &str, tier: u32, configured: Limit, outage: Outage) -> LimitOf {
        LimitOf {
            limiter: limiter.to_owned(),
            tier,
            configured,
            outage,
            limit_id: limit_id(limiter, tier),
            local: Mutex::new(configured),
            rate: AtomicU64::new(configured.rate().0),
            burst: AtomicU64::new(configured.burst().0),
            keys: Keys::default(),
        }
    }

    /// The bucket of a scope value.
    pub(super) fn bucket(&self, value: &str) -> BucketId {
        bucket_id(&self.limiter, self.tier, value)
    }

    /// Its buckets in this process.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The part of them where `bucket` is.
    pub(super) fn stripe(&self, bucket: BucketId) -> MutexGuard<'_, Stripe> {
        self.keys.stripe(bucket, || {
            let limit = self.local();
            (limit.burst(), limit.refill())
        })
    }

    /// Remembers what another of its name remembered.
    pub(super) fn take_over(&self, old: &LimitOf, now: Nanos) {
        self.keys.take_over(&old.keys, self.configured.burst(), self.configured.refill(), now);
    }

    /// Whether a limiter that is configured like this may use it.
    pub(super) fn is(&self, configured: Limit, outage: Outage) -> bool {
        (self.configured == configured || *self.local.lock() == configured) && self.outage == outage
    }

    /// The rate of the whole fleet, as far as this process knows.
    pub(super) fn rate(&self) -> Rate {
        Rate(self.rate.load(Ordering::Relaxed))
    }

    /// The most that the fleet's limit lets through at once, as far as this process knows.
    pub(super) fn burst(&self) -> Tokens {
        Tokens(self.burst.load(Ordering::Relaxed))
    }

    /// Whether these are the numbers that this process was configured with.
    pub(super) fn agrees_with(&self, numbers: LimitNumbers) -> bool {
        (self.configured.rate(), self.configured.burst()) == (numbers.rate, numbers.burst)
    }

    /// What a local limit refills by.
    pub(super) fn local(&self) -> Limit {
        *self.local.lock()
    }

    /// The log has these numbers.
    pub(super) fn read(&self, numbers: LimitNumbers) {
        self.rate.store(numbers.rate.0, Ordering::Relaxed);
        self.burst.store(numbers.burst.0, Ordering::Relaxed);
    }

    /// A local limit has these numbers from now on, and so have its buckets.
    pub(super) fn change(self: &Arc<LimitOf>, limit: Limit, now: Nanos) {
        *self.local.lock() = limit;
        self.rate.store(limit.rate().0, Ordering::Relaxed);
        self.burst.store(limit.burst().0, Ordering::Relaxed);
        for mut stripe in self.keys.each() {
            stripe.change(limit.burst(), limit.refill(), now);
            for key in stripe.live() {
                if let Some(slot) = slot::get(key.index()) {
                    slot.with(key, |slot, cold| cold.change(slot, self, now));
                }
            }
        }
    }
}
