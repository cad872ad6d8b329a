//! Promises of the log in Kafka. Runs against the broker in TIDEGATE_TEST_KAFKA (tests/kafka/cluster.py sets it), and
//! against a mock broker where brokers must go and come back.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test says what it skips, and fails where something is wrong"
)]

mod failover;
mod growth;
mod harness;
mod lag;
mod lag_limits;
mod lag_refusals;
mod login;
mod outage;
mod reading;
mod refusals;
mod restart;
mod topics;
