//! Limits that follow something: a consumer's lag, or how calls end.

use super::events;
use super::inner::Inner;
use super::limit_of::LimitOf;
use super::limiter::Limiter;
use crate::core::pace::{Adaptive, LagGate, LagRamp, Pace, PaceError};
use crate::lock::Mutex;
use crate::storage::lag::{Lag, LagGuard, Watch};
use crate::{Error, ErrorKind};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What a lag is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LagUnit {
    /// Records that the group has not read.
    Records,
    /// The age of the oldest of them.
    Milliseconds,
}

/// The watch of a limiter, which ends with it. One: of two, neither's lag would be the limit's.
#[derive(Default)]
pub(super) struct Watched(Mutex<Option<LagGuard>>);

impl Watched {
    /// Ends it, and what was said of the limiter `name`.
    pub(super) fn end(&self, inner: &Inner, name: &str) {
        if inner.is_of_another_process() {
            // Its thread exists only in the parent, and this lock may be held for ever; the guard knows that.
            return;
        }
        let watch = self.0.lock().take();
        if watch.is_some() {
            drop(watch);
            inner.hear_of_lag(name, None);
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.lock().is_some() { "watched" } else { "not watched" })
    }
}

impl Limiter {
    /// Stands still from a lag greater than `above` until one of `below` or less, all tiers alike: nothing refills, and the
    /// time is not made up for; what was there can be taken. The lag is what [`Limiter::observe_lag`] is told, in any unit,
    /// or what [`Limiter::watch_lag`] measures. Of this process alone: all that watch the same lag do the same. It ends with the
    /// last limiter of the name.
    ///
    /// # Errors
    /// `Argument` when `below` is greater than `above`; `Closed`, `Forked`.
    pub fn pause_on_lag(&self, above: u64, below: u64) -> Result<(), Error> {
        let gate = LagGate::new(above, below).map_err(refused)?;
        self.measure(|pace| pace.pause_by(gate))
    }

    /// Slows down as the lag grows: the whole rate up to `from`, `floor_ppm` parts per million of it at `to` and beyond, and
    /// a straight line between. Otherwise as [`Limiter::pause_on_lag`].
    ///
    /// # Errors
    /// `Argument` when `from` is not below `to`, or the floor is above 1,000,000; `Closed`, `Forked`.
    pub fn slow_on_lag(&self, from: u64, to: u64, floor_ppm: u32) -> Result<(), Error> {
        let ramp = LagRamp::new(from, to, floor_ppm).map_err(refused)?;
        self.measure(|pace| pace.ramp = Some(ramp))
    }

    /// A consumer is so far behind now.
    ///
    /// # Errors
    /// `Closed`, `Forked`.
    pub fn observe_lag(&self, lag: u64) -> Result<(), Error> {
        self.measure(|pace| _ = pace.on_lag(lag))
    }

    /// Measures the lag of a consumer group in Kafka from now on, every `every`, from its committed offsets and the ends of
    /// the partitions; the group is never joined. `topics`: empty = all that the group has committed offsets for. In
    /// milliseconds only this is measured: which of the limiter's numbers are exceeded, which it must have been told
    /// before. The watch ends with the limiter. A lag that cannot be measured stays as it was, and health says why.
    ///
    /// # Errors
    /// `Config` without Kafka; `Argument` for names and times that cannot be, or nothing to compare a time with;
    /// `Capacity` when it watches a group already; `Closed`, `Forked`.
    pub fn watch_lag(&self, group: &str, topics: &[&str], unit: LagUnit, every: Duration) -> Result<(), Error> {
        let inner = self.inner();
        inner.check()?;
        let Some(source) = inner.lag_source() else {
            let text = "there is no Kafka to measure a lag in: set `bootstrap.servers`, or tell the limiter with `observe_lag`";
            return Err(Error::new(ErrorKind::Config, text));
        };
        let ages = match unit {
            LagUnit::Records => Vec::new(),
            LagUnit::Milliseconds => self.ages()?,
        };
        let mut place = self.watched().0.lock();
        if place.is_some() {
            let text = "the limiter watches a group already; make another limiter, or measure the lags yourself and tell it the largest";
            return Err(Error::new(ErrorKind::Capacity, text));
        }
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let older_than = ages.iter().map(|age| Duration::from_millis(*age)).collect();
        let watch = Watch { group: group.to_owned(), topics, every, older_than };
        let limits: Vec<Arc<LimitOf>> = self.limits().cloned().collect();
        let (name, inner) = (self.name().to_owned(), Arc::downgrade(inner));
        *place = Some(source.watch(watch, Box::new(move |lag| heard(&inner, &limits, &name, unit, &ages, lag)))?);
        Ok(())
    }

    /// The numbers to compare an age with.
    fn ages(&self) -> Result<Vec<u64>, Error> {
        let mut ages: Vec<u64> = self.limits().flat_map(|limit| limit.thresholds()).collect();
        ages.sort_unstable();
        ages.dedup();
        if ages.is_empty() {
            let text =
                "nothing would follow a lag in milliseconds: say before what shall, by `pause_on_lag` or `slow_on_lag`";
            return Err(Error::new(ErrorKind::Argument, text));
        }
        Ok(ages)
    }

    /// Finds the rate that what is behind the limit bears, from the outcomes of calls: cut where one was overloaded, raised
    /// step by step while none was, never above the configured rate.
    ///
    /// # Errors
    /// `Closed`, `Forked`.
    pub fn adapt(&self, adaptive: Adaptive) -> Result<(), Error> {
        self.measure(|pace| pace.adaptive = Some(adaptive))
    }

    /// A call ended, overloaded or well.
    ///
    /// # Errors
    /// `Closed`, `Forked`.
    pub fn observe_outcome(&self, overloaded: bool) -> Result<(), Error> {
        let now = self.inner().clock().now();
        self.measure(|pace| _ = pace.on_outcome(now, overloaded))
    }

    /// What of its rate it refills with just now, in parts per million; of the slowest tier.
    pub fn pace_ppm(&self) -> u32 {
        self.limits().map(|limit| limit.ppm()).min().unwrap_or_default()
    }

    /// The limits that nobody has open any more: what nobody can tell of a lag goes on at full pace, and what was taken
    /// without asking for the time was taken by now.
    pub(super) fn rest(&self) {
        if self.inner().is_of_another_process() {
            return;
        }
        for limit in self.limits().filter(|limit| limit.leave()) {
            self.inner().sweep_all(limit);
            measure(self.inner(), limit, |pace| {
                // Somebody may have opened it again meanwhile.
                if !limit.is_open() {
                    *pace = Pace::default();
                }
            });
        }
    }

    fn measure(&self, act: impl Fn(&mut Pace)) -> Result<(), Error> {
        let inner: &Arc<Inner> = self.inner();
        inner.check()?;
        self.limits().for_each(|limit| measure(inner, limit, &act));
        Ok(())
    }
}

fn measure(inner: &Inner, limit: &Arc<LimitOf>, act: impl Fn(&mut Pace)) {
    limit.measure(inner.clock().now(), act, |paused| events::paused(inner.events(), limit, paused));
}

/// A watch has something to say, on its own thread.
fn heard(
    inner: &Weak<Inner>,
    limits: &[Arc<LimitOf>],
    name: &str,
    unit: LagUnit,
    ages: &[u64],
    lag: Result<Lag, String>,
) {
    let Some(inner) = inner.upgrade().filter(|inner| inner.check().is_ok()) else { return };
    inner.hear_of_lag(name, lag.as_ref().err());
    let Ok(lag) = lag else { return };
    let exceeded = ages.iter().zip(&lag.older).filter(|(_, older)| **older).map(|(age, _)| age.saturating_add(1)).max();
    let lag = match unit {
        LagUnit::Records => lag.records,
        LagUnit::Milliseconds => exceeded.unwrap_or(0),
    };
    limits.iter().for_each(|limit| measure(&inner, limit, |pace| _ = pace.on_lag(lag)));
}

fn refused(why: PaceError) -> Error {
    Error::new(ErrorKind::Argument, why.to_string())
}
