//! What the fuzz targets share: histories out of bytes, and what must hold after each record.

use tidegate::core::fold::Fold;
use tidegate::core::placement::BucketId;
use tidegate::core::record::{Amounts, Carried, Claim, Define, Op, Record, Sender};
use tidegate::core::units::{Rate, Tokens};

/// Bytes, taken from the front; nothing left reads as zero.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// A number that is small, near a power of two, or anything.
    pub fn amount(&mut self) -> u64 {
        match self.below(4) {
            0 => u64::from(self.byte()),
            1 => u64::from(self.byte()) * 1_000_000,
            2 => (1u64 << self.below(64)).wrapping_sub(1).wrapping_add(u64::from(self.below(3))),
            _ => self.u64(),
        }
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let count = usize::from(self.byte());
        let (head, tail) = self.0.split_at(count.min(self.0.len()));
        self.0 = tail;
        head.to_vec()
    }
}

/// A record out of few names, so that sessions, numbers and buckets really meet; or any that the bytes spell.
pub fn record(input: &mut Input<'_>) -> Option<Record> {
    let kind = input.byte();
    if kind % 8 == 7 {
        return Record::decode_unsealed(&input.bytes()).ok();
    }
    let (nonce, tag) = (u64::from(input.below(4)), u64::from(input.below(4)));
    let sender = match kind % 4 {
        0 => hello(nonce),
        _ => Sender::Session(u64::from(input.below(16))),
    };
    let seq = if kind % 4 == 0 { 1 } else { u64::from(input.byte()) };
    let ops = (0..kind / 4 % 4).map(|_| op(input)).collect();
    Some(Record { sender, nonce, seq, tag, digest: None, ops })
}

/// Some name a lock that proves their death.
fn hello(nonce: u64) -> Sender {
    Sender::Hello { ttl_ms: 10_000, newest_format: 1, lock: (nonce % 2).into(), note: String::new() }
}

fn op(input: &mut Input<'_>) -> Op {
    match input.below(11) {
        8 => {
            let byte = input.byte();
            let previous = u32::from(byte % 6);
            Op::Layout { previous, partitions: input.below(8).into(), any: byte >= 128 }
        }
        9 => Op::Carry(vec![Carried {
            bucket: BucketId(input.below(3).into()),
            limit: input.below(2).into(),
            pool: Tokens(input.amount()),
        }]),
        10 => {
            let byte = input.byte();
            Op::Open { from: u32::from(byte % 6), reset: byte >= 128 }
        }
        0 => Op::Evict { session: input.below(16).into(), seq: input.byte().into() },
        1 => Op::Bye,
        2 => Op::Define(Define {
            limit: input.below(2).into(),
            version: input.below(6).into(),
            rate: Rate(input.amount()),
            burst: Tokens(input.amount()),
            name: String::new(),
        }),
        kind => Op::Claim(Claim {
            bucket: BucketId(input.below(3).into()),
            limit: input.below(2).into(),
            name: String::new(),
            released: Amounts {
                rate: input.amount().into(),
                burst: input.amount().into(),
                tokens: input.amount().into(),
            },
            want: Rate(if kind == 3 { 0 } else { input.amount() }),
            min: Tokens(input.amount()),
            requeue: kind == 4,
        }),
    }
}

/// The fold of a history, checked at every offset.
pub fn fold(input: &mut Input<'_>) -> Fold {
    let mut checked = Checked::default();
    // Most histories need a limit before anything can happen.
    let first = Op::Define(Define {
        limit: 0,
        version: 1,
        rate: Rate(1_000_000_000_000),
        burst: Tokens(1_000_000_000),
        name: String::new(),
    });
    let sender = hello(0);
    checked.apply(&Record { sender, nonce: 99, seq: 1, tag: 0, digest: None, ops: vec![first] });
    while !input.is_empty() {
        if let Some(record) = record(input) {
            checked.apply(&record);
        }
    }
    checked.fold
}

/// A fold, and what each bucket may give out: the larger of the numbers since its holders last fitted.
#[derive(Default)]
pub struct Checked {
    pub fold: Fold,
    over: std::collections::BTreeMap<BucketId, (u128, u128)>,
}

impl Checked {
    /// Applies a record at the next offset, twice: the second time it must change nothing.
    pub fn apply(&mut self, record: &Record) {
        let before = self.fold.clone();
        let offset = before.next();
        let applied = self.fold.apply(offset, record);
        let after = self.fold.clone();
        assert!(self.fold.apply(offset, record).session.is_err(), "an offset counts once");
        assert_eq!(self.fold, after);
        if applied.session.is_err() {
            assert_eq!((before.sessions(), before.buckets()), (after.sessions(), after.buckets()), "it was ignored");
            assert!(before.limits().eq(after.limits()), "it was ignored");
            assert_eq!(before.layout(), after.layout(), "it was ignored");
        }
        self.sessions(&before, offset);
        self.shares(&before, record);
        for (bucket, shared) in after.buckets() {
            let same = before.bucket(*bucket) == Some(shared);
            assert!(same || applied.touched.contains(bucket), "what changed is said");
        }
    }

    fn sessions(&self, before: &Fold, offset: u64) {
        for (id, session) in self.fold.sessions() {
            match before.sessions().get(id) {
                None => assert_eq!(*id, offset, "a session begins where its Hello stands"),
                Some(old) => assert!(old.nonce == session.nonce && old.last_seq <= session.last_seq),
            }
        }
        for (id, old) in before.limits() {
            assert!(self.fold.limit(id).is_some_and(|limit| limit == old || limit.version > old.version));
        }
    }

    fn shares(&mut self, before: &Fold, record: &Record) {
        self.over.retain(|bucket, _| self.fold.bucket(*bucket).is_some());
        for (id, shared) in self.fold.buckets() {
            let numbers =
                |fold: &Fold| fold.limit(shared.limit).map(|limit| (limit.rate.0.into(), limit.burst.0.into()));
            let (r, b): (u128, u128) = numbers(&self.fold).expect("a bucket has a limit");
            let force = self.over.entry(*id).or_insert(numbers(before).unwrap_or((r, b)));
            // One record may define, give out, and define again.
            let defined = record.ops.iter().filter_map(|op| match op {
                Op::Define(define) if define.limit == shared.limit => Some((define.rate.0.into(), define.burst.0.into())),
                _ => None,
            });
            *force = defined.fold((force.0.max(r), force.1.max(b)), |all, one| (all.0.max(one.0), all.1.max(one.1)));
            let rate: u128 = shared.leases.iter().map(|lease| u128::from(lease.share().rate.0)).sum();
            let burst: u128 = shared.leases.iter().map(|lease| u128::from(lease.share().burst.0)).sum();
            let burst = burst + u128::from(shared.pool.0);
            assert!(rate <= force.0 && burst <= force.1, "{rate} and {burst} of {force:?} are given out");
            if rate <= r && burst <= b {
                *force = (r, b);
            }
            let holders: Vec<u64> = shared.leases.iter().map(|lease| lease.session).collect();
            assert!(holders.iter().all(|holder| self.fold.sessions().contains_key(holder)), "only the living hold");
            let distinct: std::collections::BTreeSet<&u64> = holders.iter().collect();
            assert_eq!(distinct.len(), holders.len(), "one lease for each");
        }
    }
}
