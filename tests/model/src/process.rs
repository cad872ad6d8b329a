//! One process of the model: the real agent, one real bucket, and a clock that may run wrong.

use crate::digest;
use crate::scenario::Scenario;
use std::collections::BTreeSet;
use tidegate::core::agent::{Agent, Settings};
use tidegate::core::bucket::Bucket;
use tidegate::core::pace::FULL;
use tidegate::core::placement::{bucket_id, limit_id, BucketId};
use tidegate::core::record::{Record, Sender};
use tidegate::core::share::{BucketRef, Buckets, Share, Usage};
use tidegate::core::units::{Nanos, Tokens};

/// The one bucket, as the agent calls it.
pub const BUCKET: BucketRef = BucketRef(0);
/// More than the largest burst: who asks for it is refused in the end.
const ASKED: Tokens = Tokens::permits(100);

/// The one bucket in the log.
pub fn bucket() -> BucketId {
    bucket_id("model", 0, "")
}

/// Its limit.
pub fn limit() -> u128 {
    limit_id("model", 0)
}

/// What the hot path spends from.
#[derive(Clone, Debug)]
pub struct Hot {
    pub bucket: Bucket,
    pub share: Share,
    usage: Usage,
}

impl Hot {
    pub(crate) fn empty(now: Nanos) -> Hot {
        let bucket = Bucket::empty(Tokens::ZERO, Share::NONE.refill(), now);
        Hot { bucket, share: Share::NONE, usage: Usage::default() }
    }

    /// Takes all there is, in whole permits; how much that was.
    pub(crate) fn take_all(&mut self, now: Nanos) -> Tokens {
        self.bucket.settle(now, Tokens::ZERO);
        let taken = Tokens::permits(self.bucket.level().whole());
        self.bucket.take(taken);
        taken
    }

    /// Somebody asks for more.
    pub(crate) fn refuse(&mut self) {
        self.usage.asked = ASKED;
        self.usage.refused = true;
        self.usage.largest = Tokens::permits(1);
    }

    /// What could be taken now.
    pub fn level(&self, now: Nanos) -> Tokens {
        let mut bucket = self.bucket;
        bucket.settle(now, Tokens::ZERO);
        bucket.level()
    }
}

impl Buckets for Hot {
    fn usage(&mut self, _: BucketRef, now: Nanos) -> Usage {
        self.bucket.settle(now, Tokens::ZERO);
        Usage { level: self.bucket.level(), full: self.bucket.is_full(), ..std::mem::take(&mut self.usage) }
    }
    fn grow(&mut self, _: BucketRef, now: Nanos, share: Share, arrived: Tokens) {
        self.bucket.settle(now, Tokens::ZERO);
        share.give(&mut self.bucket, FULL);
        self.bucket.put(arrived);
        self.share = share;
    }
    fn shrink(&mut self, _: BucketRef, now: Nanos, share: Share) -> Tokens {
        self.bucket.settle(now, Tokens::ZERO);
        self.share = share;
        share.give(&mut self.bucket, FULL)
    }
    fn forfeit(&mut self, bucket: BucketRef, now: Nanos) {
        self.shrink(bucket, now, Share::NONE);
    }
}

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    pub agent: Agent,
    pub hot: Hot,
    /// Records read.
    pub read: usize,
    /// What proves its death.
    pub lock: u128,
    /// Whether it uses the bucket at all: not between a removal and the next use.
    pub open: bool,
    pub closing: bool,
    /// The nonce of the last Hello that it sent and did not give up.
    pub hello: Option<u64>,
    base: u64,
    per_million: u64,
}

impl Process {
    /// A process that starts at `now` in true time.
    pub fn start(scenario: &Scenario, slot: usize, life: u64, now: u64) -> Process {
        let seed = scenario.seed.wrapping_mul(1_000_003) + life * 64 + slot as u64;
        let lock = u128::from(1 + life * 8 + slot as u64);
        let settings = Settings { lock, ..Settings::new(scenario.ttl, scenario.outage) };
        let base = 1_000_000_000 * (1 + slot as u64);
        let mut process = Process {
            agent: Agent::new(settings, seed, ""),
            hot: Hot::empty(Nanos(base)),
            read: 0,
            lock,
            open: false,
            closing: false,
            hello: None,
            base,
            per_million: scenario.clocks[slot],
        };
        process.hot = Hot::empty(process.now(now));
        process.add(scenario, now);
        process
    }

    /// What its clock shows.
    pub fn now(&self, time: u64) -> Nanos {
        Nanos(self.base + time / 1_000_000 * self.per_million)
    }

    /// Whether its hot path may spend.
    pub fn is_usable(&self, time: u64) -> bool {
        self.now(time) < self.agent.usable_until()
    }

    /// Takes the bucket on.
    pub fn add(&mut self, scenario: &Scenario, time: u64) {
        self.hot = Hot::empty(self.now(time));
        self.agent.add(bucket(), "", limit(), &scenario.limit, BUCKET);
        self.open = true;
    }

    /// Gives the bucket back; what it holds is gone from the hot path at once.
    pub fn remove(&mut self, time: u64) {
        self.agent.remove(self.now(time), BUCKET, &mut self.hot);
        self.hot = Hot::empty(self.now(time));
        self.open = false;
    }

    /// Learns who is dead.
    pub fn learn(&mut self, dead: &BTreeSet<u128>) {
        self.agent.on_deaths(dead);
    }

    /// Says goodbye.
    pub fn close(&mut self, time: u64) {
        self.agent.close(self.now(time), &mut self.hot);
        self.closing = true;
    }

    /// Reads one record.
    pub fn read(&mut self, time: u64, bytes: &[u8], end: usize) {
        let before = self.agent.session();
        self.agent.on_record(self.now(time), self.read as u64, bytes, &mut self.hot);
        self.read += 1;
        if before.is_some() && self.agent.session().is_none() {
            self.hello = None;
        }
        self.catch_up(time, end);
    }

    /// The driver runs; with `greedy`, after everything that is there was taken: how much that was.
    pub fn run(&mut self, time: u64, greedy: bool, end: usize) -> Tokens {
        let now = self.now(time);
        self.catch_up(time, end);
        let mut taken = Tokens::ZERO;
        if greedy && self.open && !self.closing {
            if self.is_usable(time) {
                taken = self.hot.take_all(now);
            }
            self.hot.refuse();
            self.agent.on_activity(now, BUCKET, &mut self.hot);
        }
        self.agent.on_timer(now, &mut self.hot);
        taken
    }

    /// The records that it has to send.
    pub fn sends(&mut self, time: u64) -> Vec<Vec<u8>> {
        let now = self.now(time);
        let mut sent = Vec::new();
        while let Some(bytes) = self.agent.poll_send(now) {
            if let Ok(Record { sender: Sender::Hello { .. }, nonce, .. }) = Record::decode(&bytes) {
                self.hello = Some(nonce);
            }
            sent.push(bytes);
        }
        sent
    }

    fn catch_up(&mut self, time: u64, end: usize) {
        if self.read == end && !self.agent.is_caught_up() {
            self.agent.on_caught_up(self.now(time));
        }
    }

    pub fn digest(&self) -> u64 {
        digest::of(self)
    }
}
