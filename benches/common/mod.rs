//! What the benchmarks share: who is measured, on which keys, and how.

#![allow(dead_code, reason = "each benchmark uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops where something is wrong")]

pub mod keys;
pub mod memory;
pub mod native;
pub mod one_key;
pub mod peers;
pub mod rounds;

/// Whether a short run was asked for, which shows that all works: its figures are rough.
pub fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}
