//! One key: granted, refused, and by two threads. `cargo bench --bench one_key [-- --json]`

#![allow(missing_docs, reason = "a program")]

mod common;

use common::one_key::contenders;
use common::peers::Limit;
use common::rounds::{Case, Contender};

fn main() {
    let mut granted = contenders(Limit::Plenty);
    // What of it is the clock.
    granted.push(Contender::new("CLOCK_BOOTTIME alone", |_| tidegate::runtime::clock::boot_time().0 > 0));
    Case { name: "one key, granted", threads: 1, calls: 50_000, rounds: 150, granted: true }.measure(&granted);
    let refused = contenders(Limit::Dry);
    Case { name: "one key, refused", threads: 1, calls: 50_000, rounds: 150, granted: false }.measure(&refused);
    let granted = contenders(Limit::Plenty);
    // Short, so that both threads keep their processors meanwhile.
    Case { name: "one key, 2 threads", threads: 2, calls: 20_000, rounds: 200, granted: true }.measure(&granted);
}
