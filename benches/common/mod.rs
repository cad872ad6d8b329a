//! What the benchmarks share: who is measured, on which keys, and how.

#![allow(dead_code, reason = "each benchmark uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops where something is wrong")]

pub mod keys;
pub mod native;
pub mod one_key;
pub mod peers;
pub mod rounds;

/// So many permits a second that none is ever refused for want of them: one each nanosecond, which all can count.
pub const PLENTY: u32 = 1_000_000_000;
