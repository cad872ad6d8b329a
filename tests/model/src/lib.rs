//! A small world for the real fold and agents: a log, a few processes, and all that can happen to them, one action at
//! a time. The checker (`main.rs`) tries every order; the fuzzer (`fuzz/`) tries long ones.

mod digest;
mod explored;
pub mod growth;
pub mod process;
pub mod promise;
pub mod scenario;
#[path = "../../simulation/shadow.rs"]
#[allow(dead_code)] // the simulation uses all of it
mod shadow;
pub mod world;
