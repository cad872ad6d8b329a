//! What the protocol needs from a log: partitions that are read in order and appended to.
//!
//! The truth of an append is its read-back, never its acknowledgement: whoever appends waits until it reads its own
//! record. A storage may therefore lose, delay or double an append; it must never change the order of what it has read.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod lag;
pub mod memory;

pub use lag::{Lag, LagGuard, LagSource, Report, Watch};

use std::sync::Arc;
use std::time::Duration;

/// What a storage says to the driver, through the one channel the driver waits on.
#[allow(missing_docs, reason = "a variant's comment names its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageEvent {
    /// The log is there and was checked: partitions may be followed and appended to.
    Topics { partitions: u32, replication: u32 },
    /// One message of a followed partition's state: the newest for its key, perhaps older ones before it.
    State { partition: u32, key: Vec<u8>, value: Vec<u8> },
    /// All of the partition's state has been delivered, as far as there is any (once per `follow`).
    StateRead { partition: u32 },
    /// What comes from here on of the partition's log belongs to the `read_from` with this round.
    Began { partition: u32, round: u64 },
    /// The log does not hold the offset that was to be read from. Nothing comes until the next `read_from`.
    Missing { partition: u32 },
    /// One record of a partition, in log order. Offsets grow but may have holes.
    Record { partition: u32, offset: u64, bytes: Vec<u8> },
    /// Everything that was in the partition when its reading began has been delivered (once per `read_from`).
    CaughtUp { partition: u32 },
    /// The partition cannot be continued in order: forget what was read from it. Nothing comes until the next
    /// `read_from`.
    Gap { partition: u32, reason: String },
    /// Something is wrong, in words that name the property or cause and the cure.
    /// `fatal`: sharing cannot start (or go on) until the user acts; the storage keeps trying all the same.
    Trouble { message: String, fatal: bool },
    /// Nothing is wrong any more. A warning that nobody has to wait for is a `Trouble` followed by this at once.
    Recovered,
    /// Something that harms nobody yet, in words that name the cause, the cure and what it may come to; `None`: over.
    Warning { message: Option<String> },
    /// Sent by callers, never by a storage: somebody was refused, or closes.
    Wake,
}

/// Where a partition is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// This offset; `Missing` if the log does not hold it (any more, or yet).
    Offset(u64),
    /// Wherever the log starts now.
    Start,
}

/// A partitioned log that many processes share, and beside each partition some state: messages of which the newest for
/// each key is kept. Its events arrive in the channel it was opened with; a full channel stops the reading until there
/// is room (nothing is dropped).
pub trait LogStore: Send {
    /// Delivers the partition's state, then `StateRead`; of one that does not exist yet, when it does. Again when called again; the reading of the log, if it goes
    /// on, is not disturbed. Never blocks.
    fn follow(&mut self, partition: u32);

    /// Reads a followed partition's log from there, in order, until `unfollow`. `Began` with the caller's `round` comes
    /// first, so that records of two rounds cannot be mixed up. Never blocks.
    fn read_from(&mut self, partition: u32, from: ReadFrom, round: u64);

    /// Stops reading the partition. Events already in the channel may still arrive. Never blocks.
    fn unfollow(&mut self, partition: u32);

    /// How many partitions there are is wanted now, instead of in a while and only if there are more: `Topics` comes again as
    /// soon as the log answers. Never blocks.
    fn look(&mut self);
    /// Hands over messages of a partition's state, to be written in this order; never blocks. What of an earlier call
    /// waits still is dropped. Whether they were written is not told: whoever starts next finds out.
    fn write_state(&mut self, partition: u32, messages: Vec<(Vec<u8>, Vec<u8>)>);

    /// Hands a record over; never blocks. False: it was dropped at once (queue full, storage closed); the caller says
    /// it again later. True promises nothing either: the read-back does.
    fn append(&mut self, partition: u32, record: Vec<u8>) -> bool;

    /// What is known about the log right now. Cheap enough for a metrics scrape.
    fn info(&self) -> StorageInfo;

    /// Measures consumer groups where the log is, with the log's own settings. Lives on when the log is closed.
    fn lag_source(&self) -> Option<Arc<dyn LagSource>> {
        None
    }

    /// Sends what was appended, stops the threads and lets go of the log; takes at most about `timeout`.
    fn close(&mut self, timeout: Duration);
}

/// What a storage knows about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageInfo {
    /// `memory` or `kafka`.
    pub backend: &'static str,
    /// Other processes see the same log.
    pub shared: bool,
    /// The log outlives the processes that use it.
    pub persistent: bool,
    /// 0 until known.
    pub partitions: u32,
    /// Copies of each partition, 0 until known.
    pub replication: u32,
    /// Time from append to acknowledgement over the last 1024 acknowledged appends; zero before the first.
    pub append_p50: Duration,
    /// The same, 99th percentile.
    pub append_p99: Duration,
    /// Since the last acknowledged append; `None` before the first.
    pub ack_age: Option<Duration>,
    /// Appends that were dropped because the queue was full, or that failed.
    pub appends_failed: u64,
    /// Times the sending side had to be set up anew after a fatal client error.
    pub producer_restarts: u64,
}
