//! A decision allocates nothing, granted or refused. A program of its own, for the counting allocator.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tidegate::{Config, Limit, Nanos, Runtime};

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

struct Counting;

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(act: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    act();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn neither_a_grant_nor_a_refusal_nor_a_refill_allocates() {
    let runtime = Runtime::open(&Config::new()).unwrap();
    let limit = Limit::token_bucket(1_000_000, Nanos::from_secs(1), 1_000).unwrap();
    let key = runtime.limiter("allocation", limit).unwrap().key("k").unwrap();
    let (mut granted, mut refused) = (0u64, 0u64);
    let count = allocations(|| {
        for _ in 0..100_000 {
            let yes = key.try_acquire(1).is_granted();
            granted += u64::from(yes);
            refused += u64::from(!yes);
        }
    });
    assert_eq!(count, 0);
    assert!(granted > 1_000 && refused > 0, "{granted} granted, {refused} refused: both must have happened");
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
}
