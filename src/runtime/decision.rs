//! The answer to a request for permits. Its layout is part of the C ABI.

/// Go.
pub const OK: i32 = 0;
/// Not now; come back after `retry_after_ns`.
pub const DENIED: i32 = 1;
/// More permits than the limit's burst can ever hold.
pub const NEVER: i32 = 2;
/// The time-out passed first; nothing was taken.
pub const TIMED_OUT: i32 = 3;
/// Not yet: a reservation stands in line.
pub const PENDING: i32 = 4;

/// On what a decision rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u16)]
pub enum Basis {
    /// This process alone has the limit.
    #[default]
    Local = 0,
    /// This process's share of a limit that many processes have.
    Shared = 1,
    /// The last share, in an outage, under the policy `keep_share`.
    KeptShare = 2,
    /// No share at all, in an outage, under the policy `allow`.
    Allowed = 3,
    /// No share yet, or no more: the log has not been read, or cannot be written.
    NoShare = 4,
    /// On nothing: a circuit breaker is open, and refuses unasked.
    Breaker = 5,
    /// The limit would have refused, but is in shadow mode.
    Shadow = 6,
}

impl Basis {
    /// The basis with this number.
    pub(super) fn from_number(number: u32) -> Basis {
        match number {
            1 => Basis::Shared,
            2 => Basis::KeptShare,
            3 => Basis::Allowed,
            4 => Basis::NoShare,
            5 => Basis::Breaker,
            6 => Basis::Shadow,
            _ => Basis::Local,
        }
    }
}

/// The answer to a request for permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Decision {
    /// When to come back, in nanoseconds from now: 0 when granted, `u64::MAX` when it can never be.
    pub retry_after_ns: u64,
    /// Whole permits left in this process's share right after; a hint.
    pub remaining: u64,
    /// [`OK`], [`DENIED`], [`NEVER`], [`TIMED_OUT`], [`PENDING`], or a negative [`ErrorKind`](crate::ErrorKind).
    pub status: i32,
    /// The index of the tier that decided.
    pub tier: u16,
    /// The number of a [`Basis`].
    pub basis: u16,
}

impl Decision {
    pub(super) fn granted(remaining: u64, basis: Basis) -> Decision {
        Decision { remaining, basis: basis as u16, ..Decision::default() }
    }

    pub(super) fn no(status: i32, retry_after_ns: u64, remaining: u64, basis: Basis) -> Decision {
        Decision { retry_after_ns, remaining, status, tier: 0, basis: basis as u16 }
    }

    pub(crate) fn failed(kind: crate::ErrorKind) -> Decision {
        Decision { status: kind as i32, ..Decision::default() }
    }

    /// Whether to go.
    pub fn is_granted(&self) -> bool {
        self.status == OK
    }

    /// On what it rests.
    pub fn basis(&self) -> Basis {
        Basis::from_number(self.basis.into())
    }
}

const _: () = assert!(size_of::<Decision>() == 24);
