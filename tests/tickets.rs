//! What reservations promise: a place in line without a thread, permits that can be given back, tickets that count once.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

mod common;

use common::{drain, limit, stopped_limiter};
use std::time::Duration;
use tidegate::runtime::clock::ManualClock;
use tidegate::runtime::decision::{DENIED, NEVER, OK, PENDING, TIMED_OUT};
use tidegate::runtime::tickets;
use tidegate::{Config, ErrorKind, Key, Reservation, Runtime, Tier};

const LONG: Duration = Duration::from_secs(3_600);

/// Ten, and ten a second.
fn stopped() -> (ManualClock, Runtime, Key) {
    let (clock, runtime, limiter) = stopped_limiter(limit(10, 10));
    let key = limiter.key("").unwrap();
    (clock, runtime, key)
}

fn pending(key: &Key, permits: u64) -> Reservation {
    let (decision, reservation) = key.reserve(permits, LONG);
    assert_eq!(decision.status, PENDING);
    reservation.unwrap()
}

#[test]
fn what_is_there_is_held_at_once_and_settling_for_less_gives_the_rest_back() {
    let (_clock, _runtime, key) = stopped();
    let (decision, reservation) = key.reserve(8, Duration::ZERO);
    assert_eq!((decision.status, decision.remaining), (OK, 2));
    assert_eq!(key.try_acquire(3).status, DENIED);
    reservation.unwrap().settle(3).unwrap();
    assert_eq!(drain(&key), 7);
}

#[test]
fn cancelling_gives_everything_back_and_lets_no_more_through_however_late_it_comes() {
    let (clock, _runtime, key) = stopped();
    let reservation = key.reserve(8, Duration::ZERO).1.unwrap();
    clock.advance(Duration::from_secs(100));
    assert_eq!(drain(&key), 2, "the room of what is held does not fill up behind it");
    reservation.cancel().unwrap();
    assert_eq!(drain(&key), 8);
}

#[test]
fn settling_for_more_is_a_debt_that_comes_off_what_refills() {
    let (clock, _runtime, key) = stopped();
    key.reserve(10, Duration::ZERO).1.unwrap().settle(15).unwrap();
    clock.advance(Duration::from_millis(500));
    assert_eq!(key.try_acquire(1).status, DENIED);
    clock.advance(Duration::from_millis(100));
    assert_eq!(key.try_acquire(1).status, OK);
}

#[test]
fn a_place_in_line_is_granted_when_its_turn_comes_and_not_before_and_only_once() {
    let (clock, _runtime, key) = stopped();
    drain(&key);
    let (decision, reservation) = key.reserve(5, LONG);
    let mut reservation = reservation.unwrap();
    assert_eq!((decision.status, decision.retry_after_ns), (PENDING, 500_000_000));
    clock.advance(Duration::from_millis(499));
    assert_eq!(reservation.poll().status, PENDING);
    clock.advance(Duration::from_millis(1));
    assert_eq!(reservation.poll().status, OK);
    assert_eq!(reservation.poll().status, ErrorKind::Stale as i32);
    assert_eq!(key.try_acquire(1).status, DENIED);
}

#[test]
fn nobody_overtakes_a_place_that_is_kept_and_anybody_one_whose_owner_is_late() {
    let (clock, _runtime, key) = stopped();
    drain(&key);
    let (mut first, mut second) = (pending(&key, 5), pending(&key, 1));
    clock.advance(Duration::from_millis(400));
    assert_eq!((second.poll().status, key.try_acquire(1).status), (PENDING, DENIED));
    clock.advance(Duration::from_millis(150));
    assert_eq!(second.poll().status, PENDING, "the first is not a tenth of a second late yet");
    clock.advance(Duration::from_millis(100));
    assert_eq!(second.poll().status, OK);
    assert_eq!(first.poll().status, OK, "it goes on from where it stands");
}

#[test]
fn cancelling_a_place_in_line_lets_those_behind_go_on_at_once() {
    let (clock, _runtime, key) = stopped();
    drain(&key);
    let (first, mut second) = (pending(&key, 10), pending(&key, 1));
    clock.advance(Duration::from_millis(100));
    assert_eq!(second.poll().status, PENDING);
    first.cancel().unwrap();
    assert_eq!(second.poll().status, OK);
}

#[test]
fn a_wait_beyond_the_maximum_is_refused_at_once_and_one_that_became_too_long_times_out() {
    let (clock, _runtime, key) = stopped();
    drain(&key);
    let (decision, reservation) = key.reserve(5, Duration::from_millis(499));
    assert_eq!((decision.status, reservation.is_none()), (DENIED, true));
    let (decision, reservation) = key.reserve(5, Duration::from_millis(500));
    assert_eq!(decision.status, PENDING);
    let mut reservation = reservation.unwrap();
    clock.advance(Duration::from_millis(700));
    drain(&key);
    assert_eq!(reservation.poll().status, TIMED_OUT);
    assert_eq!(reservation.poll().status, ErrorKind::Stale as i32);
    assert_eq!(key.reserve(11, LONG).0.status, NEVER);
}

#[test]
fn a_ticket_that_was_ended_cannot_be_used_again_not_even_by_its_number() {
    let (_clock, _runtime, key) = stopped();
    let stale = Some(ErrorKind::Stale);
    let (_, ticket) = tickets::reserve(key.id(), 4, Duration::ZERO);
    tickets::settle(ticket, 4).unwrap();
    assert_eq!(tickets::settle(ticket, 0).err().map(|why| why.kind()), stale);
    assert_eq!(tickets::cancel(ticket).err().map(|why| why.kind()), stale);
    let (_, next) = tickets::reserve(key.id(), 1, Duration::ZERO);
    assert_ne!(next, ticket);
    assert_eq!(tickets::cancel(ticket).err().map(|why| why.kind()), stale);
    assert_eq!(drain(&key), 5);
    tickets::cancel(next).unwrap();
    assert_eq!(drain(&key), 1);
}

#[test]
fn a_pending_ticket_cannot_be_settled_and_stays_in_line() {
    let (clock, _runtime, key) = stopped();
    drain(&key);
    let (_, ticket) = tickets::reserve(key.id(), 5, LONG);
    assert_eq!(tickets::settle(ticket, 5).err().map(|why| why.kind()), Some(ErrorKind::Argument));
    clock.advance(Duration::from_millis(500));
    assert_eq!(tickets::poll(ticket).status, OK);
    tickets::settle(ticket, 5).unwrap();
}

#[test]
fn a_reservation_takes_from_all_tiers_and_gives_back_to_all() {
    let clock = ManualClock::default();
    let runtime = Runtime::open_with_clock(&Config::new(), &clock).unwrap();
    let tiers = [Tier::new("wide", limit(10, 10)), Tier { weight: 2, ..Tier::new("narrow", limit(10, 10)).per("who") }];
    let limiter = runtime.tiered("test", &tiers).unwrap();
    let (a, b) = (limiter.key("a").unwrap(), limiter.key("b").unwrap());
    let held = a.reserve(4, Duration::ZERO).1.unwrap();
    assert_eq!(a.try_acquire(2).status, DENIED);
    assert_eq!(drain(&b), 5);
    held.settle(1).unwrap();
    assert_eq!(drain(&a), 4, "the narrow one has eight again, the wide one four");
}

#[test]
fn a_lower_limit_takes_what_is_held_with_it_and_a_place_in_line_survives_it() {
    let (clock, runtime, key) = stopped();
    let limiter = runtime.limiter("test", limit(10, 10)).unwrap();
    let held = key.reserve(10, Duration::ZERO).1.unwrap();
    let mut waiting = pending(&key, 2);
    limiter.set_limit(limit(4, 4), Duration::ZERO).unwrap();
    held.cancel().unwrap();
    assert_eq!(waiting.poll().status, OK, "four came back");
    assert_eq!(drain(&key), 2);
    clock.advance(Duration::from_secs(10));
    assert_eq!(drain(&key), 2, "two are held");
}

#[test]
fn a_closed_runtime_ends_tickets_when_they_are_polled() {
    let (_clock, runtime, key) = stopped();
    drain(&key);
    let mut waiting = pending(&key, 1);
    runtime.close(Duration::from_secs(1)).unwrap();
    assert!(waiting.poll().status < 0);
    assert_eq!(waiting.poll().status, ErrorKind::Stale as i32);
}

#[test]
fn a_thread_that_waits_behind_a_reservation_nobody_comes_back_for_passes_it() {
    let runtime = Runtime::open(&Config::new()).unwrap();
    let key = runtime.limiter("behind a ticket", limit(50, 5)).unwrap().key("").unwrap();
    drain(&key);
    let abandoned = pending(&key, 2);
    assert_eq!(key.acquire(1, Duration::from_secs(10)).status, OK);
    drop(abandoned);
}
