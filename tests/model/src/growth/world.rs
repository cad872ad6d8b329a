//! The state that is explored, and what can happen in it.

use super::member::Member;
use super::promise::{self, Promise};
use super::scenario::{Left, Scenario, Seen, Step};
use crate::digest;
use crate::explored::Wrong;
use crate::shadow::Shadow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tidegate::core::fold::Fold;
use tidegate::core::record::{Op, Record};
use tidegate::core::share::Share;
use tidegate::core::units::Tokens;

/// Less than the one and a half times 5 s that a silence may count at once.
const WAIT: u64 = 7_000_000_000;
const WAITS_MAX: u32 = 120;
/// Reads and runs until a brisk process has nothing to do.
const BRISK_MAX: u32 = 100;

/// One partition.
#[derive(Clone, Debug, Default, Hash)]
pub struct Log {
    pub records: Vec<Arc<Vec<u8>>>,
    /// The first offset that can be read.
    pub begins: usize,
}

/// Everything there is at one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// True time in nanoseconds.
    pub time: u64,
    pub logs: Vec<Log>,
    /// The states at the logs' ends.
    pub heads: Vec<Arc<Fold>>,
    /// Sent and not appended, in the order of their bytes.
    pub under_way: Vec<(u32, Arc<Vec<u8>>)>,
    /// With their digests; `None` = not running.
    pub members: Vec<Option<(Arc<Member>, u64)>>,
    pub lives: u64,
    asleep: BTreeSet<usize>,
    beginning: bool,
    pub(crate) shadow: Shadow,
    pub left: Left,
    pub wrong: Option<Wrong<Promise>>,
    id: u64,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// This process reads a partition: one record, or all there are.
    Read(usize, u32),
    /// This process runs: its timers, and what it has to say.
    Run(usize),
    /// The same, after taking all that is there and asking for more.
    Greedy(usize),
    /// This process hears of the new partition.
    Learn(usize),
    /// This record on its way is appended ..
    Append(usize),
    /// .. or lost ..
    Lose(usize),
    /// .. or appended, and comes again.
    Double(usize),
    Tick,
    Crash(usize),
    Start(usize),
}

crate::explored::model!();

impl Model {
    /// Where the scenario begins.
    pub fn begin(&self) -> State {
        let (scenario, numbers) = (&self.scenario, &self.scenario.limit);
        let partitions = scenario.after as usize;
        let strangers = scenario.begin.iter().any(starts);
        let mut state = State {
            time: 0,
            logs: vec![Log::default(); partitions],
            heads: vec![Arc::default(); partitions],
            under_way: Vec::new(),
            members: vec![None; scenario.processes],
            lives: 0,
            asleep: BTreeSet::new(),
            beginning: true,
            shadow: Shadow::full(numbers.rate(), numbers.burst(), 0),
            left: Left { greedy: u8::MAX, ticks: u8::MAX, crashes: u8::MAX, starts: u8::MAX, ..Left::default() },
            wrong: None,
            id: 0,
        };
        // Where somebody comes later, one is there at first.
        for slot in 0..if strangers { 1 } else { scenario.processes } {
            self.act(&mut state, Action::Start(slot));
        }
        self.go(&mut state, scenario.begin);
        assert!(state.wrong.is_none(), "the scenario begins where something is wrong: {:?}", state.wrong);
        state.left = scenario.left;
        state.asleep.clear();
        state.beginning = false;
        state.seal();
        state
    }

    fn go(&self, state: &mut State, steps: &[Step]) {
        for step in steps {
            let awake: Vec<usize> = state.running().map(|(slot, _)| slot).collect();
            let awake: Vec<usize> = awake.into_iter().filter(|slot| !state.asleep.contains(slot)).collect();
            match *step {
                Step::Greedy(slot) => self.act(state, Action::Greedy(slot)),
                Step::Settle => self.settle(state, &awake),
                Step::Pass => {
                    self.act(state, Action::Tick);
                    awake.iter().for_each(|slot| self.act(state, Action::Run(*slot)));
                }
                Step::Alone(slot, ticks) => {
                    for _ in 0..ticks {
                        self.act(state, Action::Tick);
                        self.act(state, Action::Run(slot));
                        self.settle(state, &[slot]);
                    }
                }
                Step::Learn(slot) => self.act(state, Action::Learn(slot)),
                Step::Crash(slot) => self.act(state, Action::Crash(slot)),
                Step::Start(slot) => self.act(state, Action::Start(slot)),
                Step::Sleep(slot) => _ = state.asleep.insert(slot),
                Step::Forget(partition) => {
                    let log = &mut state.logs[partition as usize];
                    log.begins = log.records.len();
                }
                Step::Strange(slot) => self.wait_for_a_reset(state, slot),
                Step::All(steps) => self.go(state, steps),
            }
        }
    }

    fn settle(&self, state: &mut State, readers: &[usize]) {
        loop {
            let before: usize = state.logs.iter().map(|log| log.records.len()).sum();
            while !state.under_way.is_empty() {
                self.act(state, Action::Append(0));
            }
            for &slot in readers {
                while let Some(partition) = state.unread(slot).first().copied() {
                    self.act(state, Action::Read(slot, partition));
                }
            }
            if state.under_way.is_empty() && state.logs.iter().map(|log| log.records.len()).sum::<usize>() == before {
                return;
            }
        }
    }

    fn wait_for_a_reset(&self, state: &mut State, slot: usize) {
        for _ in 0..WAITS_MAX {
            let newest = state.logs.iter().filter_map(|log| log.records.last());
            let resets = |bytes: &Arc<Vec<u8>>| {
                Record::decode(bytes).is_ok_and(|record| matches!(record.ops[..], [Op::Reset { .. }]))
            };
            if state.under_way.iter().map(|(_, bytes)| bytes).chain(newest).any(resets) {
                return;
            }
            self.settle(state, &[slot]);
            state.time += WAIT;
            self.act(state, Action::Run(slot));
        }
        panic!("nobody declares anything empty");
    }

    /// Lets `action` happen, and what follows by itself.
    pub fn act(&self, state: &mut State, action: Action) {
        self.happen(state, action);
        let Some(brisk) = self.scenario.brisk.filter(|_| !state.beginning) else { return };
        for _ in 0..BRISK_MAX {
            let unread = state.unread(brisk).first().copied();
            let due = state.member(brisk).is_some_and(|member| member.next_timer() <= member.now(state.time));
            match unread {
                Some(partition) => self.happen(state, Action::Read(brisk, partition)),
                None if due => self.happen(state, Action::Run(brisk)),
                None => return,
            }
        }
        panic!("a process never comes to rest");
    }

    fn happen(&self, state: &mut State, action: Action) {
        let time = state.time;
        match action {
            Action::Read(slot, partition) => {
                let log = state.logs[partition as usize].clone();
                self.with(state, slot, |member| member.read(time, partition, &log, self.scenario.at_once));
            }
            Action::Run(slot) => self.with(state, slot, |member| _ = member.run(time, false)),
            Action::Greedy(slot) => {
                state.left.greedy -= 1;
                let mut taken = Tokens::ZERO;
                self.with(state, slot, |member| taken = member.run(time, true));
                if let Err(over) = state.shadow.take(time, taken) {
                    let text = format!("process {slot} was admitted {over} micro-permits too many");
                    state.wrong(Promise::Admitted, text);
                }
            }
            Action::Learn(slot) => self.with(state, slot, |member| member.knows = self.scenario.after),
            Action::Append(at) => {
                let (partition, bytes) = state.under_way.remove(at);
                self.append(state, partition, bytes);
            }
            Action::Lose(at) => {
                state.left.lost -= 1;
                state.under_way.remove(at);
            }
            Action::Double(at) => {
                state.left.doubled -= 1;
                let (partition, bytes) = state.under_way[at].clone();
                self.append(state, partition, bytes);
            }
            Action::Tick => {
                state.left.ticks -= 1;
                state.time += self.scenario.tick;
            }
            Action::Crash(slot) => {
                state.left.crashes -= 1;
                state.members[slot] = None;
            }
            Action::Start(slot) => {
                state.left.starts -= 1;
                state.lives += 1;
                let member = Member::start(&self.scenario, slot, state.lives, time);
                state.members[slot] = Some((Arc::new(member), 0));
                self.with(state, slot, |_| ());
            }
        }
        if self.scenario.prompt {
            while !state.under_way.is_empty() {
                let (partition, bytes) = state.under_way.remove(0);
                self.append(state, partition, bytes);
            }
        }
        promise::check(self, state);
    }

    fn with(&self, state: &mut State, slot: usize, act: impl FnOnce(&mut Member)) {
        let Some((shared, _)) = state.members[slot].take() else { return };
        let mut member = Arc::unwrap_or_clone(shared);
        let lost = |member: &Member| member.homes.values().map(|home| home.agent.counters().sessions_lost).sum::<u64>();
        let before = lost(&member);
        act(&mut member);
        member.settle(&self.scenario, state.time, &state.logs);
        let sent = member.sends(state.time);
        if lost(&member) > before {
            self.saw(Seen::Dropped);
        }
        let digest = member.digest();
        state.members[slot] = Some((Arc::new(member), digest));
        for (partition, bytes) in sent {
            let sent = (partition, Arc::new(bytes));
            // In turn where they are appended at once, otherwise in the order of their bytes.
            let sorted = state.under_way.partition_point(|other| *other < sent);
            let at = if self.scenario.prompt { state.under_way.len() } else { sorted };
            state.under_way.insert(at, sent);
        }
    }

    fn append(&self, state: &mut State, partition: u32, bytes: Arc<Vec<u8>>) {
        let log = &mut state.logs[partition as usize];
        let offset = log.records.len() as u64;
        let record = Record::decode(&bytes).expect("agents write records");
        let head = &mut state.heads[partition as usize];
        let before = head.clone();
        let applied = Arc::make_mut(head).apply(offset, &record);
        log.records.push(bytes);
        let says_reset = record.ops.iter().any(|op| matches!(op, Op::Reset { .. }));
        let was_reset = says_reset && head.sessions().is_empty() && head.limits().count() == 0;
        if says_reset {
            self.saw(if was_reset { Seen::Reset } else { Seen::Refused });
        }
        let ended = before.sessions().keys().filter(|session| !head.sessions().contains_key(session));
        if !was_reset && ended.clone().any(|session| applied.session != Ok(*session)) {
            self.saw(Seen::Evicted);
        }
        let shared = head.bucket(self.scenario.bucket());
        let holders = shared.into_iter().flat_map(|shared| &shared.leases);
        let holders = holders.filter(|lease| lease.share() != Share::NONE).count();
        if holders > 1 {
            self.saw(Seen::Shared);
        }
        if holders > 0 && partition + 1 == self.scenario.after && self.scenario.after > self.scenario.before {
            self.saw(Seen::Moved);
        }
        if applied.session.is_ok() && record.ops.iter().any(|op| matches!(op, Op::Carry(_))) {
            self.saw(Seen::Carried);
        }
    }
}

fn starts(step: &Step) -> bool {
    match step {
        Step::Start(_) => true,
        Step::All(steps) => steps.iter().any(starts),
        _ => false,
    }
}

impl State {
    pub fn member(&self, slot: usize) -> Option<&Member> {
        self.members[slot].as_ref().map(|(member, _)| &**member)
    }

    pub fn running(&self) -> impl Iterator<Item = (usize, &Member)> {
        (0..self.members.len()).filter_map(|slot| Some((slot, self.member(slot)?)))
    }

    /// The partitions in which there is something to read for a process.
    pub fn unread(&self, slot: usize) -> Vec<u32> {
        let homes = self.member(slot).into_iter().flat_map(|member| &member.homes);
        let unread = homes.filter(|(partition, home)| home.read < self.logs[**partition as usize].records.len());
        unread.map(|(partition, _)| *partition).collect()
    }

    pub fn wrong(&mut self, promise: Promise, text: String) {
        self.wrong.get_or_insert(Wrong { promise, text });
    }

    /// Two states with one id go on alike.
    fn seal(&mut self) {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        (self.time, self.lives, self.left, self.wrong.is_some(), digest::of(&self.shadow)).hash(&mut hasher);
        for member in &self.members {
            member.as_ref().map(|(_, digest)| *digest).hash(&mut hasher);
        }
        self.logs.hash(&mut hasher);
        self.under_way.hash(&mut hasher);
        self.id = hasher.finish();
    }
}

impl Model {
    /// All that can happen next.
    pub fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_some() {
            return;
        }
        let left = &state.left;
        for (slot, member) in state.running() {
            actions.extend((left.greedy > 0).then_some(Action::Greedy(slot)));
            if self.scenario.brisk == Some(slot) {
                continue;
            }
            actions.extend(state.unread(slot).into_iter().map(|partition| Action::Read(slot, partition)));
            actions.extend((member.next_timer() <= member.now(state.time)).then_some(Action::Run(slot)));
            actions.extend((member.knows < self.scenario.after).then_some(Action::Learn(slot)));
            actions.extend((left.crashes > 0).then_some(Action::Crash(slot)));
        }
        for slot in 0..state.members.len() {
            actions.extend((left.starts > 0 && state.member(slot).is_none()).then_some(Action::Start(slot)));
        }
        for at in 0..state.under_way.len() {
            // One of two equal records is enough.
            if at > 0 && state.under_way[at] == state.under_way[at - 1] {
                continue;
            }
            actions.push(Action::Append(at));
            actions.extend((left.lost > 0).then_some(Action::Lose(at)));
            actions.extend((left.doubled > 0).then_some(Action::Double(at)));
        }
        actions.extend((left.ticks > 0).then_some(Action::Tick));
    }
}
