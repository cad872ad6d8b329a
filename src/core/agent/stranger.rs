//! A process that finds no state to start from: the log's beginning is gone, and no snapshot reaches what is left.
//!
//! It never guesses. It asks those who are alive for a snapshot, again and again, and reads what they say. Only when
//! nobody but strangers was heard for longer than any session may be silent, in live time as everywhere, does it
//! declare the partition empty: whoever held something there has been without a valid share for long, and nobody has
//! spent anything since. Its word counts only if nobody has spoken since its witness began, so a late copy of it
//! does no harm, and everybody who reads it comes to the same state, whatever he knew before. It names the counts of
//! partitions that the log has had, so that what had left the partition is not given out there again.

use super::Agent;
use crate::core::fold::{Fold, RESTED, TTL_MS};
use crate::core::layout::Layout;
use crate::core::record::{Op, Record, Sender};
use crate::core::units::Nanos;
use std::collections::VecDeque;

/// How often it asks.
pub(super) const ASK: Nanos = Nanos::from_secs(5);
/// The least silence after which a partition may be reset: the longest time-to-live, and what [`RESTED`] says.
const SILENCE: Nanos = Nanos::from_millis(TTL_MS.1 as u64).plus(RESTED);
/// Records whose read-back is still hoped for.
const TAGS_MAX: usize = 16;

/// What a stranger has witnessed.
#[derive(Clone, Debug, Default)]
pub(super) struct Stranger {
    /// The first offset that it read: of what was before, it knows nothing.
    began: Option<u64>,
    /// Nobody else spoke from this offset on.
    spoken: u64,
    /// Its first own record that it read after that: its witness of silence begins here.
    from: Option<u64>,
    /// Live time since then.
    silent: Nanos,
    read_back_at: Nanos,
    /// The counts of partitions that a reset names, and until when they are known to be the newest.
    pub(super) vouched: Option<(Layout, Nanos)>,
    asked_at: Option<Nanos>,
    tags: VecDeque<u64>,
}

impl Stranger {
    /// Takes note of a record; the state after it if it is a reset that counts.
    fn read(&mut self, now: Nanos, nonce: u64, offset: u64, record: &Record) -> Option<Fold> {
        let began = *self.began.get_or_insert(offset);
        if record.sender != Sender::Stranger {
            self.spoken = offset.saturating_add(1);
            self.from = None;
            self.silent = Nanos::ZERO;
            self.vouched = None;
            return None;
        }
        if record.nonce == nonce && self.tags.contains(&record.tag) {
            match self.from {
                None => self.from = Some(offset),
                Some(_) => self.silent = self.silent.plus(now.since(self.read_back_at).min(ASK.part(3, 2))),
            }
            self.read_back_at = now;
        }
        Fold::reset_by(offset, record, began, self.spoken)
    }
}

impl Agent {
    /// From here on it is a stranger here.
    pub(super) fn strand(&mut self) {
        self.stranger = Some(Stranger::default());
    }

    /// How long the partition must still be silent until it is declared empty, if no state was found to start from.
    pub fn stranded_for(&self) -> Option<Nanos> {
        self.stranger.as_ref().map(|stranger| SILENCE.since(stranger.silent))
    }

    /// Whether it has witnessed all the silence that it takes to declare the partition empty.
    pub fn is_resetting(&self) -> bool {
        self.stranded_for() == Some(Nanos::ZERO)
    }

    /// The counts that the partition is to begin with if it is declared empty. They must be the newest until `until`, or be
    /// from within the silence: otherwise what had left it would be given out here again.
    pub fn vouch(&mut self, counts: Layout, until: Nanos) {
        if let Some(stranger) = &mut self.stranger {
            stranger.vouched = Some((counts, until)).filter(|(counts, _)| counts.partitions() > 0);
        }
    }

    /// The offsets that a stranger has read: a snapshot within them can be gone on from.
    pub(super) fn read_as_stranger(&self) -> Option<(u64, u64)> {
        let began = self.stranger.as_ref()?.began?;
        Some((began, self.fold.next()))
    }

    /// A stranger reads a record.
    pub(super) fn on_strange_record(&mut self, now: Nanos, offset: u64, record: &Record) {
        let Some(stranger) = &mut self.stranger else { return };
        match stranger.read(now, self.nonce, offset, record) {
            None => self.fold.skip(offset),
            Some(reset) => {
                self.stranger = None;
                self.counters.resets += 1;
                self.start_with(now, reset);
            }
        }
    }

    /// What a stranger says now, if it says something.
    pub(super) fn ask(&mut self, now: Nanos) -> Option<Vec<u8>> {
        if self.closing || now < self.next_ask() {
            return None;
        }
        self.rng.stir(now.0);
        let tag = self.rng.next_u64();
        let stranger = self.stranger.as_mut()?;
        stranger.asked_at = Some(now);
        if stranger.tags.len() >= TAGS_MAX {
            stranger.tags.pop_front();
        }
        stranger.tags.push_back(tag);
        let vouched = stranger.vouched.as_ref().filter(|(_, until)| stranger.silent >= SILENCE && now < *until);
        let reset = stranger.from.zip(vouched).map(|(from, (counts, _))| Op::reset(from, counts));
        let ops = reset.into_iter().collect();
        self.counters.records_sent += 1;
        Some(Record { sender: Sender::Stranger, nonce: self.nonce, seq: 0, tag, digest: None, ops }.encode())
    }

    /// When it speaks next; never when it is no stranger.
    pub(super) fn next_ask(&self) -> Nanos {
        let Some(stranger) = &self.stranger else { return Nanos::NEVER };
        stranger.asked_at.map_or(Nanos::ZERO, |at| at.plus(ASK))
    }
}
