//! Directed tests of few agents over a log without faults. Faults are the simulation's affair
//! (`tests/simulation`).

use super::*;
use crate::core::bucket::Bucket;
use crate::core::layout::Layout;
use crate::core::pace::FULL;
use crate::core::placement::{bucket_id, limit_id};
use crate::core::share::Usage;
use crate::core::units::SECOND;

pub(super) const TTL: Nanos = Nanos::from_secs(15);
pub(super) const STEP: Nanos = Nanos::from_millis(5);
pub(super) const BUCKET: BucketRef = BucketRef(0);

/// One plain bucket.
pub(super) struct Plain {
    bucket: Bucket,
    usage: Usage,
}

impl Plain {
    pub(super) fn empty(now: Nanos) -> Plain {
        Plain { bucket: Bucket::empty(Tokens::ZERO, Share::NONE.refill(), now), usage: Usage::default() }
    }

    /// Somebody asks for so much, and is refused.
    pub(super) fn asks(&mut self, permits: u64) {
        self.usage.asked = self.usage.asked.plus(Tokens::permits(permits));
        self.usage.refused = true;
    }

    fn settle(&mut self, now: Nanos) {
        self.bucket.settle(now, Tokens::ZERO);
    }
}

impl Buckets for Plain {
    fn usage(&mut self, _: BucketRef, now: Nanos) -> Usage {
        self.settle(now);
        Usage { level: self.bucket.level(), full: self.bucket.is_full(), ..std::mem::take(&mut self.usage) }
    }
    fn grow(&mut self, _: BucketRef, now: Nanos, share: Share, arrived: Tokens) {
        self.settle(now);
        share.give(&mut self.bucket, FULL);
        self.bucket.put(arrived);
    }
    fn shrink(&mut self, _: BucketRef, now: Nanos, share: Share) -> Tokens {
        self.settle(now);
        share.give(&mut self.bucket, FULL)
    }
    fn forfeit(&mut self, _: BucketRef, now: Nanos) {
        self.shrink(BUCKET, now, Share::NONE);
    }
}

pub(super) struct Process {
    pub(super) agent: Agent,
    pub(super) plain: Plain,
    pub(super) read: usize,
    pub(super) demand_ms: u64,
    pub(super) granted: u64,
    pub(super) up: bool,
    /// What it sends is lost.
    pub(super) mute: bool,
    /// It reads nothing.
    pub(super) deaf: bool,
}

pub(super) struct Fleet {
    pub(super) now: Nanos,
    pub(super) log: Vec<Vec<u8>>,
    pub(super) processes: Vec<Process>,
    limit: Limit,
    pub(super) outage: Outage,
}

impl Fleet {
    pub(super) fn new(permits: u64, burst: u64) -> Fleet {
        let limit = Limit::token_bucket(permits, Nanos(SECOND), burst).unwrap();
        let outage = Outage::KeepShare;
        Fleet { outage, now: Nanos::from_secs(1), log: Vec::new(), processes: Vec::new(), limit }
    }

    /// A process that asks `per_ms` times a millisecond.
    pub(super) fn join(&mut self, per_ms: u64) -> usize {
        let number = self.processes.len() as u64;
        let settings = Settings { lock: 1 + u128::from(number), ..Settings::new(TTL, self.outage) };
        let mut agent = Agent::new(settings, 77 + number, "test");
        agent.add(bucket_id("orders", 0, ""), "orders", limit_id("orders", 0), &self.limit, BUCKET);
        let plain = Plain::empty(self.now);
        self.processes.push(Process {
            agent,
            plain,
            read: 0,
            demand_ms: per_ms,
            granted: 0,
            up: true,
            mute: false,
            deaf: false,
        });
        self.processes.len() - 1
    }

    pub(super) fn run(&mut self, ms: u64) {
        let end = self.now.plus(Nanos::from_millis(ms));
        while self.now < end {
            self.now = self.now.plus(STEP);
            for process in self.processes.iter_mut().filter(|process| process.up) {
                let Process { agent, plain, .. } = process;
                while process.read < self.log.len() && !process.deaf {
                    let offset = process.read;
                    process.read += 1;
                    agent.on_record(self.now, offset as u64, &self.log[offset], plain);
                }
                agent.on_caught_up(self.now);
                for _ in 0..process.demand_ms * STEP.0 / 1_000_000 {
                    plain.settle(self.now);
                    plain.usage.asked = plain.usage.asked.plus(Tokens::permits(1));
                    let usable = self.now < agent.usable_until();
                    if usable && plain.bucket.take(Tokens::permits(1)) {
                        process.granted += 1;
                    } else {
                        plain.usage.refused = true;
                        plain.usage.largest = Tokens::permits(1);
                    }
                }
                if process.demand_ms > 0 {
                    agent.on_activity(self.now, BUCKET, plain);
                }
                agent.on_timer(self.now, plain);
                agent.vouch(Layout::told(&[1], true, 0), self.now.plus(STEP));
                while let Some(record) = agent.poll_send(self.now) {
                    if !process.mute {
                        self.log.push(record);
                    }
                }
            }
        }
    }

    pub(super) fn rates(&self) -> Vec<u64> {
        self.processes.iter().map(|process| process.agent.status(BUCKET).share.rate.0 / SECOND).collect()
    }
}

#[test]
fn a_process_alone_has_the_whole_limit_and_sends_only_heartbeats() {
    let mut fleet = Fleet::new(1_000, 2_000);
    fleet.join(5);
    fleet.run(60_000);
    assert_eq!(fleet.rates(), [1_000]);
    let granted = fleet.processes[0].granted;
    assert!((61_500..=62_000).contains(&granted), "{granted}");
    let heartbeats = 60 / (15 / 3);
    assert!(fleet.log.len() <= 1 + heartbeats, "{} records", fleet.log.len());
}

#[test]
fn a_newcomer_among_saturated_holders_gets_its_fair_share_fast() {
    let mut fleet = Fleet::new(1_000, 2_000);
    for _ in 0..15 {
        fleet.join(1);
    }
    fleet.run(5_000);
    assert!(fleet.rates().iter().all(|rate| (60..=70).contains(rate)), "{:?}", fleet.rates());
    let newcomer = fleet.join(1);
    fleet.run(300);
    assert!(fleet.rates()[newcomer] >= 50, "{:?}", fleet.rates());
}

#[test]
fn demand_that_moves_takes_the_share_along() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(3_000);
    assert!(fleet.rates().iter().all(|rate| (450..=550).contains(rate)), "{:?}", fleet.rates());
    fleet.processes[0].demand_ms = 0;
    fleet.run(1_000);
    assert!(fleet.rates()[1] >= 900, "{:?}", fleet.rates());
}

#[test]
fn the_share_of_a_silent_process_returns_after_its_time_to_live_and_not_before() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(5_000);
    fleet.processes[0].up = false;
    fleet.run(14_000);
    assert!(fleet.rates()[1] < 600, "{:?}", fleet.rates());
    fleet.run(3_000);
    assert_eq!(fleet.rates()[1], 1_000);
    // It comes back: nothing that it held is valid, and it finds its place again.
    fleet.processes[0].up = true;
    fleet.run(1_000);
    assert_eq!(fleet.processes[0].agent.counters().sessions_lost, 1);
    assert!(fleet.rates().iter().all(|rate| (400..=600).contains(rate)), "{:?}", fleet.rates());
}

#[test]
fn a_clean_close_gives_the_share_back_at_once() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(5_000);
    let now = fleet.now;
    let Process { agent, plain, demand_ms, .. } = &mut fleet.processes[0];
    *demand_ms = 0;
    agent.close(now, plain);
    fleet.run(50);
    assert!(fleet.processes[0].agent.is_closed());
    assert_eq!(fleet.rates()[1], 1_000);
    assert_eq!(fleet.processes[0].agent.counters().sessions_lost, 0);
}

#[test]
fn a_tiny_limit_is_passed_around() {
    let mut fleet = Fleet::new(10, 10);
    for _ in 0..30 {
        fleet.join(1);
    }
    fleet.run(20_000);
    let granted: Vec<u64> = fleet.processes.iter().map(|process| process.granted).collect();
    let total: u64 = granted.iter().sum();
    assert!((180..=210).contains(&total), "{total} of 210: {granted:?}");
    assert!(granted.iter().all(|&granted| granted >= 2), "{granted:?}");
}

#[test]
fn an_unused_share_is_given_back_and_the_session_ended() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(1);
    fleet.run(1_000);
    fleet.processes[0].demand_ms = 0;
    fleet.run(45_000);
    assert!(!fleet.processes[0].agent.has_session());
    let records = fleet.log.len();
    fleet.run(60_000);
    assert_eq!(fleet.log.len(), records, "nothing is said about what nobody uses");
    fleet.processes[0].demand_ms = 1;
    fleet.run(100);
    assert_eq!(fleet.rates(), [1_000]);
}

#[test]
fn a_removed_bucket_returns_to_the_others() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(3_000);
    let now = fleet.now;
    let Process { agent, plain, demand_ms, .. } = &mut fleet.processes[0];
    *demand_ms = 0;
    agent.remove(now, BUCKET, plain);
    fleet.run(100);
    assert_eq!(fleet.rates()[1], 1_000);
    assert!(fleet.processes[0].agent.mine.is_empty());
}

#[test]
fn a_bucket_added_again_before_its_removal_is_confirmed_holds_no_more_than_the_log_reserves() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(3_000);
    let (now, limit) = (fleet.now, fleet.limit);
    let Process { agent, plain, .. } = &mut fleet.processes[0];
    agent.remove(now, BUCKET, plain);
    agent.add(bucket_id("orders", 0, ""), "orders", limit_id("orders", 0), &limit, BUCKET);
    assert_eq!(agent.status(BUCKET).share, Share::NONE);
    for _ in 0..200 {
        fleet.run(5);
        assert!(fleet.rates().iter().sum::<u64>() <= 1_000, "{:?}", fleet.rates());
    }
    assert!(fleet.rates()[0] >= 400, "{:?}", fleet.rates());
}

#[test]
fn a_bucket_added_again_while_its_claim_is_under_way_counts_what_it_gave_back_before() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(1_000);
    let (id, limit) = (bucket_id("orders", 0, ""), fleet.limit);
    let Process { agent, plain, demand_ms, .. } = &mut fleet.processes[0];
    *demand_ms = 0;
    agent.release(fleet.now, id, plain);
    fleet.log.push(agent.poll_send(fleet.now).expect("a release"));
    fleet.run(5);
    let Process { agent, plain, demand_ms, .. } = &mut fleet.processes[0];
    *demand_ms = 2;
    plain.usage.asked = Tokens::permits(1);
    agent.on_activity(fleet.now, BUCKET, plain);
    fleet.log.push(agent.poll_send(fleet.now).expect("a claim"));
    agent.remove(fleet.now, BUCKET, plain);
    agent.add(id, "orders", limit_id("orders", 0), &limit, BUCKET);
    plain.usage.asked = Tokens::permits(1);
    agent.on_activity(fleet.now, BUCKET, plain);
    for _ in 0..20 {
        fleet.run(5);
        assert!(fleet.rates()[0] <= 1_000, "{:?}", fleet.rates());
    }
    assert_eq!(fleet.rates(), [1_000]);
}

#[test]
fn a_process_that_reads_late_for_long_does_not_take_itself_for_a_clone() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(1_000);
    fleet.processes[0].deaf = true;
    fleet.run(100_000);
    fleet.processes[0].deaf = false;
    fleet.run(1_000);
    let counters = fleet.processes[0].agent.counters();
    assert!(counters.records_resent > 64, "more than are remembered");
    assert_eq!((counters.clones, counters.sessions_lost), (0, 0));
    assert!(fleet.processes[0].agent.valid_until() > fleet.now);
}

#[test]
fn a_clone_of_a_process_drops_everything_when_the_other_one_speaks() {
    let limit = Limit::token_bucket(100, Nanos(SECOND), 100).unwrap();
    let mut now = Nanos::from_secs(1);
    let mut twins = [(); 2].map(|()| {
        let mut agent = Agent::new(Settings::with_ttl(TTL), 42, "twin");
        agent.add(bucket_id("orders", 0, ""), "orders", limit_id("orders", 0), &limit, BUCKET);
        agent.on_caught_up(now);
        let usage = Usage { asked: Tokens::permits(1), ..Usage::default() };
        let mut plain = Plain { bucket: Bucket::empty(Tokens::ZERO, Share::NONE.refill(), now), usage };
        agent.on_activity(now, BUCKET, &mut plain);
        (agent, plain)
    });
    // Cloned with its Hello under way: until now they are the same.
    let hellos = twins.each_mut().map(|(agent, _)| agent.poll_send(now).expect("a Hello"));
    assert_eq!(hellos[0], hellos[1]);
    for (agent, plain) in &mut twins {
        agent.on_record(now, 0, &hellos[0], plain);
        assert!(agent.has_session());
    }
    now = now.plus(TTL.part(1, 3));
    let first = twins[0].0.poll_send(now).expect("a heartbeat");
    twins[1].0.poll_send(Nanos(now.0 + 1)).expect("a heartbeat of the same sequence number");
    for (agent, plain) in &mut twins {
        agent.on_record(now, 1, &first, plain);
    }
    let [(original, _), (clone, _)] = twins;
    assert!(original.has_session());
    assert_eq!((clone.counters().clones, clone.usable_until()), (1, Nanos::ZERO));
    assert_ne!(clone.nonce, original.nonce);
}

#[test]
fn permits_that_nobody_uses_do_not_go_round_at_the_speed_of_the_log() {
    let mut fleet = Fleet::new(10, 10);
    for _ in 0..5 {
        fleet.join(0);
    }
    // Each asks once in 200 ms: too seldom to use what there is, too often to leave the queue.
    for step in 0..1_000usize {
        fleet.processes[step / 8 % 5].demand_ms = u64::from(step % 8 == 0);
        fleet.run(5);
        fleet.processes[step / 8 % 5].demand_ms = 0;
    }
    let per_second = fleet.log.len() / 5;
    assert!(per_second < 100, "{per_second} records a second");
}

#[test]
fn a_record_of_a_newer_format_stops_granting_and_garbage_does_not() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(1_000);
    fleet.log.push(b"not a record".to_vec());
    fleet.run(100);
    assert!(fleet.processes[0].agent.has_session());
    let mut newer = fleet.log[0].clone();
    newer[1] = 99;
    let body = newer.len() - 4;
    fleet.log.push({
        let sum = crate::core::record::tests::seal(&newer[..body]);
        newer[body..].copy_from_slice(&sum);
        newer
    });
    fleet.run(100);
    assert!(fleet.processes[0].agent.is_halted());
    assert_eq!(fleet.processes[0].agent.valid_until(), Nanos::ZERO);
}

#[test]
fn a_process_that_starts_from_a_snapshot_evicts_the_silent_as_one_that_read_everything() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.run(1_000);
    for filler in 0..5_000 {
        fleet.log.push(vec![filler as u8]);
    }
    fleet.run(1_000);
    let written = fleet.processes[0].agent.counters().snapshots_written;
    assert_eq!(written, 0, "the test's fleet does not ask for snapshots");
    let now = fleet.now;
    let messages = fleet.processes[0].agent.poll_snapshot(now).expect("5,000 offsets are worth one");
    assert!(fleet.processes[0].agent.poll_snapshot(now).is_none(), "and the next one is not due");
    let mut assembler = crate::core::snapshot::Assembler::default();
    messages.iter().for_each(|chunk| assembler.push(&chunk.key, &chunk.value));
    let (slot, fold) = assembler.newest().unwrap();
    let newcomer = fleet.join(2);
    fleet.processes[newcomer].read = fold.next() as usize;
    fleet.processes[newcomer].agent.restore(now, slot, fold);
    fleet.processes[0].up = false;
    fleet.run(12_000);
    assert_eq!(fleet.rates()[newcomer], 0, "the silent one's share is its own for its time-to-live");
    fleet.run(8_000);
    assert_eq!(fleet.rates()[newcomer], 1_000);
    assert!(fleet.processes[newcomer].agent.poll_snapshot(fleet.now).is_none());
}

#[test]
fn processes_that_read_the_same_log_say_the_same_digests_and_one_that_read_another_is_found_out() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(1_000);
    fleet.log.extend(vec![b"filler".to_vec(); 70]);
    fleet.run(20_000);
    assert!(fleet.processes.iter().all(|process| process.agent.counters().digest_mismatches == 0));
    // A third one to whom the log shows something else in place of the first claim.
    let liar = fleet.join(0);
    fleet.processes[liar].read = 1;
    fleet.run(5_000);
    assert!(fleet.processes[liar].agent.has_diverged());
    let Process { agent, plain, read, .. } = &mut fleet.processes[liar];
    agent.on_gap(fleet.now, plain);
    *read = 0;
    fleet.run(5_000);
    assert!(!fleet.processes[liar].agent.has_diverged(), "read anew, it agrees");
}

#[test]
fn a_limit_changed_by_one_process_holds_for_all_of_them_at_once() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(3_000);
    let limit = limit_id("orders", 0);
    let define = |fleet: &mut Fleet, permits| {
        let rate = Rate::of(permits, Nanos(SECOND));
        assert!(fleet.processes[0].agent.define(limit, "orders", rate, Tokens::permits(100)));
        fleet.run(200);
        assert!(!fleet.processes[0].agent.is_defining());
        let versions = fleet.processes.iter().map(|process| process.agent.fold().limit(limit).unwrap().version);
        versions.collect::<Vec<_>>()
    };
    assert_eq!(define(&mut fleet, 400), [2, 2]);
    assert!(fleet.rates().iter().sum::<u64>() <= 400, "{:?}", fleet.rates());
    assert!(fleet.rates().iter().all(|rate| (180..=220).contains(rate)), "{:?}", fleet.rates());
    assert_eq!(define(&mut fleet, 3_000), [3, 3]);
    assert!(fleet.rates().iter().sum::<u64>() > 2_900, "{:?}", fleet.rates());
}

#[test]
fn a_limit_can_be_changed_by_a_process_that_uses_nothing_of_it() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    let operator = fleet.join(0);
    fleet.run(1_000);
    let rate = Rate::of(70, Nanos(SECOND));
    assert!(fleet.processes[operator].agent.define(limit_id("orders", 0), "orders", rate, Tokens::permits(5)));
    fleet.run(200);
    assert_eq!(fleet.rates()[0], 70);
    fleet.run(10_000);
    assert!(!fleet.processes[operator].agent.has_session(), "it says goodbye when that is done");
}

#[test]
fn of_two_changes_at_the_same_time_the_later_one_in_the_log_wins() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(1_000);
    for (process, permits) in [(0, 100), (1, 200)] {
        let rate = Rate::of(permits, Nanos(SECOND));
        assert!(fleet.processes[process].agent.define(limit_id("orders", 0), "orders", rate, Tokens::permits(9)));
    }
    fleet.run(1_000);
    assert!(fleet.processes.iter().all(|process| !process.agent.is_defining()));
    let total: u64 = fleet.rates().iter().sum();
    assert!((190..=200).contains(&total), "{:?}", fleet.rates());
}

impl Fleet {
    /// As kill -9: it does nothing any more.
    fn kill(&mut self, process: usize) {
        self.processes[process].up = false;
    }

    /// `witness` learns that `dead` is dead.
    fn prove(&mut self, witness: usize, dead: usize) {
        let lock = self.processes[dead].agent.settings.lock;
        self.processes[witness].agent.on_deaths(&BTreeSet::from([lock]));
    }
}

#[test]
fn the_share_of_a_process_proven_dead_returns_at_once() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(5_000);
    fleet.kill(0);
    fleet.run(100);
    assert!(fleet.rates()[1] < 600, "without the proof it is still its own: {:?}", fleet.rates());
    fleet.prove(1, 0);
    fleet.run(20);
    assert_eq!(fleet.rates()[1], 1_000);
}

#[test]
fn a_proof_ends_no_session_but_that_of_the_dead() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.join(2);
    fleet.run(5_000);
    fleet.kill(0);
    fleet.prove(1, 0);
    fleet.run(1_000);
    assert_eq!(fleet.processes[2].agent.counters().sessions_lost, 0);
    assert_eq!(fleet.processes[1].agent.counters().evictions_sent, 1, "said once, and read");
    assert!(fleet.rates()[1..].iter().all(|rate| (450..=550).contains(rate)), "{:?}", fleet.rates());
}

#[test]
fn a_fleet_that_starts_again_has_the_whole_limit_with_its_first_record() {
    let mut fleet = Fleet::new(1_000, 100);
    for _ in 0..3 {
        fleet.join(2);
    }
    fleet.run(5_000);
    for dead in 0..3 {
        fleet.kill(dead);
    }
    let newcomer = fleet.join(2);
    fleet.processes[newcomer].demand_ms = 0;
    fleet.run(5);
    for dead in 0..3 {
        fleet.prove(newcomer, dead);
    }
    fleet.processes[newcomer].demand_ms = 2;
    let records = fleet.log.len();
    fleet.run(10);
    assert_eq!((fleet.rates()[newcomer], fleet.log.len()), (1_000, records + 1));
    fleet.run(1_000);
    let granted = fleet.processes[newcomer].granted;
    assert!((980..=1_010).contains(&granted), "no free burst: {granted}");
}

#[test]
fn the_last_words_of_the_dead_that_come_late_do_not_save_its_session() {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.join(2);
    fleet.join(2);
    fleet.run(3_000);
    // It dies with a heartbeat under way.
    let now = fleet.now.plus(TTL);
    let late = fleet.processes[0].agent.poll_send(now).expect("a heartbeat");
    fleet.kill(0);
    fleet.prove(1, 0);
    let (now, Process { agent, plain, .. }) = (fleet.now, &mut fleet.processes[1]);
    agent.on_timer(now, plain);
    let eviction = agent.poll_send(now).expect("an eviction");
    fleet.log.extend([late, eviction]);
    fleet.run(5);
    assert!(fleet.rates()[1] < 600, "that eviction was overtaken: {:?}", fleet.rates());
    fleet.run(20);
    assert_eq!(fleet.rates()[1], 1_000, "and is said again at once");
}

#[test]
fn more_dead_than_fit_into_one_record_are_evicted_by_those_that_follow() {
    let mut fleet = Fleet::new(1_000, 100);
    let dead = BTreeSet::from([7]);
    let hello = |nonce: u64| {
        let sender = Sender::Hello { ttl_ms: 15_000, newest_format: 1, lock: 7, note: String::new() };
        Record { sender, nonce, seq: 1, tag: 0, digest: None, ops: Vec::new() }.encode()
    };
    fleet.log = (0..300).map(hello).collect();
    let survivor = fleet.join(0);
    fleet.run(5);
    fleet.processes[survivor].agent.on_deaths(&dead);
    fleet.processes[survivor].demand_ms = 1;
    fleet.run(50);
    assert_eq!(fleet.processes[survivor].agent.fold().sessions().len(), 1);
}
