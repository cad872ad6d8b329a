//! What every exported function goes through, and how raw pointers become references.

use super::error::{give_error, tidegate_error_t};
use super::runtime::tidegate_runtime_t;
use super::status::{tidegate_status_t, TIDEGATE_OK};
use crate::{Error, ErrorKind, Runtime};
use std::ffi::c_char;

/// Most bytes of a string. Longer ones are miscounted, and not even looked at.
const TEXT_MAX: usize = 1 << 20;
/// Most bytes that a struct of a later version may have more than ours.
const TAIL_MAX: usize = 4_096;

/// Runs the body; a panic in it does not cross into the caller but becomes `$on_panic`.
macro_rules! boundary {
    ($on_panic:expr, $body:block) => {{
        let body = std::panic::AssertUnwindSafe(|| $body);
        std::panic::catch_unwind(body).unwrap_or($on_panic)
    }};
}
pub(super) use boundary;

/// The error of a caught panic.
pub(super) fn bug() -> Error {
    Error::new(ErrorKind::Bug, "a panic inside Tidegate; please report it with the program's standard error")
}

/// Ok = 0; an error is stored in `error_out`, where there is one, and its status returned.
///
/// # Safety
/// `error_out` is null or valid to write to.
pub(super) unsafe fn answer(result: Result<(), Error>, error_out: *mut *mut tidegate_error_t) -> tidegate_status_t {
    match result {
        Ok(()) => TIDEGATE_OK,
        Err(error) => {
            let status = error.kind() as i32;
            // SAFETY: as promised by the caller.
            unsafe { give_error(error, error_out) };
            status
        }
    }
}

/// The thing behind a handle.
///
/// # Safety
/// `pointer` is null or comes from this library and was not given back.
pub(super) unsafe fn handle<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Error> {
    // SAFETY: as promised by the caller.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(what))
}

/// The runtime behind a handle, unless it is of another process.
///
/// # Safety
/// `pointer` is null or comes from this library and was not given back.
pub(super) unsafe fn own_runtime<'a>(pointer: *const tidegate_runtime_t) -> Result<&'a Runtime, Error> {
    // SAFETY: as promised by the caller.
    let runtime = unsafe { &handle(pointer, "runtime")?.runtime };
    if runtime.is_of_another_process() {
        let text = "the runtime belongs to the process that this one was forked from; open another one here";
        return Err(Error::new(ErrorKind::Forked, text));
    }
    Ok(runtime)
}

/// Takes a handle back and drops it; null is accepted.
///
/// # Safety
/// `pointer` is null, or was made by `Box::into_raw` and is given back once.
pub(super) unsafe fn drop_handle<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: as promised by the caller.
        drop(unsafe { Box::from_raw(pointer) });
    }
}

/// A place to write an output to.
///
/// # Safety
/// `pointer` is null or valid to write to.
pub(super) unsafe fn output<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T, Error> {
    // SAFETY: as promised by the caller.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(what))
}

/// A string that came as pointer and length; null with length 0 is the empty string.
///
/// # Safety
/// `pointer` is valid for `length` bytes, or null.
pub(super) unsafe fn text<'a>(pointer: *const c_char, length: usize, what: &str) -> Result<&'a str, Error> {
    if pointer.is_null() {
        return if length == 0 { Ok("") } else { Err(null(what)) };
    }
    if length > TEXT_MAX {
        let text = format!("`{what}` has {length} bytes; at most {TEXT_MAX} are allowed");
        return Err(Error::new(ErrorKind::Argument, text));
    }
    // SAFETY: as promised by the caller; the length is no nonsense.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), length) };
    std::str::from_utf8(bytes).map_err(|why| Error::new(ErrorKind::Argument, format!("`{what}` is not UTF-8: {why}")))
}

/// Checks a struct that a caller made: its size must be at least that of ABI 1, and what we do not know must be zero.
///
/// # Safety
/// `pointer` is null or points at `struct_size` readable bytes that begin with that size.
pub(super) unsafe fn known_struct<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Error> {
    // SAFETY: every such struct begins with its size.
    let size = unsafe { pointer.cast::<u32>().as_ref() }.ok_or_else(|| null(what))?;
    let (size, ours) = (*size as usize, size_of::<T>());
    check_size(size, ours, what)?;
    // SAFETY: the caller vouches for `size` bytes.
    let tail = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(ours), size - ours) };
    if tail.iter().any(|byte| *byte != 0) {
        let text = format!("`{what}` sets fields that this version does not know; update the library");
        return Err(Error::new(ErrorKind::Argument, text));
    }
    // SAFETY: at least `ours` bytes are readable, and every bit pattern of these structs is a value.
    Ok(unsafe { &*pointer })
}

/// Fills a struct that a caller made, as far as the caller knows it.
///
/// # Safety
/// `pointer` is null or points at `struct_size` writable bytes that begin with that size.
pub(super) unsafe fn fill_struct<T: Copy>(pointer: *mut T, mut value: T, what: &str) -> Result<(), Error> {
    // SAFETY: every such struct begins with its size.
    let size = unsafe { pointer.cast::<u32>().as_ref() }.ok_or_else(|| null(what))?;
    let (theirs, ours) = (*size as usize, size_of::<T>());
    check_size(theirs, ours, what)?;
    let written = theirs.min(ours);
    // SAFETY: both sides have `written` bytes; the struct's own size stays what the caller set.
    unsafe {
        (&raw mut value).cast::<u32>().write(*size);
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), pointer.cast::<u8>(), written);
        std::ptr::write_bytes(pointer.cast::<u8>().add(written), 0, theirs - written);
    }
    Ok(())
}

/// No struct has grown yet: when one does, the least size is still that of ABI 1.
fn check_size(theirs: usize, ours: usize, what: &str) -> Result<(), Error> {
    if (ours..=ours + TAIL_MAX).contains(&theirs) {
        return Ok(());
    }
    let text =
        format!("`{what}.struct_size` is {theirs}; set it to sizeof of the struct ({ours} bytes in this version)");
    Err(Error::new(ErrorKind::Argument, text))
}

fn null(what: &str) -> Error {
    Error::new(ErrorKind::Argument, format!("`{what}` is NULL"))
}
