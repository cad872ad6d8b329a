//! Where processes begin: snapshots, a log that has lost its beginning, states that others contradict.

use super::tests::{Fleet, Plain, Process, BUCKET, TTL};
use super::*;
use crate::core::layout::Layout;
use crate::core::record::Op;
use crate::core::snapshot::{chunks, Chunk};

/// A process that finds `state` in the state topic and a log that begins at `start`; asks `per_ms` times.
fn late(fleet: &mut Fleet, state: &[Chunk], start: usize, per_ms: u64) -> usize {
    let at = fleet.join(per_ms);
    fleet.processes[at].agent.set_layout(&[1], false, 0, false);
    let (now, end) = (fleet.now, fleet.log.len());
    let Process { agent, read, .. } = &mut fleet.processes[at];
    state.iter().for_each(|chunk| agent.on_state(&chunk.key, &chunk.value));
    *read = begin(agent, now, start, end);
    at
}

/// As the runtime does: asks for what the agent names until the log holds it.
fn begin(agent: &mut Agent, now: Nanos, start: usize, end: usize) -> usize {
    for _ in 0..4 {
        match agent.start(now) {
            Some(Start::At(offset)) if (start..=end).contains(&(offset as usize)) => return offset as usize,
            Some(Start::At(_)) => agent.on_missing(now),
            Some(Start::Anywhere) => return start,
            None => panic!("a process that reads nothing goes on nowhere"),
        }
    }
    panic!("it names a fifth place");
}

/// A stranger finds `answer` in the state topic; where it reads on.
fn answered(fleet: &mut Fleet, stranger: usize, answer: &[Chunk]) -> Option<Start> {
    let agent = &mut fleet.processes[stranger].agent;
    answer.iter().for_each(|chunk| agent.on_state(&chunk.key, &chunk.value));
    agent.start(fleet.now)
}

fn snapshot(fleet: &Fleet, of: usize, slot: u8) -> Vec<Chunk> {
    chunks(fleet.processes[of].agent.fold(), slot)
}

fn rate(fleet: &Fleet, of: usize) -> u64 {
    fleet.rates()[of]
}

#[test]
fn the_newest_snapshot_that_the_log_reaches_is_started_from() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(20_000);
    let old = snapshot(&fleet, 0, 0);
    let reached = fleet.log.len();
    fleet.run(20_000);
    let new = snapshot(&fleet, 0, 1);
    let end = fleet.log.len();
    for (state, start, from) in [
        ([&old[..], &new[..]].concat(), reached, end),
        (old.clone(), reached, reached),
        (new.clone(), end, end),
        (vec![], 0, 0),
    ] {
        let at = late(&mut fleet, &state, start, 2);
        let restored = fleet.processes[at].agent.counters().snapshots_restored;
        assert_eq!((fleet.processes[at].read, restored), (from, u64::from(!state.is_empty())));
        fleet.run(1_000);
        assert_eq!(fleet.processes[at].agent.fold(), fleet.processes[0].agent.fold());
        fleet.processes[at].up = false;
    }
}

#[test]
fn a_snapshot_of_a_longer_log_is_not_used_if_the_log_has_its_beginning() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(60_000);
    let foreign = snapshot(&fleet, 0, 0);
    let mut other = Fleet::new(1_000, 100);
    other.join(2);
    other.run(100);
    let at = late(&mut other, &foreign, 0, 2);
    assert_eq!(other.processes[at].read, 0);
}

#[test]
fn a_stranger_gets_nothing_until_somebody_answers_with_a_snapshot() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(5_000);
    let start = fleet.log.len();
    let at = late(&mut fleet, &[], start, 2);
    assert!(fleet.processes[at].agent.stranded_for().is_some());
    fleet.run(1);
    assert!(fleet.processes[0].agent.poll_snapshot(fleet.now).is_none(), "nobody has asked yet, and none is due");
    let mut answer = None;
    for _ in 0..20 {
        fleet.run(500);
        answer = answer.or(fleet.processes[0].agent.poll_snapshot(fleet.now));
        assert_eq!((rate(&fleet, at), fleet.processes[at].granted), (0, 0));
    }
    let answer = answer.expect("an answer");
    assert_eq!(answered(&mut fleet, at, &[]), None, "without a snapshot it goes on reading where it is");
    let Some(Start::At(offset)) = answered(&mut fleet, at, &answer) else { panic!("a place to start from") };
    fleet.processes[at].read = offset as usize;
    fleet.run(2_000);
    assert!(rate(&fleet, at) >= 400, "{:?}", fleet.rates());
    assert_eq!(fleet.processes[at].agent.fold(), fleet.processes[0].agent.fold());
    assert_eq!(fleet.processes[at].agent.counters().resets, 0);
}

/// Seconds of silence after which a partition is reset.
const SILENCE: u64 = 660;

#[test]
fn a_stranger_declares_a_partition_empty_only_after_the_longest_silence() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(5_000);
    fleet.processes[0].up = false;
    let start = fleet.log.len();
    let at = late(&mut fleet, &[], start, 2);
    let other = late(&mut fleet, &[], start, 2);
    fleet.run((SILENCE - 1) * 1_000);
    assert_eq!((rate(&fleet, at), fleet.processes[at].agent.counters().resets), (0, 0), "too early");
    fleet.run(20_000);
    assert!(rate(&fleet, at) >= 400 && rate(&fleet, other) >= 400, "{:?}", fleet.rates());
    assert_eq!(fleet.processes[at].agent.fold(), fleet.processes[other].agent.fold());
    // Who comes later and reads all that its witness names needs nothing else; who does not cannot judge it.
    let blind = late(&mut fleet, &[], start + 1, 0);
    let last = late(&mut fleet, &[], start, 0);
    fleet.run(100);
    assert_eq!(fleet.processes[last].agent.fold(), fleet.processes[at].agent.fold());
    assert!(fleet.processes[blind].agent.stranded_for().is_some());
}

#[test]
fn a_partition_is_declared_empty_only_by_who_can_tell_the_counts_of_partitions() {
    let mut now = Nanos::from_secs(1);
    let mut agent = Agent::new(Settings::with_ttl(TTL), 1, "test");
    let mut plain = Plain::empty(now);
    agent.start(now);
    agent.on_missing(now);
    assert_eq!(agent.start(now), Some(Start::Anywhere));
    agent.on_caught_up(now);
    let mut offset = 100;
    let mut said = |agent: &mut Agent, now: &mut Nanos, seconds: u64| {
        let mut resets = 0;
        for _ in 0..seconds {
            *now = now.plus(Nanos::from_secs(1));
            let Some(bytes) = agent.poll_send(*now) else { continue };
            resets += Record::decode(&bytes).unwrap().ops.len();
            agent.on_record(*now, offset, &bytes, &mut plain);
            offset += 1;
        }
        resets
    };
    let counts = || Layout::told(&[2, 4], false, 1);
    agent.vouch(counts(), now.plus(Nanos::from_secs(SILENCE)));
    assert_eq!(said(&mut agent, &mut now, 2 * SILENCE), 0, "they were the newest too long ago");
    assert!(agent.is_resetting());
    agent.vouch(Layout::default(), Nanos::NEVER);
    assert_eq!(said(&mut agent, &mut now, 20), 0, "nobody has told them yet");
    agent.vouch(counts(), now.plus(Nanos::from_secs(6)));
    assert_eq!((said(&mut agent, &mut now, 20), agent.stranded_for()), (1, None));
    assert_eq!(agent.fold().layout(), &counts());
}

#[test]
fn counts_from_before_the_last_word_of_anybody_are_not_named() {
    let mut stranger = Agent::new(Settings::with_ttl(TTL), 1, "test");
    let mut plain = Plain::empty(Nanos::ZERO);
    stranger.strand();
    stranger.on_caught_up(Nanos::ZERO);
    stranger.vouch(Layout::told(&[2], true, 0), Nanos::NEVER);
    let word = Record { sender: Sender::Session(3), nonce: 9, seq: 2, tag: 0, digest: None, ops: vec![] };
    stranger.on_record(Nanos::ZERO, 7, &word.encode(), &mut plain);
    assert!(stranger.stranger.unwrap().vouched.is_none());
}

#[test]
fn a_log_that_does_not_answer_is_no_witness_of_silence() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(5_000);
    fleet.processes[0].up = false;
    let start = fleet.log.len();
    let at = late(&mut fleet, &[], start, 2);
    fleet.run(10_000);
    fleet.processes[at].deaf = true;
    fleet.run(2 * SILENCE * 1_000);
    fleet.processes[at].deaf = false;
    fleet.run(30_000);
    assert_eq!(fleet.processes[at].agent.counters().resets, 0);
    let left = fleet.processes[at].agent.stranded_for().unwrap();
    assert!(left >= Nanos::from_secs(SILENCE - 60), "{left:?}");
}

#[test]
fn one_word_of_anybody_begins_the_silence_anew() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(0);
    fleet.join(1);
    fleet.run(5_000);
    let start = fleet.log.len();
    let at = late(&mut fleet, &[], start, 2);
    // A heartbeat every five seconds: nobody may take its share.
    fleet.run(2 * SILENCE * 1_000);
    assert_eq!(fleet.processes[at].agent.counters().resets, 0);
    assert!(rate(&fleet, 1) > 0, "{:?}", fleet.rates());
}

#[test]
fn who_reads_a_reset_that_counts_drops_everything() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(5_000);
    // As if it had slept: the log says that nobody spoke for long.
    let from = fleet.log.len() as u64;
    let ops = vec![Op::Reset { from, before: 0, any: false, counts: vec![1] }];
    let reset = Record { sender: Sender::Stranger, nonce: 1, seq: 0, tag: 1, digest: None, ops };
    fleet.log.push(reset.encode());
    let now = fleet.now;
    let Process { agent, plain, read, .. } = &mut fleet.processes[0];
    agent.on_record(now, from, &reset.encode(), plain);
    *read += 1;
    assert!(!agent.has_session() && agent.status(BUCKET).share == Share::NONE);
    fleet.run(1_000);
    assert_eq!((rate(&fleet, 0), fleet.processes[0].agent.counters().sessions_lost), (1_000, 1), "it begins anew");
}

#[test]
fn snapshots_are_written_however_little_is_said_and_by_the_last_who_leaves() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(1);
    let mut written = 0;
    for _ in 0..2_000 {
        fleet.run(1_000);
        let now = fleet.now;
        written += u64::from(fleet.processes[0].agent.poll_snapshot(now).is_some());
    }
    assert!((2..=8).contains(&written), "{written} in 33 minutes, well within an hour's retention each");
    let now = fleet.now;
    let Process { agent, plain, .. } = &mut fleet.processes[0];
    assert!(agent.last_snapshot(now).is_none(), "it has not left");
    agent.close(now, plain);
    fleet.run(100);
    let last = fleet.processes[0].agent.last_snapshot(fleet.now).expect("the last who leaves writes one");
    assert!(fleet.processes[0].agent.last_snapshot(fleet.now).is_none(), "once");
    let end = fleet.log.len();
    let at = late(&mut fleet, &last, end, 2);
    fleet.run(100);
    assert_eq!(rate(&fleet, at), 1_000, "who comes when the log has lost everything starts at once");
}

#[test]
fn the_last_who_fell_silent_still_writes_and_answers() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(1);
    fleet.run(2_000);
    fleet.processes[0].demand_ms = 0;
    fleet.run(60_000);
    assert!(fleet.processes[0].agent.fold().sessions().is_empty(), "it has given everything back");
    assert!(fleet.processes[0].agent.poll_snapshot(fleet.now).is_none(), "none is due yet");
    let start = fleet.log.len();
    let at = late(&mut fleet, &[], start, 1);
    fleet.run(10);
    let answer = fleet.processes[0].agent.poll_snapshot(fleet.now).expect("an answer");
    assert!(matches!(answered(&mut fleet, at, &answer), Some(Start::At(_))));
    fleet.processes[at].up = false;
    fleet.log.push(Vec::new());
    fleet.run(910_000);
    assert!(fleet.processes[0].agent.poll_snapshot(fleet.now).is_some(), "and however little is said");
}

/// One who holds something, and lives on or not, and one who follows and holds nothing.
fn holder_and_follower(lives: bool) -> (Fleet, usize) {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    let follower = fleet.join(0);
    fleet.run(2_000);
    fleet.processes[0].up = lives;
    (fleet, follower)
}

/// The minutes in which a follower without a session writes a snapshot while somebody who holds something lives, or not.
fn minutes_of_snapshots(lives: bool, minutes: u64) -> Vec<u64> {
    let (mut fleet, follower) = holder_and_follower(lives);
    let mut found = Vec::new();
    for look in 0..minutes * 20 {
        fleet.run(3_000);
        if fleet.processes[follower].agent.poll_snapshot(fleet.now).is_some() {
            found.push((look + 10) / 20);
        }
    }
    assert!(fleet.processes[follower].agent.session.is_none(), "it has nothing");
    found
}

#[test]
fn where_all_who_held_something_are_dead_who_follows_writes_before_the_log_may_forget() {
    assert_eq!(minutes_of_snapshots(false, 90), [30], "once: nothing more was said");
}

#[test]
fn where_somebody_who_holds_something_lives_who_follows_leaves_the_writing_to_him() {
    assert!(minutes_of_snapshots(true, 50).is_empty());
}

#[test]
fn who_slept_has_not_heard_whether_nobody_lives() {
    let (mut fleet, follower) = holder_and_follower(false);
    fleet.run(3_600_000);
    assert!(fleet.processes[follower].agent.poll_snapshot(fleet.now).is_none());
}

#[test]
fn where_all_who_held_something_are_dead_who_follows_answers_but_leaves_them_the_first_word() {
    let (mut fleet, follower) = holder_and_follower(false);
    let start = fleet.log.len();
    let at = late(&mut fleet, &[], start, 2);
    let mut answers = (1..30).filter_map(|second| {
        fleet.run(1_000);
        let Process { agent, .. } = &mut fleet.processes[follower];
        assert_eq!((agent.session, agent.fold.sessions().len()), (None, 1), "it has nothing, and evicts nobody");
        Some((second, agent.poll_snapshot(fleet.now)?))
    });
    let (second, answer) = answers.next().expect("an answer");
    let (next, _) = answers.next().expect("an answer to who asks on");
    assert!((10..=16).contains(&second) && next >= second + 10, "{second}, {next}");
    assert!(matches!(answered(&mut fleet, at, &answer), Some(Start::At(_))));
}

#[test]
fn who_leaves_others_behind_writes_no_last_snapshot() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(1_000);
    let now = fleet.now;
    let Process { agent, plain, .. } = &mut fleet.processes[0];
    agent.close(now, plain);
    fleet.run(100);
    assert!(fleet.processes[0].agent.is_closed());
    assert!(fleet.processes[0].agent.last_snapshot(fleet.now).is_none());
}

#[test]
fn a_snapshot_that_others_contradict_is_left_for_the_log_itself_and_an_old_word_is_answered_once() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(60_000);
    // A state that nobody ever had: made from another log of the same length.
    let mut other = Fleet::new(500, 50);
    other.join(2);
    other.join(2);
    while other.log.len() < fleet.log.len() {
        other.run(5);
    }
    other.run(100);
    let wrong = snapshot(&other, 0, 0);
    fleet.run(1_000);
    let at = late(&mut fleet, &wrong, 0, 0);
    assert!(fleet.processes[at].read > 0, "it starts from it");
    let mut from = Vec::new();
    for _ in 0..3_000 {
        fleet.run(100);
        let (now, end) = (fleet.now, fleet.log.len());
        let Process { agent, plain, read, .. } = &mut fleet.processes[at];
        if agent.has_diverged() {
            agent.on_gap(now, plain);
            wrong.iter().for_each(|chunk| agent.on_state(&chunk.key, &chunk.value));
            *read = begin(agent, now, 0, end);
            from.push(*read);
        }
    }
    assert_eq!(from, [0], "one contradiction, answered by the log itself");
    assert_eq!(fleet.processes[at].agent.fold(), fleet.processes[0].agent.fold());
    let counters = fleet.processes[at].agent.counters();
    assert!(counters.digest_mismatches >= 1 && counters.digests_compared > 10, "{counters:?}");
    // Somebody says nonsense for once: everything is read anew from the other source, and then that was that.
    let now = fleet.now;
    let newest = fleet.processes[at].agent.digests.newest().unwrap();
    let nonsense = Record {
        sender: Sender::Hello { ttl_ms: 600_000, newest_format: 1, lock: 0, note: String::new() },
        nonce: 4711,
        seq: 1,
        tag: 1,
        digest: Some((newest.0, newest.1 ^ 1)),
        ops: vec![],
    };
    fleet.log.push(nonsense.encode());
    let mut anew = 0;
    for _ in 0..100 {
        fleet.run(100);
        let end = fleet.log.len();
        let Process { agent, plain, read, .. } = &mut fleet.processes[at];
        if agent.has_diverged() {
            anew += 1;
            agent.on_gap(now, plain);
            *read = begin(agent, now, 0, end);
        }
    }
    assert_eq!(anew, 1, "an old word is not answered for ever");
}
