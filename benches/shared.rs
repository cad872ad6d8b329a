//! One key of a limit that is shared: granted and refused. `cargo bench --bench shared [-- --json]`
//!
//! The log is a make-believe Kafka in this process, which no decision reads: what is spent is this process's share, and what
//! differs from a local limit is that a share can expire, so that each decision has to know the time.

#![allow(missing_docs, reason = "a program")]

mod common;

use common::native::{by_id, decide, library, KeyTryAcquire};
use common::peers::{self, Limit};
use common::rounds::{Case, Contender};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::mock::MockBroker;
use tidegate::Basis;

const TOPIC: &str = "rate-limiter-state";
/// What a process alone waits for its share takes a fraction of it.
const SOON: Duration = Duration::from_secs(30);

fn main() {
    let broker = MockBroker::start(1, TOPIC, 3).expect("it starts");
    let servers = broker.bootstrap_servers();
    let properties = [("bootstrap.servers", &*servers), ("replication.factor", "auto"), ("fetch.wait.max.ms", "5")];
    let library = library();
    let try_acquire = library.key_try_acquire;
    let [plenty, dry] = [("plenty", Limit::Plenty), ("dry", Limit::Dry)].map(|(name, limit)| {
        let shared = library.key(library.limiter_with(&properties, name, limit), "");
        await_share(try_acquire, shared);
        shared
    });
    let local = library.key(library.limiter("plenty", Limit::Plenty), "");
    let (governor, safe) = (peers::governor(Limit::Plenty), peers::governor_safe(Limit::Plenty));
    let granted = [
        Contender::new("tidegate, shared", |_| by_id(try_acquire, plenty)),
        Contender::new("tidegate, local", |_| by_id(try_acquire, local)),
        Contender::new(peers::GOVERNOR, move |_| governor.check().is_ok()),
        Contender::new(peers::GOVERNOR_SAFE, move |_| safe.check().is_ok()),
    ];
    Case { name: "one shared key, granted", threads: 1, calls: 20_000, rounds: 150, granted: true }.measure(&granted);
    let either = [
        Contender::new("tidegate, granted", |_| by_id(try_acquire, plenty)),
        Contender::new("tidegate, refused", |_| !by_id(try_acquire, dry)),
    ];
    either[1].call(2);
    Case { name: "one shared key, either answer", threads: 1, calls: 20_000, rounds: 150, granted: true }
        .measure(&either);
}

/// Until the process has the whole limit, and has spent what a dry one grants at once.
fn await_share(try_acquire: KeyTryAcquire, key: u64) {
    let end = Instant::now() + SOON;
    while decide(try_acquire, key).basis() != Basis::Shared {
        assert!(Instant::now() < end, "no share within {SOON:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
