//! One process with all its partitions: as the driver of the runtime does it, on simulated logs.

use super::home::Home;
use crate::process::{Clock, HotPath};
use std::collections::BTreeMap;
use tidegate::core::agent::{Agent, Settings};
use tidegate::core::growth::Growth;
use tidegate::core::limit::Limit;
use tidegate::core::placement::{limit_id, BucketId};
use tidegate::core::share::BucketRef;
use tidegate::core::units::{Nanos, Tokens};

/// One key as this process has it.
pub struct Held {
    pub bucket: BucketRef,
    pub home: Option<u32>,
    pub told_at: Nanos,
}

pub struct Process {
    pub clock: Clock,
    pub homes: BTreeMap<u32, Home>,
    pub growth: Growth,
    pub hot: HotPath,
    pub held: Vec<Held>,
    pub settings: Settings,
    pub frozen_until: u64,
    pub mute_until: u64,
    pub deaf_until: u64,
    /// The partitions that it knows to exist, and when it hears of more.
    pub knows: u32,
    pub hears_at: u64,
    pub leaving: bool,
}

impl Process {
    pub fn home_of(&self, bucket: BucketRef) -> Option<&Home> {
        let held = self.held.iter().find(|held| held.bucket == bucket)?;
        self.homes.get(&held.home?)
    }

    /// Reads, tells the agents of time and use, follows and moves; the records to append, by partition.
    pub fn drive(
        &mut self,
        now: Nanos,
        logs: &[Vec<Vec<u8>>],
        keys: &[(BucketId, Limit)],
        seed: &mut dyn FnMut() -> u64,
        deaf: bool,
    ) -> Vec<(u32, Vec<u8>)> {
        if !deaf {
            for (partition, home) in &mut self.homes {
                let Some(log) = logs.get(*partition as usize).filter(|_| *partition < self.knows) else { continue };
                while home.read < log.len() {
                    let offset = home.read as u64;
                    home.agent.on_record(now, offset, &log[home.read], &mut self.hot);
                    home.read += 1;
                }
                if !home.agent.is_caught_up() {
                    home.agent.on_caught_up(now);
                }
            }
        }
        self.growth.on_partitions(self.knows);
        for partition in self.growth.tick(&mut self.homes) {
            self.follow(partition, seed);
        }
        self.move_keys(now);
        for (key, (id, limit)) in keys.iter().enumerate() {
            self.place(key, *id, limit, seed);
            let held = &mut self.held[key];
            let told = now >= held.told_at.plus(Nanos(20 * super::MS));
            let Some(home) = held.home.and_then(|home| self.homes.get_mut(&home)).filter(|_| told) else { continue };
            held.told_at = now;
            home.agent.on_activity(now, held.bucket, &mut self.hot);
        }
        let mut said = Vec::new();
        for (partition, home) in &mut self.homes {
            if now >= home.agent.next_timer() {
                home.agent.on_timer(now, &mut self.hot);
            }
            while let Some(record) = home.agent.poll_send(now) {
                said.push((*partition, record));
            }
        }
        said
    }

    fn follow(&mut self, partition: u32, seed: &mut dyn FnMut() -> u64) {
        let settings = self.settings;
        self.homes
            .entry(partition)
            .or_insert_with(|| Home { agent: Agent::new(settings, seed(), "simulated"), read: 0 });
    }

    fn place(&mut self, key: usize, id: BucketId, limit: &Limit, seed: &mut dyn FnMut() -> u64) {
        if self.held[key].home.is_some() || self.leaving {
            return;
        }
        let Some(home) = self.growth.home(&self.homes, id) else { return };
        self.follow(home, seed);
        let bucket = self.held[key].bucket;
        if let Some(home) = self.homes.get_mut(&home) {
            home.agent.add(id, "key", limit_id(&limit.rate().0.to_string(), 0), limit, bucket);
        }
        self.held[key].home = Some(home);
    }

    fn move_keys(&mut self, now: Nanos) {
        let mut moved = Vec::new();
        for home in self.homes.values_mut() {
            for bucket in home.agent.take_moved() {
                home.agent.remove(now, bucket, &mut self.hot);
                moved.push(bucket);
            }
        }
        for held in self.held.iter_mut().filter(|held| moved.contains(&held.bucket)) {
            held.home = None;
        }
    }

    pub fn close(&mut self, now: Nanos) {
        self.leaving = true;
        for home in self.homes.values_mut() {
            home.agent.close(now, &mut self.hot);
        }
    }

    /// The hot path.
    pub fn admit(&mut self, now: Nanos, key: usize, amount: Tokens) -> bool {
        let bucket = self.held[key].bucket;
        let usable = self.home_of(bucket).is_some_and(|home| now < home.agent.usable_until());
        let hot = self.hot.get(bucket);
        hot.usage.asked = hot.usage.asked.plus(amount);
        hot.bucket.settle(now, Tokens::ZERO);
        let admitted = usable && hot.bucket.take(amount);
        if !admitted {
            hot.usage.refused = true;
            hot.usage.largest = hot.usage.largest.max(amount);
        }
        admitted
    }
}
