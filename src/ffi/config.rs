//! Properties by name.

use super::boundary::{answer, boundary, bug, drop_handle, handle, output, text};
use super::error::tidegate_error_t;
use super::status::tidegate_status_t;
use super::text::{give_text, tidegate_text_t};
use crate::lock::Mutex;
use crate::Config;
use std::ffi::c_char;

/// A set of properties to open a runtime with.
pub struct tidegate_config_t {
    pub(super) config: Mutex<Config>,
}

/// An empty configuration: what is not set has its default. Free it when the runtime is open. Never NULL but when
/// memory is exhausted.
#[no_mangle]
pub extern "C" fn tidegate_config_create() -> *mut tidegate_config_t {
    boundary!(std::ptr::null_mut(), {
        Box::into_raw(Box::new(tidegate_config_t { config: Mutex::new(Config::new()) }))
    })
}

/// Sets a property: one of Tidegate's (docs/reference/config.md) or one of librdkafka's by its own name
/// ("bootstrap.servers", "security.protocol", "sasl.*", "ssl.*", ..), which is passed through unchanged.
/// TIDEGATE_E_CONFIG with the name in the message when it is unknown or the value is not one of its own.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_config_set(
    config: *mut tidegate_config_t,
    name: *const c_char,
    name_len: usize,
    value: *const c_char,
    value_len: usize,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let set = || unsafe {
        let config = handle(config, "config")?;
        let (name, value) = (text(name, name_len, "name")?, text(value, value_len, "value")?);
        config.config.lock().set(name, value)
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { set() }), error_out) }
}

/// The effective configuration, one "name = value" a line, with secrets hidden. Free the text.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_config_describe(
    config: *const tidegate_config_t,
    text_out: *mut *mut tidegate_text_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let describe = || unsafe {
        let config = handle(config, "config")?;
        let place = output(text_out, "text_out")?;
        *place = give_text(&config.config.lock().describe());
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { describe() }), error_out) }
}

/// Frees a configuration; open runtimes do not need it. NULL is accepted.
///
/// # Safety
/// `config` is NULL or came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn tidegate_config_free(config: *mut tidegate_config_t) {
    // SAFETY: as promised by the caller.
    boundary!((), { unsafe { drop_handle(config) } });
}
