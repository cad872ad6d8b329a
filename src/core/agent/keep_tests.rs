//! What a process may use while it cannot renew.

use super::tests::{Fleet, Process, BUCKET, TTL};
use super::*;

/// Two processes that both want more than there is.
fn two(outage: Outage) -> Fleet {
    let mut fleet = Fleet::new(1_000, 100);
    fleet.outage = outage;
    fleet.join(2);
    fleet.join(2);
    fleet.run(5_000);
    fleet
}

/// What was granted in `ms` more.
fn granted(fleet: &mut Fleet, ms: u64) -> u64 {
    let before: u64 = fleet.processes.iter().map(|process| process.granted).sum();
    fleet.run(ms);
    fleet.processes.iter().map(|process| process.granted).sum::<u64>() - before
}

fn mute_all(fleet: &mut Fleet, mute: bool) {
    fleet.processes.iter_mut().for_each(|process| process.mute = mute);
}

#[test]
fn in_an_outage_of_the_log_a_kept_share_is_used_to_the_full_and_nobody_is_evicted_after_it() {
    let mut fleet = two(Outage::KeepShare);
    mute_all(&mut fleet, true);
    let total = granted(&mut fleet, 60_000);
    assert!((59_000..=60_100).contains(&total), "{total}");
    assert!(fleet.processes.iter().all(|process| process.agent.is_keeping(fleet.now)));
    mute_all(&mut fleet, false);
    fleet.run(20_000);
    for process in &fleet.processes {
        assert!(!process.agent.is_keeping(fleet.now));
        assert_eq!(process.agent.counters().sessions_lost, 0);
        assert_eq!(process.agent.counters().evictions_sent, 0);
    }
}

/// What is given away cannot be had back before the log answers, and nobody can take it.
#[test]
fn in_an_outage_nothing_is_given_away_by_who_asks_for_less_for_a_while() {
    for (log_answers, at_least) in [(true, 0), (false, 450)] {
        let mut fleet = two(Outage::KeepShare);
        mute_all(&mut fleet, !log_answers);
        fleet.run(6_000);
        fleet.processes[0].demand_ms = 0;
        fleet.run(2_000);
        let rate = fleet.rates()[0];
        assert_eq!(rate >= 450, !log_answers, "{rate}: while the log answers it is given away");
        fleet.processes[0].demand_ms = 2;
        fleet.run(2_000);
        assert!(fleet.rates()[0] >= at_least, "{:?}", fleet.rates());
    }
}

#[test]
fn under_deny_an_outage_refuses_five_sixths_of_a_time_to_live_after_the_last_renewal() {
    let mut fleet = two(Outage::Deny);
    mute_all(&mut fleet, true);
    let total = granted(&mut fleet, 60_000);
    assert!(total <= 100 + 12_500, "{total}");
    assert!(fleet.processes.iter().all(|process| !process.agent.is_keeping(fleet.now)));
    mute_all(&mut fleet, false);
    fleet.run(1_000);
    assert!(granted(&mut fleet, 1_000) > 950, "it goes on when the log is back");
}

#[test]
fn a_process_that_was_stopped_keeps_nothing_until_it_is_heard_again() {
    for stop in [13_000, 16_500, 60_000] {
        let mut fleet = two(Outage::KeepShare);
        fleet.processes[0].up = false;
        fleet.run(stop);
        let now = fleet.now;
        let Process { agent, plain, .. } = &mut fleet.processes[0];
        assert!(agent.usable_until() <= now, "before anything of it has run");
        agent.on_timer(now, plain);
        assert!(agent.usable_until() <= now, "and after its clock was looked at");
        fleet.processes[0].up = true;
        fleet.run(500);
        let Process { agent, .. } = &fleet.processes[0];
        assert!(agent.usable_until() > fleet.now);
        assert_eq!(agent.counters().sessions_lost, u64::from(stop > 15_000));
    }
}

#[test]
fn two_stops_in_a_row_add_up_even_if_its_share_was_valid_between_them() {
    let mut fleet = two(Outage::KeepShare);
    let valid = fleet.processes[0].agent.valid_until();
    let Process { agent, plain, .. } = &mut fleet.processes[0];
    // Looked at just before it would expire, then stopped again before a record gets out.
    agent.on_timer(Nanos(valid.0 - 2), plain);
    agent.on_timer(Nanos(valid.0 - 1), plain);
    assert_eq!(agent.usable_until(), valid);
}

#[test]
fn in_an_outage_a_short_stop_is_run_through_and_a_long_one_is_not() {
    for (stop, keeps) in [(3_700, true), (3_800, false)] {
        let mut fleet = two(Outage::KeepShare);
        mute_all(&mut fleet, true);
        fleet.run(20_000);
        fleet.processes[0].up = false;
        fleet.run(stop);
        fleet.processes[0].up = true;
        fleet.run(1_000);
        assert_eq!(fleet.processes[0].agent.is_keeping(fleet.now), keeps, "stopped for {stop} ms");
        mute_all(&mut fleet, false);
        fleet.run(4_000);
        assert!(fleet.processes[0].agent.usable_until() > fleet.now);
    }
}

#[test]
fn a_process_that_alone_is_not_heard_adds_its_own_share_and_no_more() {
    let mut fleet = two(Outage::KeepShare);
    let own = fleet.rates()[0];
    fleet.processes[0].mute = true;
    // While it reads, it finds out by itself that it was evicted, and drops everything.
    let total = granted(&mut fleet, 60_000);
    assert!(total <= 60_100, "{total}");
    assert_eq!(fleet.processes[0].agent.usable_until(), Nanos::ZERO);
    assert_eq!(fleet.processes[0].agent.status(BUCKET).share, Share::NONE);
    assert_eq!(fleet.processes[1].agent.status(BUCKET).share.rate.0 / 1_000_000_000, 1_000);
    assert!((400..600).contains(&own), "{own}");
}

#[test]
fn the_clock_is_looked_at_often_enough_while_a_session_lives() {
    let fleet = two(Outage::KeepShare);
    for process in &fleet.processes {
        assert!(process.agent.next_timer() <= fleet.now.plus(TTL.part(1, 16)));
    }
}

#[test]
fn nothing_is_kept_after_a_goodbye_or_without_a_session() {
    let mut fleet = two(Outage::KeepShare);
    let now = fleet.now;
    let Process { agent, plain, .. } = &mut fleet.processes[0];
    agent.close(now, plain);
    agent.poll_send(now).expect("a goodbye");
    assert_eq!(agent.usable_until(), Nanos::ZERO);
    let stranger = Agent::new(Settings::with_ttl(TTL), 5, "");
    assert_eq!(stranger.usable_until(), Nanos::ZERO);
}
