//! A limiter's limit, shared by all its keys.

use super::keys::{Keys, Stripe};
use super::rule::Rule;
use super::slot;
use crate::core::enforcement::{Enforcement, Guard};
use crate::core::fold::LimitNumbers;
use crate::core::limit::{Kind, Limit, Outage};
use crate::core::pace::{scaled, Pace, FULL};
use crate::core::placement::{limit_id, BucketId, Buckets};
use crate::core::units::{Nanos, Rate, Tokens};
use crate::lock::{Mutex, MutexGuard};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

/// The limit of one tier, and whose it is.
#[derive(Debug)]
pub(super) struct LimitOf {
    pub(super) limiter: String,
    pub(super) tier: u32,
    /// As configured in this process: what the log says wins.
    pub(super) configured: Limit,
    pub(super) outage: Outage,
    pub(super) enforcement: Enforcement,
    /// Refuses nothing.
    pub(super) shadow: bool,
    /// No other process has it.
    pub(super) alone: bool,
    pub(super) limit_id: u128,
    buckets: Buckets,
    /// What a local limit refills by now.
    local: Mutex<Limit>,
    rate: AtomicU64,
    burst: AtomicU64,
    /// What of its rate it refills with just now.
    ppm: AtomicU32,
    pace: Mutex<Pace>,
    /// Limiters of this process that have it.
    limiters: AtomicUsize,
    keys: Keys,
}

impl LimitOf {
    /// `alone`: no other process has it. `outage`: unless the rule says otherwise.
    pub(super) fn new(limiter: &str, tier: u32, rule: &Rule, outage: Outage, alone: bool) -> LimitOf {
        let configured = rule.limit;
        let shared = (configured.rate(), configured.burst());
        let (rate, burst) = if alone { (configured.rate_alone(), configured.burst_alone()) } else { shared };
        LimitOf {
            limiter: limiter.to_owned(),
            tier,
            configured,
            outage: rule.outage.unwrap_or(outage),
            enforcement: rule.enforcement,
            shadow: rule.shadow,
            alone,
            limit_id: limit_id(limiter, tier),
            buckets: Buckets::of(limiter, tier),
            local: Mutex::new(configured),
            rate: AtomicU64::new(rate.0),
            burst: AtomicU64::new(burst.0),
            ppm: AtomicU32::new(FULL),
            pace: Mutex::default(),
            limiters: AtomicUsize::new(0),
            keys: Keys::default(),
        }
    }

    /// The bucket of a scope value.
    pub(super) fn bucket(&self, value: &str) -> BucketId {
        self.buckets.id(value)
    }

    /// Its buckets in this process.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The part of them where `bucket` is.
    pub(super) fn stripe(&self, bucket: BucketId) -> MutexGuard<'_, Stripe> {
        self.keys.stripe(bucket, || {
            let limit = self.local();
            (limit.burst(), scaled(limit.refill(), self.ppm()))
        })
    }

    /// Remembers what another of its name remembered.
    pub(super) fn take_over(&self, old: &LimitOf, now: Nanos) {
        self.keys.take_over(&old.keys, self.configured.burst(), self.configured.refill(), now);
    }

    /// Whether a limiter with this rule may use it; `outage`: unless the rule says otherwise.
    pub(super) fn is(&self, rule: &Rule, outage: Outage) -> bool {
        (self.configured == rule.limit || *self.local.lock() == rule.limit)
            && self.outage == rule.outage.unwrap_or(outage)
            && (self.enforcement, self.shadow) == (rule.enforcement, rule.shadow)
    }

    /// Whether a decision needs nothing but a local bucket.
    pub(super) fn is_plain(&self) -> bool {
        let is_bucket = self.alone && self.configured.kind() == Kind::TokenBucket;
        is_bucket && !self.shadow && !Guard::remembers(&self.enforcement)
    }

    /// What of its rate it refills with, in parts per million.
    pub(super) fn ppm(&self) -> u32 {
        self.ppm.load(Ordering::Relaxed)
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

    /// One more limiter has it.
    pub(super) fn join(&self) {
        self.limiters.fetch_add(1, Ordering::AcqRel);
    }

    /// One limiter less has it; whether it was the last.
    pub(super) fn leave(&self) -> bool {
        self.limiters.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether some limiter of this process has it.
    pub(super) fn is_open(&self) -> bool {
        self.limiters.load(Ordering::Acquire) > 0
    }

    /// The lags between which its pace changes.
    pub(super) fn thresholds(&self) -> Vec<u64> {
        self.pace.lock().thresholds()
    }

    /// Lets `act` measure something, and follows the pace that comes of it. Tells whether the limit came to stand still,
    /// or goes on after it did, in the order in which it happens.
    pub(super) fn measure(self: &Arc<LimitOf>, now: Nanos, act: impl FnOnce(&mut Pace), tell: impl FnOnce(bool)) {
        // Two measurements at once would leave the buckets with the pace of the first.
        let mut pace = self.pace.lock();
        act(&mut pace);
        let ppm = pace.ppm();
        let before = self.ppm.swap(ppm, Ordering::Relaxed);
        if ppm != before {
            self.follow(now);
        }
        if (ppm == 0) != (before == 0) {
            tell(ppm == 0);
        }
    }

    /// A local limit has these numbers from now on, and so have its buckets.
    pub(super) fn change(self: &Arc<LimitOf>, limit: Limit, now: Nanos) {
        // Buckets that are told of two changes at once would keep a part of each.
        let _one_by_one = self.pace.lock();
        *self.local.lock() = limit;
        self.rate.store(limit.rate_alone().0, Ordering::Relaxed);
        self.burst.store(limit.burst_alone().0, Ordering::Relaxed);
        self.follow(now);
    }

    /// Tells all buckets what the limit has changed to.
    fn follow(self: &Arc<LimitOf>, now: Nanos) {
        let limit = self.local();
        // One that is being made just now has the old numbers: this waits for it.
        drop(self.stripe(BucketId(0)));
        for mut stripe in self.keys.each() {
            stripe.change(limit.burst(), scaled(limit.refill(), self.ppm()), now);
            for key in stripe.live() {
                if let Some(slot) = slot::get(key.index()) {
                    slot.with(key, |slot, cold| cold.change(slot, self, now));
                }
            }
        }
    }
}
