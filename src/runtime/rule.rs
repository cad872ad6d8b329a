//! A limit with everything that is said of it: its numbers, and what happens when they are reached.

use crate::core::enforcement::Enforcement;
use crate::core::limit::{Limit, Outage};

/// A limit, and what it does in an outage and where it refuses. From a [`Limit`] alone: it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its numbers.
    pub limit: Limit,
    /// What it does when the log is away, unless as the runtime says.
    pub outage: Option<Outage>,
    /// What it does with a request that it has no permits for.
    pub enforcement: Enforcement,
    /// Decides and counts, and refuses nothing: what it would have refused is granted with [`Basis::Shadow`](super::Basis).
    pub shadow: bool,
}

impl Rule {
    /// The same, with a policy of its own for outages.
    pub fn on_outage(self, outage: Outage) -> Rule {
        Rule { outage: Some(outage), ..self }
    }

    /// The same, enforced otherwise than by refusing.
    pub fn enforced(self, enforcement: Enforcement) -> Rule {
        Rule { enforcement, ..self }
    }

    /// The same, refusing nothing.
    pub fn shadow(self) -> Rule {
        Rule { shadow: true, ..self }
    }
}

impl From<Limit> for Rule {
    fn from(limit: Limit) -> Rule {
        Rule { limit, outage: None, enforcement: Enforcement::HardLimit, shadow: false }
    }
}
