//! Bytes of memory per key, 1,000,000 keys with names of 15 bytes. `cargo bench --bench memory [-- --json]`
//!
//! Each contender has a process of its own, which asks for one permit of each key and compares what the kernel says
//! that it holds with what it held before. The names are made on the way: nobody but the contender keeps them. None of
//! the buckets is full again meanwhile, so that nobody may forget one.

#![allow(missing_docs, reason = "a program")]

mod common;

use common::keys::name;
use common::memory::resident;
use common::native::{by_id, by_text, library};
use common::peers::{self, Limit};
use common::rounds::print;

const KEYS: u32 = 1_000_000;
const ROUNDS: usize = 3;
const IDLE: &str = "tidegate, by text: idle";
const LIVE: &str = "tidegate, by id: live, never released";
const CONTENDERS: [&str; 5] = [IDLE, LIVE, peers::GOVERNOR, "governor, u64 keys", peers::CRAB];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--alone") {
        print_alone(&arguments[at + 1]);
        return;
    }
    for who in CONTENDERS {
        let round = || {
            let program = std::env::current_exe().expect("a program has a path");
            let done = std::process::Command::new(program).args(["--alone", who]).output().expect("it can be started");
            String::from_utf8_lossy(&done.stdout).trim().parse::<f64>().ok()
        };
        let rounds: Vec<Option<f64>> = (0..if common::is_quick() { 1 } else { ROUNDS }).map(|_| round()).collect();
        print("1,000,000 keys in memory", who, "bytes per key", &rounds);
    }
}

#[allow(clippy::print_stdout, reason = "how a child answers its parent")]
fn print_alone(who: &str) {
    println!("{:.1}", alone(who));
}

fn alone(who: &str) -> f64 {
    match who {
        IDLE => {
            let library = library();
            let limiter = library.limiter("memory", Limit::Deep);
            growth(|key| by_text(library.limiter_try_acquire, limiter, &name(key)))
        }
        LIVE => {
            let library = library();
            let limiter = library.limiter("memory", Limit::Deep);
            growth(|key| by_id(library.key_try_acquire, library.key(limiter, &name(key))))
        }
        peers::GOVERNOR => {
            let governor = peers::governor_keyed::<String>();
            growth(|key| governor.check_key(&name(key)).is_ok())
        }
        "governor, u64 keys" => {
            let governor = peers::governor_keyed::<u64>();
            growth(|key| governor.check_key(&u64::from(key)).is_ok())
        }
        peers::CRAB => {
            // It is told how many keys there will be: less would make it grow later.
            let crab = peers::Crab::new(Limit::Deep, KEYS as usize);
            growth(|key| crab.check(&name(key)))
        }
        _ => panic!("{who} is nobody"),
    }
}

fn growth(one: impl Fn(u32) -> bool) -> f64 {
    let before = resident();
    let granted = (0..KEYS).filter(|key| one(*key)).count();
    assert_eq!(granted, KEYS as usize);
    (resident() - before) / f64::from(KEYS)
}
