//! The model check: the real fold and agents, and every order in which few things can happen to them.
//!
//! ```text
//! cargo run --release                     all scenarios within their bounds
//! cargo run --release -- handover         one
//! cargo run --release -- --more 1         one more tick, request, .. each
//! cargo run --release -- --states 1000000 stops after so many steps
//! ```

use stateright::{Checker, HasDiscoveries, Path};
use std::fmt::Debug;
use std::hash::Hash;
use std::process::ExitCode;
use std::time::Instant;
use tidegate_model::growth::{scenario as growing, world as grown};
use tidegate_model::scenario::{self, Scenario, Seen};
use tidegate_model::world::{words, Action, Model};

/// What is explored, and what is said of it.
trait Explored: stateright::Model
where
    Self::State: Clone + Debug + Hash + PartialEq,
{
    fn name(&self) -> &'static str;
    /// What was seen, and how often; what had to be seen and was not.
    fn seen(&self) -> (Vec<String>, Vec<String>);
    /// An action in a state, for people.
    fn told(state: &Self::State, action: Self::Action) -> String;
    fn time(state: &Self::State) -> u64;
    fn wrong(state: &Self::State) -> String;
}

/// What of `all` was seen, with the number of times, and what of `expects` was not.
fn seen<S: Copy + Debug>(all: &[S], expects: &[S], times: impl Fn(S) -> u64) -> (Vec<String>, Vec<String>) {
    let seen = all.iter().filter(|seen| times(**seen) > 0);
    let missing = expects.iter().filter(|seen| times(**seen) == 0);
    (seen.map(|seen| format!("{seen:?} {}", times(*seen))).collect(), missing.map(|seen| format!("{seen:?}")).collect())
}

impl Explored for Model {
    fn name(&self) -> &'static str {
        self.scenario.name
    }

    fn seen(&self) -> (Vec<String>, Vec<String>) {
        seen(&Seen::ALL, self.scenario.expects, |seen| self.times(seen))
    }

    fn told(state: &Self::State, action: Action) -> String {
        let record = match action {
            Action::Append(at) | Action::Double(at) | Action::Lose(at) => words(&state.under_way[at]),
            Action::Read(slot) => {
                let next = state.process(slot).and_then(|process| state.log.get(process.read));
                next.map(|bytes| words(bytes)).unwrap_or_default()
            }
            _ => String::new(),
        };
        format!("{action:?} {record}")
    }

    fn time(state: &Self::State) -> u64 {
        state.time
    }

    fn wrong(state: &Self::State) -> String {
        state.wrong.as_ref().map_or(String::new(), |wrong| wrong.text.clone())
    }
}

impl Explored for grown::Model {
    fn name(&self) -> &'static str {
        self.scenario.name
    }

    fn seen(&self) -> (Vec<String>, Vec<String>) {
        seen(&growing::Seen::ALL, self.scenario.expects, |seen| self.times(seen))
    }

    fn told(state: &Self::State, action: grown::Action) -> String {
        use grown::Action;
        let record = match action {
            Action::Append(at) | Action::Double(at) | Action::Lose(at) => {
                let (partition, bytes) = &state.under_way[at];
                format!("to partition {partition}: {}", words(bytes))
            }
            Action::Read(slot, partition) => {
                let read =
                    state.member(slot).and_then(|member| member.homes.get(&partition)).map_or(0, |home| home.read);
                let log = &state.logs[partition as usize].records;
                log.get(read..)
                    .unwrap_or_default()
                    .iter()
                    .map(|bytes| format!("\n              {}", words(bytes)))
                    .collect()
            }
            _ => String::new(),
        };
        format!("{action:?} {record}")
    }

    fn time(state: &Self::State) -> u64 {
        state.time
    }

    fn wrong(state: &Self::State) -> String {
        state.wrong.as_ref().map_or(String::new(), |wrong| wrong.text.clone())
    }
}

/// The shortest history that breaks a promise.
fn tell<M: Explored>(name: &str, promise: &str, path: Path<M::State, M::Action>)
where
    M::State: Clone + Debug + Hash + PartialEq,
    M::Action: PartialEq,
{
    println!("{name}: BROKEN: {promise}");
    let last = M::wrong(path.last_state());
    for (state, action) in path.into_vec() {
        let Some(action) = action else { continue };
        println!("  {:8.3} s  {}", M::time(&state) as f64 / 1e9, M::told(&state, action));
    }
    println!("  {last}");
}

/// Explores one scenario; whether all promises were kept.
fn explore<M>(model: M, states: u64) -> bool
where
    M: Explored + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq + Send + Sync + 'static,
{
    let name = model.name();
    let started = Instant::now();
    let checker = model
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(states as usize)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let (seen, missing) = checker.model().seen();
    let whole = (checker.state_count() as u64) < states;
    println!(
        "{name}: {} states, {} steps, {} deep, {:.1} s{}: {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64(),
        if whole { "" } else { ", not all" },
        seen.join(", "),
    );
    let broken = !found.is_empty();
    found.into_iter().for_each(|(promise, path)| tell::<M>(name, promise, path));
    if !broken && !missing.is_empty() {
        println!("{name}: FAILED: it shows nothing: {missing:?} never happened");
    }
    !broken && missing.is_empty()
}

/// What can be explored by this name.
enum Any {
    One(Scenario),
    Growing(growing::Scenario),
}

impl Any {
    fn named(&self) -> (&'static str, &'static str) {
        match self {
            Any::One(scenario) => (scenario.name, scenario.what),
            Any::Growing(scenario) => (scenario.name, scenario.what),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let more = value("--more").unwrap_or(0) as u8;
    let states = value("--states").unwrap_or(u64::MAX);
    let all = scenario::all(more).into_iter().map(Any::One).chain(growing::all(more).into_iter().map(Any::Growing));
    let all: Vec<Any> = all.collect();
    let is_named = |any: &Any| arguments.iter().any(|argument| argument == any.named().0);
    let some = all.iter().any(is_named);
    let (mut kept, mut broken) = (0, 0);
    for any in all.into_iter().filter(|any| !some || is_named(any)) {
        let (name, what) = any.named();
        println!("{name}: {what}");
        let is_kept = match any {
            Any::One(scenario) => explore(Model::new(scenario), states),
            Any::Growing(scenario) => explore(grown::Model::new(scenario), states),
        };
        if is_kept {
            kept += 1;
        } else {
            broken += 1;
        }
    }
    let verdict = if broken == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {kept} passed; {broken} failed; 0 ignored; 0 measured; 0 filtered out");
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
