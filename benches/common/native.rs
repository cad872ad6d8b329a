//! Tidegate as C programs see it: the shared library, loaded at run time.
//!
//! Nothing can be inlined across this border, and what is called is what ships. Functions that a library may not have
//! yet are `Option`s: a benchmark measures what stands in for them, and says so.

use std::ffi::{c_char, c_void, CStr};
use std::ptr::null_mut;
use std::sync::OnceLock;

pub type Runtime = *mut c_void;
pub type Config = *mut c_void;
pub type KeyTryAcquire = unsafe extern "C" fn(u64, u64, *mut tidegate::Decision) -> i32;
pub type LimiterTryAcquire = unsafe extern "C" fn(Limiter, *const c_char, usize, u64, *mut tidegate::Decision) -> i32;
pub type LimiterKey = unsafe extern "C" fn(Limiter, *const c_char, usize, *mut u64, *mut *mut c_void) -> i32;
pub type KeyRelease = unsafe extern "C" fn(u64) -> i32;
type ConfigCreate = unsafe extern "C" fn() -> Config;
type ConfigSet = unsafe extern "C" fn(Config, *const c_char, usize, *const c_char, usize, *mut *mut c_void) -> i32;
type RuntimeOpen = unsafe extern "C" fn(Config, *mut Runtime, *mut *mut c_void) -> i32;
type LimiterCreate =
    unsafe extern "C" fn(Runtime, *const c_char, usize, *const Limit, *mut Limiter, *mut *mut c_void) -> i32;

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
    reserved: u32,
}

/// The functions on the hot path.
pub struct Library {
    pub key_try_acquire: KeyTryAcquire,
    pub limiter_key: LimiterKey,
    pub key_release: KeyRelease,
    pub limiter_try_acquire: Option<LimiterTryAcquire>,
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
                key_try_acquire: find(handle, c"tidegate_key_try_acquire").unwrap(),
                limiter_key: find(handle, c"tidegate_limiter_key").unwrap(),
                key_release: find(handle, c"tidegate_key_release").unwrap(),
                limiter_try_acquire: find(handle, c"tidegate_limiter_try_acquire"),
                handle: handle as usize,
            }
        }
    })
}

/// # Safety
/// `F` is the type of the function pointer of that name.
unsafe fn find<F: Copy>(handle: *mut c_void, name: &CStr) -> Option<F> {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: the handle is open, the name a C string.
    let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
    // SAFETY: as promised by the caller.
    (!symbol.is_null()).then(|| unsafe { std::mem::transmute_copy::<*mut c_void, F>(&symbol) })
}

impl Library {
    /// A local limiter of this name with room for two million keys.
    pub fn limiter(&self, name: &str, permits: u64, period_s: u64) -> Limiter {
        let handle = self.handle as *mut c_void;
        let limit = Limit {
            struct_size: size_of::<Limit>() as u32,
            kind: 1,
            permits,
            period_ns: period_s * 1_000_000_000,
            burst: permits,
            on_outage: 0,
            reserved: 0,
        };
        let (mut runtime, mut limiter) = (null_mut(), Limiter(null_mut()));
        // SAFETY: the functions have these types in include/tidegate.h, and the pointers are valid for the calls.
        unsafe {
            let create: ConfigCreate = find(handle, c"tidegate_config_create").unwrap();
            let set: ConfigSet = find(handle, c"tidegate_config_set").unwrap();
            let open: RuntimeOpen = find(handle, c"tidegate_runtime_open").unwrap();
            let make: LimiterCreate = find(handle, c"tidegate_limiter_create").unwrap();
            let config = create();
            for (name, value) in [("storage", "memory"), ("keys.max", "2000000")] {
                let set = set(config, name.as_ptr().cast(), name.len(), value.as_ptr().cast(), value.len(), null_mut());
                assert_eq!(set, 0, "{name}");
            }
            // Equal configurations share one runtime.
            assert_eq!(open(config, &mut runtime, null_mut()), 0);
            assert_eq!(make(runtime, name.as_ptr().cast(), name.len(), &limit, &mut limiter, null_mut()), 0, "{name}");
        }
        limiter
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
    let mut decision = tidegate::Decision::default();
    // SAFETY: the place to write to is valid, and as large as in C.
    unsafe { try_acquire(key, 1, &mut decision) == 0 }
}

/// One permit by the key's text: in one call, or in the three calls that stand in for it.
#[inline]
pub fn by_text(library: &Library, limiter: Limiter, value: &str) -> bool {
    let mut decision = tidegate::Decision::default();
    if let Some(try_acquire) = library.limiter_try_acquire {
        // SAFETY: the pointers are valid for the call.
        return unsafe { try_acquire(limiter, value.as_ptr().cast(), value.len(), 1, &mut decision) == 0 };
    }
    let mut key = 0;
    // SAFETY: the pointers are valid for the calls.
    unsafe {
        (library.limiter_key)(limiter, value.as_ptr().cast(), value.len(), &mut key, null_mut());
        let status = (library.key_try_acquire)(key, 1, &mut decision);
        (library.key_release)(key);
        status == 0
    }
}

/// What [`by_text`] is.
pub fn by_text_name() -> &'static str {
    match library().limiter_try_acquire {
        Some(_) => "tidegate, by text",
        None => "tidegate, by text (three calls)",
    }
}
