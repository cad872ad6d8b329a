//! How well a limit is shared when nothing goes wrong: `--sharing` prints it as a table.

use crate::plan::{Faults, Key, Pattern, Plan, MS, SECOND};
use crate::world::World;
use tidegate::core::limit::Outage;

/// Median time to the log and back to every reader.
const LATENCY: u64 = 5 * MS;

fn world(processes: usize, permits: u64, burst: u64, patience: u64, seed: u64) -> World {
    let key = Key { permits, burst, request: 1, pattern: Pattern::Saturating };
    let faults = Faults { gap: SECOND, ..Faults::default() };
    let mut world = World::empty(Plan {
        seed,
        processes,
        keys: vec![key],
        ttl: 15 * SECOND,
        outage: Outage::KeepShare,
        drift_ppm: 100,
        leases_only: false,
        patience,
        faults,
        chaos: 0,
        latency: LATENCY,
    });
    world.quiet = true;
    world.demand = Some(vec![2_000 / processes as u64; processes]);
    world
}

fn line(what: &str, goal: &str, measured: String) {
    println!("| {what} | {goal} | {measured} |");
}

fn percent(part: u64, whole: u64) -> String {
    format!("{}.{} %", part * 100 / whole, part * 1_000 / whole % 10)
}

/// Use of a limit, and records a second, over `span` once all processes are there.
fn usage(mut world: World, span: u64) -> (u64, u64, u64, u64) {
    for slot in 0..world.slots.len() {
        let at = world.rng.below(SECOND);
        world.start_at(at, slot);
    }
    world.run_until(6 * SECOND);
    let (records, permits) = (world.records(), world.plan.keys[0].permits);
    let admitted = world.measure(span * SECOND);
    let each: Vec<u64> = admitted.iter().map(|keys| keys[0]).collect();
    (
        each.iter().sum(),
        permits * span,
        *each.iter().min().unwrap_or(&0),
        (world.records() - records) as u64 * 10 / span,
    )
}

/// From its first request, how long a newcomer takes to `percent` of its fair share, in ms.
fn join(present: usize, percent: u64, seed: u64) -> u64 {
    let mut world = world(present + 1, 1_000, 1_000, 0, seed);
    if let Some(demand) = &mut world.demand {
        demand.fill(2_000 / present as u64);
    }
    for slot in 0..present {
        world.start_at(0, slot);
    }
    world.run_until(6 * SECOND);
    let from = world.now;
    world.start_at(from, present);
    let fair = 1_000 * SECOND / (present as u64 + 1);
    while world.now < from + 20 * SECOND {
        world.run_until(world.now + MS);
        let share = world.slots[present].as_ref().map_or(0, |process| process.level(0, world.now).0.rate.0);
        if share >= fair * percent / 100 {
            break;
        }
    }
    (world.now - from) / MS
}

fn worst(of: impl Fn(u64) -> u64) -> String {
    let mut each: Vec<u64> = (0..9).map(of).collect();
    each.sort_unstable();
    format!("{} ms (median of 9), {} ms (worst)", each[4], each[8])
}

pub fn table() {
    println!("One-way append and read: {} ms together. One seed a line unless it says otherwise.\n", LATENCY / MS);
    println!("| What | Goal | Measured |");
    println!("|---|---|---|");
    for processes in [1, 2, 8, 32] {
        let (used, ideal, least, records) = usage(world(processes, 1_000, 1_000, 0, 1), 20);
        let fair = ideal / processes as u64;
        let measured = format!(
            "{}; the least served {} of a fair part; {}.{} records/s",
            percent(used, ideal),
            percent(least, fair),
            records / 10,
            records % 10
        );
        line(&format!("{processes} saturating, 1000/s, burst 1000: use"), ">= 98 %", measured);
    }
    line("newcomer among 15 saturated: to 80 % of its fair share", "< 1 s", worst(|seed| join(15, 80, seed)));
    line("second process beside one that has all: to 40 % of the rate", "<= 150 ms", worst(|seed| join(1, 80, seed)));
    for (patience, goal) in [(SECOND, ">= 98 %"), (0, "-")] {
        let mut tiny = world(100, 10, 10, patience, 1);
        tiny.demand = Some(vec![100; 100]);
        let (used, ideal, least, records) = usage(tiny, 60);
        let waits = if patience > 0 { "requests wait 1 s" } else { "requests do not wait" };
        let measured = format!(
            "{}; least {least} of {}; {}.{} records/s",
            percent(used, ideal),
            ideal / 100,
            records / 10,
            records % 10
        );
        line(&format!("10/s, burst 10, 100 processes of 1/s each, {waits}: use"), goal, measured);
    }
    for (permits, burst, processes) in [(20, 5, 10), (7, 5, 3)] {
        for patience in [SECOND, 0] {
            let (used, ideal, least, records) = usage(world(processes, permits, burst, patience, 1), 60);
            let waits = if patience > 0 { "wait 1 s" } else { "do not wait" };
            let fair = ideal / processes as u64;
            let measured = format!(
                "{}; least {least} of {fair}; {}.{} records/s",
                percent(used, ideal),
                records / 10,
                records % 10
            );
            line(&format!("{permits}/s, burst {burst}, {processes} saturating, {waits}: use"), "-", measured);
        }
    }
}
