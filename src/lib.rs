//! Tidegate: one rate limit shared by many processes through Kafka alone, decided locally in nanoseconds.

pub mod core;
pub mod storage;
