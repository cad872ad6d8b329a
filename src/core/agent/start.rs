//! Where a process begins to read: at the newest snapshot that the log still reaches, otherwise at the log's own
//! beginning, otherwise as a stranger.
//!
//! A state that another process contradicted is not started from again, as long as there is another one.

use super::Agent;
use crate::core::fold::Fold;
use crate::core::snapshot::Assembler;
use crate::core::units::Nanos;
use std::collections::BTreeSet;

/// Contradicted snapshots that are remembered; there are only two slots, so more are old.
const DISTRUSTED_MAX: usize = 16;

/// Where the log must be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From this offset on; if the log does not hold it, [`Agent::on_missing`].
    At(u64),
    /// From wherever it starts now.
    Anywhere,
}

/// A state to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// The log's first record.
    Beginning,
    /// A snapshot, told by its offset and digest.
    Snapshot(u64, u128),
}

/// What there is to start from.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    assembler: Assembler,
    /// What the present state came from.
    source: Option<Source>,
    /// The log does not hold what comes after them.
    missing: BTreeSet<Source>,
    /// Another process contradicted what came of them.
    distrusted: BTreeSet<Source>,
    /// After the last record that contradicted.
    contradicted: u64,
    /// Contradictions before this offset have been answered by trying everything that there is.
    excused: u64,
}

impl Sources {
    /// The partition is read anew; `contradicted`: because another process said that the state is wrong.
    pub(super) fn anew(&mut self, contradicted: bool) {
        let source = self.source.take().filter(|_| contradicted);
        if self.distrusted.len() >= DISTRUSTED_MAX {
            self.distrusted.clear();
        }
        self.distrusted.extend(source);
        self.missing.clear();
        self.assembler = Assembler::default();
    }

    /// The best that is left: the newest snapshot that was not contradicted, the beginning, and if both were, whatever
    /// reaches back the furthest.
    fn next(&self) -> Option<(Source, u8, Fold)> {
        let whole = self.assembler.whole().into_iter();
        let snapshots = whole.map(|(slot, digest, fold)| (Source::Snapshot(fold.next(), digest), slot, fold));
        let all = snapshots.chain([(Source::Beginning, 0, Fold::default())]);
        let mut left: Vec<_> = all.filter(|(source, ..)| !self.missing.contains(source)).collect();
        let trusted = left.iter().position(|(source, ..)| !self.distrusted.contains(source));
        let at = trusted.or(left.len().checked_sub(1))?;
        Some(left.swap_remove(at))
    }

    /// Whether a contradiction in the record at `offset` is to be answered by reading the partition anew.
    pub(super) fn contradicted(&mut self, offset: u64) -> bool {
        self.contradicted = self.contradicted.max(offset.saturating_add(1));
        offset >= self.excused
    }
}

impl Agent {
    /// Takes a message of the state topic.
    pub fn on_state(&mut self, key: &[u8], value: &[u8]) {
        self.sources.assembler.push(key, value);
    }

    /// The state topic was read: where the log must be read from now. `None`: go on reading where you are.
    pub fn start(&mut self, now: Nanos) -> Option<Start> {
        if self.stranger.is_some() {
            return self.rescue(now).map(Start::At);
        }
        let Some((source, slot, fold)) = self.sources.next() else {
            self.strand();
            return Some(Start::Anywhere);
        };
        let offset = fold.next();
        self.sources.source = Some(source);
        if self.sources.distrusted.contains(&source) {
            // Everything was contradicted: this is as right as it gets, and an old word must not be answered for ever.
            self.sources.excused = self.sources.contradicted;
        }
        match source {
            Source::Beginning => self.start_with(now, fold),
            Source::Snapshot(..) => self.restore(now, slot, fold),
        }
        Some(Start::At(offset))
    }

    /// A stranger has found a snapshot that the log reaches: there it reads on.
    fn rescue(&mut self, now: Nanos) -> Option<u64> {
        let (began, read) = self.read_as_stranger()?;
        let fits = |(_, _, fold): &(u8, u128, Fold)| (began..=read).contains(&fold.next());
        let (slot, digest, fold) = self.sources.assembler.whole().into_iter().find(fits)?;
        let offset = fold.next();
        self.sources.source = Some(Source::Snapshot(offset, digest));
        self.stranger = None;
        self.restore(now, slot, fold);
        Some(offset)
    }

    /// The log does not hold the offset that [`Agent::start`] named: call that again.
    pub fn on_missing(&mut self, now: Nanos) {
        if let Some(source) = self.sources.source.take() {
            self.sources.missing.insert(source);
        }
        self.start_with(now, Fold::default());
    }
}
