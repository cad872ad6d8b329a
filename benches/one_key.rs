//! One key: granted, refused, and by two threads. `cargo bench --bench one_key [-- --json]`

#![allow(missing_docs, reason = "a program")]

mod common;

use common::native::{by_id, library};
use common::one_key::contenders;
use common::peers::Limit;
use common::rounds::{Case, Contender};

fn main() {
    let mut granted = contenders(Limit::Plenty);
    // What of it is the clock.
    granted.push(Contender::new("CLOCK_BOOTTIME alone", |_| tidegate::runtime::clock::boot_time().0 > 0));
    Case { name: "one key, granted", threads: 1, calls: 20_000, rounds: 150, granted: true }.measure(&granted);
    let refused = contenders(Limit::Dry);
    Case { name: "one key, refused", threads: 1, calls: 20_000, rounds: 150, granted: false }.measure(&refused);
    either_answer();
    let granted = contenders(Limit::Plenty);
    // Rounds are short, so that threads keep their processors meanwhile.
    Case { name: "one key, 2 threads", threads: 2, calls: 20_000, rounds: 200, granted: true }.measure(&granted);
}

/// The dear answer and the cheap one in the same rounds.
fn either_answer() {
    let library = library();
    let key = |name, limit| library.key(library.limiter(name, limit), "");
    let (plenty, dry) = (key("plenty", Limit::Plenty), key("dry", Limit::Dry));
    let try_acquire = library.key_try_acquire;
    let contenders = [
        Contender::new("tidegate, granted", |_| by_id(try_acquire, plenty)),
        Contender::new("tidegate, refused", |_| !by_id(try_acquire, dry)),
    ];
    contenders[1].call(2);
    Case { name: "one key, either answer", threads: 1, calls: 20_000, rounds: 150, granted: true }.measure(&contenders);
}
