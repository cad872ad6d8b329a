//! The model check: the real fold and agents, and every order in which few things can happen to them.
//!
//! ```text
//! cargo run --release                     all scenarios within their bounds
//! cargo run --release -- handover         one
//! cargo run --release -- --more 1         one more tick, request, .. each
//! cargo run --release -- --states 1000000 stops after so many steps
//! ```

use stateright::{Checker, HasDiscoveries, Model as _};
use std::process::ExitCode;
use std::time::Instant;
use tidegate_model::scenario::{self, Scenario, Seen};
use tidegate_model::world::{words, Action, Model};

/// Explores one scenario; whether all promises were kept.
fn explore(scenario: Scenario, states: u64) -> bool {
    let (name, expects) = (scenario.name, scenario.expects);
    let started = Instant::now();
    if std::env::var_os("TIDEGATE_MODEL_BEGIN").is_some() {
        println!("{}", Model::new(scenario.clone()).begin().words());
    }
    let checker = Model::new(scenario)
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(states as usize)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let model = checker.model();
    let seen: Vec<String> = Seen::ALL
        .into_iter()
        .filter(|seen| model.times(*seen) > 0)
        .map(|seen| format!("{seen:?} {}", model.times(seen)))
        .collect();
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
    for (promise, path) in &found {
        println!("{name}: BROKEN: {promise}");
        let last = path.last_state();
        for (state, action) in path.clone().into_vec() {
            let Some(action) = action else { continue };
            let record = match action {
                Action::Append(at) | Action::Double(at) | Action::Lose(at) => words(&state.under_way[at]),
                Action::Read(slot) => {
                    let next = state.process(slot).and_then(|process| state.log.get(process.read));
                    next.map(|bytes| words(bytes)).unwrap_or_default()
                }
                _ => String::new(),
            };
            println!("  {:8.3} s  {action:?} {record}", state.time as f64 / 1e9);
        }
        println!("  {}", last.wrong.as_ref().map_or("", |wrong| &wrong.text));
    }
    let missing: Vec<_> = expects.iter().filter(|seen| model.times(**seen) == 0).collect();
    if found.is_empty() && !missing.is_empty() {
        println!("{name}: FAILED: it shows nothing: {missing:?} never happened");
    }
    found.is_empty() && missing.is_empty()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let more = value("--more").unwrap_or(0) as u8;
    let states = value("--states").unwrap_or(u64::MAX);
    let all = scenario::all(more);
    let named = |scenario: &&Scenario| arguments.iter().any(|argument| argument == scenario.name);
    let chosen: Vec<Scenario> =
        if all.iter().any(|scenario| named(&scenario)) { all.iter().filter(named).cloned().collect() } else { all };
    let (mut kept, mut broken) = (0, 0);
    for scenario in chosen {
        println!("{}: {}", scenario.name, scenario.what);
        if explore(scenario, states) {
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
