//! The C ABI: the only `extern "C"` functions and raw pointers for callers. It decides nothing.
//!
//! `include/tidegate.h` is generated from this folder; what the comments here say is what C programmers read.

#![allow(non_camel_case_types, reason = "these are the names in C")]

mod boundary;
mod clock;
mod config;
mod error;
mod events;
mod headers;
mod key;
mod limiter;
mod observe;
mod pacing;
mod runtime;
mod status;
mod text;
mod tickets;
mod tiers;
mod version;

#[cfg(test)]
mod tests;
