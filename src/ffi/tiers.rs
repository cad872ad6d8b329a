//! Limiters with several tiers, and decisions by value or context in one call.

use super::boundary::{answer, boundary, bug, handle, known_struct, output, own_runtime, text};
use super::error::tidegate_error_t;
use super::key::{give, tidegate_decision_t};
use super::limiter::{rule_of, tidegate_limit_t, tidegate_limiter_t};
use super::runtime::tidegate_runtime_t;
use super::status::{tidegate_status_t, TIDEGATE_E_ARGUMENT, TIDEGATE_E_BUG, TIDEGATE_OK};
use crate::runtime::{acquire, SCOPES_MAX, TIERS_MAX};
use crate::{Decision, Error, ErrorKind, KeyId, Tier};
use std::ffi::c_char;

/// Most tiers of a limiter.
pub const TIDEGATE_TIERS_MAX: u32 = 8;
/// Most dimensions of a context.
pub const TIDEGATE_SCOPES_MAX: u32 = 64;

/// One of the limits that a limiter keeps at once.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_tier_t {
    /// sizeof(tidegate_tier_t)
    pub struct_size: u32,
    /// 0
    pub reserved: u32,
    /// For people; each tier has another.
    pub name: *const c_char,
    /// Bytes of it; 1 to 1024.
    pub name_len: u64,
    /// The dimension whose every value has a bucket of its own, such as "topic"; NULL = one bucket for everybody.
    pub scope: *const c_char,
    /// Bytes of it; up to 1024.
    pub scope_len: u64,
    /// Numbers of each bucket, and what happens where they are reached.
    pub limit: *const tidegate_limit_t,
    /// What one permit costs here, up to 1000000; 0 = 1.
    pub weight: u64,
}

/// One dimension of a context and its value. Its layout is frozen for this ABI: 32 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_scope_t {
    /// Such as "topic".
    pub dimension: *const c_char,
    /// Bytes of it.
    pub dimension_len: u64,
    /// Such as "orders".
    pub value: *const c_char,
    /// Bytes of it; up to 1024.
    pub value_len: u64,
}

/// Makes a limiter of several tiers, at most TIDEGATE_TIERS_MAX: a decision takes from all of them or from none, and names
/// the one that refuses for longest. Every process that makes one of this name with the same tiers in the same order on
/// the same topic shares it. Several tiers may have one scope: 10 a second and 1000 an hour. `tiers` is an array whose
/// elements are all as long as the first says. TIDEGATE_E_ARGUMENT for a tier out of range; otherwise as
/// tidegate_limiter_create().
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_create_tiers(
    runtime: *mut tidegate_runtime_t,
    name: *const c_char,
    name_len: usize,
    tiers: *const tidegate_tier_t,
    count: u32,
    limiter_out: *mut *mut tidegate_limiter_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let create = || unsafe {
        let runtime = own_runtime(runtime)?;
        let name = text(name, name_len, "name")?;
        let tiers = tiers_of(tiers, count)?;
        let place = output(limiter_out, "limiter_out")?;
        *place = tidegate_limiter_t::give(runtime.tiered(name, &tiers)?);
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { create() }), error_out) }
}

/// The key of a context: the values of the dimensions that the tiers ask for. A dimension that no tier asks for is left
/// alone; one that a tier asks for and the context lacks is TIDEGATE_E_ARGUMENT with both names in the message, so that no
/// limit is ever skipped in silence. Otherwise as tidegate_limiter_key().
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_key_in(
    limiter: *mut tidegate_limiter_t,
    scopes: *const tidegate_scope_t,
    count: u32,
    key_out: *mut u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let key = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        let place = output(key_out, "key_out")?;
        let mut context = [("", ""); SCOPES_MAX];
        *place = limiter.limiter.key_id_in(context_of(scopes, count, &mut context)?)?.0;
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { key() }), error_out) }
}

/// Takes `permits` under a scope value now or not at all, without a key to resolve before and release after: for values
/// that come once. A value that a key stands for is the same bucket. Results as of tidegate_key_try_acquire(), and
/// TIDEGATE_E_CAPACITY when keys.max buckets are in use. Cost: one hash of the value and one lock. What is idle and full
/// again is forgotten by itself.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_try_acquire(
    limiter: *mut tidegate_limiter_t,
    value: *const c_char,
    value_len: usize,
    permits: u64,
    decision_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let decide = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        Ok(limiter.limiter.try_acquire(text(value, value_len, "value")?, permits))
    };
    // SAFETY: as promised by the caller.
    boundary!(TIDEGATE_E_BUG, { unsafe { give(decided(decide()), decision_out) } })
}

/// The same in a context, as for tidegate_limiter_key_in().
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_try_acquire_in(
    limiter: *mut tidegate_limiter_t,
    scopes: *const tidegate_scope_t,
    count: u32,
    permits: u64,
    decision_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let decide = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        let mut context = [("", ""); SCOPES_MAX];
        Ok(limiter.limiter.try_acquire_in(context_of(scopes, count, &mut context)?, permits))
    };
    // SAFETY: as promised by the caller.
    boundary!(TIDEGATE_E_BUG, { unsafe { give(decided(decide()), decision_out) } })
}

/// tidegate_key_try_acquire() of `count` keys in one call, each decided by itself: one call instead of many where a call
/// costs more than a decision. `permits` may be NULL: one of each. Each result is in `decisions_out[i].status`.
/// TIDEGATE_OK when all were decided, whatever the answers; TIDEGATE_E_ARGUMENT for NULL.
///
/// # Safety
/// `keys`, `permits` unless NULL and `decisions_out` have `count` elements.
#[no_mangle]
pub unsafe extern "C" fn tidegate_keys_try_acquire(
    keys: *const u64,
    permits: *const u64,
    count: u32,
    decisions_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, {
        if count > 0 && (keys.is_null() || decisions_out.is_null()) {
            return TIDEGATE_E_ARGUMENT;
        }
        for at in 0..count as usize {
            // SAFETY: as promised by the caller.
            unsafe {
                let asked = if permits.is_null() { 1 } else { *permits.add(at) };
                give(acquire::try_acquire(KeyId(*keys.add(at)), asked), decisions_out.add(at));
            }
        }
        TIDEGATE_OK
    })
}

fn decided(decision: Result<Decision, Error>) -> Decision {
    decision.unwrap_or_else(|why| Decision::failed(why.kind()))
}

/// # Safety
/// `tiers` is NULL or has `count` elements as long as the first says.
unsafe fn tiers_of(tiers: *const tidegate_tier_t, count: u32) -> Result<Vec<Tier>, Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Argument, text));
    if count as usize > TIERS_MAX {
        return refuse(format!("`count` is {count}; a limiter has 1 to {TIERS_MAX} tiers"));
    }
    let mut all = Vec::new();
    let mut stride = 0;
    for at in 0..count as usize {
        // SAFETY: as promised by the caller; the first element says how long they are.
        let tier = unsafe { known_struct(tiers.byte_add(stride * at), &format!("tiers[{at}]"))? };
        if at > 0 && tier.struct_size as usize != stride {
            return refuse(format!("`tiers[{at}].struct_size` differs from that of the first"));
        }
        stride = tier.struct_size as usize;
        if tier.reserved != 0 {
            return refuse(format!("`tiers[{at}].reserved` is {}; expected 0", tier.reserved));
        }
        // SAFETY: as promised by the caller.
        let (name, scope, limit) = unsafe {
            let name = text(tier.name, length(tier.name_len), "tier.name")?;
            let scope = text(tier.scope, length(tier.scope_len), "tier.scope")?;
            (name, scope, known_struct(tier.limit, "tier.limit")?)
        };
        let rule = rule_of(limit)?;
        let scope = (!tier.scope.is_null()).then(|| scope.to_owned());
        all.push(Tier { name: name.to_owned(), scope, rule, weight: tier.weight.max(1) });
    }
    Ok(all)
}

/// # Safety
/// `scopes` is NULL or has `count` elements.
unsafe fn context_of<'a, 'b>(
    scopes: *const tidegate_scope_t,
    count: u32,
    context: &'b mut [(&'a str, &'a str); SCOPES_MAX],
) -> Result<&'b [(&'a str, &'a str)], Error> {
    let count = count as usize;
    if count > SCOPES_MAX || (count > 0 && scopes.is_null()) {
        let text = format!("`scopes` must be an array of at most {SCOPES_MAX} elements; `count` is {count}");
        return Err(Error::new(ErrorKind::Argument, text));
    }
    for (at, place) in context.iter_mut().enumerate().take(count) {
        // SAFETY: as promised by the caller.
        *place = unsafe {
            let scope = &*scopes.add(at);
            (
                text(scope.dimension, length(scope.dimension_len), "scope.dimension")?,
                text(scope.value, length(scope.value_len), "scope.value")?,
            )
        };
    }
    Ok(&context[..count])
}

/// What does not fit is too long anyway.
fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

const _: () = assert!(TIDEGATE_TIERS_MAX as usize == TIERS_MAX && TIDEGATE_SCOPES_MAX as usize == SCOPES_MAX);
const _: () = assert!(size_of::<tidegate_scope_t>() == 32 && size_of::<tidegate_tier_t>() == 56);
