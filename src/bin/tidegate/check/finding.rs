//! What the records of all processes together say about a limit.

use super::bound::{Bound, Window};
use super::certain::CertainWindows;
use super::queue::VirtualQueue;
use super::source::{Merged, Order, Recorded};
use super::spread::Spread;
use crate::failure::Failure;
use std::path::Path;
use tidegate::Limit;

/// Everything that was found out. Times are nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug)]
pub struct Finding {
    pub bound: Bound,
    pub admissions: u64,
    pub admitted: u64,
    pub first: u64,
    pub last: u64,
    /// The worst window of what was certainly admitted.
    pub worst: Window,
    /// Permits beyond the bound, certainly: whatever moments the decisions were taken at.
    pub excess: f64,
    /// The same if all decisions were taken as early, or as late, as the records allow.
    pub excess_if_before: f64,
    pub excess_if_after: f64,
    /// The recorder's own uncertainty: how long the intervals are.
    pub interval_longest: u64,
    pub interval_p99: u64,
    /// Files that end in half a record.
    pub torn: usize,
}

impl Finding {
    /// Reads all `files`, which may still be growing.
    pub fn of<P: AsRef<Path>>(files: &[P], limit: &Limit) -> Result<Finding, Failure> {
        let bound = Bound::of(limit);
        let (mut admissions, mut admitted, mut first, mut last) = (0, 0u64, u64::MAX, 0);
        let mut spread = Spread::new();
        let mut recorded = Vec::with_capacity(files.len());
        for file in files {
            recorded.push(Recorded::scan(file.as_ref(), |admission| {
                admissions += 1;
                admitted = admitted.saturating_add(admission.permits);
                first = first.min(admission.before);
                last = last.max(admission.after);
                spread.add(admission.after - admission.before);
            })?);
        }
        let (mut begins, mut ends) = (Merged::of(&recorded, Order::Before)?, Merged::of(&recorded, Order::After)?);
        let (mut early, mut late) = (VirtualQueue::new(bound), VirtualQueue::new(bound));
        let mut certain = CertainWindows::new(bound);
        while let Some(end) = ends.peek() {
            if begins.peek().is_some_and(|begin| begin <= end) {
                if let Some(admission) = begins.next()? {
                    early.admit(admission.before, admission.permits);
                    certain.begin(admission.before);
                }
            } else if let Some(admission) = ends.next()? {
                late.admit(admission.after, admission.permits);
                certain.end(admission.before, admission.after, admission.permits);
            }
        }
        let worst = certain.worst();
        Ok(Finding {
            bound,
            admissions,
            admitted,
            first: first.min(last),
            last,
            worst,
            excess: bound.permits(worst.excess(&bound)),
            excess_if_before: bound.permits(early.excess()),
            excess_if_after: bound.permits(late.excess()),
            interval_longest: spread.longest(),
            interval_p99: spread.percentile(99),
            torn: recorded.iter().filter(|file| file.torn > 0).count(),
        })
    }

    pub fn held(&self) -> bool {
        self.worst.excess(&self.bound) == 0
    }

    /// From the first admission to the last.
    pub fn duration(&self) -> u64 {
        self.last - self.first
    }

    /// What one bucket that is asked all the time admits from the first admission to the last.
    pub fn ideal(&self) -> f64 {
        self.bound.permits(self.bound.burst() + self.bound.over(self.duration()))
    }

    /// Admitted of what one ideal bucket would have admitted.
    pub fn utilisation(&self) -> f64 {
        self.admitted as f64 / self.ideal()
    }

    /// What the worst window may hold.
    pub fn worst_allowed(&self) -> f64 {
        self.bound.permits(self.worst.allowed(&self.bound))
    }
}
