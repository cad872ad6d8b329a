//! Reservations: waiting in the caller's own scheduler.

use super::boundary::boundary;
use super::key::{give, tidegate_decision_t};
use super::status::{tidegate_status_t, TIDEGATE_E_ARGUMENT, TIDEGATE_E_BUG, TIDEGATE_OK};
use crate::runtime::tickets::{self, TicketId};
use crate::{Error, KeyId};
use std::time::Duration;

/// Reserves `permits`: takes them now, to be settled or cancelled later, or a place in line for them. No thread waits:
/// sleep as you please and poll. TIDEGATE_OK: they are yours, go; TIDEGATE_PENDING: poll the ticket after
/// `retry_after_ns`; TIDEGATE_DENIED without a ticket: they cannot be expected within `max_wait_ns`. Otherwise as
/// tidegate_key_try_acquire(), and TIDEGATE_E_CAPACITY beyond 1000000 tickets of a process or 65536 places in a line.
/// First come, first served, together with tidegate_key_acquire(). A place is kept until a tenth of a second after the
/// time to poll; who polls later goes on from where it stands, but others may have passed, and after a minute it is lost.
/// Every ticket must be ended, by tidegate_ticket_settle() or tidegate_ticket_cancel(), or a poll that ends it: what it
/// holds counts against the burst until then. `ticket_out` is 0 where there is none.
///
/// # Safety
/// `ticket_out` is valid to write to; `decision_out` is NULL or valid to write to.
#[no_mangle]
pub unsafe extern "C" fn tidegate_key_reserve(
    key: u64,
    permits: u64,
    max_wait_ns: u64,
    ticket_out: *mut u64,
    decision_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, {
        // SAFETY: as promised by the caller.
        let Some(place) = (unsafe { ticket_out.as_mut() }) else { return TIDEGATE_E_ARGUMENT };
        let (decision, ticket) = tickets::reserve(KeyId(key), permits, Duration::from_nanos(max_wait_ns));
        *place = ticket.0;
        // SAFETY: as promised by the caller.
        unsafe { give(decision, decision_out) }
    })
}

/// Whether it is a ticket's turn. TIDEGATE_OK, once: its permits are yours, go. TIDEGATE_PENDING: poll again after
/// `retry_after_ns`. TIDEGATE_TIMED_OUT: `max_wait_ns` passed, the ticket is ended and nothing was taken; so for any
/// failure. TIDEGATE_E_STALE when it was granted or ended before.
///
/// # Safety
/// `decision_out` is NULL or valid to write to.
#[no_mangle]
pub unsafe extern "C" fn tidegate_ticket_poll(
    ticket: u64,
    decision_out: *mut tidegate_decision_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    boundary!(TIDEGATE_E_BUG, { unsafe { give(tickets::poll(TicketId(ticket)), decision_out) } })
}

/// Ends a ticket and gives everything back: its place in line, or the permits that it holds. TIDEGATE_E_STALE when it is
/// ended already.
#[no_mangle]
pub extern "C" fn tidegate_ticket_cancel(ticket: u64) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, { status_of(tickets::cancel(TicketId(ticket))) })
}

/// Ends a ticket that was granted, of whose permits `used` were used: what is left comes back at once, what is beyond is
/// owed and comes off what refills next. TIDEGATE_E_ARGUMENT while it is pending, TIDEGATE_E_STALE when it is ended
/// already.
#[no_mangle]
pub extern "C" fn tidegate_ticket_settle(ticket: u64, used: u64) -> tidegate_status_t {
    boundary!(TIDEGATE_E_BUG, { status_of(tickets::settle(TicketId(ticket), used)) })
}

fn status_of(result: Result<(), Error>) -> tidegate_status_t {
    result.map_or_else(|why| why.kind() as i32, |()| TIDEGATE_OK)
}
