//! Whether this process and the others hold the same state: every process computes a digest of the
//! partition at the same offsets, says the newest in its records, and compares what others say.
//!
//! A difference means a log that showed two processes different records, or two versions that fold
//! differently. Neither side can know which is right: the partition is read anew.

use super::Agent;
use crate::core::fold::Fold;
use crate::core::placement::BucketId;
use crate::core::snapshot::{bucket_digest, frame_digest};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A digest is taken whenever the next offset is a multiple of this: the cost is spread over as many records.
const EVERY: u64 = 64;
/// Digests kept to compare with: beyond, what a slow process says is too old to judge.
const MARKS_MAX: usize = 64;

/// The digests of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests {
    /// By bucket, as of the last mark; `total` is their wrapping sum, which needs no order.
    of: BTreeMap<BucketId, u128>,
    total: u128,
    stale: BTreeSet<BucketId>,
    marks: VecDeque<(u64, u64)>,
}

impl Digests {
    /// Starts with the state of a snapshot.
    pub(super) fn of(fold: &Fold) -> Digests {
        Digests { stale: fold.buckets().keys().copied().collect(), ..Digests::default() }
    }

    /// The newest digest, to be said.
    pub(super) fn newest(&self) -> Option<(u64, u64)> {
        self.marks.back().copied()
    }

    pub(super) fn touched(&mut self, buckets: &BTreeSet<BucketId>) {
        self.stale.extend(buckets);
    }

    /// Takes the digest if one is due at this offset.
    pub(super) fn mark(&mut self, fold: &Fold) {
        if fold.next() % EVERY != 0 || fold.next() == 0 {
            return;
        }
        for bucket in std::mem::take(&mut self.stale) {
            let new = fold.bucket(bucket).map(|shared| bucket_digest(bucket, shared));
            let old = match new {
                Some(new) => self.of.insert(bucket, new),
                None => self.of.remove(&bucket),
            };
            self.total = self.total.wrapping_sub(old.unwrap_or(0)).wrapping_add(new.unwrap_or(0));
        }
        let digest = self.total.wrapping_add(frame_digest(fold)) as u64;
        if self.marks.len() >= MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back((fold.next(), digest));
    }

    /// Whether it is what this process found, if it can tell.
    fn agrees(&self, said: (u64, u64)) -> Option<bool> {
        self.marks.iter().find(|mark| mark.0 == said.0).map(|mark| mark.1 == said.1)
    }
}

impl Agent {
    /// Compares what the record at `offset` says its sender's state was.
    pub(super) fn compare_digest(&mut self, offset: u64, said: Option<(u64, u64)>) {
        let Some(agrees) = said.and_then(|said| self.digests.agrees(said)) else { return };
        self.counters.digests_compared += 1;
        if !agrees {
            self.counters.digest_mismatches += 1;
            self.diverged |= self.sources.contradicted(offset);
        }
    }

    /// Whether this process's state differs from another's: the partition must be read anew, with
    /// [`Agent::on_gap`] first.
    pub fn has_diverged(&self) -> bool {
        self.diverged
    }
}
