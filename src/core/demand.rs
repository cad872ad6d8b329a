//! How much a process asks for: the last second's count, unless the last moments say otherwise.
//!
//! A mean over a second keeps an old hot spot's share for a second; a mean over 30 ms turns the noise of
//! random arrivals into claims. So the second's mean is clipped into the band of two standard deviations
//! (arrivals at random: the square root of the count) around the last 100 ms, and then the last 30 ms.
//!
//! A bucket that serves everybody is looked at seldom. What was asked for since the last look is spread evenly
//! over the time since: put into the present moment it would look like a rush.

use super::units::{clamp, mul_div, Nanos, Rate, Tokens, SECOND};

const BIN: u64 = 16_777_216; // ns, 2^24
const BINS: usize = 64; // about a second
/// The two short windows in bins: about 100 ms and 30 ms.
const BANDS: [u64; 2] = [6, 2];
/// A demand younger than this is taken to be this old.
const YOUNG: u64 = 100_000_000; // ns

/// Counts of permits asked for in the last second.
#[derive(Clone, Debug)]
pub struct Demand {
    bins: [u32; BINS],
    /// The bin being filled, counted from the clock's start.
    at: u64,
    since: Option<Nanos>,
    /// The last look.
    seen: Option<Nanos>,
}

impl Default for Demand {
    fn default() -> Demand {
        Demand { bins: [0; BINS], at: 0, since: None, seen: None }
    }
}

impl Demand {
    /// Counts what was `asked` for since the last call, nothing included.
    pub fn count(&mut self, now: Nanos, asked: Tokens) {
        self.turn(now);
        let seen = self.seen.replace(now).unwrap_or(now).min(now);
        if asked.whole() == 0 {
            return;
        }
        self.since.get_or_insert(seen);
        let span = now.since(seen).0.max(1);
        // How much had been asked for by the end of a bin, asked evenly; the last bin gets all that is left.
        let by = |bin: u64| match ((bin + 1) * BIN).checked_sub(seen.0) {
            Some(passed) if bin < self.at => mul_div(asked.whole(), passed.min(span), span),
            Some(_) => asked.whole(),
            None => 0,
        };
        let first = (seen.0 / BIN).max((self.at + 1).saturating_sub(BINS as u64));
        let mut before = if first > seen.0 / BIN { by(first - 1) } else { 0 };
        for bin in first..=self.at {
            let part = by(bin) - before;
            before += part;
            let count = &mut self.bins[bin as usize % BINS];
            *count = count.saturating_add(u32::try_from(part).unwrap_or(u32::MAX));
        }
    }

    /// Permits per second asked for.
    pub fn rate(&mut self, now: Nanos) -> Rate {
        self.turn(now);
        let Some(since) = self.since else { return Rate::ZERO };
        let age = now.since(since).0.max(YOUNG);
        let second = self.window(now, BINS as u64 - 1);
        let mut rate = per(second.0, second.1.min(age));
        for bins in BANDS {
            let (count, span) = self.window(now, bins);
            if age > span {
                let spread = 2 * count.isqrt();
                let (low, high) = (count.saturating_sub(spread), count + spread + 1);
                rate = rate.clamp(per(low, span), per(high, span));
            }
        }
        rate
    }

    /// The count of the last `bins` whole bins and the one being filled, and the time they cover.
    fn window(&self, now: Nanos, bins: u64) -> (u64, u64) {
        let from = self.at.saturating_sub(bins);
        let count = (from..=self.at).map(|bin| u64::from(self.bins[bin as usize % BINS])).sum();
        (count, (now.0 - from * BIN).max(1))
    }

    fn turn(&mut self, now: Nanos) {
        let at = now.0 / BIN;
        if at > self.at {
            if at - self.at >= BINS as u64 {
                *self = Demand { at, seen: self.seen, ..Demand::default() };
            }
            while self.at < at {
                self.at += 1;
                self.bins[self.at as usize % BINS] = 0;
            }
        }
    }
}

fn per(count: u64, span: u64) -> Rate {
    Rate(clamp(u128::from(count) * u128::from(SECOND) * u128::from(SECOND) / u128::from(span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(rate: Rate) -> u64 {
        rate.0 / SECOND
    }

    fn steady(demand: &mut Demand, from_ms: u64, to_ms: u64, per_ms: u64) {
        for ms in from_ms..to_ms {
            demand.count(Nanos::from_millis(ms), Tokens::permits(per_ms));
        }
    }

    #[test]
    fn a_steady_demand_is_measured_as_it_is() {
        let mut demand = Demand::default();
        steady(&mut demand, 0, 3_000, 2);
        let rate = whole(demand.rate(Nanos::from_millis(3_000)));
        assert!((1_900..=2_100).contains(&rate), "{rate}");
    }

    #[test]
    fn a_demand_that_stops_is_forgotten_in_a_tenth_of_a_second_and_one_that_starts_is_seen_as_fast() {
        let mut demand = Demand::default();
        steady(&mut demand, 0, 2_000, 2);
        assert!(whole(demand.rate(Nanos::from_millis(2_130))) < 40);
        let mut demand = Demand::default();
        steady(&mut demand, 0, 1, 1);
        steady(&mut demand, 2_000, 2_130, 2);
        assert!(whole(demand.rate(Nanos::from_millis(2_130))) > 1_300);
    }

    #[test]
    fn what_was_asked_for_between_two_looks_is_spread_over_the_time_between_them() {
        for gap_ms in [7, 20, 100, 900, 5_000, 30_000] {
            let mut demand = Demand::default();
            steady(&mut demand, 0, 3_000, 2);
            for looks in 1..=4 {
                let now = Nanos::from_millis(2_999 + looks * gap_ms);
                demand.count(now, Tokens::permits(2 * gap_ms));
                let rate = whole(demand.rate(now));
                assert!((1_850..=2_150).contains(&rate), "{rate} after a gap of {gap_ms} ms");
            }
        }
    }

    #[test]
    fn all_that_was_asked_for_is_counted_whatever_the_gaps() {
        let mut demand = Demand::default();
        let (mut now, mut total) = (0, 0);
        for step in 0..200u64 {
            now += step * 7_919_003 % 9_000_000;
            total += step % 5;
            demand.count(Nanos(now), Tokens::permits(step % 5));
        }
        assert!(now < BIN * (BINS as u64 - 1), "all within the window");
        assert_eq!(demand.bins.iter().map(|bin| u64::from(*bin)).sum::<u64>(), total);
    }

    #[test]
    fn a_look_that_finds_nothing_counts_as_a_look() {
        let mut demand = Demand::default();
        demand.count(Nanos::from_secs(1), Tokens::permits(1));
        demand.count(Nanos::from_secs(30), Tokens::ZERO);
        demand.count(Nanos::from_millis(30_020), Tokens::permits(40));
        demand.count(Nanos::from_millis(30_040), Tokens::permits(40));
        assert!(whole(demand.rate(Nanos::from_millis(30_040))) > 700);
    }

    #[test]
    fn one_request_is_no_more_than_ten_per_second() {
        let mut demand = Demand::default();
        demand.count(Nanos::from_millis(5_077), Tokens::permits(1));
        assert_eq!(whole(demand.rate(Nanos::from_millis(5_077))), 10);
        assert_eq!(demand.rate(Nanos::from_secs(19)), Rate::ZERO);
    }
}
