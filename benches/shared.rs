//! Keys of limits that are shared: granted and refused, and how many bytes they take. `cargo bench --bench shared [-- --json]`
//!
//! The log is a make-believe Kafka in another process, which no decision waits for: what is spent is this process's share. What
//! differs from a local limit is that a share can expire, so that each decision has to know the time.

#![allow(missing_docs, reason = "a program")]

mod common;

use common::keys::name;
use common::memory::resident;
use common::native::{by_id, decide, library, Library};
use common::peers::{self, Limit};
use common::rounds::{print, Case, Contender};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tidegate::Basis;

const TOPIC: &str = "rate-limiter-state";
const KEYS: u32 = 100_000;
/// All of them have a share long before.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let broker = Broker::start();
    let shared = Shared { library: library(), servers: &broker.servers };
    print("shared keys in memory", "tidegate, by id", "bytes per key", &[Some(shared.bytes_per_key())]);
    shared.granted();
    shared.either_answer();
}

struct Shared<'a> {
    library: &'static Library,
    servers: &'a str,
}

impl Shared<'_> {
    /// A key of a limiter of its own, when this process has a share.
    fn key(&self, limiter: &str, limit: Limit) -> u64 {
        let key = self.library.key(self.limiter(limiter, limit), "");
        self.await_shares(vec![key]);
        key
    }

    fn limiter(&self, name: &str, limit: Limit) -> common::native::Limiter {
        let properties = [
            ("bootstrap.servers", self.servers),
            ("topic", TOPIC),
            ("replication.factor", "auto"),
            // An empty fetch of the mock cluster waits its whole time.
            ("fetch.wait.max.ms", "5"),
        ];
        self.library.limiter_with(&properties, name, limit)
    }

    /// Asks for a permit of each key until it rests on a share.
    fn await_shares(&self, mut keys: Vec<u64>) {
        let end = Instant::now() + PATIENCE;
        loop {
            keys.retain(|key| decide(self.library.key_try_acquire, *key).basis() != Basis::Shared);
            if keys.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{} keys have no share within {PATIENCE:?}", keys.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn bytes_per_key(&self) -> f64 {
        let limiter = self.limiter("many", Limit::Deep);
        self.await_shares(vec![self.library.key(limiter, "first")]);
        let mut keys = vec![u64::MAX; KEYS as usize];
        let before = resident();
        keys.iter_mut().zip(0..).for_each(|(key, at)| *key = self.library.key(limiter, &name(at)));
        self.await_shares(keys);
        (resident() - before) / f64::from(KEYS)
    }

    fn granted(&self) {
        let try_acquire = self.library.key_try_acquire;
        let shared = self.key("granted", Limit::Plenty);
        let local = self.library.key(self.library.limiter("local", Limit::Plenty), "");
        let (governor, safe) = (peers::governor(Limit::Plenty), peers::governor_safe(Limit::Plenty));
        let contenders = [
            Contender::new("tidegate, shared", |_| by_id(try_acquire, shared)),
            Contender::new("tidegate, local", |_| by_id(try_acquire, local)),
            Contender::new(peers::GOVERNOR, move |_| governor.check().is_ok()),
            Contender::new(peers::GOVERNOR_SAFE, move |_| safe.check().is_ok()),
        ];
        let case = Case { name: "one shared key, granted", threads: 1, calls: 20_000, rounds: 150, granted: true };
        case.measure(&contenders);
    }

    fn either_answer(&self) {
        let try_acquire = self.library.key_try_acquire;
        let (plenty, dry) = (self.key("plenty", Limit::Plenty), self.key("dry", Limit::Dry));
        let contenders = [
            Contender::new("tidegate, granted", |_| by_id(try_acquire, plenty)),
            Contender::new("tidegate, refused", |_| !by_id(try_acquire, dry)),
        ];
        // What a dry one grants.
        contenders[1].call(2);
        let case =
            Case { name: "one shared key, either answer", threads: 1, calls: 20_000, rounds: 150, granted: true };
        case.measure(&contenders);
    }
}

/// `tidegate mock-broker`. It ends with its standard input.
struct Broker {
    process: Child,
    servers: String,
}

impl Broker {
    fn start() -> Broker {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["mock-broker", "--topic", TOPIC]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it can be started");
        let mut line = String::new();
        let said = process.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        assert!(matches!(said, Some(Ok(1..))), "the broker does not start");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("it says JSON");
        let servers = ready["bootstrap_servers"].as_str().expect("where it listens").to_owned();
        Broker { process, servers }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
