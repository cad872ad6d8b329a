//! The bytes of the log never change within a format: golden records, written once, read for ever.
//!
//! `UPDATE_EXPECT=1 cargo test --test records` writes files that are missing; an existing one is never
//! overwritten: a change there is a new format and a new folder.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::path::PathBuf;
use tidegate::core::placement::{bucket_id, limit_id};
use tidegate::core::record::{Amounts, Claim, Define, Op, Record, Sender};
use tidegate::core::units::{Nanos, Rate, Tokens};

fn hello() -> Record {
    let rate = Rate::of(1_000, Nanos::from_secs(1));
    let limit = limit_id("orders", 0);
    let define = Define { limit, version: 1, rate, burst: Tokens::permits(2_000), name: "orders".into() };
    let claim = Claim {
        bucket: bucket_id("orders", 0, "tenant-1"),
        limit,
        name: "orders/tenant-1".into(),
        released: Amounts::default(),
        want: Rate::of(11, Nanos::from_secs(1)),
        min: Tokens::permits(1),
        requeue: false,
    };
    let sender =
        Sender::Hello { ttl_ms: 15_000, newest_format: 1, lock: 1 << 100, note: "host 4711 tidegate/0.1.0".into() };
    let ops = vec![Op::Define(define), Op::Claim(claim)];
    Record { sender, nonce: 0x0123_4567_89ab_cdef, seq: 1, tag: u64::MAX, digest: None, ops }
}

fn shrink() -> Record {
    let released = Amounts { rate: 500_000_000_000, burst: 1_000_000_000, tokens: u128::MAX };
    let claim = Claim {
        bucket: bucket_id("orders", 0, ""),
        limit: limit_id("orders", 0),
        name: String::new(),
        released,
        want: Rate(u64::MAX),
        min: Tokens(1),
        requeue: true,
    };
    let ops = vec![Op::Evict { session: 7, seq: 300 }, Op::Claim(claim), Op::Bye];
    Record { sender: Sender::Session(128), nonce: 1, seq: 1 << 40, tag: 2, digest: Some((127, 99)), ops }
}

fn heartbeat() -> Record {
    Record { sender: Sender::Session(0), nonce: 3, seq: 2, tag: 4, digest: None, ops: Vec::new() }
}

fn check(name: &str, record: Record) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/records").join(name);
    let bytes = record.encode();
    if !path.exists() && std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(bytes, golden, "{name} is written differently: that needs a new format");
    assert_eq!(Record::decode(&golden), Ok(record), "{name} is read differently");
}

#[test]
fn format_1_is_written_and_read_as_ever() {
    check("1-hello.bin", hello());
    check("1-shrink.bin", shrink());
    check("1-heartbeat.bin", heartbeat());
}

#[test]
fn a_heartbeat_is_small() {
    assert!(heartbeat().encode().len() <= 32);
}
