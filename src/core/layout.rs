//! Which buckets live in a partition, and whether those that came from elsewhere may be used already.
//!
//! The log's partitions can become more while it is used. Each partition keeps the counts that it has seen, its *steps*,
//! because it is read and closed by itself. A bucket lives where the newest count puts it ([`partition_of`]); growing the
//! count moves buckets only to new partitions. So a partition *closes* for a bucket at the offset of a step that puts it
//! elsewhere, and a partition that is new *opens* for the buckets of each older one at the offset of an `Open`, which is
//! written only after that older one was seen closed and without a holder. Nothing opens a closed bucket again, so what was
//! seen once stays true, and it does not matter who writes, how often, or how late.

use super::placement::{partition_of, BucketId};
use std::collections::BTreeSet;

/// Most counts that a partition sees; growth beyond is ignored by every process alike.
pub const STEPS_MAX: usize = 64;

/// What one partition knows of the log's partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The count before this partition came to be; 0: it was there from the start.
    pub(super) before: u32,
    /// The counts since, rising; empty: nobody said.
    pub(super) steps: Vec<u32>,
    /// The older partitions whose buckets may be used here.
    pub(super) opened: BTreeSet<u32>,
}

impl Layout {
    /// The newest count; 0: nobody said.
    pub fn partitions(&self) -> u32 {
        self.steps.last().copied().unwrap_or(0)
    }

    /// The counts that this partition has seen.
    pub fn steps(&self) -> &[u32] {
        &self.steps
    }

    /// A count follows another; false if it does not follow what is known. The first one says how the partition came to be.
    pub(super) fn step(&mut self, previous: u32, partitions: u32) -> bool {
        let follows = self.steps.is_empty() || previous == self.partitions();
        if !follows || partitions <= previous || self.steps.len() >= STEPS_MAX {
            return false;
        }
        if self.steps.is_empty() {
            self.before = previous;
        }
        self.steps.push(partitions);
        true
    }

    /// Whether a bucket that lived here when the partition came to be still does.
    pub fn has(&self, id: BucketId) -> bool {
        self.steps.last().is_none_or(|last| self.had(id, *last))
    }

    /// Whether it did in a log of so many partitions.
    pub fn had(&self, id: BucketId, partitions: u32) -> bool {
        let first = self.steps.first().copied().unwrap_or(partitions);
        first == partitions || partition_of(id, first) == partition_of(id, partitions)
    }

    /// The partition that a bucket came from; `None`: from nowhere, this partition is as old as the log.
    pub fn origin_of(&self, id: BucketId) -> Option<u32> {
        (self.before > 0).then(|| partition_of(id, self.before))
    }

    /// Whether a bucket may be given out here: it stays, and it has left where it came from.
    pub fn is_open(&self, id: BucketId) -> bool {
        self.has(id) && self.origin_of(id).is_none_or(|from| self.opened.contains(&from))
    }

    /// Whether what came from `from` may be used.
    pub fn is_opened(&self, from: u32) -> bool {
        from >= self.before || self.opened.contains(&from)
    }

    pub(super) fn open(&mut self, from: u32) -> bool {
        from < self.before && self.opened.insert(from)
    }

    /// The older partitions that something may still come from.
    pub fn unopened(&self) -> BTreeSet<u32> {
        (0..self.before).filter(|from| !self.opened.contains(from)).collect()
    }

    /// Whether nothing can come from elsewhere any more.
    pub fn is_whole(&self) -> bool {
        self.opened.len() == self.before as usize
    }
}

/// What has to be said in `partition` of a log whose counts were `history`: each count and the one before it, from the one
/// that made the partition.
pub fn chain(history: &[u32], partition: u32) -> Vec<(u32, u32)> {
    let before = std::iter::once(0).chain(history.iter().copied());
    before.zip(history.iter().copied()).filter(|(_, count)| *count > partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(chain: &[(u32, u32)]) -> Layout {
        let mut layout = Layout::default();
        chain.iter().for_each(|(previous, count)| assert!(layout.step(*previous, *count)));
        layout
    }

    #[test]
    fn each_partition_is_told_the_counts_since_it_came_to_be() {
        assert_eq!(chain(&[12, 24, 48], 3), [(0, 12), (12, 24), (24, 48)]);
        assert_eq!(chain(&[12, 24, 48], 20), [(12, 24), (24, 48)]);
        assert_eq!(chain(&[12, 24, 48], 40), [(24, 48)]);
        assert_eq!(chain(&[], 0), []);
    }

    #[test]
    fn a_count_that_does_not_follow_changes_nothing() {
        let mut old = layout(&[(0, 12), (12, 24)]);
        for (previous, count) in [(0, 12), (12, 48), (24, 24), (24, 12), (48, 96)] {
            assert!(!old.step(previous, count), "{previous} -> {count}");
        }
        assert_eq!(old.steps(), [12, 24]);
        assert!(old.step(24, 48));
    }

    #[test]
    fn more_counts_than_the_bound_are_ignored() {
        let mut layout = Layout::default();
        let taken = (0..1000).filter(|count| layout.step(*count, count + 1)).count();
        assert_eq!(taken, STEPS_MAX);
    }

    #[test]
    fn every_bucket_is_open_in_one_partition_at_most_and_in_one_when_all_has_moved() {
        let history = [3, 5, 11];
        let parts: Vec<Layout> = (0..11).map(|partition| layout(&chain(&history, partition))).collect();
        for number in 0..2_000u128 {
            let id = BucketId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            // As claims do, look only where some count has put it.
            let homes: BTreeSet<u32> = history.iter().map(|count| partition_of(id, *count)).collect();
            let here: Vec<u32> = homes.iter().copied().filter(|home| parts[*home as usize].has(id)).collect();
            assert_eq!(here, [partition_of(id, 11)]);
            let open = |parts: &[Layout]| homes.iter().filter(|home| parts[**home as usize].is_open(id)).count();
            assert!(open(&parts) <= 1);
            let mut all = parts.clone();
            all.iter_mut().for_each(|part| part.opened = (0..part.before).collect());
            assert_eq!(open(&all), 1);
        }
    }

    #[test]
    fn a_new_partition_is_whole_when_all_older_ones_opened_and_no_other_counts() {
        let mut new = layout(&[(2, 4)]);
        assert!(!new.open(2) && !new.open(3), "those are not older");
        assert!(new.open(0) && !new.open(0));
        assert_eq!((new.is_whole(), new.unopened()), (false, BTreeSet::from([1])));
        assert!(new.open(1) && new.is_whole());
        assert!(layout(&[(0, 4)]).is_whole() && Layout::default().is_whole());
    }
}
