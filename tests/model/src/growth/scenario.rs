//! What is explored: how many partitions become how many, where the processes begin, and how often what may happen.

use std::collections::BTreeSet;
use tidegate::core::limit::{Limit, Outage};
use tidegate::core::placement::{bucket_id, partition_of, BucketId};
use tidegate::core::units::Nanos;

const SECOND: u64 = 1_000_000_000;
/// Long enough that the random wait before an eviction (0.8 s) is less than a tick.
const TTL: u64 = 12 * SECOND;

/// How often each thing may still happen. Everything else may happen at any time, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub ticks: u8,
    /// Times that somebody takes all it can, and asks for more.
    pub greedy: u8,
    pub lost: u8,
    pub doubled: u8,
    pub crashes: u8,
    pub starts: u8,
}

/// A step of the way to where the exploration begins.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Greedy(usize),
    /// Everything that was sent is appended and read, until all is quiet.
    Settle,
    /// Time passes by one tick, and everybody runs.
    Pass,
    /// So many ticks pass, in which only this one runs, and reads what is said.
    Alone(usize, u8),
    /// This process hears that the log has got its new partition.
    Learn(usize),
    Crash(usize),
    Start(usize),
    /// From here on, this process stands still: nobody reads for it.
    Sleep(usize),
    /// What stands in this partition is older than its retention, and nobody has a snapshot of it.
    Forget(u32),
    /// Time passes, and this process runs, and reads what it says itself, until it has declared a partition empty; that is
    /// under way.
    Strange(usize),
    All(&'static [Step]),
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub seed: u64,
    pub processes: usize,
    /// Partitions at first, and then. The bucket lives in the last one of both.
    pub before: u32,
    pub after: u32,
    pub ttl: Nanos,
    pub outage: Outage,
    pub limit: Limit,
    /// Nanoseconds.
    pub tick: u64,
    pub left: Left,
    /// What is sent is appended at once: nothing is lost, late or doubled.
    pub prompt: bool,
    /// Who reads a partition, reads to its end.
    pub at_once: bool,
    /// This one reads and runs as soon as it can; otherwise everybody when he likes.
    pub brisk: Option<usize>,
    /// Records under way at the same time, at most.
    pub under_way: usize,
    pub begin: &'static [Step],
    /// What must have happened at least once, or the scenario shows nothing.
    pub expects: &'static [Seen],
}

impl Scenario {
    /// A bucket that lives in the last partition, before and after.
    pub fn bucket(&self) -> BucketId {
        let lives = |id: &BucketId| {
            partition_of(*id, self.before) == self.before - 1 && partition_of(*id, self.after) == self.after - 1
        };
        (0..).map(|n: u32| bucket_id("model", 0, &n.to_string())).find(lives).expect("one in six")
    }
}

/// What happened while exploring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Two processes held a share at the same time.
    Shared,
    /// The new partition gives the bucket out.
    Moved,
    /// What was not full came along.
    Carried,
    /// A session was ended by another one.
    Evicted,
    /// A process found its session gone.
    Dropped,
    /// A reset counted.
    Reset,
    /// A reset did not count, or not again.
    Refused,
}

impl Seen {
    pub const ALL: [Seen; 7] =
        [Seen::Shared, Seen::Moved, Seen::Carried, Seen::Evicted, Seen::Dropped, Seen::Reset, Seen::Refused];
}

fn limit(permits: u64, seconds: u64, burst: u64) -> Limit {
    Limit::token_bucket(permits, Nanos(seconds * SECOND), burst).expect("a legal limit")
}

/// The first one takes what there is, and what that leads to is read.
const TAKES: &[Step] = &[Step::Greedy(0), Step::Settle];
/// It has everything, and has taken the burst.
const ALONE: &[Step] = &[Step::All(TAKES), Step::All(TAKES)];
/// Time passes, and what follows from that is read.
const LATER: &[Step] = &[Step::Pass, Step::Settle];
/// Two share the limit; the first one has taken what it had.
const SHARED: &[Step] = &[
    Step::All(ALONE),
    Step::All(LATER),
    Step::Greedy(1),
    Step::Settle,
    Step::Greedy(0),
    Step::Greedy(1),
    Step::Settle,
];
/// One holds everything; another one comes, and knows of the new partition.
const NEWCOMER: &[Step] = &[Step::All(ALONE), Step::All(LATER), Step::Start(1), Step::Learn(1)];
/// The first one has been silent for its time-to-live, and is not evicted yet; the other one knows of the new partition.
const SILENT: &[Step] = &[Step::All(SHARED), Step::All(LATER), Step::Sleep(0), Step::Alone(1, 8), Step::Learn(1)];
/// One has spent everything, and sleeps; nothing is left of the log of partition 0. Somebody came, found nothing for
/// eleven minutes, and has just said so. Another one comes.
const STRANGE: &[Step] = &[
    Step::All(ALONE),
    Step::All(TAKES),
    Step::Sleep(0),
    Step::Forget(0),
    Step::Start(1),
    Step::Greedy(1),
    Step::Strange(1),
];
/// The same, and the log got another partition since, of which the new one knows.
const STRANGE_AND_GROWN: &[Step] = &[Step::All(STRANGE), Step::Learn(1)];
/// The same, and it had got that before.
const GROWN_AND_STRANGE: &[Step] = &[
    Step::All(ALONE),
    Step::All(TAKES),
    Step::Sleep(0),
    Step::Forget(0),
    Step::Start(1),
    Step::Learn(1),
    Step::Greedy(1),
    Step::Strange(1),
];
/// One has spent everything, and the bucket has moved. Then it sleeps, and of the new partition nothing is left.
const MOVED_AND_STRANGE: &[Step] = &[
    Step::All(ALONE),
    Step::All(TAKES),
    Step::Learn(0),
    Step::All(TAKES),
    Step::All(LATER),
    Step::All(TAKES),
    Step::All(TAKES),
    Step::Sleep(0),
    Step::Forget(1),
    Step::Start(1),
    Step::Learn(1),
    Step::Greedy(1),
    Step::Settle,
    Step::Strange(1),
];

fn scenario(name: &'static str, what: &'static str) -> Scenario {
    Scenario {
        name,
        what,
        seed: 1,
        processes: 2,
        before: 1,
        after: 2,
        ttl: Nanos(TTL),
        outage: Outage::Deny,
        limit: limit(10, 1, 12),
        tick: SECOND * 31 / 100,
        left: Left::default(),
        prompt: true,
        at_once: true,
        brisk: None,
        under_way: 2,
        begin: SHARED,
        expects: &[Seen::Shared, Seen::Moved, Seen::Carried],
    }
}

/// All of them; `more` adds so many ticks.
pub fn all(more: u8) -> Vec<Scenario> {
    // Eleven minutes mint eleven permits, the minute that a reset counts on one: far from a burst.
    let slow = |name, what| Scenario {
        limit: limit(1, 60, 100),
        tick: TTL / 8,
        begin: STRANGE,
        processes: 2,
        prompt: false,
        ..scenario(name, what)
    };
    let all = vec![
        Scenario {
            left: Left { ticks: more, greedy: 2, ..Left::default() },
            ..scenario(
                "growth",
                "a bucket moves to a new partition while two hold it; each reads each partition when it likes",
            )
        },
        Scenario {
            before: 2,
            after: 3,
            left: Left { ticks: more, greedy: 1, ..Left::default() },
            begin: NEWCOMER,
            expects: &[Seen::Moved],
            ..scenario(
                "growth-elsewhere",
                "the same from a partition that does not say where everything lives, for one that was never there",
            )
        },
        Scenario {
            left: Left { ticks: more, greedy: 1, lost: 1, doubled: 1, ..Left::default() },
            prompt: false,
            brisk: Some(1),
            begin: &[Step::All(SHARED), Step::Learn(0), Step::Learn(1)],
            ..scenario("growth-late", "the same, and records are lost, late and doubled")
        },
        Scenario {
            left: Left { ticks: 2 + more, greedy: 1, ..Left::default() },
            tick: TTL / 8,
            begin: SILENT,
            brisk: Some(1),
            expects: &[Seen::Moved, Seen::Evicted, Seen::Dropped],
            ..scenario("growth-stops", "a bucket moves while one that holds it stands still for any time")
        },
        Scenario {
            limit: limit(8, 1, 1_000),
            left: Left { ticks: 2 + more, greedy: 1, crashes: 1, ..Left::default() },
            tick: TTL / 8,
            begin: SILENT,
            brisk: Some(1),
            expects: &[Seen::Moved, Seen::Evicted, Seen::Carried],
            ..scenario("growth-crash", "the same, and somebody dies")
        },
        Scenario {
            after: 1,
            left: Left { ticks: more, greedy: 1, doubled: 1, ..Left::default() },
            expects: &[Seen::Reset, Seen::Refused, Seen::Dropped],
            ..slow("reset", "a partition is declared empty while one that held everything wakes up")
        },
        Scenario {
            left: Left { ticks: more, doubled: 1, ..Left::default() },
            brisk: Some(1),
            begin: MOVED_AND_STRANGE,
            expects: &[Seen::Reset, Seen::Refused, Seen::Dropped, Seen::Moved],
            ..slow("reset-new", "the same of a partition that the bucket has just moved to")
        },
        Scenario {
            left: Left { ticks: more, greedy: 1, ..Left::default() },
            brisk: Some(1),
            begin: STRANGE_AND_GROWN,
            expects: &[Seen::Reset, Seen::Refused, Seen::Dropped, Seen::Moved, Seen::Carried],
            ..slow("reset-and-growth", "partition 0 is declared empty when the log has just got another one")
        },
        Scenario {
            before: 2,
            after: 3,
            prompt: true,
            left: Left { ticks: more, greedy: 1, ..Left::default() },
            begin: STRANGE_AND_GROWN,
            expects: &[Seen::Reset, Seen::Moved],
            ..slow("reset-of-directory", "the same, while one that holds a bucket of another partition wakes up")
        },
        Scenario {
            before: 2,
            after: 3,
            prompt: true,
            left: Left { ticks: more, greedy: 1, ..Left::default() },
            begin: GROWN_AND_STRANGE,
            expects: &[Seen::Reset, Seen::Moved, Seen::Carried],
            ..slow("reset-after-growth", "the same of a directory that nobody had told of the new partition")
        },
    ];
    let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), all.len(), "names are given once");
    all
}
