//! The state that is explored, and what can happen in it.

use crate::digest;
use crate::explored::Wrong;
use crate::process::{bucket, limit, Process};
use crate::promise::{self, Promise};
use crate::scenario::{Left, Scenario, Seen, Step};
use crate::shadow::Shadow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tidegate::core::fold::{Fold, Ignored};
use tidegate::core::record::{Op, Record};
use tidegate::core::share::Share;
use tidegate::core::units::{Rate, Tokens};

/// Everything there is at one moment.
#[derive(Clone, Debug)]
pub struct State {
    /// True time in nanoseconds.
    pub time: u64,
    pub log: Vec<Arc<Vec<u8>>>,
    /// The state at the log's end.
    pub head: Arc<Fold>,
    /// Sent and not appended, in the order of their bytes.
    pub under_way: Vec<Arc<Vec<u8>>>,
    /// With their digests; `None` = not running.
    pub processes: Vec<Option<(Arc<Process>, u64)>>,
    pub lives: u64,
    /// The locks of those who crashed.
    pub dead: BTreeSet<u128>,
    /// The log takes and shows nothing.
    pub away: bool,
    /// What was promised: one exact bucket for all.
    pub(crate) shadow: Shadow,
    pub left: Left,
    pub wrong: Option<Wrong<Promise>>,
    id: u64,
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// This process reads one record, or all there are.
    Read(usize),
    /// This process runs: its timers, and what it has to say.
    Run(usize),
    /// The same, after taking all that is there and asking for more.
    Greedy(usize),
    /// This record on its way is appended ..
    Append(usize),
    /// .. or lost ..
    Lose(usize),
    /// .. or appended, and comes again.
    Double(usize),
    Tick,
    Crash(usize),
    /// This process learns who is dead.
    Prove(usize),
    Start(usize),
    Remove(usize),
    Add(usize),
    Close(usize),
    /// This process changes the limit: to twice or half of the numbers.
    Define(usize, bool),
    /// The log goes away, or comes back.
    Away(bool),
}

crate::explored::model!();

impl Model {
    /// Where the scenario begins.
    pub fn begin(&self) -> State {
        let numbers = &self.scenario.limit;
        let start = |slot| Arc::new(Process::start(&self.scenario, slot, 0, 0));
        let mut state = State {
            time: 0,
            log: Vec::new(),
            head: Arc::new(Fold::default()),
            under_way: Vec::new(),
            processes: (0..self.scenario.processes).map(|slot| Some((start(slot), 0))).collect(),
            lives: 0,
            dead: BTreeSet::new(),
            away: false,
            shadow: Shadow::full(numbers.rate(), numbers.burst(), 0),
            left: Left { greedy: u8::MAX, appends: u8::MAX, ticks: u8::MAX, outages: u8::MAX, ..Left::default() },
            wrong: None,
            id: 0,
        };
        self.go(&mut state, self.scenario.begin);
        assert!(state.wrong.is_none(), "the scenario begins where something is wrong: {:?}", state.wrong);
        state.left = self.scenario.left;
        state.seal();
        state
    }

    fn go(&self, state: &mut State, steps: &[Step]) {
        let everybody: Vec<usize> = (0..self.scenario.processes).collect();
        for step in steps {
            match step {
                Step::Greedy(slot) => self.act(state, Action::Greedy(*slot)),
                Step::Settle => self.settle(state, &everybody),
                Step::Pass => {
                    self.act(state, Action::Tick);
                    everybody.iter().for_each(|slot| self.act(state, Action::Run(*slot)));
                }
                Step::Alone(slot, ticks) => {
                    for _ in 0..*ticks {
                        self.act(state, Action::Tick);
                        self.act(state, Action::Run(*slot));
                        self.settle(state, &[*slot]);
                    }
                }
                Step::Away(away) => self.act(state, Action::Away(*away)),
                Step::LoseAll => state.under_way.clear(),
                Step::All(steps) => self.go(state, steps),
            }
        }
    }

    fn settle(&self, state: &mut State, readers: &[usize]) {
        loop {
            let before = state.log.len();
            while !state.under_way.is_empty() {
                self.act(state, Action::Append(0));
            }
            for &slot in readers {
                while state.process(slot).is_some_and(|process| process.read < state.log.len()) {
                    self.act(state, Action::Read(slot));
                }
            }
            if state.under_way.is_empty() && state.log.len() == before {
                return;
            }
        }
    }

    /// Lets `action` happen.
    pub fn act(&self, state: &mut State, action: Action) {
        let (time, end) = (state.time, state.log.len());
        match action {
            Action::Read(slot) => {
                let from = state.process(slot).map_or(end, |process| process.read);
                let until = if self.scenario.at_once { end } else { from + 1 };
                let records = state.log[from..until].to_vec();
                self.with(state, slot, |process| records.iter().for_each(|bytes| process.read(time, bytes, end)));
            }
            Action::Run(slot) => self.with(state, slot, |process| _ = process.run(time, false, end)),
            Action::Greedy(slot) => {
                state.left.greedy -= 1;
                let mut taken = Tokens::ZERO;
                self.with(state, slot, |process| taken = process.run(time, true, end));
                promise::admitted(state, slot, taken);
            }
            Action::Append(at) => {
                let bytes = state.under_way.remove(at);
                self.append(state, bytes);
            }
            Action::Lose(at) => {
                state.left.lost -= 1;
                state.under_way.remove(at);
            }
            Action::Double(at) => {
                state.left.doubled -= 1;
                let bytes = state.under_way[at].clone();
                self.append(state, bytes);
            }
            Action::Tick => {
                state.left.ticks -= 1;
                state.time += self.scenario.tick;
            }
            Action::Crash(slot) => {
                state.left.crashes -= 1;
                let lock = state.process(slot).map(|process| process.lock);
                state.dead.extend(lock);
                state.processes[slot] = None;
            }
            Action::Start(slot) => {
                state.left.starts -= 1;
                state.lives += 1;
                let process = Process::start(&self.scenario, slot, state.lives, time);
                state.processes[slot] = Some((Arc::new(process), 0));
                self.with(state, slot, |_| ());
            }
            Action::Prove(slot) => {
                let dead = state.dead.clone();
                self.with(state, slot, |process| process.learn(&dead));
            }
            Action::Remove(slot) => {
                state.left.removals -= 1;
                self.with(state, slot, |process| process.remove(time));
            }
            Action::Add(slot) => self.with(state, slot, |process| process.add(&self.scenario, time)),
            Action::Close(slot) => {
                state.left.closes -= 1;
                self.with(state, slot, |process| process.close(time));
            }
            Action::Define(slot, up) => {
                state.left.defines -= 1;
                let half = |number: u64| if up { number * 2 } else { number / 2 };
                let (rate, burst) = (self.scenario.limit.rate(), self.scenario.limit.burst());
                let (rate, burst) = (Rate(half(rate.0)), Tokens(half(burst.0)));
                self.with(state, slot, |process| _ = process.agent.define(limit(), "", rate, burst));
            }
            Action::Away(away) => {
                state.left.outages -= u8::from(away);
                state.away = away;
            }
        }
        if self.scenario.prompt && !state.away {
            while !state.under_way.is_empty() {
                let bytes = state.under_way.remove(0);
                self.append(state, bytes);
            }
        }
        promise::check(self, state);
    }

    fn with(&self, state: &mut State, slot: usize, act: impl FnOnce(&mut Process)) {
        let Some((shared, _)) = state.processes[slot].take() else { return };
        let mut process = Arc::unwrap_or_clone(shared);
        let had = process.agent.session();
        act(&mut process);
        let sent = process.sends(state.time);
        if had.is_some() && process.agent.session().is_none() && !process.closing {
            self.saw(Seen::Dropped);
        }
        let digest = process.digest();
        state.processes[slot] = Some((Arc::new(process), digest));
        for bytes in sent {
            let at = state.under_way.partition_point(|other| **other < bytes);
            state.under_way.insert(at, Arc::new(bytes));
        }
    }

    fn append(&self, state: &mut State, bytes: Arc<Vec<u8>>) {
        state.left.appends = state.left.appends.saturating_sub(1);
        let offset = state.log.len() as u64;
        let record = Record::decode(&bytes).expect("agents write records");
        let before = state.head.clone();
        let applied = Arc::make_mut(&mut state.head).apply(offset, &record);
        state.log.push(bytes);
        match applied.session {
            Err(Ignored::Overtaken) => self.saw(Seen::Overtaken),
            Err(Ignored::NoSession) => self.saw(Seen::AfterTheEnd),
            _ => {}
        }
        let ended = before.sessions().keys().filter(|session| !state.head.sessions().contains_key(session));
        for session in ended {
            self.saw(if applied.session == Ok(*session) { Seen::Left } else { Seen::Evicted });
        }
        let holders = state.head.bucket(bucket()).into_iter().flat_map(|shared| &shared.leases);
        if holders.filter(|lease| lease.share() != Share::NONE).count() > 1 {
            self.saw(Seen::Shared);
        }
        promise::sessions(state, &before, offset);
        promise::fold(self, state);
    }
}

impl State {
    pub fn process(&self, slot: usize) -> Option<&Process> {
        self.processes[slot].as_ref().map(|(process, _)| &**process)
    }

    pub fn running(&self) -> impl Iterator<Item = (usize, &Process)> {
        (0..self.processes.len()).filter_map(|slot| Some((slot, self.process(slot)?)))
    }

    /// For people: what was said, and who holds what.
    pub fn words(&self) -> String {
        let said = self.log.iter().map(|bytes| format!("  log: {}\n", words(bytes)));
        let waits = self.under_way.iter().map(|bytes| format!("  under way: {}\n", words(bytes)));
        let leases = self.head.bucket(bucket()).into_iter().flat_map(|shared| &shared.leases);
        let holds = leases.map(|lease| format!("  session {} holds {:?}\n", lease.session, lease.share()));
        said.chain(waits).chain(holds).collect()
    }

    pub fn wrong(&mut self, promise: Promise, text: String) {
        self.wrong.get_or_insert(Wrong { promise, text });
    }

    /// Two states with one id go on alike.
    fn seal(&mut self) {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        (self.time, self.lives, &self.dead, self.away, self.left).hash(&mut hasher);
        (self.wrong.is_some(), digest::of(&self.shadow)).hash(&mut hasher);
        for (_, digest) in self.processes.iter().flatten() {
            digest.hash(&mut hasher);
        }
        self.processes.iter().for_each(|process| process.is_some().hash(&mut hasher));
        self.log.hash(&mut hasher);
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
        for (slot, process) in state.running() {
            if process.read < state.log.len() && !state.away {
                actions.push(Action::Read(slot));
            }
            actions.extend((process.agent.next_timer() <= process.now(state.time)).then_some(Action::Run(slot)));
            if process.open && !process.closing {
                actions.extend((left.greedy > 0).then_some(Action::Greedy(slot)));
                actions.extend((left.removals > 0).then_some(Action::Remove(slot)));
            } else if !process.closing {
                actions.push(Action::Add(slot));
            }
            actions.extend((left.closes > 0 && !process.closing).then_some(Action::Close(slot)));
            actions.extend((left.crashes > 0).then_some(Action::Crash(slot)));
            if self.scenario.proofs && !state.dead.is_empty() {
                actions.push(Action::Prove(slot));
            }
            if left.defines > 0 && process.agent.has_session() {
                actions.extend([Action::Define(slot, false), Action::Define(slot, true)]);
            }
        }
        for slot in 0..state.processes.len() {
            actions.extend((left.starts > 0 && state.process(slot).is_none()).then_some(Action::Start(slot)));
        }
        if !state.away {
            for at in 0..state.under_way.len() {
                // One of two equal records is enough.
                if at > 0 && state.under_way[at] == state.under_way[at - 1] {
                    continue;
                }
                actions.extend((left.appends > 0).then_some(Action::Append(at)));
                actions.extend((left.lost > 0).then_some(Action::Lose(at)));
                actions.extend((left.doubled > 0 && left.appends > 0).then_some(Action::Double(at)));
            }
        }
        actions.extend((left.ticks > 0).then_some(Action::Tick));
        actions.extend((left.outages > 0 && !state.away).then_some(Action::Away(true)));
        actions.extend(state.away.then_some(Action::Away(false)));
    }
}

/// What a record says, for people.
pub fn words(bytes: &[u8]) -> String {
    let Ok(record) = Record::decode(bytes) else { return "not a record".to_owned() };
    let said: Vec<String> = record.ops.iter().map(op).collect();
    format!("{:?} seq {} [{}]", record.sender, record.seq, said.join(", "))
}

fn op(op: &Op) -> String {
    match op {
        Op::Claim(claim) => format!("claim {:?} want {}", claim.released, claim.want.0),
        Op::Define(define) => format!("define version {}", define.version),
        other => format!("{other:?}"),
    }
}
