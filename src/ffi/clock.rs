//! Time that stands still until a test moves it.

use super::boundary::{answer, boundary, bug, drop_handle, handle, output};
use super::config::tidegate_config_t;
use super::error::tidegate_error_t;
use super::runtime::tidegate_runtime_t;
use super::status::tidegate_status_t;
use crate::runtime::clock::ManualClock;
use crate::Runtime;
use std::time::Duration;

/// A clock that stands still until it is told to advance: with it, an application tests its own limits without sleeping.
pub struct tidegate_clock_t {
    clock: ManualClock,
}

/// A clock at its beginning. Free it whenever you like: runtimes keep theirs. Never NULL but when memory is exhausted.
#[no_mangle]
pub extern "C" fn tidegate_clock_create() -> *mut tidegate_clock_t {
    boundary!(std::ptr::null_mut(), { Box::into_raw(Box::new(tidegate_clock_t { clock: ManualClock::default() })) })
}

/// Moves the clock forward. It never goes back; NULL is accepted. Calls that wait meanwhile wait in real time.
///
/// # Safety
/// `clock` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_clock_advance(clock: *mut tidegate_clock_t, span_ns: u64) {
    boundary!((), {
        // SAFETY: as promised by the caller.
        if let Some(clock) = unsafe { clock.as_ref() } {
            clock.clock.advance(Duration::from_nanos(span_ns));
        }
    });
}

/// Frees a clock. NULL is accepted.
///
/// # Safety
/// `clock` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_clock_free(clock: *mut tidegate_clock_t) {
    // SAFETY: as promised by the caller.
    boundary!((), { unsafe { drop_handle(clock) } });
}

/// Opens a runtime of its own whose time is that of `clock`. TIDEGATE_E_CONFIG when the storage is not "memory".
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_open_with_clock(
    config: *const tidegate_config_t,
    clock: *const tidegate_clock_t,
    runtime_out: *mut *mut tidegate_runtime_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let open = || unsafe {
        let config = handle(config, "config")?.config.lock().clone();
        let clock = &handle(clock, "clock")?.clock;
        let place = output(runtime_out, "runtime_out")?;
        let runtime = Runtime::open_with_clock(&config, clock)?;
        *place = Box::into_raw(Box::new(tidegate_runtime_t { runtime }));
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { open() }), error_out) }
}
