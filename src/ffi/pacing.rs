//! Limiters that follow a lag, or how calls end.

use super::boundary::{answer, boundary, bug, handle, known_struct, text};
use super::error::tidegate_error_t;
use super::limiter::tidegate_limiter_t;
use super::status::tidegate_status_t;
use crate::{Adaptive, Error, ErrorKind, LagUnit, Nanos};
use std::ffi::c_char;
use std::time::Duration;

/// Lag in records that the group has not read.
pub const TIDEGATE_LAG_RECORDS: u32 = 1;
/// Lag in milliseconds: the age of the oldest record that the group has not read.
pub const TIDEGATE_LAG_MS: u32 = 2;

/// How a limit finds the rate that what is behind it bears.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_adaptive_t {
    /// sizeof(tidegate_adaptive_t)
    pub struct_size: u32,
    /// Never slower than so many parts per million of the configured rate.
    pub floor_ppm: u32,
    /// What is added after a while without overload, of the configured rate; at least 1.
    pub step_ppm: u32,
    /// What is cut after an overload, of the current rate; at least 1. 300000 leaves 70 %.
    pub cut_ppm: u32,
    /// The rate changes at most so often.
    pub every_ns: u64,
}

/// Stands still from a lag greater than `pause_above` until one of `resume_below` or less: nothing refills, and the time is
/// not made up for; what was there can be taken. All tiers of the limiter do, in this process: every process that follows
/// the same lag does the same. What the lag is, tidegate_limiter_observe_lag() says, in any unit, or
/// tidegate_limiter_watch_lag(). It ends with the last limiter of the name. TIDEGATE_E_ARGUMENT when `resume_below` is greater than `pause_above`.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_pause_on_lag(
    limiter: *mut tidegate_limiter_t,
    pause_above: u64,
    resume_below: u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let pause = || unsafe { handle(limiter, "limiter")?.limiter.pause_on_lag(pause_above, resume_below) };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { pause() }), error_out) }
}

/// Slows down as the lag grows: the whole rate up to `from`, `floor_ppm` parts per million of it at `to` and beyond, and a
/// straight line between. Otherwise as tidegate_limiter_pause_on_lag(), with which it can be combined: the slower counts.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_slow_on_lag(
    limiter: *mut tidegate_limiter_t,
    from: u64,
    to: u64,
    floor_ppm: u32,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let slow = || unsafe { handle(limiter, "limiter")?.limiter.slow_on_lag(from, to, floor_ppm) };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { slow() }), error_out) }
}

/// Tells a limiter how far its consumer is behind. Cost: nothing where the pace stays; else one lock for each live key, and a
/// visit of each idle bucket.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_observe_lag(
    limiter: *mut tidegate_limiter_t,
    lag: u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let observe = || unsafe { handle(limiter, "limiter")?.limiter.observe_lag(lag) };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { observe() }), error_out) }
}

/// Measures the lag of a consumer group in Kafka every `every_ns` from now on, from its committed offsets and the ends of
/// the partitions; the group is never joined. `topics`: names with commas between them, "" = all that the group has
/// committed offsets for. `unit` is TIDEGATE_LAG_RECORDS, over all partitions, or TIDEGATE_LAG_MS: then the limiter must
/// have been told its numbers before, of which only it is measured which are exceeded. The watch ends with the limiter. A
/// lag that cannot be measured stays as it was, and tidegate_runtime_health() says why. TIDEGATE_E_CONFIG without Kafka,
/// TIDEGATE_E_CAPACITY when the limiter watches a group already.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_watch_lag(
    limiter: *mut tidegate_limiter_t,
    group: *const c_char,
    group_len: usize,
    topics: *const c_char,
    topics_len: usize,
    unit: u32,
    every_ns: u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let watch = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        let (group, topics) = (text(group, group_len, "group")?, text(topics, topics_len, "topics")?);
        let topics: Vec<&str> = topics.split(',').map(str::trim).filter(|topic| !topic.is_empty()).collect();
        let unit = match unit {
            TIDEGATE_LAG_RECORDS => LagUnit::Records,
            TIDEGATE_LAG_MS => LagUnit::Milliseconds,
            other => {
                let text = format!("`unit` is {other}; expected a TIDEGATE_LAG_* (1 or 2)");
                return Err(Error::new(ErrorKind::Argument, text));
            }
        };
        limiter.limiter.watch_lag(group, &topics, unit, Duration::from_nanos(every_ns))
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { watch() }), error_out) }
}

/// Finds the rate that what is behind the limit bears, from the outcomes of calls: additive increase, multiplicative
/// decrease. Off by default, never faster than configured, of this process alone. TIDEGATE_E_ARGUMENT for a part above
/// 1000000, or a step or cut of 0.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_adapt(
    limiter: *mut tidegate_limiter_t,
    adaptive: *const tidegate_adaptive_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let adapt = || unsafe {
        let given = known_struct(adaptive, "adaptive")?;
        let adaptive = Adaptive::new(given.floor_ppm, given.step_ppm, given.cut_ppm, Nanos(given.every_ns));
        let adaptive = adaptive.map_err(|why| Error::new(ErrorKind::Argument, why.to_string()))?;
        handle(limiter, "limiter")?.limiter.adapt(adaptive)
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { adapt() }), error_out) }
}

/// Tells a limiter that adapts how a call ended: `is_overloaded` is 1 if what was called had too much to do, 0 if all went
/// well.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_observe_outcome(
    limiter: *mut tidegate_limiter_t,
    is_overloaded: i32,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let observe = || unsafe { handle(limiter, "limiter")?.limiter.observe_outcome(is_overloaded != 0) };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { observe() }), error_out) }
}
