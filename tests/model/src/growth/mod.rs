//! A log that gets a partition while shares are out, and partitions that are reset: one bucket, which moves to the new
//! partition, and two or three real processes with an agent in each partition that they follow.

#[path = "../../../simulation/growth/home.rs"]
mod home;
pub mod member;
pub mod promise;
pub mod scenario;
pub mod world;
