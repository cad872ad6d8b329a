//! What one seed stands for: the fleet, its limits, its demand, and which faults may happen.

use tidegate::core::limit::Outage;
use tidegate::core::rng::Rng;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

/// How demand is spread over the processes and over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Everybody asks for twice its part.
    Saturating,
    /// Everybody asks for a third, on and off.
    Idle,
    /// One asks for one and a half times everything, the others for little; who it is changes.
    HotSpot { period: u64 },
    /// The i-th asks for a part like 1/i.
    Zipf,
}

/// One limit, and the key that obeys it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Per second.
    pub permits: u64,
    pub burst: u64,
    /// Permits that one request asks for, at most.
    pub request: u64,
    pub pattern: Pattern,
}

/// What may go wrong. Chances are in thousandths of records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub lost: u64,
    pub late: u64,
    pub doubled: u64,
    /// Records that take 10..100 ms.
    pub slow: u64,
    pub cuts: bool,
    pub stops: bool,
    pub crashes: bool,
    pub outages: bool,
    pub defines: bool,
    pub gaps: bool,
    pub removals: bool,
    /// Crashes are proven to the survivors, sooner or later.
    pub proofs: bool,
    /// Mean time between two faults.
    pub gap: u64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub processes: usize,
    pub keys: Vec<Key>,
    pub ttl: u64,
    pub outage: Outage,
    /// Clocks run wrong by up to this.
    pub drift_ppm: u64,
    /// Clocks are too wrong for minting: only who holds what is checked, not what is admitted.
    pub leases_only: bool,
    /// How long a refused request waits.
    pub patience: u64,
    pub faults: Faults,
    /// The time with faults; after it everything must work.
    pub chaos: u64,
    /// Median one-way time to the log, and from it.
    pub latency: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0x51_6d_75_6c_61_74_65);
        let rng = &mut rng;
        let leases_only = chance(rng, 15);
        let tiny = chance(rng, 20);
        let outage = match (chance(rng, 50), chance(rng, 90)) {
            (true, _) => Outage::Deny,
            (false, true) => Outage::KeepShare,
            (false, false) => Outage::Allow,
        };
        let lossy = chance(rng, 50);
        let calm = chance(rng, 10);
        let faults = Faults {
            lost: if lossy && chance(rng, 60) { 30 } else { 0 },
            late: if lossy && chance(rng, 60) { 30 } else { 0 },
            doubled: if chance(rng, 50) { 50 } else { 0 },
            slow: if chance(rng, 50) { 20 } else { 0 },
            cuts: lossy && chance(rng, 70),
            stops: chance(rng, 60),
            crashes: chance(rng, 60),
            outages: chance(rng, 50),
            defines: chance(rng, 30),
            gaps: chance(rng, 20),
            removals: chance(rng, 30),
            proofs: false,
            gap: if calm { 1_000 * SECOND } else { 0 },
        };
        let many_keys = chance(rng, 30);
        let waits = chance(rng, if tiny { 60 } else { 20 });
        let wide = chance(rng, 10);
        let ttl = [2, 3, 3, 6, 6, 15][rng.below(6) as usize] * SECOND;
        let processes = if tiny { 3 + rng.below(10) } else { 2 + rng.below(5) } as usize;
        let keys = (0..if many_keys { 2 + rng.below(2) } else { 1 }).map(|_| key(rng, tiny, wide)).collect();
        let proofs = faults.crashes && chance(rng, 60);
        let gap = faults.gap.max([500 * MS, SECOND, 2 * SECOND, 4 * SECOND][rng.below(4) as usize]);
        Plan {
            seed,
            processes,
            keys,
            ttl,
            outage,
            drift_ppm: if leases_only { 80_000 } else { 400 },
            leases_only,
            patience: if waits { 200 * MS + rng.below(1_000) * MS } else { 0 },
            faults: Faults { gap, proofs, ..faults },
            chaos: 20 * SECOND + ttl * 4,
            latency: MS + rng.below(5) * MS,
        }
    }
}

fn chance(rng: &mut Rng, percent: u64) -> bool {
    rng.below(100) < percent
}

fn key(rng: &mut Rng, tiny: bool, wide: bool) -> Key {
    let (permits, burst, request) = if tiny {
        (5 + rng.below(20), 1 + rng.below(10), 1)
    } else if wide {
        // As fast as a limit gets with requests as large: rounding, and products of large numbers.
        let permits = 1_000_000 + rng.below(1_000_000_000);
        (permits, permits / 10 + rng.below(permits * 2), permits / 200)
    } else {
        let permits = 40 + rng.below(160);
        (permits, permits / 10 + rng.below(permits * 2), 1 + rng.below(4) / 3 * rng.below(4))
    };
    let pattern = match rng.below(4) {
        0 => Pattern::Saturating,
        1 => Pattern::Idle,
        2 => Pattern::HotSpot { period: 200 * MS + rng.below(4_000) * MS },
        _ => Pattern::Zipf,
    };
    Key { permits, burst, request: request.min(burst), pattern }
}
