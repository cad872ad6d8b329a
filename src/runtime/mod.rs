//! What callers hold, and the thread behind it: runtimes, limiters, keys; clocks, slots, waiters, the driver.
//!
//! Reading order: [`acquire`] (the decision), `slot` (where buckets live), [`validity`] (until when shares may be
//! used), `driver` (the thread that speaks with the log), `inner` (what handles share).

pub mod acquire;
mod arena;
mod by_value;
pub mod clock;
mod deaths;
mod decide;
pub mod decision;
mod driver;
mod events;
mod fork;
mod guard;
mod inner;
mod keys;
mod lifeline;
mod limit_of;
mod limiter;
mod link;
mod pacing;
mod path;
mod purse;
mod reading;
mod registry;
mod report;
mod rule;
mod slot;
mod slots;
mod snapshot;
mod table;
pub mod tickets;
mod tiers;
pub mod validity;
mod wait;
mod waiters;

pub use decide::TIERS_MAX;
pub use decision::{Basis, Decision};
pub use events::{Event, EventKind, EVENTS_MAX};
pub use inner::{LIMITERS_MAX, NAME_MAX};
pub use limiter::{Key, Limiter, Reservation};
pub use pacing::LagUnit;
pub use report::{Health, HealthState, KeyStatus, Metrics};
pub use rule::Rule;
pub use slot::{KeyId, SLOTS_MAX};
pub use snapshot::snapshot_json;
pub use tickets::{TicketId, TICKETS_MAX};
pub use tiers::{Tier, SCOPES_MAX, WEIGHT_MAX};

use crate::core::limit::Outage;
use crate::core::placement::BucketId;
use crate::storage::{LogStore, StorageEvent, StorageInfo};
use crate::{Error, ErrorKind};
use clock::Clock;
use crossbeam::channel::Sender;
use driver::Driver;
use inner::{Inner, Life};
use limit_of::LimitOf;
use std::sync::Arc;
use std::time::Duration;

/// How long the last handle that is dropped waits for the goodbye to be confirmed.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a status waits for the background thread.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// How a runtime behaves, whatever its storage.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where time comes from.
    pub clock: Clock,
    /// Silence after which others take this process's shares.
    pub ttl: Duration,
    /// What limits do when the log is away, unless they say otherwise.
    pub outage: Outage,
    /// Most live keys.
    pub keys_max: usize,
    /// What other processes see of this one.
    pub note: String,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            clock: Clock::System,
            ttl: Duration::from_secs(15),
            outage: Outage::KeepShare,
            keys_max: 1_000_000,
            note: String::new(),
        }
    }
}

/// Storage, background thread and clock. Clones are the same runtime; the last handle, of it or of its limiters,
/// closes it.
#[derive(Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
    left: bool,
}

impl Runtime {
    /// A runtime of this process alone: its limits are local. Starts no thread.
    ///
    /// # Errors
    /// `Capacity` when too many runtimes are open.
    pub fn local(options: &Options) -> Result<Runtime, Error> {
        let inner = Inner::new(options.clock.clone(), options.outage, options.keys_max, None, None)?;
        Ok(Runtime { inner: Arc::new(inner), left: false })
    }

    /// A runtime on the log that `open` opens with the channel for its events.
    ///
    /// # Errors
    /// Whatever `open` fails with; `Capacity` when too many runtimes are open or no thread can be started.
    pub fn shared(
        options: &Options,
        open: impl FnOnce(Sender<StorageEvent>) -> Result<Box<dyn LogStore>, Error>,
    ) -> Result<Runtime, Error> {
        let (link, far, events) = link::link()?;
        let clock = options.clock.clone();
        let driver = Driver::new(far, clock.clone(), options.ttl, options.note.clone());
        let storage = open(events)?;
        let inner = Arc::new(Inner::new(clock, options.outage, options.keys_max, Some(link), storage.lag_source())?);
        inner.start(driver, storage)?;
        Ok(Runtime { inner, left: false })
    }

    /// The runtime under `identity`, or the one that `open` makes: equal configurations share one.
    pub(crate) fn shared_by(identity: &str, open: impl FnOnce() -> Result<Runtime, Error>) -> Result<Runtime, Error> {
        let inner = registry::share(identity, || {
            let mut runtime = open()?;
            // Its user is the handle returned below.
            runtime.left = true;
            Ok::<_, Error>(runtime.inner.clone())
        })?;
        Ok(Runtime { inner, left: false })
    }

    /// A limiter, from a [`Limit`] or a [`Rule`]. Shared by every process that opens the same name on the same topic.
    ///
    /// # Errors
    /// `Argument` for a bad name, or when this process has the name open with other numbers; `Capacity`; `Closed`.
    pub fn limiter(&self, name: &str, rule: impl Into<Rule>) -> Result<Limiter, Error> {
        Limiter::plain(&self.inner, name, &rule.into())
    }

    /// A limiter that keeps several limits at once, at most [`TIERS_MAX`]: all of them give, or none does. Shared by every
    /// process that opens the same name with the same tiers in the same order.
    ///
    /// # Errors
    /// As [`Runtime::limiter`]; `Argument` also for tiers without or of one name, and for weights out of range.
    pub fn tiered(&self, name: &str, tiers: &[Tier]) -> Result<Limiter, Error> {
        Limiter::tiered(&self.inner, name, tiers)
    }

    /// Whether it belongs to a process that this one was forked from: then it answers nothing here.
    pub fn is_of_another_process(&self) -> bool {
        self.inner.is_of_another_process()
    }

    /// How well it is, and why.
    pub fn health(&self) -> Health {
        if self.inner.is_of_another_process() {
            return Health { state: HealthState::Failed, message: inner::FORKED.into() };
        }
        match self.inner.life() {
            Life::Closed => Health { state: HealthState::Closed, message: inner::CLOSED.into() },
            Life::Open if self.inner.is_local() => {
                Health { state: HealthState::Ok, message: "limits are local to this process".into() }
            }
            Life::Poisoned => Health { state: HealthState::Failed, message: inner::POISONED.into() },
            Life::Open => {
                let health = self.inner.report().health(self.inner.policy());
                match self.inner.lag_trouble() {
                    Some(trouble) if health.state == HealthState::Ok => {
                        let message = format!("{}, but {trouble}", health.message);
                        Health { state: HealthState::Degraded, message }
                    }
                    _ => health,
                }
            }
        }
    }

    /// What the storage knows about itself.
    pub fn storage(&self) -> StorageInfo {
        self.inner.storage()
    }

    /// The next thing that a limit has to say beyond its decisions, waited for up to `timeout`; `None` if there is nothing, or
    /// the runtime was closed meanwhile. Backpressure ends while somebody waits here, or with the next grant. At most [`EVENTS_MAX`]
    /// are kept.
    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        self.next_event_or_why(timeout).ok().flatten()
    }

    /// The same, and why there will be none any more.
    pub(crate) fn next_event_or_why(&self, timeout: Duration) -> Result<Option<Event>, Error> {
        self.inner.next_event(timeout)
    }

    /// Lets every call of [`Runtime::next_event`] that waits answer `None` at once; where none waits, the next one does. For
    /// who wants to end a thread that waits there.
    pub fn wake(&self) {
        self.inner.wake();
    }

    /// Counters. Visits every live key: about a millisecond for ten thousand.
    pub fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    /// Gives this handle back, as dropping does, with a bound of one's own: the last handle closes the runtime, which
    /// gives its shares back and waits at most about `timeout` until that is confirmed.
    ///
    /// # Errors
    /// `Storage` when it was not confirmed: others get the shares after the time-to-live. `Forked` in a child: the
    /// handle is given back all the same.
    pub fn close(mut self, timeout: Duration) -> Result<(), Error> {
        self.left = true;
        if self.is_of_another_process() {
            self.inner.leave(timeout);
            return Err(Error::new(ErrorKind::Forked, inner::FORKED));
        }
        if self.inner.leave(timeout) {
            return Ok(());
        }
        let text = "the goodbye was not confirmed in time; others get this process's shares after its `ttl.ms`, on this host at once";
        Err(Error::new(ErrorKind::Storage, text))
    }
}

impl Clone for Runtime {
    /// # Panics
    /// Never: a handle that lives keeps its runtime open.
    fn clone(&self) -> Runtime {
        let left = !self.inner.join();
        Runtime { inner: self.inner.clone(), left }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if !self.left {
            self.inner.leave(DROP_TIMEOUT);
        }
    }
}

/// Gives a key back once. After the last time its share returns to the fleet, and the id is out of date.
///
/// # Errors
/// `Stale` if it was given back already or its runtime closed; `Forked`.
pub fn release(id: KeyId) -> Result<(), Error> {
    if let Some(parts) = path::destroy(id) {
        return parts.all().iter().map(|part| release(part.id)).fold(Ok(()), Result::and);
    }
    let (owner, limit, bucket) = owner(id)?;
    owner.release(&limit, bucket, id);
    Ok(())
}

/// The bucket of a key as this process sees it; of the tightest tier if it has several.
///
/// # Errors
/// `Stale`, `Closed`, `Forked`.
pub fn status(id: KeyId) -> Result<KeyStatus, Error> {
    let parts = path::get(id).map_err(|_| stale())?;
    let (owner, ..) = owner(parts.all()[0].id)?;
    owner.check()?;
    let peeked = acquire::peek(id);
    if peeked.status < 0 {
        return Err(stale());
    }
    let tightest = parts.all().get(usize::from(peeked.tier)).ok_or_else(stale)?.id;
    let processes = owner.processes(tightest, STATUS_TIMEOUT);
    with_cold(tightest, |cold| KeyStatus {
        basis: peeked.basis(),
        rate: cold.limit.rate(),
        burst: cold.limit.burst(),
        share: cold.share,
        level: cold.level(),
        processes,
        granted: cold.granted,
        refused: cold.refused,
        waiting: u32::try_from(cold.waiters.len()).unwrap_or(u32::MAX),
        pace_ppm: cold.limit.ppm(),
    })
}

fn owner(id: KeyId) -> Result<(Arc<Inner>, Arc<LimitOf>, BucketId), Error> {
    with_cold(id, |cold| (cold.owner.clone(), cold.limit.clone(), cold.bucket_id))
}

fn with_cold<T>(id: KeyId, read: impl FnOnce(&slot::Cold) -> T) -> Result<T, Error> {
    let slot = slot::get(id.index()).ok_or_else(stale)?;
    if slot.is_of_another_process() {
        return Err(Error::new(ErrorKind::Forked, "the key belongs to the process that this one was forked from"));
    }
    slot.with(id, |_, cold| read(cold)).ok_or_else(stale)
}

fn stale() -> Error {
    Error::new(ErrorKind::Stale, "the key was released, or its runtime was closed")
}
