//! The protocol under every fault we can think of: the real agents and buckets of `tidegate::core`, many at a time, on
//! a simulated log under a virtual clock. One seed = one history, the same on every machine.
//!
//! ```text
//! cargo test --no-default-features --test simulation                        200 seeds
//! cargo test --no-default-features --test simulation -- 4711                one seed
//! cargo test --no-default-features --test simulation -- --seeds 100000      many
//! cargo test --no-default-features --test simulation -- --growth 4711       one seed of a log that gets more partitions
//! cargo test --no-default-features --test simulation -- --sharing           how well a limit is shared, as a table
//! ```
//!
//! With `--growth`, seeds are histories of a log that gets more partitions while it is used; without arguments, both kinds run.
//!
//! Checked after every event: what was admitted against an exact bucket in true time; what could be admitted against
//! the same; that every process's state equals the log's; and after each history, that everything works again.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a test with a main of its own")]

mod checks;
mod growth;
mod plan;
mod process;
mod shadow;
mod sharing;
mod world;

use plan::Plan;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use world::World;

const SEEDS: u64 = 200;
const GROWTH_SEEDS: u64 = 240;
/// Longest pause of a moved key when nothing goes wrong: promised in docs/internals/protocol.md.
const PAUSE_MAX: f64 = 1.0; // s

/// What a seed stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One partition, every fault.
    Faults,
    /// More and more partitions.
    Growth,
}

/// What went wrong, with the last events.
struct Failure {
    kind: Kind,
    seed: u64,
    what: String,
    trace: Vec<String>,
}

/// A panic's words.
fn text(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or("a panic".to_owned(), |text| (*text).to_owned()),
    }
}

/// Runs one history; the number of admissions.
fn run(kind: Kind, seed: u64) -> Result<u64, Failure> {
    if kind == Kind::Growth {
        return growth::run(seed).map_err(|(what, trace)| Failure { kind, seed, what, trace });
    }
    let plan = Plan::of(seed);
    let mut world = World::new(plan);
    let chaos = world.plan.chaos;
    let done = catch_unwind(AssertUnwindSafe(|| {
        world.run_until(chaos);
        world.calm_down();
        checks::liveness(&mut world);
    }));
    match done {
        Ok(()) => Ok(world.admissions),
        Err(panic) => {
            let mut trace = vec![format!("  {:?}", world.plan)];
            trace.extend(world.trace());
            Err(Failure { kind, seed, what: format!("at {:.6} s: {}", world.now as f64 / 1e9, text(panic)), trace })
        }
    }
}

/// Runs the seeds on all processors; failures, and admissions in all.
fn run_all(kind: Kind, first: u64, count: u64, stop_at_first: bool) -> (Vec<Failure>, u64) {
    let (next, admissions) = (AtomicU64::new(0), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count || (stop_at_first && !failures.lock().unwrap().is_empty()) {
                    break;
                }
                match run(kind, first + at) {
                    Ok(number) => _ = admissions.fetch_add(number, Ordering::Relaxed),
                    Err(failure) => failures.lock().unwrap().push(failure),
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|failure| failure.seed);
    (failures, admissions.into_inner())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    if flag("--list") {
        println!("seeds: test\n\n1 test, 0 benchmarks");
        return ExitCode::SUCCESS;
    }
    if flag("--sharing") {
        sharing::table();
        return ExitCode::SUCCESS;
    }
    // Panics are failures of a seed: collected, not printed as they come.
    std::panic::set_hook(Box::new(|_| ()));
    let one = arguments.iter().find_map(|argument| argument.parse::<u64>().ok()).filter(|_| value("--seeds").is_none());
    let kinds = if flag("--growth") {
        vec![(Kind::Growth, GROWTH_SEEDS)]
    } else if arguments.is_empty() {
        vec![(Kind::Faults, SEEDS), (Kind::Growth, GROWTH_SEEDS)]
    } else {
        vec![(Kind::Faults, SEEDS)]
    };
    let started = std::time::Instant::now();
    let (mut failures, mut admissions, mut count) = (Vec::new(), 0, 0);
    for (kind, seeds) in kinds {
        let (first, seeds) = match one {
            Some(seed) => (seed, 1),
            None => (value("--from").unwrap_or(0), value("--seeds").unwrap_or(seeds)),
        };
        let (failed, admitted) = run_all(kind, first, seeds, flag("--stop"));
        failures.extend(failed);
        (admissions, count) = (admissions + admitted, count + seeds);
    }
    if arguments.is_empty() {
        let pause = growth::longest_pause(3) as f64 / 1e9;
        println!("12 to 24 partitions, nothing else: no key pauses for longer than {pause:.3} s");
        assert!(pause <= PAUSE_MAX, "a moved key pauses for {pause} s");
    }
    for Failure { kind, seed, what, trace } in failures.iter().take(3) {
        let growth = if *kind == Kind::Growth { "--growth " } else { "" };
        println!("seed {growth}{seed}: {what}");
        trace.iter().for_each(|line| println!("{line}"));
        println!("again with: cargo test --no-default-features --test simulation -- {growth}{seed}\n");
    }
    for Failure { seed, what, .. } in failures.iter().skip(3) {
        println!("seed {seed}: {what}");
    }
    println!("{count} seeds, {admissions} admissions, {:.1} s", started.elapsed().as_secs_f64());
    let (failed, verdict) = (failures.len() as u64, if failures.is_empty() { "ok" } else { "FAILED" });
    println!(
        "test result: {verdict}. {} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out",
        count - failed
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
