//! Whatever is said: shares fit into their limit, sessions only end, and what was ignored changed nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{fold, Input};

fuzz_target!(|bytes: &[u8]| {
    fold(&mut Input(bytes));
});
