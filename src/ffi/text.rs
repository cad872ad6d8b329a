//! Texts that the library makes for the caller.

use super::boundary::{boundary, drop_handle};
use std::ffi::{c_char, CString};

/// A text that the library made: JSON, a description.
pub struct tidegate_text_t {
    text: CString,
}

/// Makes a text for the caller.
pub(super) fn give_text(text: &str) -> *mut tidegate_text_t {
    let text = CString::new(text.replace('\0', "?")).unwrap_or_default();
    Box::into_raw(Box::new(tidegate_text_t { text }))
}

/// The text: UTF-8, NUL-terminated, lives as long as `text`. "" for NULL.
///
/// # Safety
/// `text` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_text_data(text: *const tidegate_text_t) -> *const c_char {
    boundary!(c"".as_ptr(), {
        // SAFETY: as promised by the caller.
        unsafe { text.as_ref() }.map_or(c"".as_ptr(), |text| text.text.as_ptr())
    })
}

/// Frees a text. NULL is accepted.
///
/// # Safety
/// `text` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_text_free(text: *mut tidegate_text_t) {
    // SAFETY: as promised by the caller.
    boundary!((), { unsafe { drop_handle(text) } });
}
