//! A small fleet of real agents under long histories of losses, copies, delays, crashes, removals and definitions keeps
//! every promise of the model check; and no record that a stranger forges makes an agent panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::core::record::{Record, Sender};
use tidegate_fuzz::{record, Input};
use tidegate_model::process::Process;
use tidegate_model::scenario::{all, Left, Scenario};
use tidegate_model::world::{Action, Model};

const STEPS_MAX: usize = 400;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let kind = input.byte();
    let scenarios = all(0);
    let mut scenario = scenarios[usize::from(kind / 2) % scenarios.len()].clone();
    let many = 200;
    let outages = scenario.left.outages.min(1) * many;
    scenario.left = Left { ticks: many, appends: many, greedy: many, lost: many, doubled: many, ..scenario.left };
    scenario.left = Left { crashes: 9, starts: 9, removals: 9, closes: 2, defines: 3, outages, ..scenario.left };
    scenario.seed = input.byte().into();
    if kind % 2 == 0 {
        fleet(scenario, &mut input);
    } else {
        strangers(&scenario, &mut input);
    }
});

fn fleet(scenario: Scenario, input: &mut Input<'_>) {
    let model = Model::new(scenario);
    let mut state = model.begin();
    let mut possible = Vec::new();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        possible.clear();
        model.possible(&state, &mut possible);
        // What floods the network is not interesting: the oldest go out first.
        let action = if state.under_way.len() > 8 && !state.away && state.left.appends > 0 {
            Action::Append(usize::from(input.byte()) % state.under_way.len())
        } else {
            let Some(action) = possible.get(usize::from(input.byte()) % possible.len().max(1)) else { break };
            *action
        };
        model.act(&mut state, action);
        assert!(state.wrong.is_none(), "{action:?}: {:?}", state.wrong);
    }
}

/// One agent, and a log in which strangers speak, some of them in its name.
fn strangers(scenario: &Scenario, input: &mut Input<'_>) {
    let mut process = Process::start(scenario, 0, 0, 0);
    let (mut log, mut time) = (Vec::<Vec<u8>>::new(), 0u64);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0 => time += scenario.tick,
            1 => time += 1_000_000 * u64::from(input.byte()),
            2 => log.push(input.bytes()),
            3 | 4 => {
                let Some(mut forged) = record(input) else { continue };
                if let (Some(session), 0) = (process.agent.session(), input.below(2)) {
                    let own = process.agent.fold().sessions().get(&session).expect("a live session is in the fold");
                    forged = Record { sender: Sender::Session(session), nonce: own.nonce, ..forged };
                }
                log.push(forged.encode());
            }
            5 => _ = process.run(time, true, log.len()),
            6 => _ = process.run(time, false, log.len()),
            _ => {
                while let Some(bytes) = log.get(process.read).cloned() {
                    process.read(time, &bytes, log.len());
                }
            }
        }
        log.extend(process.sends(time));
        let share = process.agent.status(tidegate_model::process::BUCKET).share;
        assert!(process.agent.session().is_some() || share.rate.0 == 0, "without a session nothing is held");
    }
}
