//! One simulated process: the real agent, real buckets, a hot path that spends from them, and a clock of its own.

use crate::plan::MS;
use std::collections::VecDeque;
use tidegate::core::agent::Agent;
use tidegate::core::bucket::Bucket;
use tidegate::core::pace::FULL;
use tidegate::core::share::{BucketRef, Buckets, Share, Usage};
use tidegate::core::units::{Nanos, Tokens};

/// A clock that runs wrong.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub base: u64,
    /// Above a million = fast.
    pub per_million: u64,
}

impl Clock {
    pub fn at(&self, time: u64) -> Nanos {
        Nanos(self.base + (u128::from(time) * u128::from(self.per_million) / 1_000_000) as u64)
    }

    /// The first true time at which this clock shows `local`, at the latest a year from the start.
    pub fn when(&self, local: Nanos) -> u64 {
        let span = u128::from(local.0.saturating_sub(self.base));
        (span * 1_000_000).div_ceil(u128::from(self.per_million)).min(31_536_000_000_000_000) as u64
    }
}

/// One bucket as the hot path sees it.
#[derive(Debug)]
pub struct Hot {
    pub bucket: Bucket,
    pub share: Share,
    pub usage: Usage,
    /// Requests that wait: deadline and permits.
    pub waiting: VecDeque<(Nanos, Tokens)>,
    pub told_at: Nanos,
    /// True time of the next look at the queue.
    pub pump_at: Option<u64>,
    pub used: bool,
}

/// All buckets of a process, by [`BucketRef`].
#[derive(Debug, Default)]
pub struct HotPath {
    pub buckets: Vec<Hot>,
}

impl HotPath {
    pub fn open(&mut self, now: Nanos) -> BucketRef {
        let bucket = Bucket::empty(Tokens::ZERO, Share::NONE.refill(), now);
        self.buckets.push(Hot {
            bucket,
            share: Share::NONE,
            usage: Usage::default(),
            waiting: VecDeque::new(),
            told_at: Nanos::ZERO,
            pump_at: None,
            used: false,
        });
        BucketRef(self.buckets.len() as u32 - 1)
    }

    pub fn get(&mut self, bucket: BucketRef) -> &mut Hot {
        &mut self.buckets[bucket.0 as usize]
    }
}

impl Buckets for HotPath {
    fn usage(&mut self, bucket: BucketRef, now: Nanos) -> Usage {
        let hot = self.get(bucket);
        hot.bucket.settle(now, Tokens::ZERO);
        let waiting = hot.waiting.iter().map(|(_, amount)| *amount).max();
        let usage = std::mem::take(&mut hot.usage);
        Usage {
            level: hot.bucket.level(),
            full: hot.bucket.is_full(),
            refused: usage.refused || waiting.is_some(),
            largest: usage.largest.max(waiting.unwrap_or(Tokens::ZERO)),
            ..usage
        }
    }
    fn grow(&mut self, bucket: BucketRef, now: Nanos, share: Share, arrived: Tokens) {
        let hot = self.get(bucket);
        hot.bucket.settle(now, Tokens::ZERO);
        share.give(&mut hot.bucket, FULL);
        hot.bucket.put(arrived);
        hot.share = share;
    }
    fn shrink(&mut self, bucket: BucketRef, now: Nanos, share: Share) -> Tokens {
        let hot = self.get(bucket);
        hot.bucket.settle(now, Tokens::ZERO);
        hot.share = share;
        share.give(&mut hot.bucket, FULL)
    }
    fn forfeit(&mut self, bucket: BucketRef, now: Nanos) {
        self.shrink(bucket, now, Share::NONE);
    }
}

/// A process uses a share that the fleet took from it, as `keep_share` allows one that is not heard: how much of it.
#[derive(Debug)]
pub struct Excess {
    pub session: u64,
    pub shadows: Vec<crate::shadow::Shadow>,
}

#[derive(Debug)]
pub struct Process {
    /// Which start of this slot it is.
    pub life: u64,
    /// That others on its host can try; 0 = none.
    pub lock: u128,
    pub agent: Agent,
    pub hot: HotPath,
    /// By key; `None` = removed.
    pub refs: Vec<Option<BucketRef>>,
    pub clock: Clock,
    /// What the hot path looks at.
    pub usable: Nanos,
    /// Records read.
    pub read: usize,
    pub frozen_until: u64,
    /// The driver thread gets no processor; the hot path runs.
    pub stalled_until: u64,
    pub mute_until: u64,
    pub deaf_until: u64,
    /// The last time that something it said was lost, late or kept back by a cut.
    pub unheard_until: u64,
    pub drive_at: u64,
    pub read_at: Option<u64>,
    pub leaving: bool,
    /// What was sent before this is no longer known to the agent.
    pub forgot: u64,
    pub excess: Option<Excess>,
    /// By key: permits admitted since the measurement began.
    pub admitted: Vec<u64>,
}

impl Process {
    pub fn now(&self, time: u64) -> Nanos {
        self.clock.at(time)
    }

    pub fn is_usable(&self, time: u64) -> bool {
        self.now(time) < self.usable
    }

    /// When the driver may run.
    pub fn runs_at(&self, time: u64) -> u64 {
        time.max(self.frozen_until).max(self.stalled_until)
    }

    /// What key's bucket holds now.
    pub fn level(&self, key: usize, time: u64) -> (Share, Tokens) {
        let Some(bucket) = self.refs[key] else { return (Share::NONE, Tokens::ZERO) };
        let hot = &self.hot.buckets[bucket.0 as usize];
        let mut bucket = hot.bucket;
        bucket.settle(self.now(time), Tokens::ZERO);
        (hot.share, bucket.level())
    }
}

/// The runtime tells the agent of a refused bucket at most this often.
pub const TELL_EVERY: Nanos = Nanos(20 * MS);
