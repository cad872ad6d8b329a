//! What limits have to say beyond their decisions.

use super::boundary::{answer, boundary, bug, drop_handle, output, own_runtime};
use super::error::tidegate_error_t;
use super::runtime::tidegate_runtime_t;
use super::status::{tidegate_status_t, TIDEGATE_OK, TIDEGATE_TIMED_OUT};
use crate::{Event, EventKind, Runtime};
use std::ffi::{c_char, CString};
use std::time::Duration;

/// A limit with backpressure began to refuse: slow down.
pub const TIDEGATE_EVENT_PRESSURE_ON: u32 = 1;
/// Half of its burst is there again: go on.
pub const TIDEGATE_EVENT_PRESSURE_OFF: u32 = 2;
/// A circuit breaker opened.
pub const TIDEGATE_EVENT_BREAKER_OPENED: u32 = 3;
/// It lets one request through.
pub const TIDEGATE_EVENT_BREAKER_HALF_OPEN: u32 = 4;
/// It closed.
pub const TIDEGATE_EVENT_BREAKER_CLOSED: u32 = 5;
/// A consumer is too far behind: the limit does not refill.
pub const TIDEGATE_EVENT_PAUSED: u32 = 6;
/// It refills again.
pub const TIDEGATE_EVENT_RESUMED: u32 = 7;

/// Something that a limit has to say.
pub struct tidegate_event_t {
    event: Event,
    limiter: CString,
    value: CString,
}

/// The next event of a runtime's limits, waited for up to `timeout_ns`; TIDEGATE_TIMED_OUT when there is none. Each event is
/// given out once; of those that nobody takes the newest 4096 are kept. Pressure ends while somebody waits here, or with a
/// grant that finds half of the burst: a source that pauses under pressure should wait here for its end. Blocks the calling
/// thread only; tidegate_runtime_wake() ends the wait. Free the event.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_next_event(
    runtime: *const tidegate_runtime_t,
    timeout_ns: u64,
    event_out: *mut *mut tidegate_event_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    let mut status = TIDEGATE_TIMED_OUT;
    // SAFETY: as promised by the caller.
    let mut next = || unsafe {
        let runtime = own_runtime(runtime)?;
        let place = output(event_out, "event_out")?;
        if let Some(event) = runtime.next_event_or_why(Duration::from_nanos(timeout_ns))? {
            let text = |text: &str| CString::new(text.replace('\0', "?")).unwrap_or_default();
            let (limiter, value) = (text(&event.limiter), text(&event.value));
            *place = Box::into_raw(Box::new(tidegate_event_t { event, limiter, value }));
            status = TIDEGATE_OK;
        }
        Ok(())
    };
    // SAFETY: as promised by the caller.
    match unsafe { answer(boundary!(Err(bug()), { next() }), error_out) } {
        TIDEGATE_OK => status,
        failed => failed,
    }
}

/// Lets every call of tidegate_runtime_next_event() that waits answer TIDEGATE_TIMED_OUT at once; where none waits, the next
/// one does. For who wants to end a thread that waits there before the runtime is closed. From any thread.
///
/// # Safety
/// `runtime` is NULL or came from this library and was not given back.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_wake(runtime: *const tidegate_runtime_t) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let wake = || unsafe { own_runtime(runtime) }.map(Runtime::wake);
    // SAFETY: no error is wanted.
    unsafe { answer(boundary!(Err(bug()), { wake() }), std::ptr::null_mut()) }
}

/// TIDEGATE_EVENT_*; 0 for NULL.
///
/// # Safety
/// `event` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_event_kind(event: *const tidegate_event_t) -> u32 {
    // SAFETY: as promised by the caller.
    boundary!(0, { unsafe { event.as_ref() }.map_or(0, |event| event.event.kind as u32) })
}

/// The name of the limiter; lives as long as `event`. "" for NULL.
///
/// # Safety
/// `event` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_event_limiter(event: *const tidegate_event_t) -> *const c_char {
    // SAFETY: as promised by the caller.
    boundary!(c"".as_ptr(), { unsafe { event.as_ref() }.map_or(c"".as_ptr(), |event| event.limiter.as_ptr()) })
}

/// The tier, counted from 0; see tidegate_limiter_tier_name(). 0 for NULL.
///
/// # Safety
/// `event` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_event_tier(event: *const tidegate_event_t) -> u32 {
    // SAFETY: as promised by the caller.
    boundary!(0, { unsafe { event.as_ref() }.map_or(0, |event| event.event.tier) })
}

/// The scope value of the bucket, "" for what concerns all of them; lives as long as `event`. "" for NULL.
///
/// # Safety
/// `event` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_event_value(event: *const tidegate_event_t) -> *const c_char {
    // SAFETY: as promised by the caller.
    boundary!(c"".as_ptr(), { unsafe { event.as_ref() }.map_or(c"".as_ptr(), |event| event.value.as_ptr()) })
}

/// Events before this one that were dropped because nobody took them. 0 for NULL.
///
/// # Safety
/// `event` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_event_dropped(event: *const tidegate_event_t) -> u64 {
    // SAFETY: as promised by the caller.
    boundary!(0, { unsafe { event.as_ref() }.map_or(0, |event| event.event.dropped) })
}

/// Frees an event. NULL is accepted.
///
/// # Safety
/// `event` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_event_free(event: *mut tidegate_event_t) {
    // SAFETY: as promised by the caller.
    boundary!((), { unsafe { drop_handle(event) } });
}

const _: () = assert!(TIDEGATE_EVENT_PRESSURE_ON == EventKind::PressureOn as u32);
const _: () = assert!(TIDEGATE_EVENT_PRESSURE_OFF == EventKind::PressureOff as u32);
const _: () = assert!(TIDEGATE_EVENT_BREAKER_OPENED == EventKind::BreakerOpened as u32);
const _: () = assert!(TIDEGATE_EVENT_BREAKER_HALF_OPEN == EventKind::BreakerHalfOpen as u32);
const _: () = assert!(TIDEGATE_EVENT_BREAKER_CLOSED == EventKind::BreakerClosed as u32);
const _: () = assert!(TIDEGATE_EVENT_PAUSED == EventKind::Paused as u32);
const _: () = assert!(TIDEGATE_EVENT_RESUMED == EventKind::Resumed as u32);
