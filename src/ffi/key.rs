//! Keys: the data plane. No allocation, no I/O, no error object.

use super::boundary::{boundary, fill_struct};
use super::status::{tidegate_status_t, TIDEGATE_E_ARGUMENT, TIDEGATE_E_BUG};
use crate::runtime::acquire;
use crate::{Basis, Decision, KeyId};
use std::time::Duration;

/// The decision rests on a limit of this process alone.
pub const TIDEGATE_BASIS_LOCAL: u16 = 0;
/// On this process's share of a limit that many processes have.
pub const TIDEGATE_BASIS_SHARED: u16 = 1;
/// On the last share, in an outage, under the policy keep_share.
pub const TIDEGATE_BASIS_KEPT_SHARE: u16 = 2;
/// On nothing, in an outage, under the policy allow.
pub const TIDEGATE_BASIS_ALLOWED: u16 = 3;
/// There is no share yet, or no more.
pub const TIDEGATE_BASIS_NO_SHARE: u16 = 4;
/// On nothing: a circuit breaker is open, and refuses unasked.
pub const TIDEGATE_BASIS_BREAKER: u16 = 5;
/// The limit would have refused, but is in shadow mode.
pub const TIDEGATE_BASIS_SHADOW: u16 = 6;

/// The answer to a request for permits. Its layout is frozen for this ABI: 24 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_decision_t {
    /// When to come back, in nanoseconds from now: 0 when granted, UINT64_MAX when it can never be.
    pub retry_after_ns: u64,
    /// Whole permits left in this process's share right after; a hint.
    pub remaining: u64,
    /// The same as the function returned, also when that is a failure.
    pub status: i32,
    /// The index of the tier that decided.
    pub tier: u16,
    /// TIDEGATE_BASIS_*
    pub basis: u16,
}

/// One key as this process sees it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_key_status_t {
    /// sizeof(tidegate_key_status_t)
    pub struct_size: u32,
    /// TIDEGATE_BASIS_* of a decision now.
    pub basis: u32,
    /// Rate of the limit, in millionths of a permit per second.
    pub rate_micro: u64,
    /// Burst of the limit, in permits.
    pub burst: u64,
    /// This process's share of the rate, in millionths of a permit per second.
    pub share_rate_micro: u64,
    /// This process's share of the burst, in permits, rounded down.
    pub share_burst: u64,
    /// Permits left in the share now, rounded down.
    pub remaining: u64,
    /// Permits granted by this process.
    pub granted: u64,
    /// Permits refused by this process.
    pub refused: u64,
    /// Processes that hold or want something of it; 0 = not known yet.
    pub processes: u32,
    /// Calls of tidegate_key_acquire() that wait now, in this process.
    pub waiting: u32,
    /// What of its rate it refills with now, in parts per million: less than 1000000 where it follows a lag or outcomes.
    pub pace_ppm: u32,
    /// 0
    pub reserved: u32,
}

/// Takes `permits` now or not at all; never waits. `decision_out` may be NULL.
/// TIDEGATE_OK, TIDEGATE_DENIED, TIDEGATE_NEVER, or a failure: TIDEGATE_E_ARGUMENT for 0 permits, TIDEGATE_E_STALE,
/// TIDEGATE_E_CLOSED, TIDEGATE_E_FORKED, TIDEGATE_E_BUG. Cost: one atomic step a tier while the shares suffice; one lock a
/// tier and one clock reading where they do not. The first calls for a shared key are denied, with
/// TIDEGATE_BASIS_NO_SHARE, until the log has answered.
///
/// # Safety
/// `decision_out` is NULL or valid to write to.
#[no_mangle]
pub unsafe extern "C" fn tidegate_key_try_acquire(
    key: u64,
    permits: u64,
    decision_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller; both structs have one layout (asserted below).
    let mut place = unsafe { decision_out.cast::<Decision>().as_mut() };
    match acquire::quickly(KeyId(key), permits, place.as_deref_mut()) {
        Ok(status) => status,
        Err(why) => boundary!(TIDEGATE_E_BUG, { acquire::at_length(why, KeyId(key), permits, place) }),
    }
}

/// Takes `permits`, waiting for them up to `timeout_ns` behind those who came earlier; with a `timeout_ns` of 0 it is
/// tidegate_key_try_acquire(). TIDEGATE_TIMED_OUT when the time
/// passed first: nothing was taken; a limit that throttles cuts the time-out to its `max_wait_ns` and answers
/// TIDEGATE_DENIED at once where that cannot be enough; why a shared limit grants nothing, tidegate_runtime_health() says. While
/// somebody waits, tidegate_key_try_acquire() does not overtake. Blocks the calling thread only. At most 65536 wait
/// for one key (TIDEGATE_E_CAPACITY).
///
/// # Safety
/// `decision_out` is NULL or valid to write to.
#[no_mangle]
pub unsafe extern "C" fn tidegate_key_acquire(
    key: u64,
    permits: u64,
    timeout_ns: u64,
    decision_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    let timeout = Duration::from_nanos(timeout_ns);
    // SAFETY: as promised by the caller.
    boundary!(TIDEGATE_E_BUG, { unsafe { give(acquire::acquire(KeyId(key), permits, timeout), decision_out) } })
}

/// What tidegate_key_try_acquire() of one permit would find, without taking it.
///
/// # Safety
/// `decision_out` is NULL or valid to write to.
#[no_mangle]
pub unsafe extern "C" fn tidegate_key_peek(key: u64, decision_out: *mut tidegate_decision_t) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    boundary!(TIDEGATE_E_BUG, { unsafe { give(acquire::peek(KeyId(key)), decision_out) } })
}

/// The key as this process sees it; with several tiers the tightest. May wait half a second for the background thread: not for the hot path.
///
/// # Safety
/// `status_out` is NULL or points at `struct_size` writable bytes that begin with that size.
#[no_mangle]
pub unsafe extern "C" fn tidegate_key_status(key: u64, status_out: *mut tidegate_key_status_t) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, {
        if status_out.is_null() {
            return TIDEGATE_E_ARGUMENT;
        }
        let status = match crate::runtime::status(KeyId(key)) {
            Ok(status) => status,
            Err(error) => return error.kind() as i32,
        };
        let filled = tidegate_key_status_t {
            struct_size: 0,
            basis: status.basis as u32,
            rate_micro: status.rate.0 / 1_000,
            burst: status.burst.whole(),
            share_rate_micro: status.share.rate.0 / 1_000,
            share_burst: status.share.burst.whole(),
            remaining: status.level.whole(),
            granted: status.granted,
            refused: status.refused,
            processes: status.processes,
            waiting: status.waiting,
            pace_ppm: status.pace_ppm,
            reserved: 0,
        };
        // SAFETY: as promised by the caller.
        match unsafe { fill_struct(status_out, filled, "status_out") } {
            Ok(()) => 0,
            Err(error) => error.kind() as i32,
        }
    })
}

/// Gives a key back once; its share returns to the fleet after the last time. TIDEGATE_E_STALE if it was already.
#[no_mangle]
pub extern "C" fn tidegate_key_release(key: u64) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, {
        match crate::runtime::release(KeyId(key)) {
            Ok(()) => 0,
            Err(error) => error.kind() as i32,
        }
    })
}

/// Writes an answer where the caller wants it; its status.
///
/// # Safety
/// `decision_out` is NULL or valid to write to.
#[inline]
pub(super) unsafe fn give(decision: Decision, decision_out: *mut tidegate_decision_t) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    if let Some(place) = unsafe { decision_out.as_mut() } {
        let Decision { retry_after_ns, remaining, status, tier, basis } = decision;
        *place = tidegate_decision_t { retry_after_ns, remaining, status, tier, basis };
    }
    decision.status
}

const _: () = assert!(TIDEGATE_BASIS_LOCAL == Basis::Local as u16);
const _: () = assert!(TIDEGATE_BASIS_SHARED == Basis::Shared as u16);
const _: () = assert!(TIDEGATE_BASIS_KEPT_SHARE == Basis::KeptShare as u16);
const _: () = assert!(TIDEGATE_BASIS_ALLOWED == Basis::Allowed as u16);
const _: () = assert!(TIDEGATE_BASIS_NO_SHARE == Basis::NoShare as u16);
const _: () = assert!(TIDEGATE_BASIS_BREAKER == Basis::Breaker as u16);
const _: () = assert!(TIDEGATE_BASIS_SHADOW == Basis::Shadow as u16);
const _: () = assert!(size_of::<tidegate_decision_t>() == 24);
const _: () = assert!(std::mem::offset_of!(tidegate_decision_t, status) == 16);
const _: () = assert!(size_of::<Decision>() == 24 && align_of::<Decision>() == 8);
const _: () = assert!(std::mem::offset_of!(tidegate_decision_t, basis) == std::mem::offset_of!(Decision, basis));
const _: () = assert!(std::mem::offset_of!(tidegate_decision_t, tier) == std::mem::offset_of!(Decision, tier));
const _: () = assert!(std::mem::offset_of!(tidegate_decision_t, status) == std::mem::offset_of!(Decision, status));
const _: () =
    assert!(std::mem::offset_of!(tidegate_decision_t, remaining) == std::mem::offset_of!(Decision, remaining));
