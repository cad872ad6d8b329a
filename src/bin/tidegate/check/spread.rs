//! How long intervals are: the longest exactly, percentiles to within two percent, in constant memory.

/// Steps in each doubling.
const STEPS: u64 = 64;

pub struct Spread {
    counts: Vec<u64>,
    total: u64,
    longest: u64,
}

impl Spread {
    pub fn new() -> Spread {
        Spread { counts: vec![0; (64 * STEPS) as usize], total: 0, longest: 0 }
    }

    pub fn add(&mut self, ns: u64) {
        self.counts[bin(ns)] += 1;
        self.total += 1;
        self.longest = self.longest.max(ns);
    }

    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// At least `percent` of all are no longer than this.
    pub fn percentile(&self, percent: u64) -> u64 {
        let enough = (u128::from(self.total) * u128::from(percent)).div_ceil(100);
        let mut seen = 0;
        let found = self.counts.iter().position(|&count| {
            seen += u128::from(count);
            seen >= enough
        });
        found.map_or(0, top).min(self.longest)
    }
}

/// Exact up to 64 ns, then 64 bins for each doubling.
fn bin(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let doublings = u64::from(ns.ilog2() - STEPS.ilog2());
    ((doublings + 1) * STEPS + ((ns >> doublings) - STEPS)) as usize
}

/// The largest value of a bin.
fn top(bin: usize) -> u64 {
    let (doublings, step) = (bin as u64 / STEPS, bin as u64 % STEPS);
    if doublings == 0 {
        return step;
    }
    let next = u128::from(STEPS + step + 1) << (doublings - 1);
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_two_percent_and_the_longest_exactly() {
        let mut spread = Spread::new();
        (1..=100_000).for_each(|ns| spread.add(ns));
        let p99 = spread.percentile(99);
        assert!((99_000..=99_000 * 102 / 100).contains(&p99), "{p99}");
        assert_eq!((spread.longest(), spread.percentile(100)), (100_000, 100_000));
    }

    #[test]
    fn every_value_lies_in_the_bin_that_ends_at_or_after_it() {
        for ns in (0..64).map(|bit| 1u64 << bit).flat_map(|n| [n - 1, n, n + 1]).chain([u64::MAX]) {
            let bin = bin(ns);
            assert!(ns <= top(bin) && (bin == 0 || top(bin - 1) < ns), "{ns}");
        }
    }

    #[test]
    fn nothing_added_is_zero() {
        assert_eq!((Spread::new().longest(), Spread::new().percentile(99)), (0, 0));
    }
}
