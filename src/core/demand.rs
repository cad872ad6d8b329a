//! How much a process asks for: the last second's count, unless the last moments say otherwise.
//!
//! A mean over a second keeps an old hot spot's share for a second; a mean over 30 ms turns the noise of
//! random arrivals into claims. So the second's mean is clipped into the band of two standard deviations
//! (arrivals at random: the square root of the count) around the last 100 ms, and then the last 30 ms.

use super::units::{clamp, Nanos, Rate, Tokens, SECOND};

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
}

impl Default for Demand {
    fn default() -> Demand {
        Demand { bins: [0; BINS], at: 0, since: None }
    }
}

impl Demand {
    /// Counts `asked` at `now`.
    pub fn count(&mut self, now: Nanos, asked: Tokens) {
        self.turn(now);
        self.since.get_or_insert(now);
        let bin = &mut self.bins[self.at as usize % BINS];
        *bin = bin.saturating_add(u32::try_from(asked.whole()).unwrap_or(u32::MAX));
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
                *self = Demand { at, ..Demand::default() };
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
    fn one_request_is_no_more_than_ten_per_second() {
        let mut demand = Demand::default();
        demand.count(Nanos::from_millis(5_077), Tokens::permits(1));
        assert_eq!(whole(demand.rate(Nanos::from_millis(5_077))), 10);
        assert_eq!(demand.rate(Nanos::from_secs(19)), Rate::ZERO);
    }
}
