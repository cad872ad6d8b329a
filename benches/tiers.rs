//! One, two and four tiers, all or nothing. `cargo bench --bench tiers [-- --json]`
//!
//! Limiters with tiers are not in the ABI yet. What stands in for them, and is named so, is one limiter for each tier,
//! asked one after the other: what programs do without tiers, and not all or nothing.

#![allow(missing_docs, reason = "a program")]

mod common;

use common::native::{by_id, library};
use common::peers::{self, Limit};
use common::rounds::{Case, Contender};

fn main() {
    let library = library();
    let try_acquire = library.key_try_acquire;
    let key = |tier: usize| library.key(library.limiter(&format!("tier {tier}"), common::PLENTY.into(), 1), "");
    let keys: Vec<u64> = (0..4).map(key).collect();
    let governors: Vec<_> = (0..4).map(|_| peers::governor(Limit::Plenty)).collect();
    let mut contenders = Vec::new();
    for tiers in [1, 2, 4] {
        let (keys, governors) = (&keys[..tiers], &governors[..tiers]);
        let each = move |_| keys.iter().all(|key| by_id(try_acquire, *key));
        contenders.push(Contender::new(format!("tidegate, {tiers} one after the other"), each));
        let each = move |_| governors.iter().all(|governor| governor.check().is_ok());
        contenders.push(Contender::new(format!("governor, {tiers} one after the other"), each));
    }
    Case { name: "tiers, granted", threads: 1, calls: 50_000, rounds: 100, granted: true }.measure(&contenders);
}
