//! Tidegate: one rate limit shared by many processes through Kafka alone, decided locally in nanoseconds.
//!
//! ```
//! use tidegate::{Config, Limit, Nanos, Runtime};
//!
//! // With `bootstrap.servers` set, every process that opens the same name shares the limit.
//! let config = Config::new();
//! let runtime = Runtime::open(&config)?;
//! let limit = Limit::token_bucket(1_000, Nanos::from_secs(1), 2_000)?;
//! let orders = runtime.limiter("orders", limit)?;
//! let key = orders.key("tenant-1")?;
//! assert!(key.try_acquire(1).is_granted());
//! # Ok::<(), tidegate::Error>(())
//! ```

pub mod config;
pub mod core;
mod error;
mod ffi;
mod lock;
mod open;
pub mod runtime;
pub mod storage;

pub use config::Config;
pub use core::enforcement::Enforcement;
pub use core::limit::{Limit, Outage};
pub use core::pace::Adaptive;
pub use core::units::Nanos;
pub use error::{Error, ErrorKind};
pub use runtime::{
    Basis, Decision, Event, EventKind, Health, HealthState, Key, KeyId, KeyStatus, LagUnit, Limiter, Metrics, Options,
    Reservation, Rule, Runtime, Tier,
};
pub use storage::StorageInfo;
