//! What is explored: a few processes, where they begin, and how often what may happen.

use tidegate::core::limit::{Limit, Outage};
use tidegate::core::units::Nanos;

const SECOND: u64 = 1_000_000_000;
/// Long enough that the random wait before an eviction (0.8 s) is less than a tick.
const TTL: u64 = 12 * SECOND;
/// A clock that runs right, per million.
const RIGHT: u64 = 1_000_000;

/// How often each thing may still happen. Everything else may happen at any time, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub ticks: u8,
    /// Records appended, in all.
    pub appends: u8,
    /// Times that somebody takes all it can, and asks for more.
    pub greedy: u8,
    pub lost: u8,
    pub doubled: u8,
    pub crashes: u8,
    pub starts: u8,
    pub removals: u8,
    pub closes: u8,
    pub defines: u8,
    pub outages: u8,
}

/// A step of the way to where the exploration begins.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// This process takes all it can, and asks for more.
    Greedy(usize),
    /// Everything that was sent is appended and read, until all is quiet.
    Settle,
    /// Time passes by one tick, and everybody runs.
    Pass,
    /// So many ticks pass, in which only this one runs, and reads what is said.
    Alone(usize, u8),
    Away(bool),
    /// What is under way never arrives.
    LoseAll,
    All(&'static [Step]),
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    pub seed: u64,
    pub processes: usize,
    pub ttl: Nanos,
    pub outage: Outage,
    pub limit: Limit,
    /// How fast each process's clock runs, per million.
    pub clocks: [u64; 3],
    /// Nanoseconds.
    pub tick: u64,
    pub left: Left,
    /// What is sent is appended at once, unless the log is away: nothing is lost, late or doubled.
    pub prompt: bool,
    /// Who reads, reads to the end.
    pub at_once: bool,
    /// Who crashed can be proven dead to the others.
    pub proofs: bool,
    /// Tokens are not compared with an exact bucket: the clocks are too wrong for that.
    pub leases_only: bool,
    /// Records under way at the same time, at most.
    pub under_way: usize,
    pub begin: &'static [Step],
    /// What must have happened at least once, or the scenario shows nothing.
    pub expects: &'static [Seen],
}

/// What happened while exploring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Two processes held a share at the same time.
    Shared,
    /// A session was ended by another one.
    Evicted,
    /// A record came too late to count.
    Overtaken,
    /// A record came after its session had ended.
    AfterTheEnd,
    /// A process found its session gone.
    Dropped,
    /// More is held than a lowered limit allows.
    Over,
    /// A share was used that could not be renewed.
    Kept,
    /// A session ended by itself.
    Left,
}

impl Seen {
    pub const ALL: [Seen; 8] = [
        Seen::Shared,
        Seen::Evicted,
        Seen::Overtaken,
        Seen::AfterTheEnd,
        Seen::Dropped,
        Seen::Over,
        Seen::Kept,
        Seen::Left,
    ];
}

fn limit(permits: u64, burst: u64) -> Limit {
    Limit::token_bucket(permits, Nanos(SECOND), burst).expect("a legal limit")
}

/// One holds everything and a second one has asked for its part: that is still under way.
const ASKED: &[Step] = &[Step::Greedy(0), Step::Settle, Step::Pass, Step::Settle, Step::Greedy(1)];
/// Two share the limit; the first one has taken what it had.
const SHARED: &[Step] =
    &[Step::Greedy(0), Step::Settle, Step::Pass, Step::Settle, Step::Greedy(0), Step::Greedy(1), Step::Settle];
/// The same, and since then the first one has been silent for three quarters of its time-to-live.
const SILENT: &[Step] = &[Step::All(SHARED), Step::Pass, Step::Settle, Step::Alone(1, 6)];
/// .. for seven eighths.
const SILENT_FOR_LONGER: &[Step] = &[Step::All(SHARED), Step::Pass, Step::Settle, Step::Alone(1, 7)];
/// The log was away for a quarter of a time-to-live, through which both ran, and it took along what the first one said.
/// Since then, that one has been silent.
const CUT_OFF: &[Step] =
    &[Step::All(SHARED), Step::Away(true), Step::Pass, Step::Pass, Step::LoseAll, Step::Away(false), Step::Alone(1, 6)];

fn scenario(name: &'static str, what: &'static str) -> Scenario {
    Scenario {
        name,
        what,
        seed: 1,
        processes: 2,
        ttl: Nanos(TTL),
        outage: Outage::Deny,
        limit: limit(10, 12),
        clocks: [RIGHT; 3],
        tick: SECOND * 31 / 100,
        left: Left { appends: 200, ..Left::default() },
        prompt: false,
        at_once: false,
        proofs: false,
        leases_only: false,
        under_way: 3,
        begin: ASKED,
        expects: &[Seen::Shared],
    }
}

/// All of them; `more` adds so many ticks.
pub fn all(more: u8) -> Vec<Scenario> {
    let bounds = Left { appends: 200, ..Left::default() };
    let slow =
        |name, what| Scenario { tick: TTL / 8, prompt: true, at_once: true, begin: SILENT, ..scenario(name, what) };
    vec![
        Scenario {
            left: Left { ticks: 1 + more, greedy: 1, lost: 1, ..bounds },
            expects: &[Seen::Shared, Seen::Overtaken],
            ..scenario("handover", "a share is asked for and given; records are lost, late and cross each other")
        },
        Scenario {
            left: Left { ticks: 1 + more, doubled: 1, ..bounds },
            expects: &[Seen::Shared, Seen::Overtaken],
            ..scenario("copies", "the same, and a record arrives twice")
        },
        Scenario {
            left: Left { ticks: 2 + more, lost: 1, ..bounds },
            expects: &[Seen::Shared, Seen::Overtaken],
            ..scenario("resend", "the same for longer: what is not read back is said again, and arrives after all")
        },
        Scenario {
            left: Left { ticks: 1 + more, defines: 1, ..bounds },
            begin: SHARED,
            expects: &[Seen::Shared, Seen::Over],
            ..scenario("define", "the limit is raised or lowered while it is used")
        },
        Scenario {
            left: Left { ticks: 2 + more, removals: 1, ..bounds },
            begin: SHARED,
            expects: &[],
            ..scenario("removal", "a process gives the bucket back, and takes it on again")
        },
        Scenario {
            left: Left { ticks: 1 + more, closes: 1, doubled: 1, ..bounds },
            begin: SHARED,
            expects: &[Seen::Left, Seen::AfterTheEnd],
            ..scenario("goodbye", "a process leaves, and what it said arrives twice and late")
        },
        Scenario {
            limit: limit(4, 2),
            left: Left { ticks: 2 + more, ..bounds },
            tick: SECOND * 51 / 100,
            expects: &[],
            ..scenario("queue", "a limit so small that one holds it at a time")
        },
        Scenario {
            left: Left { ticks: 3 + more, ..bounds },
            expects: &[Seen::Evicted, Seen::Dropped],
            ..slow("stops", "a process stops for any time, is evicted and goes on")
        },
        Scenario {
            left: Left { ticks: 2 + more, ..bounds },
            begin: SILENT_FOR_LONGER,
            prompt: false,
            under_way: 2,
            expects: &[Seen::Evicted, Seen::Dropped, Seen::AfterTheEnd],
            ..slow("late", "an eviction crosses what its victim says")
        },
        Scenario {
            left: Left { ticks: 3 + more, ..bounds },
            clocks: [RIGHT - 80_000, RIGHT + 80_000, RIGHT],
            leases_only: true,
            expects: &[Seen::Evicted, Seen::Dropped],
            ..slow("clocks", "the victim's clock is 8 % slow, and the evictor's 8 % fast")
        },
        Scenario {
            limit: limit(8, 1_000),
            left: Left { ticks: 3 + more, crashes: 1, starts: 1, ..bounds },
            expects: &[Seen::Evicted],
            ..slow("crash", "a process dies, and comes back anew")
        },
        Scenario {
            left: Left { ticks: 1 + more, crashes: 1, starts: 1, ..bounds },
            begin: SHARED,
            proofs: true,
            expects: &[Seen::Evicted],
            ..scenario("proof", "a process dies and comes back, its death is proven, and its last words come late")
        },
        Scenario {
            outage: Outage::KeepShare,
            left: Left { ticks: 3 + more, ..bounds },
            expects: &[Seen::Evicted, Seen::Dropped],
            ..slow("kept", "a process stops for any time under keep_share")
        },
        Scenario {
            outage: Outage::KeepShare,
            left: Left { ticks: 3 + more, ..bounds },
            begin: CUT_OFF,
            expects: &[Seen::Evicted, Seen::Dropped],
            ..slow("outage", "the log was away under keep_share, and a process stopped in such a time")
        },
        Scenario {
            outage: Outage::KeepShare,
            tick: TTL / 4,
            left: Left { ticks: 4 + more, outages: 1, ..bounds },
            begin: SHARED,
            expects: &[Seen::Kept],
            ..slow("away", "the log goes away at any time under keep_share")
        },
    ]
}
