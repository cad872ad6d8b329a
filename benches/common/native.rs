//! Tidegate as C programs see it: the shared library, loaded at run time.
//!
//! Nothing can be inlined across this border, and what is called is what ships.

use super::peers::{self, Numbers};
use std::ffi::{c_char, c_void, CStr};
use std::ptr::null_mut;
use std::sync::OnceLock;

pub type Runtime = *mut c_void;
pub type Config = *mut c_void;
pub type KeyTryAcquire = unsafe extern "C" fn(u64, u64, *mut tidegate::Decision) -> i32;
pub type LimiterTryAcquire = unsafe extern "C" fn(Limiter, *const c_char, usize, u64, *mut tidegate::Decision) -> i32;
pub type LimiterKey = unsafe extern "C" fn(Limiter, *const c_char, usize, *mut u64, *mut *mut c_void) -> i32;
type ConfigCreate = unsafe extern "C" fn() -> Config;
type ConfigSet = unsafe extern "C" fn(Config, *const c_char, usize, *const c_char, usize, *mut *mut c_void) -> i32;
type RuntimeOpen = unsafe extern "C" fn(Config, *mut Runtime, *mut *mut c_void) -> i32;
type LimiterCreate =
    unsafe extern "C" fn(Runtime, *const c_char, usize, *const Limit, *mut Limiter, *mut *mut c_void) -> i32;
type LimiterCreateTiers =
    unsafe extern "C" fn(Runtime, *const c_char, usize, *const Tier, u32, *mut Limiter, *mut *mut c_void) -> i32;

/// What a runtime is opened with: names and values of properties.
pub type Properties<'a> = &'a [(&'a str, &'a str)];
/// Limits of this process alone, with room for all keys of all cases.
const LOCAL: Properties<'static> = &[("storage", "memory"), ("keys.max", "4000000")];

/// `tidegate_limiter_t *`, which any thread may use.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Limiter(*mut c_void);

// SAFETY: so says the header.
unsafe impl Send for Limiter {}
// SAFETY: the same.
unsafe impl Sync for Limiter {}

/// `tidegate_limit_t`.
#[repr(C)]
struct Limit {
    struct_size: u32,
    kind: u32,
    permits: u64,
    period_ns: u64,
    burst: u64,
    on_outage: u32,
    mode: u32,
    enforcement: u32,
    breaker_threshold: u32,
    max_wait_ns: u64,
    open_for_ns: u64,
}

/// `tidegate_tier_t`.
#[repr(C)]
struct Tier {
    struct_size: u32,
    reserved: u32,
    name: *const c_char,
    name_len: u64,
    scope: *const c_char,
    scope_len: u64,
    limit: *const Limit,
    weight: u64,
}

impl Limit {
    fn new(limit: peers::Limit) -> Limit {
        let Numbers { permits, period_s, burst } = limit.numbers();
        Limit {
            struct_size: size_of::<Limit>() as u32,
            kind: 1,
            permits: permits.into(),
            period_ns: period_s * 1_000_000_000,
            burst: burst.into(),
            on_outage: 0,
            mode: 0,
            enforcement: 0,
            breaker_threshold: 0,
            max_wait_ns: 0,
            open_for_ns: 0,
        }
    }
}

/// The functions on the hot path.
pub struct Library {
    pub key_try_acquire: KeyTryAcquire,
    pub limiter_key: LimiterKey,
    pub limiter_try_acquire: LimiterTryAcquire,
    handle: usize,
}

/// The library that cargo has built for this benchmark: it lies beside the program.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let path = std::env::current_exe().unwrap().with_file_name("libtidegate.so");
        let text = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: a C string; the library's initialisers want nothing of us.
        let handle = unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{} cannot be loaded", path.display());
        // SAFETY: the functions have these types in include/tidegate.h.
        unsafe {
            Library {
                key_try_acquire: find(handle, c"tidegate_key_try_acquire"),
                limiter_key: find(handle, c"tidegate_limiter_key"),
                limiter_try_acquire: find(handle, c"tidegate_limiter_try_acquire"),
                handle: handle as usize,
            }
        }
    })
}

/// # Safety
/// `F` is the type of the function pointer of that name.
unsafe fn find<F: Copy>(handle: *mut c_void, name: &CStr) -> F {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: the handle is open, the name a C string.
    let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
    assert!(!symbol.is_null(), "the library has no {name:?}");
    // SAFETY: as promised by the caller.
    unsafe { std::mem::transmute_copy::<*mut c_void, F>(&symbol) }
}

impl Library {
    /// A local limiter.
    pub fn limiter(&self, name: &str, limit: peers::Limit) -> Limiter {
        self.limiter_with(LOCAL, name, limit)
    }

    /// A limiter of a runtime with these properties.
    pub fn limiter_with(&self, properties: Properties<'_>, name: &str, limit: peers::Limit) -> Limiter {
        let (limit, mut limiter) = (Limit::new(limit), Limiter(null_mut()));
        // SAFETY: the functions have these types in include/tidegate.h, and the pointers are valid for the calls.
        unsafe {
            let make: LimiterCreate = find(self.handle as *mut c_void, c"tidegate_limiter_create");
            let made =
                make(self.runtime(properties), name.as_ptr().cast(), name.len(), &limit, &mut limiter, null_mut());
            assert_eq!(made, 0, "{name}");
        }
        limiter
    }

    /// A local limiter of so many tiers, each for everybody.
    pub fn limiter_of_tiers(&self, name: &str, limit: peers::Limit, count: usize) -> Limiter {
        let (limit, mut limiter) = (Limit::new(limit), Limiter(null_mut()));
        let names: Vec<String> = (0..count).map(|tier| format!("tier {tier}")).collect();
        let tier = |name: &String| Tier {
            struct_size: size_of::<Tier>() as u32,
            reserved: 0,
            name: name.as_ptr().cast(),
            name_len: name.len() as u64,
            scope: std::ptr::null(),
            scope_len: 0,
            limit: &limit,
            weight: 1,
        };
        let tiers: Vec<Tier> = names.iter().map(tier).collect();
        // SAFETY: the functions have these types in include/tidegate.h, and the pointers are valid for the calls.
        unsafe {
            let make: LimiterCreateTiers = find(self.handle as *mut c_void, c"tidegate_limiter_create_tiers");
            let (text, count) = (name.as_ptr().cast(), tiers.len() as u32);
            let made = make(self.runtime(LOCAL), text, name.len(), tiers.as_ptr(), count, &mut limiter, null_mut());
            assert_eq!(made, 0, "{name}");
        }
        limiter
    }

    /// Equal configurations share one.
    fn runtime(&self, properties: Properties<'_>) -> Runtime {
        let handle = self.handle as *mut c_void;
        let mut runtime = null_mut();
        // SAFETY: the functions have these types in include/tidegate.h, and the pointers are valid for the calls.
        unsafe {
            let create: ConfigCreate = find(handle, c"tidegate_config_create");
            let set: ConfigSet = find(handle, c"tidegate_config_set");
            let open: RuntimeOpen = find(handle, c"tidegate_runtime_open");
            let config = create();
            for (name, value) in properties {
                let set = set(config, name.as_ptr().cast(), name.len(), value.as_ptr().cast(), value.len(), null_mut());
                assert_eq!(set, 0, "{name}");
            }
            assert_eq!(open(config, &mut runtime, null_mut()), 0);
        }
        runtime
    }

    /// The id of a key; it is never given back.
    pub fn key(&self, limiter: Limiter, value: &str) -> u64 {
        let mut key = 0;
        // SAFETY: the pointers are valid for the call.
        let status = unsafe { (self.limiter_key)(limiter, value.as_ptr().cast(), value.len(), &mut key, null_mut()) };
        assert_eq!(status, 0, "{value}");
        key
    }
}

/// One permit by id.
#[inline]
pub fn by_id(try_acquire: KeyTryAcquire, key: u64) -> bool {
    decide(try_acquire, key).is_granted()
}

/// The same, with the whole answer.
#[inline]
pub fn decide(try_acquire: KeyTryAcquire, key: u64) -> tidegate::Decision {
    let mut decision = tidegate::Decision::default();
    // SAFETY: the place to write to is valid, and as large as in C.
    unsafe { try_acquire(key, 1, &mut decision) };
    decision
}

/// One permit by the key's text, for which nobody holds an id.
#[inline]
pub fn by_text(try_acquire: LimiterTryAcquire, limiter: Limiter, value: &str) -> bool {
    let mut decision = tidegate::Decision::default();
    // SAFETY: the pointers are valid for the call.
    unsafe { try_acquire(limiter, value.as_ptr().cast(), value.len(), 1, &mut decision) == 0 }
}
