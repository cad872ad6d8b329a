//! The records of the log: what one process tells the others, as bytes.
//!
//! One record is one atomic step of the fold. Format 1, little endian, `varint` = LEB128:
//!
//! ```text
//! 'T' u8 | format u8 | sender varint (0 = Hello, 2^64 + 1 = stranger, else session offset + 1)
//! nonce u64 | seq varint | tag u64
//! Hello only: ttl_ms varint | newest format u8 | lock u128 | note string
//! digest flag u8 [offset varint, digest u64] | op count varint | ops | checksum u32
//! string = varint byte count + UTF-8;  checksum = low 32 bits of SipHash-2-4-128 over all before it
//! ```
//!
//! Claims restate everything in numbers that only grow, so a lost, late, doubled or overtaken record does no
//! harm. Decoding is total: any bytes are a record or a reasoned [`Refusal`].

use super::codec::{Reader, Writer};
use super::layout::{Layout, STEPS_MAX};
use super::placement::BucketId;
use super::siphash::hash128;
use super::units::{Rate, Tokens};

/// The format this version writes, and the newest it reads.
pub const FORMAT: u8 = 1;
/// Most ops in a record: with the longest names still below Kafka's 1 MiB.
pub const OPS_MAX: usize = 1024;
/// Most buckets in one `Carry`.
pub const CARRIED_MAX: usize = 4_096;

const MAGIC: u8 = b'T';
const CHECKSUM_KEY: (u64, u64) = (0x7469_6465_6761_7465, 0x7265_636f_7264_2d31);
const CHECKSUM_LEN: usize = 4;
/// In the sender's place; no session has this number.
const STRANGER: u128 = (1 << 64) + 1;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A process that opens a session: the offset of this record becomes the session.
    Hello {
        /// The silence after which others may evict the session, in milliseconds.
        ttl_ms: u32,
        /// The newest record format it reads.
        newest_format: u8,
        /// Names a lock that the process holds as long as it lives, where others on its host can try it; 0 = none.
        lock: u128,
        /// Host, process and library version, for people.
        note: String,
    },
    /// A session, named by the offset of its Hello.
    Session(u64),
    /// A process that finds no state to start from: its record asks for a snapshot, or resets the partition.
    Stranger,
}

/// Three counters that only grow: of rate (nano-permits/s), burst and tokens (micro-permits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Rate.
    pub rate: u128,
    /// Burst capacity.
    pub burst: u128,
    /// Tokens.
    pub tokens: u128,
}

/// One operation of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Restates everything about one bucket.
    Claim(Claim),
    /// Ends a session that has been silent for its time-to-live, if `seq` is still its last.
    Evict {
        /// The silent session.
        session: u64,
        /// The last sequence number read from it.
        seq: u64,
    },
    /// Ends the sender's own session.
    Bye,
    /// Sets a limit's numbers; only a higher version changes what is there.
    Define(Define),
    /// The log has more partitions from here on; changes something only if they are more than is known.
    Layout {
        /// The count before; 0 where this is the first.
        previous: u32,
        /// The count.
        partitions: u32,
        /// Of the first that this partition is told: the directory was reset, and nobody knows the count before. It is at
        /// most `previous`, the number of this partition.
        any: bool,
    },
    /// What an older partition still held of buckets that now live here, before they are opened.
    Carry(Vec<Carried>),
    /// The buckets that came from an older partition may be used: it was seen closed for them, without a holder.
    Open {
        /// The older partition.
        from: u32,
        /// What it does not know need not be full: it was reset, or comes from one that was.
        reset: bool,
    },
    /// Said by strangers alone: the partition is as empty as if nobody had ever spoken, if nobody but strangers
    /// has since offset `from`.
    Reset {
        /// Where the writer's witness of silence begins.
        from: u64,
        /// The counts that the log has had, as in `Layout`: what was before the first, ..
        before: u32,
        /// .. whether that is known, ..
        any: bool,
        /// .. and each since, rising.
        counts: Vec<u32>,
    },
}

impl Op {
    /// A reset after which the partition knows these counts.
    pub fn reset(from: u64, counts: &Layout) -> Op {
        Op::Reset { from, before: counts.before, any: counts.any, counts: counts.steps.clone() }
    }
}

/// A bucket that moves to another partition: the tokens in nobody's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The bucket.
    pub bucket: BucketId,
    /// The limit that it obeys.
    pub limit: u128,
    /// Its pool.
    pub pool: Tokens,
}

/// What a process says about one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The bucket.
    pub bucket: BucketId,
    /// The limit that it obeys.
    pub limit: u128,
    /// The bucket's name, with its first claim, for people.
    pub name: String,
    /// All that the sender ever gave back of this bucket.
    pub released: Amounts,
    /// The rate it can use; 0 = it leaves.
    pub want: Rate,
    /// The least burst that serves it.
    pub min: Tokens,
    /// It goes to the end of the queue.
    pub requeue: bool,
}

/// A limit in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Define {
    /// Which limit.
    pub limit: u128,
    /// The higher one wins.
    pub version: u64,
    /// Rate of the whole fleet.
    pub rate: Rate,
    /// Burst of the whole fleet.
    pub burst: Tokens,
    /// Its name, for people.
    pub name: String,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who speaks.
    pub sender: Sender,
    /// Random, chosen with the Hello, the same in all records of a session.
    pub nonce: u64,
    /// 1 for the Hello, then counting up.
    pub seq: u64,
    /// Random in every record: a process that reads its own `seq` with a foreign tag has been cloned.
    pub tag: u64,
    /// The sender's digest of the fold before some offset: (offset, digest).
    pub digest: Option<(u64, u64)>,
    /// What is said, in order.
    pub ops: Vec<Op>,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not written by Tidegate, or damaged: every process skips it alike.
    Garbage(&'static str),
    /// Written by a newer version: granting must stop here, the record must not be skipped.
    NewerFormat(u8),
}

impl Record {
    /// The bytes of this record.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer(vec![MAGIC, FORMAT]);
        match &self.sender {
            Sender::Hello { .. } => w.varint(0),
            Sender::Session(session) => w.varint(u128::from(*session) + 1),
            Sender::Stranger => w.varint(STRANGER),
        }
        w.u64(self.nonce);
        w.varint(self.seq.into());
        w.u64(self.tag);
        if let Sender::Hello { ttl_ms, newest_format, lock, note } = &self.sender {
            w.varint((*ttl_ms).into());
            w.0.push(*newest_format);
            w.u128(*lock);
            w.text(note);
        }
        w.0.push(self.digest.is_some().into());
        if let Some((offset, digest)) = self.digest {
            w.varint(offset.into());
            w.u64(digest);
        }
        w.varint(self.ops.len() as u128);
        self.ops.iter().for_each(|op| write_op(&mut w, op));
        let checksum = checksum(&w.0);
        w.0.extend_from_slice(&checksum);
        w.0
    }

    /// The record in `bytes`.
    ///
    /// # Errors
    /// Any bytes that [`Record::encode`] did not write, with the reason.
    pub fn decode(bytes: &[u8]) -> Result<Record, Refusal> {
        let [magic, format, ..] = *bytes else { return Err(Refusal::Garbage("too short")) };
        if magic != MAGIC {
            return Err(Refusal::Garbage("not a Tidegate record"));
        }
        let body = bytes.len().checked_sub(CHECKSUM_LEN).ok_or(Refusal::Garbage("too short"))?;
        let (body, sum) = bytes.split_at(body);
        if checksum(body) != *sum {
            return Err(Refusal::Garbage("checksum does not match"));
        }
        // After the checksum, so that a flipped bit in this byte does not stop a partition.
        if format > FORMAT {
            return Err(Refusal::NewerFormat(format));
        }
        Record::decode_unsealed(body.get(2..).unwrap_or_default())
    }

    /// The record in `body`: what stands between the format and the checksum. For fuzzing.
    ///
    /// # Errors
    /// As [`Record::decode`], but for magic, format and checksum.
    pub fn decode_unsealed(body: &[u8]) -> Result<Record, Refusal> {
        let mut r = Reader(body);
        let record = read_record(&mut r).ok_or(Refusal::Garbage("malformed"))?;
        if r.0.is_empty() {
            Ok(record)
        } else {
            Err(Refusal::Garbage("bytes after the end"))
        }
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    (hash128(CHECKSUM_KEY.0, CHECKSUM_KEY.1, body) as u32).to_le_bytes()
}

fn write_op(w: &mut Writer, op: &Op) {
    match op {
        Op::Claim(c) => {
            w.0.extend_from_slice(&[1, c.requeue.into()]);
            w.u128(c.bucket.0);
            w.u128(c.limit);
            w.text(&c.name);
            w.varint(c.released.rate);
            w.varint(c.released.burst);
            w.varint(c.released.tokens);
            w.varint(c.want.0.into());
            w.varint(c.min.0.into());
        }
        Op::Evict { session, seq } => {
            w.0.push(2);
            w.varint((*session).into());
            w.varint((*seq).into());
        }
        Op::Bye => w.0.push(3),
        Op::Define(d) => {
            w.0.push(4);
            w.u128(d.limit);
            w.varint(d.version.into());
            w.varint(d.rate.0.into());
            w.varint(d.burst.0.into());
            w.text(&d.name);
        }
        Op::Layout { previous, partitions, any } => {
            w.0.push(5);
            w.varint((*previous).into());
            w.varint((*partitions).into());
            w.0.push((*any).into());
        }
        Op::Carry(carried) => {
            w.0.push(6);
            w.varint(carried.len() as u128);
            for one in carried {
                w.u128(one.bucket.0);
                w.u128(one.limit);
                w.varint(one.pool.0.into());
            }
        }
        Op::Open { from, reset } => {
            w.0.push(7);
            w.varint((*from).into());
            w.0.push((*reset).into());
        }
        Op::Reset { from, before, any, counts } => {
            w.0.push(9);
            w.varint((*from).into());
            w.varint((*before).into());
            w.0.push((*any).into());
            w.varint(counts.len() as u128);
            counts.iter().for_each(|count| w.varint((*count).into()));
        }
    }
}

fn read_record(r: &mut Reader<'_>) -> Option<Record> {
    let sender = r.varint()?;
    let (nonce, seq, tag) = (r.u64()?, r.varint64()?, r.u64()?);
    let sender = match sender {
        0 => {
            let ttl_ms = u32::try_from(r.varint()?).ok()?;
            Sender::Hello { ttl_ms, newest_format: r.u8()?, lock: r.u128()?, note: r.text()? }
        }
        STRANGER => Sender::Stranger,
        session => Sender::Session(u64::try_from(session - 1).ok()?),
    };
    let digest = if r.flag()? { Some((r.varint64()?, r.u64()?)) } else { None };
    let count = usize::try_from(r.varint()?).ok().filter(|&count| count <= OPS_MAX)?;
    let ops = (0..count).map(|_| read_op(r)).collect::<Option<_>>()?;
    Some(Record { sender, nonce, seq, tag, digest, ops })
}

fn read_op(r: &mut Reader<'_>) -> Option<Op> {
    Some(match r.u8()? {
        1 => Op::Claim(Claim {
            requeue: r.flag()?,
            bucket: BucketId(r.u128()?),
            limit: r.u128()?,
            name: r.text()?,
            released: Amounts { rate: r.varint()?, burst: r.varint()?, tokens: r.varint()? },
            want: Rate(r.varint64()?),
            min: Tokens(r.varint64()?),
        }),
        2 => Op::Evict { session: r.varint64()?, seq: r.varint64()? },
        3 => Op::Bye,
        4 => Op::Define(Define {
            limit: r.u128()?,
            version: r.varint64()?,
            rate: Rate(r.varint64()?),
            burst: Tokens(r.varint64()?),
            name: r.text()?,
        }),
        5 => Op::Layout { previous: r.varint32()?, partitions: r.varint32()?, any: r.flag()? },
        6 => {
            let count = usize::try_from(r.varint()?).ok().filter(|&count| count <= CARRIED_MAX)?;
            Op::Carry((0..count).map(|_| read_carried(r)).collect::<Option<_>>()?)
        }
        7 => Op::Open { from: r.varint32()?, reset: r.flag()? },
        9 => {
            let (from, before, any) = (r.varint64()?, r.varint32()?, r.flag()?);
            let count = usize::try_from(r.varint()?).ok().filter(|&count| count <= STEPS_MAX)?;
            Op::Reset { from, before, any, counts: (0..count).map(|_| r.varint32()).collect::<Option<_>>()? }
        }
        _ => return None,
    })
}

fn read_carried(r: &mut Reader<'_>) -> Option<Carried> {
    Some(Carried { bucket: BucketId(r.u128()?), limit: r.u128()?, pool: Tokens(r.varint64()?) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn seal(body: &[u8]) -> [u8; CHECKSUM_LEN] {
        checksum(body)
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop::collection::vec(any::<char>(), 0..40).prop_map(|chars| chars.into_iter().collect())
    }

    fn any_op() -> impl Strategy<Value = Op> {
        let amounts = (any::<u128>(), any::<u128>(), any::<u64>());
        prop_oneof![
            (any::<u128>(), any::<u128>(), any_text(), amounts, any::<(u64, u64)>(), any::<bool>()).prop_map(
                |(bucket, limit, name, (rate, burst, tokens), (want, min), requeue)| {
                    let released = Amounts { rate, burst, tokens: tokens.into() };
                    let (want, min) = (Rate(want), Tokens(min));
                    Op::Claim(Claim { bucket: BucketId(bucket), limit, name, released, want, min, requeue })
                }
            ),
            any::<(u64, u64)>().prop_map(|(session, seq)| Op::Evict { session, seq }),
            Just(Op::Bye),
            (any::<u128>(), any::<(u64, u64, u64)>(), any_text()).prop_map(|(limit, (version, rate, burst), name)| {
                Op::Define(Define { limit, version, rate: Rate(rate), burst: Tokens(burst), name })
            }),
            any::<(u32, u32, bool)>().prop_map(|(previous, partitions, any)| Op::Layout { previous, partitions, any }),
            prop::collection::vec(any::<(u128, u128, u64)>(), 0..4).prop_map(|carried| {
                let one = |(bucket, limit, pool)| Carried { bucket: BucketId(bucket), limit, pool: Tokens(pool) };
                Op::Carry(carried.into_iter().map(one).collect())
            }),
            any::<(u32, bool)>().prop_map(|(from, reset)| Op::Open { from, reset }),
            (any::<(u64, u32, bool)>(), prop::collection::vec(any::<u32>(), 0..5))
                .prop_map(|((from, before, any), counts)| Op::Reset { from, before, any, counts }),
        ]
    }

    pub(crate) fn any_record() -> impl Strategy<Value = Record> {
        let sender = prop_oneof![
            (any::<u32>(), any::<u8>(), any::<u128>(), any_text())
                .prop_map(|(ttl_ms, newest_format, lock, note)| Sender::Hello { ttl_ms, newest_format, lock, note }),
            any::<u64>().prop_map(Sender::Session),
            Just(Sender::Stranger),
        ];
        (sender, any::<(u64, u64, u64)>(), any::<Option<(u64, u64)>>(), prop::collection::vec(any_op(), 0..5))
            .prop_map(|(sender, (nonce, seq, tag), digest, ops)| Record { sender, nonce, seq, tag, digest, ops })
    }

    proptest! {
        #[test]
        fn every_record_reads_back_as_it_was_written(record in any_record()) {
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Record::decode(&bytes);
            let mut sealed = vec![MAGIC, FORMAT];
            sealed.extend_from_slice(&bytes);
            let sum = checksum(&sealed);
            sealed.extend_from_slice(&sum);
            if let Ok(record) = Record::decode(&sealed) {
                prop_assert_eq!(record.encode(), sealed, "one record has one encoding");
            }
        }

        #[test]
        fn a_flipped_bit_or_a_cut_end_is_refused(record in any_record(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = record.encode();
            let cut = at.index(bytes.len());
            prop_assert!(Record::decode(&bytes[..cut]).is_err());
            bytes[cut] ^= 1 << bit;
            prop_assert!(matches!(Record::decode(&bytes), Err(Refusal::Garbage(_))));
        }
    }

    #[test]
    fn a_reset_names_as_many_counts_as_a_partition_sees_at_most() {
        let sealed = |counts: usize| {
            let ops = vec![Op::Reset { from: 1, before: 0, any: false, counts: vec![1; counts] }];
            Record { sender: Sender::Stranger, nonce: 1, seq: 0, tag: 3, digest: None, ops }.encode()
        };
        assert!(Record::decode(&sealed(STEPS_MAX)).is_ok());
        assert_eq!(Record::decode(&sealed(STEPS_MAX + 1)), Err(Refusal::Garbage("malformed")));
    }

    #[test]
    fn a_newer_format_is_told_from_garbage() {
        let mut bytes = vec![MAGIC, FORMAT + 1, 9, 9];
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        assert_eq!(Record::decode(&bytes), Err(Refusal::NewerFormat(FORMAT + 1)));
    }
}
