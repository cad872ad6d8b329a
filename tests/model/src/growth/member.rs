//! One process with its partitions: as the runtime's driver does it.

use super::home::Home;
use super::scenario::Scenario;
use super::world::Log;
use crate::digest;
use crate::process::{limit, Hot, BUCKET};
use std::collections::BTreeMap;
use tidegate::core::agent::{Agent, Settings};
use tidegate::core::growth::Growth;
use tidegate::core::units::{Nanos, Tokens};

#[derive(Clone, Debug)]
pub struct Member {
    pub homes: BTreeMap<u32, Home>,
    growth: Growth,
    pub hot: Hot,
    /// Where its bucket lives, as it knows.
    pub placed: Option<u32>,
    /// The partitions that it knows to exist.
    pub knows: u32,
    seed: u64,
    base: u64,
}

impl Member {
    pub fn start(scenario: &Scenario, slot: usize, life: u64, time: u64) -> Member {
        let base = 1_000_000_000 * (1 + slot as u64);
        Member {
            homes: BTreeMap::new(),
            growth: Growth::default(),
            hot: Hot::empty(Nanos(base + time)),
            placed: None,
            knows: scenario.before,
            seed: scenario.seed.wrapping_mul(1_000_003) + life * 256 + slot as u64 * 16,
            base,
        }
    }

    /// What its clock shows.
    pub fn now(&self, time: u64) -> Nanos {
        Nanos(self.base + time)
    }

    /// The partition that it spends from, if it may.
    pub fn usable(&self, time: u64) -> Option<&Home> {
        let home = self.homes.get(&self.placed?)?;
        (self.now(time) < home.agent.usable_until()).then_some(home)
    }

    pub fn next_timer(&self) -> Nanos {
        self.homes.values().map(|home| home.agent.next_timer()).min().unwrap_or(Nanos::NEVER)
    }

    /// Reads the next record of a partition, or all there are.
    pub fn read(&mut self, time: u64, partition: u32, log: &Log, at_once: bool) {
        let now = self.now(time);
        let Some(home) = self.homes.get_mut(&partition) else { return };
        while let Some(bytes) = log.records.get(home.read) {
            home.agent.on_record(now, home.read as u64, bytes, &mut self.hot);
            home.read += 1;
            if !at_once {
                break;
            }
        }
    }

    /// Its timers; with `greedy`, after everything that is there was taken: how much that was.
    pub fn run(&mut self, time: u64, greedy: bool) -> Tokens {
        let now = self.now(time);
        let mut taken = Tokens::ZERO;
        if greedy {
            if self.usable(time).is_some() {
                taken = self.hot.take_all(now);
            }
            self.hot.refuse();
            if let Some(home) = self.placed.and_then(|home| self.homes.get_mut(&home)) {
                home.agent.on_activity(now, BUCKET, &mut self.hot);
            }
        }
        for home in self.homes.values_mut().filter(|home| home.agent.next_timer() <= now) {
            home.agent.on_timer(now, &mut self.hot);
        }
        taken
    }

    /// After each round of events: what has to be followed, and where the bucket lives.
    pub fn settle(&mut self, scenario: &Scenario, time: u64, logs: &[Log]) {
        let now = self.now(time);
        loop {
            for (partition, home) in &mut self.homes {
                if home.read == logs[*partition as usize].records.len() && !home.agent.is_caught_up() {
                    home.agent.on_caught_up(now);
                }
            }
            let before = (self.homes.len(), self.placed);
            self.growth.on_partitions(self.knows);
            for partition in self.growth.tick(&mut self.homes) {
                self.follow(scenario, now, partition, logs);
            }
            let mut moved = Vec::new();
            for home in self.homes.values_mut() {
                for bucket in home.agent.take_moved() {
                    home.agent.remove(now, bucket, &mut self.hot);
                    moved.push(bucket);
                }
            }
            if !moved.is_empty() {
                self.placed = None;
            }
            if self.placed.is_none() {
                self.place(scenario, now, logs);
            }
            if before == (self.homes.len(), self.placed) {
                return;
            }
        }
    }

    fn place(&mut self, scenario: &Scenario, now: Nanos, logs: &[Log]) {
        let Some(home) = self.growth.home(&self.homes, scenario.bucket()) else { return };
        self.follow(scenario, now, home, logs);
        if let Some(home) = self.homes.get_mut(&home) {
            home.agent.add(scenario.bucket(), "", limit(), &scenario.limit, BUCKET);
        }
        self.placed = Some(home);
    }

    fn follow(&mut self, scenario: &Scenario, now: Nanos, partition: u32, logs: &[Log]) {
        if self.homes.contains_key(&partition) {
            return;
        }
        let mut agent = Agent::new(Settings::new(scenario.ttl, scenario.outage), self.seed + u64::from(partition), "");
        let begins = logs[partition as usize].begins;
        if begins > 0 {
            // No snapshot, and the log does not reach back: a stranger.
            agent.start(now);
            agent.on_missing(now);
            agent.start(now);
        }
        self.homes.insert(partition, Home { agent, read: begins });
    }

    /// The records that it has to send.
    pub fn sends(&mut self, time: u64) -> Vec<(u32, Vec<u8>)> {
        let now = self.now(time);
        let mut sent = Vec::new();
        for (partition, home) in &mut self.homes {
            while let Some(bytes) = home.agent.poll_send(now) {
                sent.push((*partition, bytes));
            }
        }
        sent
    }

    pub fn digest(&self) -> u64 {
        digest::of(self)
    }
}
