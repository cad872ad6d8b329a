//! One decision, side by side with governor, in one run: `cargo bench --bench acquire`.
//!
//! Tidegate is called as C calls it: through the shared library, loaded at run time. governor is called directly, with
//! its own default clock (quanta: the processor's counter) and with a clock of the same safety as Tidegate's refill
//! (`CLOCK_BOOTTIME`, which counts suspension).

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops where something is wrong")]

use criterion::{criterion_group, criterion_main, Criterion};
use governor::clock::{Clock, Reference};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::ffi::{c_char, c_void, CString};
use std::num::NonZeroU32;
use std::time::Duration;

/// So high that nothing is ever refused for want of permits ..
const ENOUGH: u32 = 4_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BootInstant(u64);

#[derive(Clone, Debug, Default)]
struct BootClock;

impl Reference for BootInstant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        BootInstant(self.0.saturating_sub(duration.as_u64()))
    }
}

impl std::ops::Add<Nanos> for BootInstant {
    type Output = BootInstant;
    fn add(self, other: Nanos) -> BootInstant {
        BootInstant(self.0 + other.as_u64())
    }
}

impl Clock for BootClock {
    type Instant = BootInstant;
    fn now(&self) -> BootInstant {
        BootInstant(tidegate::runtime::clock::boot_time().0)
    }
}

type TryAcquire = unsafe extern "C" fn(u64, u64, *mut tidegate::Decision) -> i32;

/// The function in the library that C programs load.
fn c_function() -> TryAcquire {
    // As found from the folder that the bench runs in.
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/libtidegate.so");
    let (library, name) = (CString::new(library).unwrap(), CString::new("tidegate_key_try_acquire").unwrap());
    // SAFETY: the names are C strings, and the function has this type.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        assert!(!handle.is_null(), "{library:?} cannot be loaded: run `cargo build --release` first");
        let symbol: *mut c_void = libc::dlsym(handle, name.as_ptr());
        assert!(!symbol.is_null(), "{name:?} not found");
        std::mem::transmute::<*mut c_void, TryAcquire>(symbol)
    }
}

/// A key made inside that library: it has tables of its own.
fn c_key(permits: u64, burst: u64) -> u64 {
    #[repr(C)]
    struct Limit {
        struct_size: u32,
        kind: u32,
        permits: u64,
        period_ns: u64,
        burst: u64,
        on_outage: u32,
        mode: u32,
        others: [u64; 3],
    }
    let library = CString::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/release/libtidegate.so")).unwrap();
    let limit = Limit {
        struct_size: 64,
        kind: 1,
        permits,
        period_ns: 1_000_000_000,
        burst,
        on_outage: 0,
        mode: 0,
        others: [0; 3],
    };
    let (mut runtime, mut limiter, mut key) = (std::ptr::null_mut::<c_void>(), std::ptr::null_mut::<c_void>(), 0u64);
    let null = std::ptr::null_mut::<*mut c_void>();
    let name = format!("bench-{permits}-{burst}");
    // SAFETY: the functions have these types in include/tidegate.h, and the pointers are valid for the calls.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
        let find = |name: &str| libc::dlsym(handle, CString::new(name).unwrap().as_ptr());
        let create: unsafe extern "C" fn() -> *mut c_void = std::mem::transmute(find("tidegate_config_create"));
        let open: unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut *mut c_void) -> i32 =
            std::mem::transmute(find("tidegate_runtime_open"));
        type Make = unsafe extern "C" fn(
            *mut c_void,
            *const c_char,
            usize,
            *const Limit,
            *mut *mut c_void,
            *mut *mut c_void,
        ) -> i32;
        let make: Make = std::mem::transmute(find("tidegate_limiter_create"));
        let resolve: unsafe extern "C" fn(*mut c_void, *const c_char, usize, *mut u64, *mut *mut c_void) -> i32 =
            std::mem::transmute(find("tidegate_limiter_key"));
        assert_eq!(open(create(), &mut runtime, null), 0);
        assert_eq!(make(runtime, name.as_ptr().cast(), name.len(), &limit, &mut limiter, null), 0);
        assert_eq!(resolve(limiter, c"k".as_ptr(), 1, &mut key, null), 0);
    }
    key
}

fn governor_with<C: Clock + Clone>(
    clock: C,
    quota: Quota,
) -> RateLimiter<NotKeyed, InMemoryState, C, governor::middleware::NoOpMiddleware<C::Instant>> {
    RateLimiter::direct_with_clock(quota, clock)
}

fn granted(c: &mut Criterion) {
    let mut group = c.benchmark_group("one key, granted");
    let try_acquire = c_function();
    let key = c_key(4_000_000_000, 4_000_000_000);
    let mut decision = tidegate::Decision::default();
    group.bench_function("tidegate, C ABI", |b| {
        // SAFETY: the place to write to is valid.
        b.iter(|| unsafe { assert_eq!(try_acquire(key, 1, &mut decision), 0) });
    });
    let quota = Quota::per_second(NonZeroU32::new(ENOUGH).unwrap());
    let boot = governor_with(BootClock, quota);
    group.bench_function("governor, CLOCK_BOOTTIME", |b| b.iter(|| assert!(boot.check().is_ok())));
    let quanta = RateLimiter::direct(quota);
    group.bench_function("governor, default clock", |b| b.iter(|| assert!(quanta.check().is_ok())));
    group.bench_function("CLOCK_BOOTTIME alone", |b| b.iter(tidegate::runtime::clock::boot_time));
}

fn refused(c: &mut Criterion) {
    let mut group = c.benchmark_group("one key, refused");
    let try_acquire = c_function();
    let key = c_key(1, 1);
    let mut decision = tidegate::Decision::default();
    group.bench_function("tidegate, C ABI", |b| {
        // SAFETY: the place to write to is valid.
        b.iter(|| unsafe { try_acquire(key, 1, &mut decision) });
    });
    let quota = Quota::with_period(Duration::from_secs(1)).unwrap();
    let boot = governor_with(BootClock, quota);
    group.bench_function("governor, CLOCK_BOOTTIME", |b| b.iter(|| boot.check().is_ok()));
    let quanta = RateLimiter::direct(quota);
    group.bench_function("governor, default clock", |b| b.iter(|| quanta.check().is_ok()));
}

criterion_group!(benches, granted, refused);
criterion_main!(benches);
