//! Status numbers. They never change; new ones are appended.

use super::boundary::boundary;
use crate::runtime::decision;
use crate::ErrorKind;
use std::ffi::c_char;

/// 0 = go or done, > 0 = an ordinary no, < 0 = failure.
pub type tidegate_status_t = i32;

/// Go, or done.
pub const TIDEGATE_OK: i32 = 0;
/// Not now; `retry_after_ns` says when to come back.
pub const TIDEGATE_DENIED: i32 = 1;
/// More permits than the limit's burst can ever hold.
pub const TIDEGATE_NEVER: i32 = 2;
/// The time-out passed first; nothing was taken.
pub const TIDEGATE_TIMED_OUT: i32 = 3;
/// Not yet: a reservation stands in line; poll its ticket after `retry_after_ns`.
pub const TIDEGATE_PENDING: i32 = 4;
/// NULL, bad UTF-8, a wrong struct_size, or a value out of range.
pub const TIDEGATE_E_ARGUMENT: i32 = -1;
/// A property is unknown, has no such value, or contradicts another.
pub const TIDEGATE_E_CONFIG: i32 = -2;
/// The runtime was closed.
pub const TIDEGATE_E_CLOSED: i32 = -3;
/// Kafka refused or could not be reached; the same call may succeed later.
pub const TIDEGATE_E_STORAGE: i32 = -4;
/// A named maximum was hit, such as keys.max.
pub const TIDEGATE_E_CAPACITY: i32 = -5;
/// The key was released or its runtime closed, or the ticket was used.
pub const TIDEGATE_E_STALE: i32 = -6;
/// This process was forked: open a runtime of its own here.
pub const TIDEGATE_E_FORKED: i32 = -7;
/// A panic inside Tidegate; that runtime refuses every further call.
pub const TIDEGATE_E_BUG: i32 = -100;

/// The name of a status, such as "TIDEGATE_DENIED". Static, never NULL.
#[no_mangle]
pub extern "C" fn tidegate_status_name(status: tidegate_status_t) -> *const c_char {
    boundary!(c"TIDEGATE_E_BUG".as_ptr(), {
        match status {
            TIDEGATE_OK => c"TIDEGATE_OK",
            TIDEGATE_DENIED => c"TIDEGATE_DENIED",
            TIDEGATE_NEVER => c"TIDEGATE_NEVER",
            TIDEGATE_TIMED_OUT => c"TIDEGATE_TIMED_OUT",
            TIDEGATE_PENDING => c"TIDEGATE_PENDING",
            TIDEGATE_E_ARGUMENT => c"TIDEGATE_E_ARGUMENT",
            TIDEGATE_E_CONFIG => c"TIDEGATE_E_CONFIG",
            TIDEGATE_E_CLOSED => c"TIDEGATE_E_CLOSED",
            TIDEGATE_E_STORAGE => c"TIDEGATE_E_STORAGE",
            TIDEGATE_E_CAPACITY => c"TIDEGATE_E_CAPACITY",
            TIDEGATE_E_STALE => c"TIDEGATE_E_STALE",
            TIDEGATE_E_FORKED => c"TIDEGATE_E_FORKED",
            TIDEGATE_E_BUG => c"TIDEGATE_E_BUG",
            _ => c"TIDEGATE_UNKNOWN_STATUS",
        }
        .as_ptr()
    })
}

const _: () = assert!(TIDEGATE_DENIED == decision::DENIED && TIDEGATE_NEVER == decision::NEVER);
const _: () = assert!(TIDEGATE_PENDING == decision::PENDING);
const _: () = assert!(TIDEGATE_OK == decision::OK && TIDEGATE_TIMED_OUT == decision::TIMED_OUT);
const _: () =
    assert!(TIDEGATE_E_ARGUMENT == ErrorKind::Argument as i32 && TIDEGATE_E_CONFIG == ErrorKind::Config as i32);
const _: () = assert!(TIDEGATE_E_CLOSED == ErrorKind::Closed as i32 && TIDEGATE_E_STORAGE == ErrorKind::Storage as i32);
const _: () = assert!(TIDEGATE_E_CAPACITY == ErrorKind::Capacity as i32 && TIDEGATE_E_STALE == ErrorKind::Stale as i32);
const _: () = assert!(TIDEGATE_E_FORKED == ErrorKind::Forked as i32 && TIDEGATE_E_BUG == ErrorKind::Bug as i32);
