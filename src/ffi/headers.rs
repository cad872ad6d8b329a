//! The header fields that tell HTTP clients of a limit.

use super::boundary::{answer, boundary, bug, handle, known_struct, output, text};
use super::error::tidegate_error_t;
use super::key::tidegate_decision_t;
use super::limiter::{rule_of, tidegate_limit_t};
use super::status::tidegate_status_t;
use super::text::{give_text, tidegate_text_t};
use crate::core::headers::{self, Quota};
use crate::Nanos;
use std::ffi::c_char;

/// The HTTP header fields of a decision, each as a line "Name: value\r\n": RateLimit-Policy and RateLimit (IETF draft 11),
/// and Retry-After where it was refused. `name` is that of the limit for the client, such as "orders"; bytes that no header
/// may hold are escaped. Pure: asks nothing and changes nothing. Free the text.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_headers_format(
    name: *const c_char,
    name_len: usize,
    limit: *const tidegate_limit_t,
    decision: *const tidegate_decision_t,
    text_out: *mut *mut tidegate_text_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let format = || unsafe {
        let name = text(name, name_len, "name")?;
        let limit = rule_of(known_struct(limit, "limit")?)?.limit;
        let decision = handle(decision, "decision")?;
        let place = output(text_out, "text_out")?;
        let retry_after = (decision.status > 0).then_some(Nanos(decision.retry_after_ns));
        let (permits, period, remaining) = (limit.permits(), limit.period(), decision.remaining);
        *place = give_text(&headers::lines(&Quota { name, permits, period, remaining, retry_after }));
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { format() }), error_out) }
}
