//! 1, 1,000 and 1,000,000 keys, as text and by id, by one thread and by two. `cargo bench --bench keys [-- --json]`

#![allow(missing_docs, reason = "a program")]

mod common;

use common::keys::{name as text_of, sequence, Draw, LENGTH};
use common::native::{by_id, by_text, library};
use common::peers::{self, Limit};
use common::rounds::{Case, Contender};

fn main() {
    measure("1 key", 1, Draw::Uniform, 1);
    measure("1,000 keys", 1_000, Draw::Uniform, 1);
    measure("1,000 keys, Zipf", 1_000, Draw::Zipf, 1);
    measure("1,000 keys, 2 threads", 1_000, Draw::Uniform, 2);
    measure("1,000,000 keys", 1_000_000, Draw::Uniform, 1);
    measure("1,000,000 keys, Zipf", 1_000_000, Draw::Zipf, 1);
    measure("1,000,000 keys, 2 threads", 1_000_000, Draw::Uniform, 2);
}

fn measure(name: &str, count: u32, draw: Draw, threads: usize) {
    let library = library();
    let (held, idle) = (library.limiter("held", Limit::Deep), library.limiter("idle", Limit::Deep));
    let (try_acquire, by_value) = (library.key_try_acquire, library.limiter_try_acquire);
    let ids: Vec<u64> = (0..count).map(|key| library.key(held, &text_of(key))).collect();
    let (governor, safe) = (peers::governor_keyed::<String>(), peers::governor_keyed_safe::<String>());
    let numbers = peers::governor_keyed::<u64>();
    let crab = peers::Crab::new(Limit::Deep, count as usize);
    // All keys are there before anything is measured.
    for key in 0..count {
        let text = text_of(key);
        assert!(by_text(by_value, idle, &text) && crab.check(&text));
        let _ = (governor.check_key(&text), safe.check_key(&text), numbers.check_key(&u64::from(key)));
    }
    let sequence = sequence(count, draw);
    // In the order in which they are asked for: a caller has just read the key, so that it is no miss of the cache.
    let texts: Vec<String> = sequence.iter().map(|key| text_of(*key)).collect();
    let ids: Vec<u64> = sequence.iter().map(|key| ids[*key as usize]).collect();
    let contenders = [
        Contender::new("tidegate, by id", |at| by_id(try_acquire, ids[at % LENGTH])),
        Contender::new("tidegate, by text", |at| by_text(by_value, idle, &texts[at % LENGTH])),
        Contender::new(peers::GOVERNOR, |at| governor.check_key(&texts[at % LENGTH]).is_ok()),
        Contender::new(peers::GOVERNOR_SAFE, |at| safe.check_key(&texts[at % LENGTH]).is_ok()),
        Contender::new("governor, u64 keys", |at| numbers.check_key(&u64::from(sequence[at % LENGTH])).is_ok()),
        Contender::new(peers::CRAB, |at| crab.check(&texts[at % LENGTH])),
    ];
    Case { name, threads, calls: 10_000, rounds: 120, granted: true }.measure(&contenders);
}
