//! What the spending thread counts and the reporting one reads.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use tidegate::{Basis, HealthState};

/// The numbers of the bases, each of which has its own count of refusals.
const BASES: usize = 5;

/// Written by one thread: plain stores suffice.
#[derive(Default)]
pub struct Counts {
    granted: AtomicU64,
    denied: [AtomicU64; BASES],
    waited: AtomicU64,
    basis: AtomicU16,
}

fn one_more(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Counts {
    pub fn count_granted(&self, basis: u16) {
        one_more(&self.granted);
        self.basis.store(basis, Ordering::Relaxed);
    }

    pub fn count_denied(&self, basis: u16) {
        if let Some(denied) = self.denied.get(usize::from(basis)) {
            one_more(denied);
        }
        self.basis.store(basis, Ordering::Relaxed);
    }

    pub fn count_waited(&self) {
        one_more(&self.waited);
    }

    pub fn granted(&self) -> u64 {
        self.granted.load(Ordering::Relaxed)
    }

    pub fn denied(&self) -> u64 {
        self.denied.iter().map(|denied| denied.load(Ordering::Relaxed)).sum()
    }

    /// The refusals, by what each rested on.
    pub fn denied_by(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        (0u16..).zip(&self.denied).map(|(basis, denied)| (basis_name(basis), denied.load(Ordering::Relaxed)))
    }

    pub fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    pub fn basis(&self) -> u16 {
        self.basis.load(Ordering::Relaxed)
    }
}

/// A decision's basis by its number, as every worker spells it.
pub fn basis_name(basis: u16) -> &'static str {
    const SHARED: u16 = Basis::Shared as u16;
    const KEPT: u16 = Basis::KeptShare as u16;
    const ALLOWED: u16 = Basis::Allowed as u16;
    const NONE: u16 = Basis::NoShare as u16;
    match basis {
        SHARED => "shared",
        KEPT => "kept_share",
        ALLOWED => "allowed",
        NONE => "no_share",
        _ => "local",
    }
}

pub fn health_name(health: HealthState) -> &'static str {
    match health {
        HealthState::Ok => "ok",
        HealthState::Connecting => "connecting",
        HealthState::Degraded => "degraded",
        HealthState::Failed => "failed",
        HealthState::Closed => "closed",
    }
}
