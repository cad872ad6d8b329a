//! Those that Tidegate is compared with.

use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use throttlecrab::PeriodicStore;

pub const GOVERNOR: &str = "governor";
pub const GOVERNOR_SAFE: &str = "governor, CLOCK_BOOTTIME";
pub const LEAKY: &str = "leaky-bucket";
pub const LEAKY_UNFAIR: &str = "leaky-bucket, unfair";
pub const CRAB: &str = "throttlecrab in a Mutex";

/// A clock as safe as the one that Tidegate refills by: it counts the time that the machine was suspended, and does
/// not depend on the processor's counter. governor's own, quanta, is that counter.
#[derive(Clone, Debug, Default)]
pub struct BootClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(u64);

impl Reference for BootInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        BootInstant(self.0.saturating_sub(duration.as_u64()))
    }
}

impl std::ops::Add<Nanos> for BootInstant {
    type Output = BootInstant;
    fn add(self, other: Nanos) -> BootInstant {
        BootInstant(self.0 + other.as_u64())
    }
}

impl Clock for BootClock {
    type Instant = BootInstant;
    fn now(&self) -> BootInstant {
        BootInstant(tidegate::runtime::clock::boot_time().0)
    }
}

/// What a bucket is to do.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Grant everything: a billion permits a second, one each nanosecond, which all can count.
    Plenty,
    /// Grant everything for as long as a benchmark lasts, from a large burst that hardly refills: never full again, so
    /// that nobody may forget the key.
    Deep,
    /// Grant two a day. (With a burst of one throttlecrab 0.4.40 grants everything: its entry is out of date at once.)
    Dry,
}

/// A limit: `permits` in `period_s` seconds, `burst` at once.
pub struct Numbers {
    pub permits: u32,
    pub period_s: u64,
    pub burst: u32,
}

impl Limit {
    pub fn numbers(self) -> Numbers {
        match self {
            Limit::Plenty => Numbers { permits: 1_000_000_000, period_s: 1, burst: 1_000_000_000 },
            Limit::Deep => Numbers { permits: 1, period_s: 100, burst: 10_000_000 },
            Limit::Dry => Numbers { permits: 2, period_s: 86_400, burst: 2 },
        }
    }

    fn quota(self) -> Quota {
        let Numbers { permits, period_s, burst } = self.numbers();
        let quota = Quota::with_period(Duration::from_secs(period_s) / permits).unwrap();
        quota.allow_burst(NonZeroU32::new(burst).unwrap())
    }
}

type Direct<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;
type Keyed<K, C> = RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

pub fn governor(limit: Limit) -> Direct<DefaultClock> {
    RateLimiter::direct(limit.quota())
}

pub fn governor_safe(limit: Limit) -> Direct<BootClock> {
    RateLimiter::direct_with_clock(limit.quota(), BootClock)
}

pub fn governor_keyed<K: Hash + Eq + Clone>() -> Keyed<K, DefaultClock> {
    RateLimiter::dashmap(Limit::Deep.quota())
}

pub fn governor_keyed_safe<K: Hash + Eq + Clone>() -> Keyed<K, BootClock> {
    RateLimiter::dashmap_with_clock(Limit::Deep.quota(), BootClock)
}

/// Unfair: without a lock, and without a clock until the tokens are used up.
pub fn leaky(limit: Limit, fair: bool) -> leaky_bucket::RateLimiter {
    let Numbers { permits, period_s, burst } = limit.numbers();
    let (permits, burst) = (permits as usize, burst as usize);
    leaky_bucket::RateLimiter::builder()
        .initial(burst)
        .max(burst)
        .refill(permits)
        .interval(Duration::from_secs(period_s))
        .fair(fair)
        .build()
}

/// throttlecrab as it can be shared: it takes `&mut self`.
pub struct Crab {
    limiter: Mutex<throttlecrab::RateLimiter<PeriodicStore>>,
    numbers: Numbers,
}

impl Crab {
    pub fn new(limit: Limit, keys: usize) -> Crab {
        let limiter = throttlecrab::RateLimiter::new(PeriodicStore::with_capacity(keys));
        Crab { limiter: Mutex::new(limiter), numbers: limit.numbers() }
    }

    #[inline]
    pub fn check(&self, key: &str) -> bool {
        let (permits, period_s) = (i64::from(self.numbers.permits), self.numbers.period_s as i64);
        let (burst, now) = (i64::from(self.numbers.burst), SystemTime::now());
        let mut limiter = self.limiter.lock().unwrap();
        limiter.rate_limit(key, burst, permits, period_s, 1, now).is_ok_and(|(yes, _)| yes)
    }
}
