//! Which of the other processes are dead, as far as their files on this host say (`lifeline`).

use super::lifeline::Sign;
use crate::core::units::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// How often it is looked.
const EVERY: Nanos = Nanos::from_millis(500);
/// Most of those that lived when they were last looked at and are looked at again in one round: with more on one host,
/// each is looked at by somebody all the same.
const AGAIN_MAX: usize = 16;

/// What is known of the locks in the log. No more than there are sessions.
#[derive(Debug)]
pub(super) struct Deaths {
    look: fn(u128) -> Sign,
    known: BTreeMap<u128, Sign>,
    /// The last one that was looked at again.
    last: u128,
    due: Nanos,
}

impl Deaths {
    pub(super) fn new(look: fn(u128) -> Sign) -> Deaths {
        Deaths { look, known: BTreeMap::new(), last: 0, due: Nanos::ZERO }
    }

    /// More of the log is known: it is looked with the next [`Deaths::is_due`].
    pub(super) fn hasten(&mut self) {
        self.due = Nanos::ZERO;
    }

    pub(super) fn is_due(&self, now: Nanos) -> bool {
        now >= self.due
    }

    /// Those whose holder is dead, of the locks of all sessions; `own` is this process's.
    pub(super) fn of(&mut self, now: Nanos, own: u128, locks: impl Iterator<Item = u128>) -> BTreeSet<u128> {
        self.due = now.plus(EVERY);
        let locks: BTreeSet<u128> = locks.filter(|lock| *lock != 0 && *lock != own).collect();
        self.known.retain(|lock, _| locks.contains(lock));
        for lock in self.again() {
            self.known.insert(lock, (self.look)(lock));
        }
        for lock in locks {
            // A file that is not here when its number is read will never be: it was there before the number was said.
            self.known.entry(lock).or_insert_with(|| (self.look)(lock));
        }
        self.known.iter().filter(|(_, sign)| **sign == Sign::Dead).map(|(lock, _)| *lock).collect()
    }

    /// Those whose turn it is to be looked at again.
    fn again(&mut self) -> Vec<u128> {
        let after = self.known.range(self.last.saturating_add(1)..);
        let turn = after.chain(self.known.range(..=self.last)).filter(|(_, sign)| **sign == Sign::Alive);
        let turn: Vec<u128> = turn.map(|(lock, _)| *lock).take(AGAIN_MAX).collect();
        self.last = turn.last().copied().unwrap_or(self.last);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static LOOKED: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
        static DEAD: RefCell<BTreeSet<u128>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// Odd numbers are of this host.
    fn look(lock: u128) -> Sign {
        LOOKED.with_borrow_mut(|looked| looked.push(lock));
        match lock % 2 {
            0 => Sign::Nothing,
            _ if DEAD.with_borrow(|dead| dead.contains(&lock)) => Sign::Dead,
            _ => Sign::Alive,
        }
    }

    fn looked() -> Vec<u128> {
        LOOKED.take()
    }

    #[test]
    fn neither_a_process_itself_nor_one_without_a_file_is_looked_at() {
        let mut deaths = Deaths::new(look);
        assert!(deaths.of(Nanos::ZERO, 5, [0, 5, 7, 7].into_iter()).is_empty());
        assert_eq!(looked(), [7]);
    }

    #[test]
    fn a_process_of_another_host_is_looked_at_once_and_a_dead_one_no_more() {
        let mut deaths = Deaths::new(look);
        DEAD.set(BTreeSet::from([3]));
        for _ in 0..3 {
            assert_eq!(deaths.of(Nanos::ZERO, 0, [2, 3, 5].into_iter()), BTreeSet::from([3]));
        }
        assert_eq!(looked(), [2, 3, 5, 5, 5]);
    }

    #[test]
    fn everybody_gets_a_turn_and_a_round_is_short() {
        let mut deaths = Deaths::new(look);
        let all: Vec<u128> = (0..50).map(|n| 2 * n + 1).collect();
        deaths.of(Nanos::ZERO, 0, all.iter().copied());
        looked();
        for _ in 0..4 {
            deaths.of(Nanos::ZERO, 0, all.iter().copied());
            assert!(LOOKED.with_borrow(Vec::len) % AGAIN_MAX == 0);
        }
        assert_eq!(looked().into_iter().collect::<BTreeSet<_>>().len(), 50);
        DEAD.set(all.iter().copied().collect());
        let found = (0..4).map(|_| deaths.of(Nanos::ZERO, 0, all.iter().copied()).len());
        assert_eq!(found.last(), Some(50));
    }

    #[test]
    fn it_is_looked_every_half_second_and_at_once_when_more_is_known() {
        let mut deaths = Deaths::new(look);
        assert!(deaths.is_due(Nanos::ZERO));
        deaths.of(Nanos::from_secs(9), 0, std::iter::empty());
        assert!(!deaths.is_due(Nanos::from_secs(9)));
        assert!(deaths.is_due(Nanos::from_millis(9_500)));
        deaths.hasten();
        assert!(deaths.is_due(Nanos::from_secs(9)));
    }

    #[test]
    fn who_left_the_log_is_forgotten() {
        let mut deaths = Deaths::new(look);
        DEAD.set(BTreeSet::from([3]));
        assert_eq!(deaths.of(Nanos::ZERO, 0, [3].into_iter()).len(), 1);
        assert!(deaths.of(Nanos::ZERO, 0, std::iter::empty()).is_empty());
        assert!(deaths.known.is_empty());
    }
}
