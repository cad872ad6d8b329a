//! No argument from C makes the library panic, and no failure looks like a grant. (Memory storage; pointers are NULL or
//! valid, as the header asks.)
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use tidegate_fuzz::Input;

const E_ARGUMENT: i32 = -1;
const E_BUG: i32 = -100;

#[repr(C)]
struct Limit {
    struct_size: u32,
    kind: u32,
    permits: u64,
    period_ns: u64,
    burst: u64,
    on_outage: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Default)]
struct Decision {
    retry_after_ns: u64,
    remaining: u64,
    status: i32,
    tier: u16,
    basis: u16,
}

extern "C" {
    fn tidegate_config_create() -> *mut c_void;
    fn tidegate_config_set(
        config: *mut c_void,
        name: *const c_char,
        name_len: usize,
        value: *const c_char,
        value_len: usize,
        error: *mut *mut c_void,
    ) -> i32;
    fn tidegate_config_describe(config: *const c_void, text: *mut *mut c_void, error: *mut *mut c_void) -> i32;
    fn tidegate_config_free(config: *mut c_void);
    fn tidegate_text_free(text: *mut c_void);
    fn tidegate_error_status(error: *const c_void) -> i32;
    fn tidegate_error_message(error: *const c_void) -> *const c_char;
    fn tidegate_error_free(error: *mut c_void);
    fn tidegate_status_name(status: i32) -> *const c_char;
    fn tidegate_runtime_open(config: *const c_void, runtime: *mut *mut c_void, error: *mut *mut c_void) -> i32;
    fn tidegate_limiter_create(
        runtime: *mut c_void,
        name: *const c_char,
        name_len: usize,
        limit: *const Limit,
        limiter: *mut *mut c_void,
        error: *mut *mut c_void,
    ) -> i32;
    fn tidegate_limiter_free(limiter: *mut c_void);
    fn tidegate_limiter_key(
        limiter: *mut c_void,
        value: *const c_char,
        value_len: usize,
        key: *mut u64,
        error: *mut *mut c_void,
    ) -> i32;
    fn tidegate_key_try_acquire(key: u64, permits: u64, decision: *mut Decision) -> i32;
    fn tidegate_key_acquire(key: u64, permits: u64, timeout_ns: u64, decision: *mut Decision) -> i32;
    fn tidegate_key_peek(key: u64, decision: *mut Decision) -> i32;
    fn tidegate_key_release(key: u64) -> i32;
}

/// The library's symbols come with this crate.
use tidegate as _;

fn runtime() -> *mut c_void {
    static RUNTIME: OnceLock<usize> = OnceLock::new();
    *RUNTIME.get_or_init(|| {
        let mut runtime = null_mut();
        // SAFETY: valid pointers throughout; NULL where the header allows it.
        let status = unsafe {
            let config = tidegate_config_create();
            let status = tidegate_runtime_open(config, &mut runtime, null_mut());
            tidegate_config_free(config);
            status
        };
        assert_eq!(status, 0);
        runtime as usize
    }) as *mut c_void
}

/// The status, and that an error says the same.
fn sound(status: i32, error: *mut c_void) -> i32 {
    assert!(status > E_BUG, "the library found a bug in itself");
    // SAFETY: `error` is NULL or an error that is freed once.
    unsafe {
        assert!(!tidegate_status_name(status).is_null());
        if status < 0 {
            assert_eq!(tidegate_error_status(error), if error.is_null() { E_ARGUMENT } else { status });
            assert!(!tidegate_error_message(error).is_null());
        } else {
            assert!(error.is_null(), "no error where nothing failed");
        }
        tidegate_error_free(error);
    }
    status
}

fn text(input: &mut Input<'_>) -> (Vec<u8>, bool) {
    let bytes = input.bytes();
    let null = input.below(16) == 0;
    (bytes, null)
}

fn pointer((bytes, is_null): &(Vec<u8>, bool)) -> *const c_char {
    if *is_null {
        null()
    } else {
        bytes.as_ptr().cast()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    // SAFETY: every pointer is NULL or valid for what it is said to be.
    unsafe {
        match input.below(2) {
            0 => configure(&mut input),
            _ => decide(&mut input),
        }
    }
});

unsafe fn configure(input: &mut Input<'_>) {
    let config = if input.below(16) == 0 { null_mut() } else { tidegate_config_create() };
    while !input.is_empty() {
        let (name, value) = (text(input), text(input));
        let mut error = null_mut();
        let status =
            tidegate_config_set(config, pointer(&name), name.0.len(), pointer(&value), value.0.len(), &mut error);
        sound(status, error);
    }
    let (mut described, mut error) = (null_mut(), null_mut());
    sound(tidegate_config_describe(config, &mut described, &mut error), error);
    tidegate_text_free(described);
    tidegate_config_free(config);
}

unsafe fn decide(input: &mut Input<'_>) {
    let name = text(input);
    let exact = input.below(8) != 0;
    let limit = Limit {
        struct_size: if exact { size_of::<Limit>() as u32 } else { input.u64() as u32 },
        kind: if exact { 1 } else { input.byte().into() },
        permits: input.amount(),
        period_ns: input.amount(),
        burst: input.amount(),
        on_outage: input.below(5).into(),
        reserved: u32::from(input.below(32) == 31),
    };
    let limit_at = if input.below(16) == 15 { null() } else { &raw const limit };
    let (mut limiter, mut error) = (null_mut(), null_mut());
    let status = tidegate_limiter_create(runtime(), pointer(&name), name.0.len(), limit_at, &mut limiter, &mut error);
    if sound(status, error) != 0 {
        assert!(limiter.is_null());
        return;
    }
    let mut keys = Vec::new();
    while !input.is_empty() {
        let (mut decision, mut error) = (Decision::default(), null_mut());
        let chosen = usize::from(input.byte());
        let id = keys.get(chosen).copied().unwrap_or_else(|| input.u64());
        let place = if input.below(8) == 0 { null_mut() } else { &raw mut decision };
        let status = match input.below(5) {
            0 => {
                let (value, mut key) = (text(input), 0);
                let status = tidegate_limiter_key(limiter, pointer(&value), value.0.len(), &mut key, &mut error);
                if status == 0 {
                    keys.push(key);
                }
                sound(status, error);
                continue;
            }
            1 => tidegate_key_try_acquire(id, input.amount(), place),
            2 => tidegate_key_acquire(id, input.amount(), u64::from(input.byte()) * 100, place),
            3 => tidegate_key_peek(id, place),
            _ => {
                keys.retain(|key| *key != id);
                sound(tidegate_key_release(id), null_mut());
                continue;
            }
        };
        assert!(status > E_BUG);
        assert!(place.is_null() || decision.status == status, "{} is not {status}", decision.status);
    }
    for key in keys {
        tidegate_key_release(key);
    }
    tidegate_limiter_free(limiter);
}
