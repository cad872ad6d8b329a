//! A whole partition at one offset, as bytes: where a process starts that cannot or need not read the log
//! from its beginning.
//!
//! Never a part of a partition: state that is newer in one place than in another is a state that no process
//! ever had. So a snapshot is cut into chunks that all name the same offset, count and digest, kept in two
//! alternating slots of a compacted topic. The newest complete one counts. A slow or second writer spoils at
//! worst the slot it writes to; what it mixes up has no digest that fits.

use super::codec::{Reader, Writer};
use super::fold::{Fold, Lease, LimitNumbers, Session, Shared};
use super::layout::Layout;
use super::placement::BucketId;
use super::record::Amounts;
use super::siphash::hash128;
use super::units::{Nanos, Rate, Tokens, MILLISECOND};
use std::collections::{BTreeMap, BTreeSet};

/// The format of snapshots that this version writes and reads.
const FORMAT: u8 = 1;
const MAGIC: u8 = b'S';
const DIGEST_KEY: (u64, u64) = (0x7469_6465_6761_7465, 0x736e_6170_7368_6f74);
/// Most payload in a chunk: with its header well below Kafka's 1 MiB.
const CHUNK_MAX: usize = 512 * 1024;
/// Most chunks of a snapshot that are read: 8 GiB.
const CHUNKS_MAX: u32 = 16_384;
/// The two places that snapshots alternate between.
pub const SLOTS: u8 = 2;

/// A message for the state topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The Kafka record's key: what compaction keeps the newest of.
    pub key: Vec<u8>,
    /// The Kafka record's value.
    pub value: Vec<u8>,
}

/// The digest of a partition's state: equal in all processes that folded the same offsets.
pub fn digest(fold: &Fold) -> u128 {
    hash128(DIGEST_KEY.0, DIGEST_KEY.1, &encode(fold))
}

/// The snapshot of `fold` for `slot`.
pub fn chunks(fold: &Fold, slot: u8) -> Vec<Chunk> {
    let body = encode(fold);
    let digest = hash128(DIGEST_KEY.0, DIGEST_KEY.1, &body);
    let parts: Vec<&[u8]> = body.chunks(CHUNK_MAX).collect();
    let count = parts.len() as u128;
    let chunk = |(index, part): (usize, &&[u8])| {
        let mut value = Writer(vec![MAGIC, FORMAT]);
        value.varint(fold.next.into());
        value.u128(digest);
        value.varint(index as u128);
        value.varint(count);
        value.0.extend_from_slice(part);
        let mut key = Writer(vec![MAGIC, slot]);
        key.varint(index as u128);
        Chunk { key: key.0, value: value.0 }
    };
    parts.iter().enumerate().map(chunk).collect()
}

/// Gathers what stands in the state topic, and finds the newest whole snapshot.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    /// By slot and index.
    parts: BTreeMap<(u8, u32), Part>,
}

#[derive(Clone, Debug)]
struct Part {
    offset: u64,
    digest: u128,
    count: u32,
    payload: Vec<u8>,
}

impl Assembler {
    /// Takes a message of the state topic; others than chunks are passed over.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        if let Some((place, part)) = read_chunk(key, value) {
            self.parts.insert(place, part);
        }
    }

    /// The newest whole snapshot and its slot.
    pub fn newest(&self) -> Option<(u8, Fold)> {
        self.whole().into_iter().next().map(|(slot, _, fold)| (slot, fold))
    }

    /// All whole snapshots, the newest first: slot, digest, state.
    pub fn whole(&self) -> Vec<(u8, u128, Fold)> {
        let assemble = |slot| self.assemble(slot).map(|(digest, fold)| (slot, digest, fold));
        let mut whole: Vec<_> = (0..SLOTS).filter_map(assemble).collect();
        whole.sort_by_key(|(_, _, fold)| std::cmp::Reverse(fold.next));
        whole
    }

    fn assemble(&self, slot: u8) -> Option<(u128, Fold)> {
        let first = self.parts.get(&(slot, 0))?;
        let mut body = Vec::new();
        for index in 0..first.count {
            let part = self.parts.get(&(slot, index))?;
            body.extend_from_slice(&part.payload);
        }
        let sound = hash128(DIGEST_KEY.0, DIGEST_KEY.1, &body) == first.digest;
        decode(&body).filter(|fold| sound && fold.next == first.offset).map(|fold| (first.digest, fold))
    }
}

fn read_chunk(key: &[u8], value: &[u8]) -> Option<((u8, u32), Part)> {
    let mut key = Reader(key);
    let mut value = Reader(value);
    if (key.u8()?, value.u8()?, value.u8()?) != (MAGIC, MAGIC, FORMAT) {
        return None;
    }
    let slot = key.u8().filter(|slot| *slot < SLOTS)?;
    let index = u32::try_from(key.varint()?).ok()?;
    let (offset, digest) = (value.varint64()?, value.u128()?);
    let same = value.varint()? == u128::from(index);
    let count = u32::try_from(value.varint()?).ok().filter(|count| *count <= CHUNKS_MAX && index < *count)?;
    same.then(|| ((slot, index), Part { offset, digest, count, payload: value.0.to_vec() }))
}

/// The digest of everything in a partition but its buckets.
pub(super) fn frame_digest(fold: &Fold) -> u128 {
    let mut w = Writer(Vec::new());
    write_frame(&mut w, fold);
    hash128(DIGEST_KEY.0, DIGEST_KEY.1, &w.0)
}

/// The digest of one bucket.
pub(super) fn bucket_digest(id: BucketId, shared: &Shared) -> u128 {
    let mut w = Writer(Vec::new());
    write_bucket(&mut w, id, shared);
    hash128(DIGEST_KEY.0, DIGEST_KEY.1, &w.0)
}

fn encode(fold: &Fold) -> Vec<u8> {
    let mut w = Writer(Vec::new());
    write_frame(&mut w, fold);
    w.varint(fold.buckets.len() as u128);
    fold.buckets.iter().for_each(|(id, shared)| write_bucket(&mut w, *id, shared));
    w.0
}

fn write_frame(w: &mut Writer, fold: &Fold) {
    w.varint(fold.next.into());
    w.varint(fold.spoken.into());
    w.0.push(fold.reset.into());
    w.varint(fold.sessions.len() as u128);
    for (offset, session) in &fold.sessions {
        w.varint((*offset).into());
        w.u64(session.nonce);
        w.varint(session.last_seq.into());
        w.varint((session.ttl.0 / MILLISECOND).into());
        w.u128(session.lock);
    }
    w.varint(fold.limits.len() as u128);
    for (id, limit) in &fold.limits {
        w.u128(*id);
        w.varint(limit.version.into());
        w.varint(limit.rate.0.into());
        w.varint(limit.burst.0.into());
    }
    let Layout { before, any, steps, opened } = &fold.layout;
    w.varint((*before).into());
    w.0.push((*any).into());
    for numbers in [steps.iter().collect::<Vec<_>>(), opened.iter().collect()] {
        w.varint(numbers.len() as u128);
        numbers.into_iter().for_each(|number| w.varint((*number).into()));
    }
}

fn write_bucket(w: &mut Writer, id: BucketId, shared: &Shared) {
    w.u128(id.0);
    w.u128(shared.limit);
    w.varint(shared.pool.0.into());
    w.varint(shared.leases.len() as u128);
    for lease in &shared.leases {
        for number in [lease.session, lease.born, lease.rank, lease.want.0, lease.min.0] {
            w.varint(number.into());
        }
        for amounts in [lease.granted, lease.released] {
            [amounts.rate, amounts.burst, amounts.tokens].into_iter().for_each(|amount| w.varint(amount));
        }
    }
}

fn decode(body: &[u8]) -> Option<Fold> {
    let mut r = Reader(body);
    let (next, spoken, reset) = (r.varint64()?, r.varint64()?, r.flag()?);
    let mut fold = Fold { next, spoken, reset, ..Fold::default() };
    for _ in 0..r.varint()? {
        let (offset, nonce, last_seq) = (r.varint64()?, r.u64()?, r.varint64()?);
        let (ttl, lock) = (Nanos::from_millis(r.varint64()?), r.u128()?);
        fold.sessions.insert(offset, Session { nonce, last_seq, ttl, lock, buckets: BTreeSet::new() });
    }
    for _ in 0..r.varint()? {
        let id = r.u128()?;
        let (version, rate, burst) = (r.varint64()?, Rate(r.varint64()?), Tokens(r.varint64()?));
        fold.limits.insert(id, LimitNumbers { version, rate, burst });
    }
    (fold.layout.before, fold.layout.any) = (r.varint32()?, r.flag()?);
    for _ in 0..r.varint()? {
        fold.layout.steps.push(r.varint32()?);
    }
    for _ in 0..r.varint()? {
        fold.layout.opened.insert(r.varint32()?);
    }
    for _ in 0..r.varint()? {
        let (id, mut shared) = (BucketId(r.u128()?), Shared::unheld(r.u128()?, Tokens(r.varint64()?)));
        for _ in 0..r.varint()? {
            let lease = read_lease(&mut r)?;
            fold.sessions.get_mut(&lease.session)?.buckets.insert(id);
            shared.leases.push(lease);
        }
        fold.buckets.insert(id, shared);
    }
    fold.close();
    r.0.is_empty().then_some(fold)
}

fn read_lease(r: &mut Reader<'_>) -> Option<Lease> {
    Some(Lease {
        session: r.varint64()?,
        born: r.varint64()?,
        rank: r.varint64()?,
        want: Rate(r.varint64()?),
        min: Tokens(r.varint64()?),
        granted: Amounts { rate: r.varint()?, burst: r.varint()?, tokens: r.varint()? },
        released: Amounts { rate: r.varint()?, burst: r.varint()?, tokens: r.varint()? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fold::tests::{any_history, run};
    use crate::core::record::{Op, Record, Sender};
    use proptest::prelude::*;

    fn gather(messages: &[Chunk]) -> Assembler {
        let mut assembler = Assembler::default();
        messages.iter().for_each(|chunk| assembler.push(&chunk.key, &chunk.value));
        assembler
    }

    proptest! {
        #[test]
        fn a_restored_partition_equals_the_veterans_at_every_later_offset(
            records in any_history(), at: prop::sample::Index,
        ) {
            let (head, tail) = records.split_at(at.index(records.len()));
            let mut veteran = run(head.to_vec());
            let (_, mut restored) = gather(&chunks(&veteran, 1)).newest().unwrap();
            prop_assert_eq!(&veteran, &restored);
            for record in tail {
                veteran.apply(veteran.next(), record);
                restored.apply(restored.next(), record);
                prop_assert_eq!(&veteran, &restored);
                prop_assert_eq!(digest(&veteran), digest(&restored));
            }
        }

        #[test]
        fn no_bytes_in_the_state_topic_make_it_panic(messages in prop::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 0..20)) {
            let mut assembler = Assembler::default();
            for (key, value) in messages {
                assembler.push(&key, &value);
                let sealed = [&[MAGIC, FORMAT], &value[..]].concat();
                assembler.push(&[&[MAGIC], &key[..]].concat(), &sealed);
                let _ = decode(&value);
            }
            prop_assert!(assembler.newest().is_none());
        }
    }

    fn some_fold(next: u64) -> Fold {
        let limits = (0..40_000u128).map(|id| (id, LimitNumbers { version: 1, rate: Rate(1), burst: Tokens(next) }));
        Fold { next, limits: limits.collect(), ..Fold::default() }
    }

    #[test]
    fn what_a_reset_left_behind_is_part_of_a_snapshot() {
        let fold = Fold::reset_at(7, 3, Layout::told(&[2, 4], true, 1));
        assert_eq!(gather(&chunks(&fold, 0)).newest().unwrap(), (0, fold));
        let mut new = Fold::default();
        let ops = vec![Op::Layout { previous: 1, partitions: 2, any: false }, Op::Open { from: 0, reset: true }];
        let sender = Sender::Hello { ttl_ms: 15_000, newest_format: 1, lock: 0, note: String::new() };
        new.apply(0, &Record { sender, nonce: 1, seq: 1, tag: 0, digest: None, ops });
        let (_, restored) = gather(&chunks(&new, 0)).newest().unwrap();
        assert!(restored.was_reset(), "what came from one that was");
        assert_eq!(restored, new);
    }

    #[test]
    fn a_restored_state_is_drained_no_sooner_than_the_one_that_was_saved() {
        let fold = crate::core::fold::tests::closing();
        let (_, restored) = gather(&chunks(&fold, 0)).newest().unwrap();
        assert!(!restored.is_drained(2), "what is closed is held");
        assert_eq!(restored, fold);
    }

    #[test]
    fn the_newest_whole_snapshot_counts() {
        let (old, new) = (chunks(&some_fold(7), 0), chunks(&some_fold(9), 1));
        assert!(new.len() > 1, "it takes several chunks");
        let both = [old.clone(), new.clone()].concat();
        assert_eq!(gather(&both).newest().unwrap(), (1, some_fold(9)));
        let torn = [old, new[1..].to_vec()].concat();
        assert_eq!(gather(&torn).newest().unwrap(), (0, some_fold(7)));
    }

    #[test]
    fn a_slow_writer_spoils_only_its_slot() {
        let good = chunks(&some_fold(9), 0);
        let (new, slow) = (chunks(&some_fold(12), 1), chunks(&some_fold(3), 1));
        let mixed = [good, vec![new[0].clone()], slow[1..].to_vec()].concat();
        assert_eq!(gather(&mixed).newest().unwrap(), (0, some_fold(9)));
    }
}
