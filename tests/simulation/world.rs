//! The simulated world: true time, one log, the network to it, and the processes. Everything follows from the seed.

mod demand;
mod faults;
mod log;

use crate::checks;
use crate::plan::{Plan, MS, SECOND};
use crate::process::{Clock, Excess, HotPath, Process};
use crate::shadow::Shadow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use tidegate::core::agent::{Agent, Settings};
use tidegate::core::fold::Fold;
use tidegate::core::limit::Limit;
use tidegate::core::placement::{bucket_id, limit_id, BucketId};
use tidegate::core::rng::Rng;
use tidegate::core::snapshot::{chunks, Assembler};
use tidegate::core::units::{Nanos, Tokens};

/// What happens next; `life` is the start of the slot that it was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Start {
        slot: usize,
    },
    Arrive {
        slot: usize,
        life: u64,
        key: usize,
    },
    Pump {
        slot: usize,
        life: u64,
        key: usize,
    },
    Drive {
        slot: usize,
        life: u64,
    },
    Read {
        slot: usize,
        life: u64,
    },
    Resume {
        slot: usize,
        life: u64,
    },
    /// It tries the locks of the others.
    Prove {
        slot: usize,
        life: u64,
    },
    Append {
        record: u64,
    },
    Fault,
}

/// Who opened a session.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub slot: usize,
    pub life: u64,
    /// The place of its Hello among everything that was sent.
    pub sent: u64,
}

/// A record on its way.
struct Sent {
    bytes: Vec<u8>,
    slot: usize,
    life: u64,
}

pub struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    under_way: BTreeMap<u64, Sent>,
    log: Vec<Vec<u8>>,
    /// The state after each record.
    digests: Vec<u128>,
    /// The state at the log's end.
    pub head: Fold,
    pub slots: Vec<Option<Process>>,
    lives: u64,
    pub ids: Vec<(BucketId, u128)>,
    limits: Vec<Limit>,
    pub shadows: Vec<Shadow>,
    /// Whose session it is, and when it ended.
    pub owners: BTreeMap<u64, Owner>,
    pub ended: BTreeMap<u64, u64>,
    outage_until: u64,
    /// The locks of the processes that crashed; only those of this host can be tried.
    dead: BTreeSet<u128>,
    pub quiet: bool,
    events_now: u64,
    trace: VecDeque<(u64, &'static str, u64, String)>,
    pub admissions: u64,
    pub asked: Vec<u64>,
    /// Demand of each slot in thousandths of each key's rate; set by measurements, otherwise the plan's pattern.
    pub demand: Option<Vec<u64>>,
}

const TRACE: usize = 60;
/// Far more than any history needs.
const RECORDS_MAX: usize = 60_000;

impl World {
    /// A world with its processes starting and its faults to come.
    pub fn new(plan: Plan) -> World {
        let mut world = World::empty(plan);
        for slot in 0..world.plan.processes {
            let at = world.rng.below(2 * SECOND);
            world.at(at, Event::Start { slot });
        }
        let first = world.rng.below(world.plan.faults.gap * 2);
        world.at(first, Event::Fault);
        world
    }

    /// A world in which nothing happens by itself.
    pub fn empty(plan: Plan) -> World {
        let ids = (0..plan.keys.len())
            .map(|key| (bucket_id("simulated", 0, &key.to_string()), limit_id("simulated", key as u32)));
        let limit =
            |key: &crate::plan::Key| Limit::token_bucket(key.permits, Nanos(SECOND), key.burst).expect("a legal limit");
        let limits: Vec<Limit> = plan.keys.iter().map(limit).collect();
        World {
            rng: Rng::new(plan.seed),
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            under_way: BTreeMap::new(),
            log: Vec::new(),
            digests: Vec::new(),
            head: Fold::default(),
            slots: (0..plan.processes).map(|_| None).collect(),
            lives: 0,
            ids: ids.collect(),
            shadows: limits.iter().map(|limit| Shadow::full(limit.rate(), limit.burst(), 0)).collect(),
            limits,
            owners: BTreeMap::new(),
            ended: BTreeMap::new(),
            outage_until: 0,
            dead: BTreeSet::new(),
            quiet: false,
            events_now: 0,
            trace: VecDeque::new(),
            admissions: 0,
            asked: vec![0; plan.processes],
            demand: None,
            plan,
        }
    }

    pub fn start_at(&mut self, time: u64, slot: usize) {
        self.at(time, Event::Start { slot });
    }

    pub fn trace(&self) -> Vec<String> {
        let line = |(at, what, slot, more): &(u64, &str, u64, String)| {
            format!("  {:>12.6} s  process {slot}: {what} {more}", *at as f64 / SECOND as f64)
        };
        self.trace.iter().map(line).collect()
    }

    pub fn note(&mut self, what: &'static str, slot: usize, more: String) {
        if self.trace.len() >= TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back((self.now, what, slot as u64, more));
    }

    fn at(&mut self, time: u64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((time.max(self.now), self.order, event)));
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: u64) {
        while let Some(&Reverse((time, _, event))) = self.queue.peek() {
            if time > end {
                break;
            }
            self.queue.pop();
            self.events_now = if time == self.now { self.events_now + 1 } else { 0 };
            assert!(self.events_now < 10_000, "time stands still: {event:?} again and again");
            self.now = time;
            assert!(self.log.len() < RECORDS_MAX, "a storm of records");
            self.happen(event);
            // Demand changes little but at admissions, which are checked by themselves.
            if !matches!(event, Event::Arrive { .. }) || self.order % 4 == 0 {
                checks::potential(self);
            }
        }
        self.now = end;
    }

    pub fn records(&self) -> usize {
        self.log.len()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start { slot } => self.start(slot),
            Event::Append { record } => self.append(record),
            Event::Fault => self.fault(),
            Event::Arrive { slot, life, key } => {
                self.with(slot, life, |world, process| world.arrive(slot, process, key))
            }
            Event::Pump { slot, life, key } => self.with(slot, life, |world, process| world.pump(slot, process, key)),
            Event::Drive { slot, life } => self.with(slot, life, |world, process| world.drive(slot, process)),
            Event::Read { slot, life } => self.with(slot, life, |world, process| world.read(slot, process)),
            Event::Prove { slot, life } => self.with(slot, life, |world, process| world.prove(slot, process)),
            Event::Resume { slot, life } => self.with(slot, life, |world, process| world.resume(slot, process)),
        }
    }

    fn with(&mut self, slot: usize, life: u64, act: impl FnOnce(&mut World, &mut Process)) {
        if self.slots[slot].as_ref().is_some_and(|process| process.life == life) {
            if let Some(mut process) = self.slots[slot].take() {
                act(self, &mut process);
                let gone = process.leaving && process.agent.is_closed();
                if gone {
                    self.note("has left", slot, String::new());
                    let at = self.now + self.rng.below(5 * SECOND);
                    self.at(at, Event::Start { slot });
                } else {
                    self.slots[slot] = Some(process);
                }
            }
        }
    }

    fn start(&mut self, slot: usize) {
        if self.slots[slot].is_some() {
            return;
        }
        self.lives += 1;
        let life = self.lives;
        let drift = self.plan.drift_ppm;
        let clock = Clock {
            base: 1 + self.rng.below(1_000_000 * SECOND),
            per_million: 1_000_000 - drift + self.rng.below(2 * drift + 1),
        };
        // A third is on hosts of their own.
        let lock = if self.plan.faults.proofs && life % 3 != 0 { life.into() } else { 0 };
        let settings = Settings { lock, ..Settings::new(Nanos(self.plan.ttl), self.plan.outage) };
        let mut agent = Agent::new(settings, self.rng.next_u64(), "simulated");
        let mut hot = HotPath::default();
        let now = clock.at(self.now);
        let mut refs = Vec::new();
        for (key, limit) in self.limits.iter().enumerate() {
            let bucket = hot.open(now);
            agent.add(self.ids[key].0, "simulated", self.ids[key].1, limit, bucket);
            refs.push(Some(bucket));
        }
        let mut read = 0;
        if self.rng.below(2) == 0 {
            if let Some((slot, fold)) = self.snapshot() {
                read = fold.next() as usize;
                agent.restore(now, slot, fold);
            }
        }
        self.note("starts", slot, format!("reading from {read}"));
        let mut process = Process {
            life,
            lock,
            agent,
            hot,
            refs,
            clock,
            usable: Nanos::ZERO,
            read,
            frozen_until: 0,
            stalled_until: 0,
            mute_until: 0,
            deaf_until: 0,
            unheard_until: 0,
            drive_at: u64::MAX,
            read_at: None,
            leaving: false,
            forgot: 0,
            excess: None,
            admitted: vec![0; self.plan.keys.len()],
        };
        self.plan_read(slot, &mut process);
        if self.plan.faults.proofs {
            let at = self.now + self.rng.below(SECOND);
            self.at(at, Event::Prove { slot, life });
        }
        for key in 0..self.plan.keys.len() {
            // A measured process asks at once.
            let at = self.now + if self.demand.is_some() { 0 } else { self.rng.below(SECOND) };
            self.at(at, Event::Arrive { slot, life, key });
        }
        self.slots[slot] = Some(process);
    }

    /// What a process that starts finds in the state topic: the state of any process that read the log.
    fn snapshot(&mut self) -> Option<(u8, Fold)> {
        let at = self.rng.below(self.slots.len() as u64) as usize;
        let fold = self.slots[at].as_ref()?.agent.fold();
        let mut assembler = Assembler::default();
        let slot = (self.lives % 2) as u8;
        chunks(fold, slot).iter().for_each(|chunk| assembler.push(&chunk.key, &chunk.value));
        let read = assembler.newest();
        assert!(read.as_ref().is_some_and(|(_, restored)| restored == fold), "a snapshot restores what was written");
        read
    }

    /// After every call to the agent: the hot path sees until when it may spend, and records go out.
    fn after(&mut self, slot: usize, process: &mut Process) {
        let now = process.now(self.now);
        while let Some(bytes) = process.agent.poll_send(now) {
            self.send(slot, process, bytes);
        }
        process.usable = process.agent.usable_until();
        let next = process.clock.when(process.agent.next_timer()).max(self.now);
        if next != process.drive_at && process.agent.next_timer() != Nanos::NEVER {
            process.drive_at = next;
            self.at(next, Event::Drive { slot, life: process.life });
        }
    }

    fn drive(&mut self, slot: usize, process: &mut Process) {
        if self.now < process.drive_at {
            return;
        }
        let runs_at = process.runs_at(self.now);
        if runs_at > self.now {
            process.drive_at = runs_at;
            return self.at(runs_at, Event::Drive { slot, life: process.life });
        }
        process.drive_at = u64::MAX;
        let now = process.now(self.now);
        process.agent.on_timer(now, &mut process.hot);
        self.after(slot, process);
    }

    fn plan_read(&mut self, slot: usize, process: &mut Process) {
        if process.read_at.is_none() {
            let at = self.now + self.latency() / 2;
            process.read_at = Some(at);
            self.at(at, Event::Read { slot, life: process.life });
        }
    }

    fn read(&mut self, slot: usize, process: &mut Process) {
        let at = process.runs_at(self.now).max(process.deaf_until).max(self.outage_until);
        if at > self.now {
            let at = at + self.rng.below(5 * MS);
            process.read_at = Some(at);
            return self.at(at, Event::Read { slot, life: process.life });
        }
        process.read_at = None;
        let now = process.now(self.now);
        while process.read < self.log.len() {
            let offset = process.read;
            process.read += 1;
            process.agent.on_record(now, offset as u64, &self.log[offset], &mut process.hot);
            if process.read == self.log.len() || offset % 8 == 0 {
                checks::same_state(process, slot, self.digests[offset]);
            }
        }
        if !process.agent.is_caught_up() {
            process.agent.on_caught_up(now);
        }
        self.after(slot, process);
        for key in 0..process.refs.len() {
            self.serve_waiting(slot, process, key);
        }
    }

    fn resume(&mut self, slot: usize, process: &mut Process) {
        if self.now < process.frozen_until {
            return;
        }
        // The hot path is faster than everything else: it spends before the agent has run.
        for key in 0..process.refs.len() {
            for _ in 0..20 {
                if !self.admit(slot, process, key, Tokens::permits(1)) {
                    break;
                }
            }
        }
        let at = self.now + self.rng.below(5 * MS);
        process.drive_at = at;
        self.at(at, Event::Drive { slot, life: process.life });
    }

    /// No more faults: everybody is there, hears and is heard.
    pub fn calm_down(&mut self) {
        self.quiet = true;
        self.outage_until = self.now;
        let now = self.now;
        self.note("quiet from here", 0, String::new());
        for slot in 0..self.slots.len() {
            match self.slots[slot].take() {
                None => self.start(slot),
                Some(mut process) => {
                    process.frozen_until = now;
                    process.stalled_until = now;
                    process.mute_until = now;
                    process.deaf_until = now;
                    for key in 0..process.refs.len() {
                        if process.refs[key].is_none() {
                            self.add_again(slot, &mut process, key);
                        }
                    }
                    process.read_at = None;
                    self.plan_read(slot, &mut process);
                    let life = process.life;
                    self.slots[slot] = Some(process);
                    self.at(now, Event::Resume { slot, life });
                }
            }
        }
    }

    /// What each process was admitted of each key in the next `span`.
    pub fn measure(&mut self, span: u64) -> Vec<Vec<u64>> {
        for process in self.slots.iter_mut().flatten() {
            process.admitted.fill(0);
        }
        self.run_until(self.now + span);
        let keys = self.plan.keys.len();
        self.slots.iter().map(|slot| slot.as_ref().map_or(vec![0; keys], |process| process.admitted.clone())).collect()
    }

    /// An evicted process that is not heard goes on with its share: that much comes on top.
    pub fn excess_of<'a>(&self, process: &'a mut Process, session: u64) -> &'a mut Excess {
        let fresh = process.excess.as_ref().is_none_or(|excess| excess.session != session);
        if fresh {
            let shadow = |key: usize| {
                let (share, _) = process.level(key, self.now);
                Shadow::full(share.rate, share.burst, self.now)
            };
            let shadows = (0..self.ids.len()).map(shadow).collect();
            process.excess = Some(Excess { session, shadows });
        }
        process.excess.as_mut().expect("set above")
    }
}
