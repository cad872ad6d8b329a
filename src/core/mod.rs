//! The rules of Tidegate, pure: integers in, integers out.
//!
//! Nothing here reads a clock, starts a thread, takes a lock, does I/O, logs, uses floats or depends on
//! hash order or word size, and nothing here depends on another crate. Time is an argument. That is why
//! the whole protocol runs in a simulated fleet with a virtual clock from the very code that ships.
//!
//! Reading order: [`units`], [`limit`], [`bucket`], [`window`], [`meter`], [`enforcement`], [`pace`], [`headers`] (one process alone);
//! [`placement`], [`layout`], [`record`], [`fold`], [`share`], [`agent`], [`growth`] (many processes through a log).
//! The why is in `docs/internals/protocol.md`.

#![forbid(unsafe_code)]

pub mod agent;
pub mod allocate;
pub mod bucket;
pub mod codec;
pub mod demand;
pub mod enforcement;
pub mod fold;
pub mod growth;
pub mod headers;
pub mod layout;
pub mod limit;
pub mod meter;
pub mod pace;
pub mod placement;
pub mod record;
pub mod rng;
pub mod share;
pub mod siphash;
pub mod snapshot;
pub mod units;
pub mod window;
