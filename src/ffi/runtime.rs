//! Runtimes.

use super::boundary::{answer, boundary, bug, handle, output};
use super::config::tidegate_config_t;
use super::error::tidegate_error_t;
use super::status::tidegate_status_t;
use crate::Runtime;
use std::time::Duration;

/// Storage, background thread and clock; usually one per process.
pub struct tidegate_runtime_t {
    pub(super) runtime: Runtime,
}

/// Opens a runtime. Never waits for Kafka and does not fail when no broker answers: sharing starts by itself when one
/// does, and until then tidegate_runtime_health() says why it does not. Equal configurations share one runtime.
/// TIDEGATE_E_CONFIG when properties contradict each other or the Kafka client refuses one.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_open(
    config: *const tidegate_config_t,
    runtime_out: *mut *mut tidegate_runtime_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let open = || unsafe {
        let config = handle(config, "config")?.config.lock().clone();
        let place = output(runtime_out, "runtime_out")?;
        *place = Box::into_raw(Box::new(tidegate_runtime_t { runtime: Runtime::open(&config)? }));
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { open() }), error_out) }
}

/// Gives the handle back, whatever the result, also in a forked child (TIDEGATE_E_FORKED: nothing is closed); NULL is accepted. The last handle, of the runtime and of its limiters,
/// closes it: its shares return to the fleet at once, waiting calls end, and its keys answer TIDEGATE_E_STALE. Waits at
/// most about `timeout_ns` for the log to confirm the goodbye; TIDEGATE_E_STORAGE if it did not: others get the shares
/// after ttl.ms.
///
/// # Safety
/// `runtime` is NULL or came from this library and was not given back.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_close(
    runtime: *mut tidegate_runtime_t,
    timeout_ns: u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    let close = || {
        if runtime.is_null() {
            return Ok(());
        }
        // SAFETY: it was made by Box::into_raw and is given back once.
        let runtime = unsafe { Box::from_raw(runtime) };
        runtime.runtime.close(Duration::from_nanos(timeout_ns))
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { close() }), error_out) }
}
