//! Limiters.

use super::boundary::{answer, boundary, bug, drop_handle, handle, known_struct, output, own_runtime, text};
use super::error::tidegate_error_t;
use super::runtime::tidegate_runtime_t;
use super::status::tidegate_status_t;
use crate::{Enforcement, Error, ErrorKind, Limit, Limiter, Nanos, Outage, Rule};
use std::ffi::{c_char, CString};
use std::time::Duration;

/// A token bucket: `permits` per `period_ns` on average, at most `burst` at once. A window of one period may see both.
pub const TIDEGATE_LIMIT_TOKEN_BUCKET: u32 = 1;
/// A sliding window: at most `permits` in any `period_ns`, wherever it begins. Without other processes all of them may come
/// at once. Shared ones keep it by a token bucket of `burst` that refills permits - burst + 1 per period.
pub const TIDEGATE_LIMIT_SLIDING_WINDOW: u32 = 2;

/// As the property on.outage says.
pub const TIDEGATE_OUTAGE_DEFAULT: u32 = 0;
/// Go on with the last share.
pub const TIDEGATE_OUTAGE_KEEP_SHARE: u32 = 1;
/// Refuse when the share could not be renewed.
pub const TIDEGATE_OUTAGE_DENY: u32 = 2;
/// Let everything through, and count it.
pub const TIDEGATE_OUTAGE_ALLOW: u32 = 3;

/// The limit is kept.
pub const TIDEGATE_MODE_ENFORCE: u32 = 0;
/// It decides and counts, and refuses nothing: what it would have refused is granted with TIDEGATE_BASIS_SHADOW.
pub const TIDEGATE_MODE_SHADOW: u32 = 1;

/// Refuses.
pub const TIDEGATE_ENFORCE_HARD_LIMIT: u32 = 0;
/// Delays: tidegate_key_acquire() and tidegate_key_reserve() wait at most `max_wait_ns`, and refuse at once what takes
/// longer.
pub const TIDEGATE_ENFORCE_THROTTLING: u32 = 1;
/// Refuses, and tells tidegate_runtime_next_event() when that begins and when half of the burst is there again.
pub const TIDEGATE_ENFORCE_BACKPRESSURE: u32 = 2;
/// Refuses; after `breaker_threshold` refusals in a row it is open, and refuses everybody who comes unasked with
/// TIDEGATE_BASIS_BREAKER. Requests that can never be granted, and a share that is still to come, are not counted; who waits
/// in line already is served. After `open_for_ns` one request goes through as a probe: granted, it closes; refused, it stays
/// open for as long again.
pub const TIDEGATE_ENFORCE_CIRCUIT_BREAKER: u32 = 3;

/// A limit: the numbers of the whole fleet, and what happens where they are reached.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_limit_t {
    /// sizeof(tidegate_limit_t)
    pub struct_size: u32,
    /// TIDEGATE_LIMIT_*
    pub kind: u32,
    /// Permits let through per period; at least 1.
    pub permits: u64,
    /// The period in nanoseconds; at least 1.
    pub period_ns: u64,
    /// Most permits at once; 0 = as many as `permits`, of a sliding window a tenth of them.
    pub burst: u64,
    /// TIDEGATE_OUTAGE_*: what happens when the log is away.
    pub on_outage: u32,
    /// TIDEGATE_MODE_*
    pub mode: u32,
    /// TIDEGATE_ENFORCE_*
    pub enforcement: u32,
    /// Refusals in a row that open a circuit breaker; at least 1 there, else 0.
    pub breaker_threshold: u32,
    /// The longest delay of a throttling limit; 0 elsewhere.
    pub max_wait_ns: u64,
    /// How long a circuit breaker stays open; at least 1 there, else 0.
    pub open_for_ns: u64,
}

/// A named limit, or several that are kept at once. Keeps its runtime open.
pub struct tidegate_limiter_t {
    pub(super) limiter: Limiter,
    tier_names: Vec<CString>,
}

impl tidegate_limiter_t {
    /// Hands a limiter to the caller.
    pub(super) fn give(limiter: Limiter) -> *mut tidegate_limiter_t {
        let name =
            |tier| CString::new(limiter.tier_name(tier).unwrap_or_default().replace('\0', "?")).unwrap_or_default();
        let tier_names = (0..limiter.tier_count()).map(name).collect();
        Box::into_raw(Box::new(tidegate_limiter_t { limiter, tier_names }))
    }
}

/// Makes a limiter. Every process that makes one of this name on the same topic shares it. TIDEGATE_E_ARGUMENT for a
/// limit out of range, a name that is empty or longer than 1024 bytes, or one that this process has open with other
/// numbers, another enforcement, mode or outage policy.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_create(
    runtime: *mut tidegate_runtime_t,
    name: *const c_char,
    name_len: usize,
    limit: *const tidegate_limit_t,
    limiter_out: *mut *mut tidegate_limiter_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let create = || unsafe {
        let runtime = own_runtime(runtime)?;
        let name = text(name, name_len, "name")?;
        let rule = rule_of(known_struct(limit, "limit")?)?;
        let place = output(limiter_out, "limiter_out")?;
        let limiter = runtime.limiter(name, rule)?;
        *place = tidegate_limiter_t::give(limiter);
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { create() }), error_out) }
}

/// Gives the limit other numbers, for the whole fleet: every process switches where it reads the change in the log, and
/// one that starts with the old numbers follows the log. Only numbers change: the kind must be the same, and `limit->on_outage`,
/// `mode` and `enforcement` must be 0; they are this process's own and stay. Waits until every partition of the log has the change, for at most `timeout_ns`;
/// TIDEGATE_E_STORAGE if it was not confirmed: it will be, when the log answers.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_set_limit(
    limiter: *mut tidegate_limiter_t,
    limit: *const tidegate_limit_t,
    timeout_ns: u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let set = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        limiter.limiter.set_limit(numbers_of(limit)?, Duration::from_nanos(timeout_ns))
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { set() }), error_out) }
}

/// tidegate_limiter_set_limit() of one tier, counted from 0.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_set_tier_limit(
    limiter: *mut tidegate_limiter_t,
    tier: u32,
    limit: *const tidegate_limit_t,
    timeout_ns: u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let set = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        limiter.limiter.set_tier_limit(tier as usize, numbers_of(limit)?, Duration::from_nanos(timeout_ns))
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { set() }), error_out) }
}

/// How many tiers a limiter has: 1 for a plain one, 0 for NULL.
///
/// # Safety
/// `limiter` is NULL or came from this library and was not given back.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_tier_count(limiter: *const tidegate_limiter_t) -> u32 {
    // SAFETY: as promised by the caller.
    boundary!(0, { unsafe { limiter.as_ref() }.map_or(0, |limiter| limiter.tier_names.len() as u32) })
}

/// The name of a tier, counted from 0 as in tidegate_decision_t.tier; lives as long as `limiter`. "" where there is none.
///
/// # Safety
/// `limiter` is NULL or came from this library and was not given back.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_tier_name(limiter: *const tidegate_limiter_t, tier: u32) -> *const c_char {
    boundary!(c"".as_ptr(), {
        // SAFETY: as promised by the caller.
        let limiter = unsafe { limiter.as_ref() };
        limiter.and_then(|limiter| limiter.tier_names.get(tier as usize)).map_or(c"".as_ptr(), |name| name.as_ptr())
    })
}

/// Gives a limiter back; NULL is accepted. Its keys live on as long as another handle keeps the runtime open.
///
/// # Safety
/// `limiter` is NULL or came from this library and was not given back.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_free(limiter: *mut tidegate_limiter_t) {
    // SAFETY: as promised by the caller.
    boundary!((), { unsafe { drop_handle(limiter) } });
}

/// The key of a scope value, such as a tenant's name, of at most 1024 bytes; "" is one as good as any. Each value has a
/// bucket of its own. With several tiers it is the value of their only dimension: TIDEGATE_E_ARGUMENT if they have more,
/// see tidegate_limiter_key_in(). Resolve it once and decide with it; release it as often as you asked for it. TIDEGATE_E_CAPACITY when keys.max keys
/// are live.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_limiter_key(
    limiter: *mut tidegate_limiter_t,
    value: *const c_char,
    value_len: usize,
    key_out: *mut u64,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let key = || unsafe {
        let limiter = handle(limiter, "limiter")?;
        let value = text(value, value_len, "value")?;
        let place = output(key_out, "key_out")?;
        *place = limiter.limiter.key_id(value)?.0;
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { key() }), error_out) }
}

/// The numbers of a changed limit, which says nothing else.
///
/// # Safety
/// As [`known_struct`].
unsafe fn numbers_of(limit: *const tidegate_limit_t) -> Result<Limit, Error> {
    // SAFETY: as promised by the caller.
    let rule = rule_of(unsafe { known_struct(limit, "limit") }?)?;
    if rule != Rule::from(rule.limit) {
        let text =
            "only the numbers of a limit can be changed: `limit.on_outage`, `limit.mode` and `limit.enforcement` must \
                    be 0; they are each process's own and stay";
        return Err(Error::new(ErrorKind::Argument, text));
    }
    Ok(rule.limit)
}

pub(super) fn rule_of(limit: &tidegate_limit_t) -> Result<Rule, Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Argument, text));
    let (permits, period) = (limit.permits, Nanos(limit.period_ns));
    let numbers = match limit.kind {
        TIDEGATE_LIMIT_TOKEN_BUCKET => Limit::token_bucket(permits, period, limit.burst)?,
        TIDEGATE_LIMIT_SLIDING_WINDOW => Limit::sliding_window(permits, period, limit.burst)?,
        other => return refuse(format!("`limit.kind` is {other}; expected a TIDEGATE_LIMIT_* (1 or 2)")),
    };
    let shadow = match limit.mode {
        TIDEGATE_MODE_ENFORCE => false,
        TIDEGATE_MODE_SHADOW => true,
        other => return refuse(format!("`limit.mode` is {other}; expected a TIDEGATE_MODE_* (0 or 1)")),
    };
    let outage = match limit.on_outage {
        TIDEGATE_OUTAGE_DEFAULT => None,
        TIDEGATE_OUTAGE_KEEP_SHARE => Some(Outage::KeepShare),
        TIDEGATE_OUTAGE_DENY => Some(Outage::Deny),
        TIDEGATE_OUTAGE_ALLOW => Some(Outage::Allow),
        other => return refuse(format!("`limit.on_outage` is {other}; expected a TIDEGATE_OUTAGE_* (0 to 3)")),
    };
    Ok(Rule { limit: numbers, outage, enforcement: enforcement_of(limit)?, shadow })
}

/// What a limit does where it is reached. A number that belongs to another enforcement is a mistake of who set it.
fn enforcement_of(limit: &tidegate_limit_t) -> Result<Enforcement, Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Argument, text));
    let (max_wait, open_for) = (Nanos(limit.max_wait_ns), Nanos(limit.open_for_ns));
    let (enforcement, waits, breaks) = match limit.enforcement {
        TIDEGATE_ENFORCE_HARD_LIMIT => (Enforcement::HardLimit, false, false),
        TIDEGATE_ENFORCE_THROTTLING => (Enforcement::Throttling { max_wait }, true, false),
        TIDEGATE_ENFORCE_BACKPRESSURE => (Enforcement::Backpressure, false, false),
        TIDEGATE_ENFORCE_CIRCUIT_BREAKER => {
            (Enforcement::CircuitBreaker { threshold: limit.breaker_threshold, open_for }, false, true)
        }
        other => return refuse(format!("`limit.enforcement` is {other}; expected a TIDEGATE_ENFORCE_* (0 to 3)")),
    };
    if waits != (limit.max_wait_ns > 0) {
        let text =
            "`limit.max_wait_ns` is for TIDEGATE_ENFORCE_THROTTLING, which needs one: at least 1 there, 0 elsewhere";
        return refuse(text.into());
    }
    if [limit.open_for_ns > 0, limit.breaker_threshold > 0] != [breaks; 2] {
        let text =
            "`limit.breaker_threshold` and `limit.open_for_ns` are for TIDEGATE_ENFORCE_CIRCUIT_BREAKER, which needs \
                    both: at least 1 there, 0 elsewhere";
        return refuse(text.into());
    }
    Ok(enforcement)
}
