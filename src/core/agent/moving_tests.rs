//! What is handed over when the log gets more partitions, and when. Fleets, and faults: `tests/simulation -- --growth`.

use super::tests::{Plain, BUCKET, TTL};
use super::*;
use crate::core::fold::Shared;
use crate::core::growth::{Growth, DIRECTORY};
use crate::core::layout::{Layout, PARTITIONS_MAX, STEPS_MAX};
use crate::core::placement::partition_of;
use crate::core::record::{Define, Op, CARRIED_MAX};
use crate::core::units::SECOND;

const NOW: Nanos = Nanos::from_secs(1);
const LIMIT: u128 = 7;

/// Buckets that go from partition 0 to partition 1 when the log gets a second one.
fn moving() -> impl Iterator<Item = BucketId> {
    (0..).map(BucketId).filter(|id| partition_of(*id, 2) == 1)
}

fn numbers(version: u64) -> LimitNumbers {
    LimitNumbers { version, rate: Rate(1), burst: Tokens::permits(10) }
}

/// Partition 0 after all that it closed was given back, with so many empty buckets and limits.
fn drained(buckets: usize, limits: u128) -> Fold {
    let mut fold = Fold { layout: Layout::told(&[1, 2], false, 0), ..Fold::default() };
    fold.limits = (0..limits).map(|limit| (LIMIT + limit, numbers(1))).collect();
    let empty = Shared::unheld(LIMIT, Tokens::ZERO);
    fold.buckets = moving().take(buckets).map(|id| (id, empty.clone())).collect();
    assert!(fold.is_drained(2));
    fold
}

fn agent() -> Agent {
    let mut agent = Agent::new(Settings::with_ttl(TTL), 5, "test");
    let limit = Limit::token_bucket(1, Nanos(3_600 * SECOND), 10).unwrap();
    agent.add(moving().next().unwrap(), "moved", LIMIT, &limit, BUCKET);
    agent
}

#[test]
fn what_does_not_fit_into_one_record_is_opened_for_only_when_all_of_it_was_read() {
    for (buckets, limits) in [(2 * CARRIED_MAX + 1, 1), (1, 200)] {
        let source = drained(buckets, limits);
        let mut agent = agent();
        agent.set_layout(&[1, 2], false, 1, false);
        agent.on_caught_up(NOW);
        agent.open(1, 0, &source);
        let mut records = 0;
        let is_opened = |agent: &Agent| agent.fold().layout().partitions() == 2 && agent.fold().layout().is_opened(0);
        while !is_opened(&agent) {
            let record = agent.poll_send(NOW).expect("it goes on until all is said");
            agent.on_record(NOW, records, &record, &mut Plain::empty(NOW));
            records += 1;
        }
        assert!(records > 2, "it does not fit into one");
        assert_eq!((agent.fold().buckets(), agent.fold().limits().count() as u128), (source.buckets(), limits));
    }
}

/// Whoever follows a partition has an agent; here it is nothing else.
impl AsRef<Agent> for Agent {
    fn as_ref(&self) -> &Agent {
        self
    }
}

impl AsMut<Agent> for Agent {
    fn as_mut(&mut self) -> &mut Agent {
        self
    }
}

#[test]
fn an_older_partition_that_was_not_read_to_its_end_hands_nothing_over() {
    let mut directory = Agent::new(Settings::with_ttl(TTL), 6, "test");
    directory.start_with(NOW, drained(1, 1));
    directory.on_caught_up(NOW);
    let mut homes = BTreeMap::from([(DIRECTORY, directory)]);
    let mut growth = Growth::default();
    growth.on_partitions(2);
    growth.tick(&mut homes);
    // It starts from an old state again: since then a limit was changed.
    let directory = homes.get_mut(&DIRECTORY).unwrap();
    directory.on_gap(NOW, &mut Plain::empty(NOW));
    directory.start_with(NOW, drained(1, 1));
    homes.insert(1, agent());
    homes.get_mut(&1).unwrap().on_caught_up(NOW);
    growth.tick(&mut homes);
    assert!(homes[&1].outbox.openings.is_empty());
    let LimitNumbers { rate, burst, .. } = numbers(2);
    let change = Op::Define(Define { limit: LIMIT, version: 2, rate, burst, name: String::new() });
    let sender = Sender::Hello { ttl_ms: 15_000, newest_format: 1, lock: 0, note: String::new() };
    let change = Record { sender, nonce: 9, seq: 1, tag: 0, digest: None, ops: vec![change] };
    let directory = homes.get_mut(&DIRECTORY).unwrap();
    directory.on_record(NOW, 0, &change.encode(), &mut Plain::empty(NOW));
    directory.on_caught_up(NOW);
    growth.tick(&mut homes);
    let said = homes.get_mut(&1).unwrap().poll_send(NOW).expect("now it is handed over");
    let ops = Record::decode(&said).unwrap().ops;
    assert!(ops.iter().any(|op| matches!(op, Op::Define(Define { limit: LIMIT, version: 2, .. }))), "{ops:?}");
}

/// Says and reads in turn until there is nothing more to say, `max` times at most; the records.
fn talk(agent: &mut Agent, offset: &mut u64, plain: &mut Plain, max: usize) -> usize {
    for said in 0..max {
        let Some(record) = agent.poll_send(NOW) else { return said };
        agent.on_record(NOW, *offset, &record, plain);
        *offset += 1;
    }
    max
}

/// Somebody asks for a permit, and it is claimed; the records.
fn claim(agent: &mut Agent, offset: &mut u64, plain: &mut Plain) -> usize {
    plain.asks(1);
    agent.on_activity(NOW, BUCKET, plain);
    talk(agent, offset, plain, 10)
}

/// A bucket that lives in partition 1 of two, and in partition 2 of three; and who uses it.
fn leaving() -> (BucketId, Agent) {
    let lives = |id: &BucketId| partition_of(*id, 2) == 1 && partition_of(*id, 3) == 2;
    let id = (0..).map(BucketId).find(lives).unwrap();
    let mut agent = Agent::new(Settings::with_ttl(TTL), 5, "test");
    agent.add(id, "moved", LIMIT, &Limit::token_bucket(1, Nanos(SECOND), 10).unwrap(), BUCKET);
    agent.set_layout(&[2], false, 1, false);
    (id, agent)
}

/// What the first claim on a bucket gets that nobody has used; `reset`: the directory that says `history` was.
fn gets(history: &[u32], reset: bool, source: &Fold) -> Tokens {
    let (mut agent, mut plain, mut offset) = (agent(), Plain::empty(NOW), 0);
    agent.set_layout(history, reset, 1, false);
    agent.on_caught_up(NOW);
    agent.open(1, 0, source);
    talk(&mut agent, &mut offset, &mut plain, 10);
    claim(&mut agent, &mut offset, &mut plain);
    assert_eq!(agent.fold().was_reset(), reset || source.was_reset(), "who opens others for this one says it again");
    Tokens(clamp(agent.fold().bucket(moving().next().unwrap()).unwrap().leases[0].granted.tokens))
}

#[test]
fn a_bucket_that_leaves_a_partition_that_was_reset_arrives_with_what_its_limit_mints_in_a_minute() {
    let mut source = drained(0, 1);
    assert_eq!(gets(&[1, 2], false, &source), numbers(1).burst);
    source.reset = true;
    // Next to nothing.
    assert_eq!(gets(&[1, 2], false, &source), Tokens::ZERO);
}

#[test]
fn a_partition_that_a_reset_directory_takes_for_old_need_not_have_been_there() {
    assert_eq!(gets(&[2], false, &Fold::default()), numbers(1).burst);
    let mut source = Fold::reset_at(0, 0, Layout::told(&[2], true, 0));
    source.reset = false;
    assert_eq!(gets(&[2], true, &source), Tokens(1_000_000 / 60));
}

#[test]
fn who_reads_a_reset_directory_says_so_with_the_first_count_of_each_partition() {
    for reset in [false, true] {
        let mut directory = Agent::new(Settings::with_ttl(TTL), 6, "test");
        let layout = Layout::told(&[2, 3], reset, 0);
        let fold = if reset { Fold::reset_at(0, 0, layout) } else { Fold { layout, ..Fold::default() } };
        directory.start_with(NOW, fold);
        directory.on_caught_up(NOW);
        let mut homes = BTreeMap::from([(DIRECTORY, directory), (1, agent())]);
        let mut growth = Growth::default();
        growth.on_partitions(3);
        growth.tick(&mut homes);
        let agent = homes.get_mut(&1).unwrap();
        agent.on_caught_up(NOW);
        let mut plain = Plain::empty(NOW);
        plain.asks(1);
        agent.on_activity(NOW, BUCKET, &mut plain);
        let ops = Record::decode(&agent.poll_send(NOW).expect("it asks for a share")).unwrap().ops;
        let layout = |previous, partitions, any| Op::Layout { previous, partitions, any };
        assert_eq!(ops[..2], [layout(if reset { 1 } else { 0 }, 2, reset), layout(2, 3, false)]);
    }
}

/// Partition 0 was reset after it was read: what was read of it is true for ever.
#[test]
fn what_was_seen_before_a_reset_is_handed_over_as_it_was_seen() {
    let (mut agent, mut plain, mut offset) = (agent(), Plain::empty(NOW), 0);
    agent.set_layout(&[1, 2], false, 1, false);
    agent.on_caught_up(NOW);
    agent.open(1, 0, &drained(1, 1));
    let mut source = drained(0, 0);
    source.reset = true;
    assert!(agent.awaited().is_empty(), "it does not look again");
    talk(&mut agent, &mut offset, &mut plain, 10);
    assert!(agent.fold().layout().is_opened(0) && !agent.fold().was_reset());
    agent.open(1, 0, &source);
    assert_eq!(talk(&mut agent, &mut offset, &mut plain, 10), 0, "a second opening is not said");
    assert_eq!(agent.fold().bucket(moving().next().unwrap()).unwrap().pool, Tokens::ZERO);
}

#[test]
fn a_count_is_told_elsewhere_only_when_the_directory_has_it() {
    let mut directory = Agent::new(Settings::with_ttl(TTL), 6, "test");
    directory.start_with(NOW, Fold { layout: Layout::told(&[2], false, 0), ..Fold::default() });
    directory.on_caught_up(NOW);
    let mut homes = BTreeMap::from([(DIRECTORY, directory), (1, agent())]);
    let mut growth = Growth::default();
    growth.on_partitions(3);
    growth.tick(&mut homes);
    assert_eq!(growth.home(&homes, moving().next().unwrap()), Some(1));
    growth.tick(&mut homes);
    let told = |partition: u32| homes[&partition].moving.told.steps().to_vec();
    assert_eq!((told(DIRECTORY), told(1)), (vec![2, 3], vec![2]));
}

#[test]
fn what_no_partition_takes_any_more_is_not_proposed() {
    let proposed = |counts: usize, partitions: u32| {
        let history: Vec<u32> = (1..=counts as u32).collect();
        let mut directory = Agent::new(Settings::with_ttl(TTL), 6, "test");
        directory.start_with(NOW, Fold { layout: Layout::told(&history, false, 0), ..Fold::default() });
        directory.on_caught_up(NOW);
        let (mut homes, mut growth) = (BTreeMap::from([(DIRECTORY, directory)]), Growth::default());
        growth.on_partitions(partitions);
        growth.tick(&mut homes);
        growth.home(&homes, BucketId(1));
        growth.tick(&mut homes);
        homes[&DIRECTORY].moving.told.partitions()
    };
    assert_eq!((proposed(STEPS_MAX - 1, 100), proposed(STEPS_MAX, 100)), (100, STEPS_MAX as u32));
    assert_eq!(proposed(1, u32::MAX), PARTITIONS_MAX);
}

#[test]
fn counts_said_anew_after_a_reset_of_the_directory_close_what_is_given_out_elsewhere_then() {
    let ((id, mut agent), mut plain, mut offset) = (leaving(), Plain::empty(NOW), 0);
    agent.on_caught_up(NOW);
    claim(&mut agent, &mut offset, &mut plain);
    assert!(agent.fold().bucket(id).is_some_and(|shared| shared.leases.len() == 1));
    let mut new = Fold { layout: Layout::told(&[3], true, 2), ..Fold::default() };
    new.layout.open(0);
    assert!(!new.layout().is_open(id), "partition 1 may have it");
    // What the directory knew is gone, and the log has one more.
    agent.set_layout(&[3], true, 1, false);
    assert!((1..50).contains(&talk(&mut agent, &mut offset, &mut plain, 50)), "it is said once, and no more");
    assert!(!agent.fold().layout().has(id) && agent.fold().is_drained(3), "closed, and given back");
}

#[test]
fn a_partition_that_was_reset_stays_closed_for_what_had_left_it_if_an_old_count_is_said_first() {
    // It has slept while the directory got to know of a third partition, and wakes to read the reset of this one first.
    let ((id, mut agent), mut plain, mut offset) = (leaving(), Plain::empty(NOW), 6);
    agent.start_with(NOW, Fold::reset_at(5, 0, Layout::told(&[2, 3], false, 1)));
    agent.on_caught_up(NOW);
    claim(&mut agent, &mut offset, &mut plain);
    assert!(agent.fold().bucket(id).is_none());
    assert_eq!(agent.take_moved(), [BUCKET], "it is asked for where it lives");
}

/// Everybody's home of nothing: the directory, and partition 1 of which nothing is left.
fn stranded(directory: Fold) -> (BTreeMap<u32, Agent>, Growth) {
    let homes = [(DIRECTORY, Some(directory)), (1, None)].map(|(partition, fold)| {
        let mut agent = Agent::new(Settings::with_ttl(TTL), 6, "test");
        match fold {
            Some(fold) => agent.start_with(NOW, fold),
            None => agent.strand(),
        }
        agent.on_caught_up(NOW);
        (partition, agent)
    });
    (BTreeMap::from(homes), Growth::default())
}

/// Reads what it says in one partition from `offset` on, second by second; the resets.
fn alone(homes: &mut BTreeMap<u32, Agent>, growth: &mut Growth, now: &mut Nanos, seconds: u64, read: &[u32]) -> usize {
    let mut resets = 0;
    for _ in 0..seconds {
        *now = now.plus(Nanos(SECOND));
        growth.tick(homes);
        for (partition, agent) in homes.iter_mut() {
            agent.on_timer(*now, &mut Plain::empty(*now));
            while let Some(said) = agent.poll_send(*now) {
                resets += Record::decode(&said).unwrap().ops.iter().filter(|op| matches!(op, Op::Reset { .. })).count();
                if read.contains(partition) {
                    agent.on_record(*now, agent.fold().next(), &said, &mut Plain::empty(*now));
                }
            }
        }
    }
    resets
}

#[test]
fn who_cannot_read_the_directory_declares_no_other_partition_empty() {
    let (mut homes, mut growth) = stranded(Fold { layout: Layout::told(&[2, 3], false, 0), ..Fold::default() });
    growth.on_partitions(3);
    let mut now = NOW;
    assert_eq!(alone(&mut homes, &mut growth, &mut now, 1_000, &[1]), 0, "the directory does not answer");
    assert!(homes[&1].is_resetting());
    assert_eq!(alone(&mut homes, &mut growth, &mut now, 20, &[0, 1]), 1);
    assert_eq!(homes[&1].fold().layout(), &Layout::told(&[2, 3], false, 1));
    assert!(alone(&mut homes, &mut growth, &mut now, 100, &[0, 1]) == 0 && homes[&0].fold().sessions().is_empty());
}

#[test]
fn a_directory_is_declared_empty_only_with_as_many_partitions_as_the_log_has_then() {
    let (mut homes, mut growth) = stranded(Fold::default());
    homes.get_mut(&DIRECTORY).unwrap().strand();
    growth.on_partitions(2);
    let mut now = NOW;
    assert_eq!(alone(&mut homes, &mut growth, &mut now, 1_000, &[0, 1]), 0, "it has not asked since");
    assert!(growth.must_ask());
    growth.on_partitions(3);
    assert_eq!(alone(&mut homes, &mut growth, &mut now, 10, &[0, 1]), 2, "and then the other one");
    assert!(!growth.must_ask());
    assert_eq!(homes[&0].fold().layout(), &Layout::told(&[3], true, 0));
    assert_eq!(homes[&1].fold().layout(), &Layout::told(&[3], true, 1));
}

#[test]
fn where_nothing_is_left_of_the_directory_other_partitions_are_asked_at_the_same_time() {
    let id = (0..).map(BucketId).find(|id| partition_of(*id, 4) == 2).unwrap();
    for stranded_directory in [true, false] {
        let (mut homes, mut growth) = stranded(Fold::default());
        if stranded_directory {
            homes.get_mut(&DIRECTORY).unwrap().strand();
        }
        growth.on_partitions(4);
        assert_eq!((growth.tick(&mut homes), growth.home(&homes, id)), (BTreeSet::new(), None));
        let asked = if stranded_directory { BTreeSet::from([2]) } else { BTreeSet::new() };
        assert_eq!(growth.tick(&mut homes), asked, "partition 1 is followed already");
    }
}
