//! One, two and four tiers, all or nothing. `cargo bench --bench tiers [-- --json]`
//!
//! governor has none. What stands beside, and is named so, is a limiter for each tier, asked one after the other: what
//! programs do without tiers, and not all or nothing.

#![allow(missing_docs, reason = "a program")]

mod common;

use common::native::{by_id, library};
use common::peers::{self, Limit};
use common::rounds::{Case, Contender};

fn main() {
    let library = library();
    let try_acquire = library.key_try_acquire;
    let plain = library.key(library.limiter("plain", Limit::Plenty), "");
    let governors: Vec<_> = (0..4).map(|_| peers::governor(Limit::Plenty)).collect();
    let mut contenders = vec![Contender::new("tidegate, no tiers", |_| by_id(try_acquire, plain))];
    for tiers in [1, 2, 4] {
        let limiter = library.limiter_of_tiers(&format!("{tiers} tiers"), Limit::Plenty, tiers);
        let key = library.key(limiter, "");
        let plural = if tiers == 1 { "" } else { "s" };
        contenders.push(Contender::new(format!("tidegate, {tiers} tier{plural}"), move |_| by_id(try_acquire, key)));
        if tiers == 4 {
            // Neither key can take beforehand what the other wants.
            let limiter = library.limiter_of_tiers("4 tiers in turns", Limit::Plenty, 4);
            let keys = [(); 2].map(|()| library.key(limiter, ""));
            let in_turns = move |at| by_id(try_acquire, keys[at % 2]);
            contenders.push(Contender::new("tidegate, 4 tiers, two keys in turns", in_turns));
        }
        let governors = &governors[..tiers];
        let each = move |_| governors.iter().all(|governor| governor.check().is_ok());
        contenders.push(Contender::new(format!("governor, {tiers} one after the other"), each));
    }
    // Past the credit that buckets are born with, as a program soon is.
    contenders.iter().for_each(|contender| contender.call(1_200_000));
    Case { name: "tiers, granted", threads: 1, calls: 50_000, rounds: 100, granted: true }.measure(&contenders);
}
