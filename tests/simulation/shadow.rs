//! The bucket that the whole fleet stands for, exact and in true time: what was promised.

use std::collections::VecDeque;
use tidegate::core::units::{Rate, Tokens};

/// The numbers of a limit, from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Nano-permits per second = 1e-18 permits per nanosecond.
    pub rate: u64,
    /// Micro-permits.
    pub burst: u64,
}

/// One exact token bucket in units of 1e-18 permits.
#[derive(Clone, Debug)]
pub struct Shadow {
    level: u128,
    settled: u64,
    /// The numbers in force, oldest first. More than one while a change is not followed by everybody: then the
    /// largest count.
    numbers: VecDeque<Numbers>,
}

/// 1e-18 permits in a micro-permit.
const UNIT: u128 = 1_000_000_000_000;

impl Shadow {
    pub fn full(rate: Rate, burst: Tokens, now: u64) -> Shadow {
        let numbers = Numbers { rate: rate.0, burst: burst.0 };
        Shadow { level: u128::from(burst.0) * UNIT, settled: now, numbers: VecDeque::from([numbers]) }
    }

    /// The largest numbers in force.
    pub fn in_force(&self) -> Numbers {
        let largest = |of: fn(&Numbers) -> u64| self.numbers.iter().map(of).max().unwrap_or(0);
        Numbers { rate: largest(|numbers| numbers.rate), burst: largest(|numbers| numbers.burst) }
    }

    pub fn newest(&self) -> Numbers {
        self.numbers[self.numbers.len() - 1]
    }

    pub fn changing(&self) -> bool {
        self.numbers.len() > 1
    }

    pub fn settle(&mut self, now: u64) {
        let Numbers { rate, burst } = self.in_force();
        let minted = u128::from(rate) * u128::from(now - self.settled);
        self.level = (self.level + minted).min(u128::from(burst) * UNIT);
        self.settled = now;
    }

    /// Micro-permits that may be admitted now, rounded down.
    pub fn level(&self) -> u128 {
        self.level / UNIT
    }

    /// Admits, or says how many micro-permits are missing.
    pub fn take(&mut self, now: u64, amount: Tokens) -> Result<(), u128> {
        self.settle(now);
        let amount = u128::from(amount.0) * UNIT;
        match self.level.checked_sub(amount) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err((amount - self.level).div_ceil(UNIT)),
        }
    }

    pub fn define(&mut self, now: u64, numbers: Numbers) {
        self.settle(now);
        let before = self.in_force().burst;
        self.numbers.push_back(numbers);
        // What was used stays used: a larger burst leaves more.
        self.level += u128::from(self.in_force().burst - before) * UNIT;
    }

    /// What is held has come down to the newest numbers: the older ones are over.
    pub fn all_followed(&mut self, now: u64) {
        self.settle(now);
        self.numbers.drain(..self.numbers.len() - 1);
        self.settle(now);
    }
}
