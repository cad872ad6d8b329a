//! Which buckets live in a partition, and whether those that came from elsewhere may be used already.
//!
//! The log's partitions can become more while it is used. Each partition keeps the counts that it has seen, its *steps*,
//! because it is read and closed by itself. A bucket lives where the newest count puts it ([`partition_of`]); growing the
//! count moves buckets only to new partitions. So a partition *closes* for a bucket at the offset of a step that puts it
//! elsewhere, and a partition that is new *opens* for the buckets of each older one at the offset of an `Open`, which is
//! written only after that older one was seen closed and without a holder. Nothing opens a closed bucket again, so what was
//! seen once stays true, and it does not matter who writes, how often, or how late.
//!
//! Where nobody can tell any more what the counts before were, buckets may have come from *any* older partition, and wait
//! for all of them.

use super::placement::{partition_of, BucketId};
use std::collections::BTreeSet;
use std::ops::Range;

/// Most counts that a partition sees; growth beyond is ignored by every process alike.
pub const STEPS_MAX: usize = 64;
/// Most partitions that are used; more are ignored by every process alike.
pub const PARTITIONS_MAX: u32 = 65_536;

/// What one partition knows of the log's partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The count before this partition came to be; 0: it was there from the start.
    pub(super) before: u32,
    /// That count is not known: it is at most what `before` says, the number of this partition.
    pub(super) any: bool,
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

    /// What has to be said in `partition` of a log whose counts were `history`; `reset`: those before are forgotten.
    pub fn told(history: &[u32], reset: bool, partition: u32) -> Layout {
        let first = history.iter().position(|count| *count > partition);
        let any = reset && first == Some(0);
        let before = match first {
            _ if any => partition,
            Some(0) | None => 0,
            Some(at) => history[at - 1],
        };
        let steps = first.map_or(&[][..], |at| &history[at..]).to_vec();
        Layout { before, any, steps, ..Layout::default() }
    }

    /// One that was said as a whole; `None` if nobody can have meant it.
    pub(super) fn said(before: u32, any: bool, counts: &[u32]) -> Option<Layout> {
        let mut layout = Layout::default();
        let sound = counts.iter().all(|count| layout.step(before, *count, any));
        (sound && !counts.is_empty()).then_some(layout)
    }

    /// A larger count is taken, whatever it follows: to close more is always safe. The first one says how the partition came
    /// to be.
    pub(super) fn step(&mut self, previous: u32, partitions: u32, any: bool) -> bool {
        let least = if self.steps.is_empty() { previous } else { self.partitions() };
        if partitions <= least || partitions > PARTITIONS_MAX || self.steps.len() >= STEPS_MAX {
            return false;
        }
        if self.steps.is_empty() {
            (self.before, self.any) = (previous, any);
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
        if self.any {
            // Who knows an older count may ask for what lived here then.
            return partition_of(id, partitions) == self.before;
        }
        let first = self.steps.first().copied().unwrap_or(partitions);
        first == partitions || partition_of(id, first) == partition_of(id, partitions)
    }

    /// The partitions that a bucket may have come from; none if this one is as old as the log.
    pub fn origins(&self, id: BucketId) -> Range<u32> {
        match self.before {
            0 => 0..0,
            before if self.any => 0..before,
            before => {
                let from = partition_of(id, before);
                from..from + 1
            }
        }
    }

    /// Those of them that it still has to leave.
    pub fn awaits(&self, id: BucketId) -> impl Iterator<Item = u32> + '_ {
        self.origins(id).filter(|from| !self.is_opened(*from))
    }

    /// Whether a bucket may be given out here: it stays, and it has left where it came from.
    pub fn is_open(&self, id: BucketId) -> bool {
        self.has(id) && self.awaits(id).next().is_none()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(before: u32, counts: &[u32]) -> Layout {
        Layout::said(before, false, counts).expect("rising counts")
    }

    #[test]
    fn each_partition_is_told_the_counts_since_it_came_to_be() {
        let told = |partition| Layout::told(&[12, 24, 48], false, partition);
        assert_eq!(told(3), layout(0, &[12, 24, 48]));
        assert_eq!(told(20), layout(12, &[24, 48]));
        assert_eq!(told(40), layout(24, &[48]));
        assert_eq!((told(48), Layout::told(&[], true, 0)), (Layout::default(), Layout::default()));
    }

    #[test]
    fn what_a_directory_that_was_reset_takes_for_old_may_have_come_from_anywhere_before_it() {
        let told = |partition| Layout::told(&[12, 24], true, partition);
        assert_eq!(told(0), Layout::said(0, true, &[12, 24]).unwrap());
        assert!(told(0).is_whole() && (0..100).map(BucketId).all(|id| told(0).has(id) == (partition_of(id, 24) == 0)));
        assert_eq!(told(3), Layout::said(3, true, &[12, 24]).unwrap());
        assert_eq!(told(20), layout(12, &[24]), "that one it knows");
        let id = BucketId(7);
        assert_eq!(told(3).awaits(id).collect::<Vec<_>>(), [0, 1, 2]);
        let mut new = told(3);
        assert!(new.open(0) && new.open(2));
        assert_eq!((new.awaits(id).collect::<Vec<_>>(), new.is_whole()), (vec![1], false));
        assert!(!new.open(3) && new.open(1) && new.is_whole());
        assert_eq!(new.awaits(id).next(), None);
    }

    #[test]
    fn only_a_larger_count_changes_anything_whatever_it_follows() {
        let mut old = layout(0, &[12, 24]);
        for count in [0, 12, 24] {
            assert!(!old.step(24, count, true), "{count}");
        }
        assert!(old.step(0, 36, true) && old.step(99, 48, false));
        assert_eq!(old, layout(0, &[12, 24, 36, 48]), "how it came to be is known");
        assert!(!Layout::default().step(12, 12, false), "a partition is one of its first count");
    }

    #[test]
    fn what_nobody_can_have_meant_is_no_layout() {
        for (before, counts) in [(0, &[][..]), (0, &[0]), (12, &[12]), (12, &[24, 24]), (0, &[24, 12])] {
            assert_eq!(Layout::said(before, false, counts), None, "{before} {counts:?}");
        }
    }

    #[test]
    fn more_counts_than_the_bound_are_ignored() {
        let mut layout = Layout::default();
        let taken = (0..1000).filter(|count| layout.step(*count, count + 1, false)).count();
        assert_eq!(taken, STEPS_MAX);
    }

    #[test]
    fn more_partitions_than_the_bound_are_ignored() {
        let mut layout = Layout::default();
        assert!(!layout.step(PARTITIONS_MAX, PARTITIONS_MAX + 1, true) && layout.step(0, PARTITIONS_MAX, false));
    }

    #[test]
    fn every_bucket_is_open_in_one_partition_at_most_and_in_one_when_all_has_moved() {
        let history = [3, 5, 11];
        let parts: Vec<Layout> = (0..11).map(|partition| Layout::told(&history, false, partition)).collect();
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
        let mut new = layout(2, &[4]);
        assert!(!new.open(2) && !new.open(3), "those are not older");
        assert!(new.open(0) && !new.open(0));
        assert_eq!((new.is_whole(), new.unopened()), (false, BTreeSet::from([1])));
        assert!(new.open(1) && new.is_whole());
        assert!(layout(0, &[4]).is_whole() && Layout::default().is_whole());
    }
}
