//! The fleet, its logs, what goes wrong, and what is checked.

use super::process::{Held, Process};
use super::{MS, SECOND};
use crate::process::{Clock, HotPath};
use crate::shadow::Shadow;
use std::collections::{BTreeMap, VecDeque};
use tidegate::core::agent::Settings;
use tidegate::core::fold::Fold;
use tidegate::core::growth::Growth;
use tidegate::core::layout::Layout;
use tidegate::core::limit::{Limit, Outage};
use tidegate::core::placement::{bucket_id, BucketId};
use tidegate::core::record::{Op, Record, Sender};
use tidegate::core::rng::Rng;
use tidegate::core::share::Share;
use tidegate::core::units::{Nanos, Rate, Tokens};

const STEP: u64 = 2 * MS;
const TRACE: usize = 40;
/// Per second, of each key and all processes.
const PERMITS: u64 = 100;
const BURST: u64 = 60;
/// Of every third key where all fall silent: in that time far fewer come back than the burst.
const SLOW: (u64, u64) = (1, 60 * SECOND);
/// All of the longest time-to-live, and the minute more after which a partition may be reset.
const SILENCE: u64 = 661 * SECOND;

#[derive(Debug)]
pub struct Plan {
    pub processes: usize,
    pub keys: usize,
    pub ttl: u64,
    pub chaos: u64,
    /// When the log gets how many partitions.
    pub growth: Vec<(u64, u32)>,
    pub first: u32,
    /// When all die or stop; those who come then find that partitions were reset.
    pub silence: Option<u64>,
    /// Thousandths of records.
    lost: u64,
    late: u64,
    doubled: u64,
    faults: bool,
    outage: Outage,
}

pub struct Fleet {
    pub plan: Plan,
    rng: Rng,
    pub now: u64,
    partitions: u32,
    logs: Vec<Vec<Vec<u8>>>,
    heads: Vec<Fold>,
    under_way: BTreeMap<(u64, u64), (u32, Vec<u8>)>,
    order: u64,
    keys: Vec<(BucketId, Limit)>,
    shadows: Vec<Shadow>,
    processes: Vec<Option<Process>>,
    quiet: bool,
    pub trace: VecDeque<String>,
    pub admissions: u64,
    admitted: Vec<u64>,
    /// By key: the last admission, and the longest time without.
    served: Vec<(u64, u64)>,
}

impl Fleet {
    pub fn new(seed: u64) -> Fleet {
        let mut rng = Rng::new(seed ^ 0x67_72_6f_77);
        let lossy = rng.below(2) == 0;
        let first = 1 + rng.below(3) as u32;
        let chaos = 25 * SECOND;
        let mut partitions = first;
        let growth = (0..1 + rng.below(3)).map(|_| {
            partitions += 1 + rng.below(4) as u32;
            (rng.below(chaos - 2 * SECOND), partitions)
        });
        let mut growth: Vec<_> = growth.collect();
        let mut times: Vec<u64> = growth.iter().map(|(at, _)| *at).collect();
        times.sort_unstable();
        growth.iter_mut().zip(times).for_each(|(growth, at)| growth.0 = at);
        let plan = Plan {
            processes: 2 + rng.below(3) as usize,
            keys: 12,
            ttl: [2, 3, 6][rng.below(3) as usize] * SECOND,
            chaos,
            growth,
            first,
            silence: (seed % 5 == 4).then(|| Rng::new(seed).below(chaos)),
            lost: if lossy { 40 } else { 0 },
            late: if lossy { 40 } else { 0 },
            doubled: 40,
            faults: rng.below(4) > 0,
            outage: if rng.below(3) == 0 { Outage::KeepShare } else { Outage::Deny },
        };
        Fleet::of(plan, rng)
    }

    /// One growth, and nothing else.
    pub fn calm(seed: u64) -> Fleet {
        let rng = Rng::new(seed ^ 0x63_61_6c_6d);
        let growth = vec![(5 * SECOND + seed * 37 * MS, 24)];
        let (lost, late, doubled, faults, outage) = (0, 0, 0, false, Outage::Deny);
        let plan = Plan {
            processes: 4,
            keys: 60,
            ttl: 15 * SECOND,
            chaos: 10 * SECOND,
            growth,
            first: 12,
            silence: None,
            lost,
            late,
            doubled,
            faults,
            outage,
        };
        Fleet::of(plan, rng)
    }

    fn of(plan: Plan, rng: Rng) -> Fleet {
        let limit = Limit::token_bucket(PERMITS, Nanos(SECOND), BURST).expect("a legal limit");
        let slow = Limit::token_bucket(SLOW.0, Nanos(SLOW.1), BURST).expect("a legal limit");
        let limit_of = |key: usize| if plan.silence.is_some() && key % 3 == 0 { slow } else { limit };
        let keys = (0..plan.keys).map(|key| (bucket_id("grown", 0, &key.to_string()), limit_of(key)));
        let keys: Vec<_> = keys.collect();
        let mut fleet = Fleet {
            rng,
            now: 0,
            partitions: 0,
            logs: Vec::new(),
            heads: Vec::new(),
            under_way: BTreeMap::new(),
            order: 0,
            shadows: keys.iter().map(|(_, limit)| Shadow::full(limit.rate(), limit.burst(), 0)).collect(),
            admitted: vec![0; keys.len()],
            served: vec![(0, 0); keys.len()],
            keys,
            processes: (0..plan.processes).map(|_| None).collect(),
            quiet: false,
            trace: VecDeque::new(),
            admissions: 0,
            plan,
        };
        fleet.grow(fleet.plan.first);
        fleet
    }

    fn note(&mut self, what: String) {
        if self.trace.len() >= TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("  {:>9.3} s  {what}", self.now as f64 / 1e9));
    }

    fn grow(&mut self, partitions: u32) {
        self.note(format!("the log has {partitions} partitions"));
        self.partitions = partitions;
        self.logs.resize(partitions as usize, Vec::new());
        self.heads.resize_with(partitions as usize, Fold::default);
        for slot in 0..self.processes.len() {
            let late = if self.rng.below(3) == 0 { 3 * SECOND } else { 50 * MS };
            let at = self.now + self.rng.below(late);
            if let Some(process) = &mut self.processes[slot] {
                process.hears_at = at;
            }
        }
    }

    pub fn run(&mut self, span: u64) {
        let end = self.now + span;
        while self.now < end {
            self.now += STEP;
            while let Some((_, partitions)) = self.plan.growth.first().filter(|(at, _)| *at <= self.now).copied() {
                self.plan.growth.remove(0);
                self.grow(partitions);
            }
            self.append();
            for slot in 0..self.processes.len() {
                self.step(slot);
            }
            self.potential();
        }
    }

    /// All die or stop, and after a long time some partitions are reset, with the one that says how many there are or without. Who
    /// comes reads the whole log, and is at the same state then as who only saw the reset.
    pub fn fall_silent(&mut self) {
        self.now += SILENCE;
        for slot in 0..self.processes.len() {
            let until = self.now + self.rng.below(2 * SECOND);
            match &mut self.processes[slot] {
                Some(process) if self.rng.below(2) == 0 => process.frozen_until = until,
                gone => *gone = None,
            }
        }
        self.note("nobody ran for eleven minutes".into());
        self.under_way.clear();
        self.plan.growth.iter_mut().for_each(|(at, _)| *at += SILENCE);
        let all = self.rng.below(3) == 0;
        let forgotten = all || self.rng.below(2) == 0;
        let known = self.heads[0].layout().steps().to_vec();
        let history = if forgotten { vec![self.partitions] } else { known };
        for partition in 0..self.partitions {
            let lost = if partition == 0 { forgotten } else { all || self.rng.below(2) == 0 };
            let counts = Layout::told(&history, forgotten, partition);
            if lost && counts.partitions() > 0 {
                self.note(format!("partition {partition} is reset"));
                let from = self.logs[partition as usize].len() as u64;
                let ops = vec![Op::reset(from, &counts)];
                let reset = Record { sender: Sender::Stranger, nonce: 0, seq: 0, tag: 0, digest: None, ops };
                self.under_way.insert((self.now, u64::from(partition)), (partition, reset.encode()));
            }
        }
        self.append();
    }

    fn append(&mut self) {
        while let Some((&at, _)) = self.under_way.first_key_value().filter(|((time, _), _)| *time <= self.now) {
            let Some((partition, bytes)) = self.under_way.remove(&at) else { continue };
            let head = &mut self.heads[partition as usize];
            let record = Record::decode(&bytes).expect("agents write records");
            head.apply(self.logs[partition as usize].len() as u64, &record);
            self.logs[partition as usize].push(bytes);
            assert!(self.logs[partition as usize].len() < 30_000, "a storm of records in partition {partition}");
        }
    }

    fn send(&mut self, partition: u32, bytes: Vec<u8>) {
        let quiet = self.quiet;
        let mut chance = |thousandths: u64| !quiet && self.rng.below(1_000) < thousandths;
        if chance(self.plan.lost) {
            return;
        }
        let copies = if chance(self.plan.doubled) { 2 } else { 1 };
        let late = chance(self.plan.late);
        for _ in 0..copies {
            let delay = MS + self.rng.below(5 * MS) + if late { self.rng.below(2 * SECOND) } else { 0 };
            self.order += 1;
            self.under_way.insert((self.now + delay, self.order), (partition, bytes.clone()));
        }
    }

    fn start(&mut self, slot: usize) {
        let clock = Clock { base: 1 + self.rng.below(1_000 * SECOND), per_million: 999_600 + self.rng.below(801) };
        let mut hot = HotPath::default();
        let now = clock.at(self.now);
        let held = (0..self.keys.len()).map(|_| Held { bucket: hot.open(now), home: None, told_at: Nanos::ZERO });
        let held = held.collect();
        self.note(format!("process {slot} starts"));
        self.processes[slot] = Some(Process {
            clock,
            homes: BTreeMap::new(),
            growth: Growth::default(),
            hot,
            held,
            settings: Settings::new(Nanos(self.plan.ttl), self.plan.outage),
            frozen_until: 0,
            mute_until: 0,
            deaf_until: 0,
            knows: self.partitions,
            hears_at: u64::MAX,
            leaving: false,
        });
    }

    fn step(&mut self, slot: usize) {
        let Some(mut process) = self.processes[slot].take() else {
            if self.quiet || self.rng.below(SECOND / STEP) == 0 {
                self.start(slot);
            }
            return;
        };
        if process.frozen_until > self.now {
            self.processes[slot] = Some(process);
            return;
        }
        let now = process.clock.at(self.now);
        // The hot path is faster than the driver.
        self.ask(slot, &mut process, now);
        if process.hears_at <= self.now {
            (process.knows, process.hears_at) = (self.partitions, u64::MAX);
        }
        if self.rng.below(3) > 0 {
            let deaf = process.deaf_until > self.now;
            let rng = &mut self.rng;
            let said = process.drive(now, &self.logs, &self.keys, &mut || rng.next_u64(), deaf);
            if process.mute_until <= self.now {
                said.into_iter().for_each(|(partition, bytes)| self.send(partition, bytes));
            }
        }
        let gone = process.leaving && process.homes.values().all(|home| home.agent.is_closed());
        let dies = gone || (self.plan.faults && !self.quiet && self.strike(slot, &mut process));
        if !dies {
            self.processes[slot] = Some(process);
        }
    }

    fn ask(&mut self, slot: usize, process: &mut Process, now: Nanos) {
        for key in 0..self.keys.len() {
            // Twice the limit, over all.
            if process.leaving || self.rng.below(SECOND / STEP) >= 2 * PERMITS / self.plan.processes as u64 {
                continue;
            }
            if process.admit(now, key, Tokens::permits(1)) {
                self.admissions += 1;
                self.admitted[key] += 1;
                let (last, longest) = self.served[key];
                self.served[key] = (self.now, longest.max(self.now - last));
                if let Err(over) = self.shadows[key].take(self.now, Tokens::permits(1)) {
                    panic!("process {slot} admitted {over} micro-permits of key {key} too many");
                }
            }
        }
    }

    /// True: it dies.
    fn strike(&mut self, slot: usize, process: &mut Process) -> bool {
        if self.rng.below(2 * SECOND / STEP) > 0 {
            return false;
        }
        let ttl = self.plan.ttl;
        match self.rng.below(6) {
            0 => {
                self.note(format!("process {slot} dies"));
                return true;
            }
            1 | 2 => {
                process.frozen_until = self.now + self.rng.below(ttl * 2);
                self.note(format!("process {slot} stops for {} ms", (process.frozen_until - self.now) / MS));
            }
            3 if self.plan.outage == Outage::Deny => {
                process.mute_until = self.now + self.rng.below(ttl * 2);
                self.note(format!("process {slot} is mute for {} ms", (process.mute_until - self.now) / MS));
            }
            4 if self.plan.outage == Outage::Deny => {
                process.deaf_until = self.now + self.rng.below(ttl * 2);
                self.note(format!("process {slot} is deaf for {} ms", (process.deaf_until - self.now) / MS));
            }
            _ if !process.leaving => {
                self.note(format!("process {slot} leaves"));
                process.close(process.clock.at(self.now));
            }
            _ => {}
        }
        false
    }

    /// What all processes together could admit is no more than the exact bucket holds.
    fn potential(&mut self) {
        for key in 0..self.keys.len() {
            self.shadows[key].settle(self.now);
            let (mut rate, mut burst, mut level) = (0u128, 0u128, 0u128);
            for process in self.processes.iter().flatten() {
                let now = process.clock.at(self.now);
                let bucket = process.held[key].bucket;
                let usable = process.home_of(bucket).is_some_and(|home| now < home.agent.usable_until());
                let hot = &process.hot.buckets[bucket.0 as usize];
                let Share { rate: r, burst: b } = if usable { hot.share } else { Share::NONE };
                let mut settled = hot.bucket;
                settled.settle(now, Tokens::ZERO);
                rate += u128::from(r.0);
                burst += u128::from(b.0);
                level += if usable { u128::from(settled.level().0) } else { 0 };
            }
            let limit = &self.keys[key].1;
            assert!(rate <= limit.rate().0.into(), "{rate} nano-permits/s of key {key} are in use");
            assert!(burst <= limit.burst().0.into(), "{burst} micro-permits of burst of key {key} are in use");
            let exact = self.shadows[key].level();
            assert!(level <= exact, "{level} micro-permits of key {key} could be admitted, of {exact}");
        }
    }

    pub fn calm_down(&mut self) {
        self.note("quiet from here".into());
        self.quiet = true;
        let partitions = self.partitions;
        for process in self.processes.iter_mut().flatten() {
            (process.frozen_until, process.mute_until, process.deaf_until) = (0, 0, 0);
            (process.knows, process.hears_at) = (partitions, u64::MAX);
        }
    }

    pub fn everything_works(&mut self) {
        self.admitted.fill(0);
        self.run(6 * SECOND);
        let is_fast = |(key, _): &(usize, &u64)| self.keys[*key].1.rate() == Rate::of(PERMITS, Nanos(SECOND));
        for (key, admitted) in self.admitted.iter().enumerate().filter(is_fast) {
            assert!(*admitted * 10 >= 6 * PERMITS * 9, "key {key}: only {admitted} of {}", 6 * PERMITS);
        }
        for (slot, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { panic!("process {slot} is not there") };
            assert_eq!(process.growth.in_force(), self.partitions, "process {slot} knows all partitions");
            for (partition, home) in &process.homes {
                let agent = &home.agent;
                assert_eq!(agent.counters().clones, 0, "process {slot} took itself for a clone in {partition}");
                assert_eq!(agent.counters().digest_mismatches, 0, "process {slot} differs in {partition}");
            }
        }
    }

    /// The longest time that any key was not served, from the second second on.
    pub fn longest_pause(&mut self) -> u64 {
        self.run(4 * SECOND);
        self.served.fill((self.now, 0));
        self.run(self.plan.chaos - 4 * SECOND);
        let in_force = self.processes.iter().flatten().map(|process| process.growth.in_force()).min();
        assert_eq!(in_force, Some(24), "all have moved");
        self.served.iter().map(|(last, longest)| *longest.max(&(self.now - last))).max().unwrap_or(0)
    }
}
