//! Who of the leases of one bucket gets how much: max-min fair in the rate, in queue order when there is
//! not enough burst for everybody.
//!
//! A change in any result here is a change of the log format: every process must compute the same.

use super::share::Share;
use super::units::{clamp, mul_div, Nanos, Rate, Tokens};

/// The active leases of a bucket are at most what the rate yields in this time (at least one): fewer,
/// faster holders beat many that each wait for a whole permit.
const SLOT: Nanos = Nanos::from_millis(250);

/// What a lease asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The rate it can use; 0 = it is leaving.
    pub want: Rate,
    /// The least burst that serves it.
    pub min: Tokens,
}

/// What each lease should have, for `asks` in queue order. A lease that has to wait for its turn gets
/// nothing; the others get at least their minimum burst.
pub fn targets(rate: Rate, burst: Tokens, asks: &[Ask]) -> Vec<Share> {
    let mut shares = vec![Share::NONE; asks.len()];
    let active = active(rate, burst, asks);
    if active.is_empty() {
        return shares;
    }
    let minimum: u64 = active.iter().map(|&i| asks[i].min.0).sum();
    let rates = water_fill(rate, active.iter().map(|&i| asks[i].want.min(rate)).collect());
    for (&i, part) in active.iter().zip(rates) {
        let extra = mul_div(burst.0 - minimum, part.0, rate.0);
        shares[i] = Share { rate: part, burst: Tokens(asks[i].min.0 + extra) };
    }
    shares
}

/// The leases that are served now: from the head of the queue, while their minimum bursts fit.
fn active(rate: Rate, burst: Tokens, asks: &[Ask]) -> Vec<usize> {
    let places = rate.over(SLOT).whole().max(1);
    let mut active = Vec::with_capacity(asks.len());
    let mut left = burst.0;
    for (i, ask) in asks.iter().enumerate().filter(|(_, ask)| ask.want > Rate::ZERO) {
        if active.len() as u64 >= places || ask.min.0 > left {
            break;
        }
        left -= ask.min.0;
        active.push(i);
    }
    active
}

/// Max-min fair parts of `rate` for `wants`; what nobody wants is split equally.
fn water_fill(rate: Rate, wants: Vec<Rate>) -> Vec<Rate> {
    let total: u128 = wants.iter().map(|want| u128::from(want.0)).sum();
    let count = wants.len() as u64;
    if total <= rate.0.into() {
        let spare = (rate.0 - clamp(total)) / count;
        return wants.into_iter().map(|want| Rate(want.0 + spare)).collect();
    }
    let mut rising: Vec<u64> = wants.iter().map(|want| want.0).collect();
    rising.sort_unstable();
    let (mut left, mut level) = (rate.0, 0);
    for (served, want) in rising.into_iter().enumerate() {
        level = left / (count - served as u64);
        if want > level {
            break;
        }
        left -= want;
    }
    wants.into_iter().map(|want| Rate(want.0.min(level))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ask(want: u64, min: u64) -> Ask {
        Ask { want: Rate(want), min: Tokens(min) }
    }

    const RATE: Rate = Rate::of(100, Nanos::from_secs(1));

    fn rates(asks: &[Ask]) -> Vec<u64> {
        targets(RATE, Tokens::permits(100), asks).iter().map(|share| share.rate.0 / 1_000_000_000).collect()
    }

    fn wants(wants: &[u64]) -> Vec<Ask> {
        wants.iter().map(|&want| ask(want * 1_000_000_000, 1)).collect()
    }

    #[test]
    fn one_process_alone_gets_everything_however_little_it_wants() {
        assert_eq!(rates(&wants(&[1])), [100]);
    }

    #[test]
    fn small_wants_are_served_and_large_ones_share_the_rest_equally() {
        assert_eq!(rates(&wants(&[10, 500, 500])), [10, 45, 45]);
    }

    #[test]
    fn what_nobody_wants_is_split_equally() {
        assert_eq!(rates(&wants(&[10, 30])), [40, 60]);
    }

    #[test]
    fn who_wants_nothing_gets_nothing() {
        assert_eq!(rates(&wants(&[0, 7])), [0, 100]);
    }

    #[test]
    fn when_the_burst_is_too_small_for_all_the_queue_is_served_in_order() {
        let two_fit = [ask(1, 400), ask(1, 600), ask(1, 1)];
        let bursts: Vec<u64> = targets(RATE, Tokens(1000), &two_fit).iter().map(|share| share.burst.0).collect();
        assert_eq!(bursts, [400, 600, 0]);
    }

    #[test]
    fn a_slow_limit_has_few_holders_at_a_time() {
        let asks = vec![ask(1_000_000_000, 1_000_000); 10];
        let holders = |permits| {
            let shares = targets(Rate::of(permits, Nanos::from_secs(1)), Tokens::permits(10), &asks);
            shares.iter().filter(|share| **share != Share::NONE).count()
        };
        assert_eq!((holders(1), holders(10), holders(1000)), (1, 2, 10));
    }

    proptest! {
        #[test]
        fn targets_never_add_up_to_more_than_the_limit(
            rate in 1u64..10_000_000_000_000_000_000, burst in 1u64..1_000_000_000_000_000_000,
            asks in prop::collection::vec((any::<u64>(), any::<u64>()), 0..40),
        ) {
            let asks: Vec<Ask> = asks.into_iter().map(|(want, min)| ask(want, min % burst + 1)).collect();
            let shares = targets(Rate(rate), Tokens(burst), &asks);
            let sum_rate: u128 = shares.iter().map(|share| u128::from(share.rate.0)).sum();
            let sum_burst: u128 = shares.iter().map(|share| u128::from(share.burst.0)).sum();
            prop_assert!(sum_rate <= rate.into() && sum_burst <= burst.into());
            let served = shares.iter().filter(|share| **share != Share::NONE).count() as u128;
            if served > 0 {
                prop_assert!(sum_rate + served >= rate.into(), "all of the rate is given out, but for rounding");
                let rounding = served * (2 + u128::from(burst) / u128::from(rate) * 2);
                prop_assert!(sum_burst + rounding >= u128::from(burst), "and all of the burst");
            }
            for (share, ask) in shares.iter().zip(&asks) {
                prop_assert!(*share == Share::NONE || share.burst >= ask.min);
            }
        }
    }
}
