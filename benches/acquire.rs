//! One key under criterion: absolute times, and whether they changed since the last run. `cargo bench --bench acquire`
//!
//! For a change of the code: run it before and after. Ratios to the peers come from `one_key`, where all take turns.

#![allow(missing_docs, reason = "a program")]

mod common;

use common::one_key::contenders;
use common::peers::Limit;
use criterion::{criterion_group, criterion_main, Criterion};
use std::time::{Duration, Instant};

fn one_key(c: &mut Criterion) {
    for (name, limit) in [("one key, granted", Limit::Plenty), ("one key, refused", Limit::Dry)] {
        let mut group = c.benchmark_group(name);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for contender in contenders(limit) {
            group.bench_function(&contender.name, |bencher| {
                bencher.iter_custom(|times| {
                    let start = Instant::now();
                    contender.call(times as usize);
                    start.elapsed()
                });
            });
        }
    }
}

criterion_group!(benches, one_key);
criterion_main!(benches);
