//! A log that gets more partitions while it is used: several partitions, many keys, processes that learn of it late, lose
//! records, stop and die; in every fifth history all die at once, and partitions are reset. Everything follows from the seed.

mod fleet;
mod home;
mod process;

use fleet::Fleet;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// Runs one history; the admissions, or what went wrong with the last events.
pub fn run(seed: u64) -> Result<u64, (String, Vec<String>)> {
    let mut fleet = Fleet::new(seed);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let silence = fleet.plan.silence.unwrap_or(0);
        fleet.run(silence);
        if silence > 0 {
            fleet.fall_silent();
        }
        fleet.run(fleet.plan.chaos - silence);
        fleet.calm_down();
        fleet.run(2 * fleet.plan.ttl + 10 * SECOND);
        fleet.everything_works();
    }));
    match done {
        Ok(()) => Ok(fleet.admissions),
        Err(panic) => {
            let text = crate::text(panic);
            let mut trace = vec![format!("  {:?}", fleet.plan)];
            trace.extend(fleet.trace.iter().cloned());
            Err((format!("at {:.3} s: {text}", fleet.now as f64 / 1e9), trace))
        }
    }
}

/// How long moved keys are not served when nothing else happens: the longest pause of any key over some seeds, in ns.
pub fn longest_pause(seeds: u64) -> u64 {
    (0..seeds).map(|seed| Fleet::calm(seed).longest_pause()).max().unwrap_or(0)
}
