//! The story behind a negative status.

use super::boundary::{boundary, drop_handle};
use super::status::{tidegate_status_t, TIDEGATE_E_ARGUMENT, TIDEGATE_E_BUG};
use crate::Error;
use std::ffi::{c_char, CString};

/// The story behind a negative status. Belongs to no thread; free it on any. Look at it in a statement of its own: in
/// `f(call(.., &error), error)` C may read `error` before it makes the call.
pub struct tidegate_error_t {
    error: Error,
    message: CString,
}

/// Stores `error` for the caller, if there is a place for it.
///
/// # Safety
/// `error_out` is null or valid to write to.
pub(super) unsafe fn give_error(error: Error, error_out: *mut *mut tidegate_error_t) {
    // SAFETY: as promised by the caller.
    if let Some(place) = unsafe { error_out.as_mut() } {
        let message = CString::new(error.message().replace('\0', "?")).unwrap_or_default();
        *place = Box::into_raw(Box::new(tidegate_error_t { error, message }));
    }
}

/// The status that came with the error; TIDEGATE_E_ARGUMENT for NULL.
///
/// # Safety
/// `error` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_error_status(error: *const tidegate_error_t) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, {
        // SAFETY: as promised by the caller.
        unsafe { error.as_ref() }.map_or(TIDEGATE_E_ARGUMENT, |error| error.error.kind() as i32)
    })
}

/// What happened and what to do about it: UTF-8, no full stop, lives as long as `error`. "" for NULL.
///
/// # Safety
/// `error` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_error_message(error: *const tidegate_error_t) -> *const c_char {
    boundary!(c"".as_ptr(), {
        // SAFETY: as promised by the caller.
        unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// 1 if the same call may succeed later without anything being changed, else 0.
///
/// # Safety
/// `error` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_error_is_retriable(error: *const tidegate_error_t) -> i32 {
    boundary!(0, {
        // SAFETY: as promised by the caller.
        i32::from(unsafe { error.as_ref() }.is_some_and(|error| error.error.is_retriable()))
    })
}

/// Frees an error. NULL is accepted.
///
/// # Safety
/// `error` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_error_free(error: *mut tidegate_error_t) {
    // SAFETY: as promised by the caller.
    boundary!((), { unsafe { drop_handle(error) } });
}
