//! Reservations: a place in line that no thread waits in. The caller comes back when it should be its turn.
//!
//! A ticket is pending until a poll finds every tier willing; then its permits are held, once, until it is settled for what
//! was used or cancelled, which gives all of it back. An ended ticket is out of date for ever.

use super::arena::Arena;
use super::decide::{count_refused, decide, enter, Site, Use, TIERS_MAX};
use super::decision::{self, Basis, Decision};
use super::path::{self, Parts};
use super::slot::KeyId;
use super::wait::{self, ask_and_join, leave, turn};
use super::waiters::Waiter;
use super::{clock, fork};
use crate::core::meter::Stamp;
use crate::core::units::Nanos;
use crate::lock::{Mutex, MutexGuard};
use crate::{Error, ErrorKind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Most tickets of a process that are not ended.
pub const TICKETS_MAX: usize = 1_000_000;

pub(super) static TICKETS: Arena<Place> = Arena::new();
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The number of a reservation: a place below, how often it was taken above. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TicketId(pub u64);

/// Where a ticket is.
#[derive(Default)]
pub(super) struct Place {
    /// A ticket of a parent process must not be touched.
    forks: AtomicU32,
    ticket: Mutex<(u32, Option<Ticket>)>,
}

struct Ticket {
    key: Parts,
    permits: u64,
    state: State,
}

/// What a ticket stands for.
enum State {
    /// A place in line.
    Pending(Line),
    /// Permits that are the caller's, who was told.
    Granted(Hold),
}

/// What is held: since when, on the clock of each tier's meter, and by which tiers, a bit for each.
#[derive(Clone, Copy, Default)]
struct Hold {
    since: [Stamp; TIERS_MAX],
    tiers: u8,
}

impl Hold {
    /// What was just taken.
    fn taken(site: &mut Site<'_>) -> Hold {
        let mut hold = Hold { tiers: site.took, ..Hold::default() };
        for (at, since) in site.each().zip(&mut hold.since) {
            *since = at.cold.meter.stamp();
        }
        hold
    }

    /// Ends it: `used` permits of it were used.
    fn end(&self, site: &mut Site<'_>, used: u64) {
        for (tier, (at, since)) in site.each().zip(self.since).enumerate() {
            if self.tiers >> tier & 1 == 1 {
                at.cold.end_hold(at.slot, at.amount, at.cost(used), since);
            }
        }
    }
}

/// A place in line.
struct Line {
    waiter: Arc<Waiter>,
    tier: u16,
    deadline: Nanos,
}

/// Takes `permits` to be settled or cancelled later, or a place in line for them if they can be expected within `max_wait`:
/// then the decision is [`PENDING`](decision::PENDING), and says when to poll. The ticket is 0 when it is neither.
pub fn reserve(id: KeyId, permits: u64, max_wait: Duration) -> (Decision, TicketId) {
    let none = TicketId(0);
    let Ok(key) = path::get(id) else { return (Decision::failed(ErrorKind::Stale), none) };
    if COUNT.fetch_add(1, Ordering::Relaxed) >= TICKETS_MAX {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        return (Decision::failed(ErrorKind::Capacity), none);
    }
    let max_wait = clock::nanos(max_wait);
    let entered = with_site(&key, permits, |site| {
        site.asks(path::of(id));
        let decision = decide(site, None, Use::Hold);
        let max_wait = wait::max_wait(site).map_or(max_wait, |longest| longest.min(max_wait));
        if decision.is_granted() {
            return Ok((decision, Some(State::Granted(Hold::taken(site)))));
        }
        let unasked = decision.basis() == Basis::Breaker;
        if unasked || decision.status != decision::DENIED || decision.retry_after_ns > max_wait.0 {
            count_refused(site, decision);
            return Ok((decision, None));
        }
        let waiter = Arc::new(Waiter::reservation(site.now.plus(Nanos(decision.retry_after_ns))));
        ask_and_join(site, &waiter, decision.tier)?;
        let line = Line { waiter, tier: decision.tier, deadline: site.now.plus(max_wait) };
        Ok((Decision { status: decision::PENDING, ..decision }, Some(State::Pending(line))))
    });
    let (decision, state) = entered.unwrap_or_else(|kind| (Decision::failed(kind), None));
    let ticket = state.and_then(|state| open(Ticket { key, permits, state }));
    if ticket.is_none() {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
    (decision, ticket.unwrap_or(none))
}

/// Whether it is a ticket's turn: [`OK`](decision::OK) once, then its permits are held;
/// [`TIMED_OUT`](decision::TIMED_OUT) ends it.
pub fn poll(id: TicketId) -> Decision {
    let polled = at(id, |ticket| {
        // Granted already: the caller was told, and is not told twice.
        let State::Pending(line) = &mut ticket.state else { return Err(used()) };
        let turn = with_site(&ticket.key, ticket.permits, |site| {
            let (decision, over) = turn(site, &line.waiter, line.tier, Use::Hold, site.now >= line.deadline)?;
            if decision.is_granted() {
                return Ok((decision, Some(Hold::taken(site)), false));
            }
            if over {
                return Ok((decision, None, true));
            }
            line.tier = decision.tier;
            line.waiter.looks_at(site.now.plus(Nanos(decision.retry_after_ns)));
            Ok((Decision { status: decision::PENDING, ..decision }, None, false))
        });
        let (decision, hold, over) = turn.unwrap_or_else(|kind| (Decision::failed(kind), None, true));
        if let Some(hold) = hold {
            ticket.state = State::Granted(hold);
        }
        Ok((decision, over))
    });
    match polled {
        Ok((decision, over)) => {
            if over {
                let _ = close(id);
            }
            decision
        }
        Err(why) => Decision::failed(why.kind()),
    }
}

/// Ends a ticket and gives everything back: its place in line, or the permits that it holds.
///
/// # Errors
/// `Stale` when it is ended already; `Forked`.
pub fn cancel(id: TicketId) -> Result<(), Error> {
    let ticket = close(id)?;
    // A key that ended meanwhile has nothing to be given back to.
    let _ = with_site(&ticket.key, ticket.permits, |site| {
        match &ticket.state {
            State::Pending(line) => leave(site, &line.waiter, line.tier, false),
            State::Granted(hold) => hold.end(site, 0),
        }
        Ok(())
    });
    Ok(())
}

/// Ends a ticket whose permits are held, of which `used` were used: fewer than reserved come back at once, more are owed and
/// minted off first.
///
/// # Errors
/// `Argument` while it is pending; `Stale` when it is ended already; `Forked`.
pub fn settle(id: TicketId, used: u64) -> Result<(), Error> {
    at(id, |ticket| match ticket.state {
        State::Pending(_) => {
            Err(Error::new(ErrorKind::Argument, "the ticket is pending: poll it until it is granted, or cancel it"))
        }
        State::Granted(_) => Ok(()),
    })?;
    let ticket = close(id)?;
    let _ = with_site(&ticket.key, ticket.permits, |site| {
        if let State::Granted(hold) = &ticket.state {
            hold.end(site, used);
        }
        Ok(())
    });
    Ok(())
}

fn with_site<T>(
    key: &Parts,
    permits: u64,
    act: impl FnOnce(&mut Site<'_>) -> Result<T, ErrorKind>,
) -> Result<T, ErrorKind> {
    enter(key.all(), permits, act).unwrap_or_else(Err)
}

fn open(ticket: Ticket) -> Option<TicketId> {
    let index = TICKETS.take()?;
    let place = TICKETS.get(index)?;
    place.forks.store(fork::count(), Ordering::Relaxed);
    let mut ticket_in = place.ticket.lock();
    ticket_in.0 = ticket_in.0.wrapping_add(1).max(1);
    ticket_in.1 = Some(ticket);
    Some(TicketId(u64::from(ticket_in.0) << 32 | u64::from(index)))
}

/// Runs `act` on a ticket that is not ended.
fn at<T>(id: TicketId, act: impl FnOnce(&mut Ticket) -> Result<T, Error>) -> Result<T, Error> {
    act(place(id)?.1.as_mut().ok_or_else(used)?)
}

/// Takes a ticket out: whoever comes second finds it ended.
fn close(id: TicketId) -> Result<Ticket, Error> {
    let closed = place(id)?.1.take().ok_or_else(used)?;
    TICKETS.give_back(id.0 as u32);
    COUNT.fetch_sub(1, Ordering::Relaxed);
    Ok(closed)
}

/// The place of a ticket, unless another took it since.
fn place(id: TicketId) -> Result<MutexGuard<'static, (u32, Option<Ticket>)>, Error> {
    let place = TICKETS.get(id.0 as u32).ok_or_else(used)?;
    if place.forks.load(Ordering::Relaxed) != fork::count() {
        let text = "the ticket belongs to the process that this one was forked from";
        return Err(Error::new(ErrorKind::Forked, text));
    }
    let guard = place.ticket.lock();
    if u64::from(guard.0) == id.0 >> 32 {
        Ok(guard)
    } else {
        Err(used())
    }
}

fn used() -> Error {
    Error::new(
        ErrorKind::Stale,
        "the ticket was used: a ticket is granted once, and ends when it is settled or cancelled",
    )
}
