//! A limiter's limit, shared by all its keys.

use crate::core::fold::LimitNumbers;
use crate::core::limit::{Limit, Outage};
use crate::core::units::{Rate, Tokens};
use crate::lock::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit of one tier, and whose it is.
#[derive(Debug)]
pub(super) struct LimitOf {
    pub(super) limiter: String,
    /// As configured in this process: what the log says wins.
    pub(super) configured: Limit,
    pub(super) outage: Outage,
    pub(super) limit_id: u128,
    /// What a local limit refills by now.
    local: Mutex<Limit>,
    rate: AtomicU64,
    burst: AtomicU64,
}

impl LimitOf {
    pub(super) fn new(limiter: &str, configured: Limit, outage: Outage, limit_id: u128) -> LimitOf {
        LimitOf {
            limiter: limiter.to_owned(),
            configured,
            outage,
            limit_id,
            local: Mutex::new(configured),
            rate: AtomicU64::new(configured.rate().0),
            burst: AtomicU64::new(configured.burst().0),
        }
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

    /// A local limit has these numbers from now on.
    pub(super) fn change(&self, limit: Limit) {
        *self.local.lock() = limit;
        self.rate.store(limit.rate().0, Ordering::Relaxed);
        self.burst.store(limit.burst().0, Ordering::Relaxed);
    }
}
