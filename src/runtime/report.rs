//! What a runtime says about itself: health, counters, the state of one key. Copies, taken at one moment.

use super::decision::Basis;
use crate::core::agent::Counters;
use crate::core::fold::LimitNumbers;
use crate::core::share::Share;
use crate::core::units::{Nanos, Rate, Tokens, SECOND};
use crate::storage::StorageInfo;
use std::fmt;

/// What the driver last saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) storage: StorageInfo,
    /// What is wrong with the storage now.
    pub(super) trouble: Option<Trouble>,
    pub(super) partitions_followed: u32,
    /// Of these, how many were read to their end.
    pub(super) partitions_read: u32,
    /// Sessions of this process that may be used now.
    pub(super) sessions_valid: u32,
    /// Of these, how many go on with their last share in an outage.
    pub(super) sessions_kept: u32,
    /// Partitions in which a newer version writes: nothing is granted there.
    pub(super) partitions_halted: u32,
    /// A limiter that the log has other numbers for than this process.
    pub(super) disagreement: Option<Disagreement>,
    /// A partition of which no state was found to start from, and how long it must still be silent.
    pub(super) partition_stranded: Option<(u32, Nanos)>,
    /// Of the partitions, the oldest of their newest snapshots: its age, and the offset that it stands for.
    pub(super) snapshot: Option<(Nanos, u64)>,
    /// What harms nobody yet.
    pub(super) warning: Option<String>,
    pub(super) agents: Counters,
}

/// This process was configured with other numbers than the log has: the log wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disagreement {
    pub(super) limiter: String,
    pub(super) configured: (Rate, Tokens),
    pub(super) log: LimitNumbers,
    /// Limiters beside this one of which the same is to be said.
    pub(super) others: usize,
}

impl Disagreement {
    /// Somebody changed the limit for the whole fleet: those who come with the old numbers are told, and that is all.
    fn is_intended(&self) -> bool {
        self.log.version > 1
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words =
            |(rate, burst): (Rate, Tokens)| format!("{} per second, burst {}", permits(rate.0, 9), permits(burst.0, 6));
        let (limiter, here, log) = (&self.limiter, words(self.configured), words((self.log.rate, self.log.burst)));
        if self.is_intended() {
            write!(f, "limiter `{limiter}` was changed by `set_limit` to {log}, and is configured here with {here}")?;
        } else {
            write!(f, "limiter `{limiter}` is configured here with {here}, but stands in the log with {log}")?;
        }
        if self.others > 0 {
            write!(f, " (and {} more like it)", self.others)?;
        }
        f.write_str(
            ": the log wins; configure the same numbers in every process, or change the fleet's with `set_limit`",
        )
    }
}

/// `amount` in units of 10^-`digits`.
fn permits(amount: u64, digits: u32) -> String {
    let unit = 10u64.pow(digits);
    let text = format!("{}.{:0width$}", amount / unit, amount % unit, width = digits as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is wrong, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) message: String,
    pub(super) fatal: bool,
}

/// How well a runtime is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum HealthState {
    /// Decisions are made from shares that are renewed, or from local limits.
    Ok = 0,
    /// The log was not reached or read yet.
    Connecting = 1,
    /// Something is wrong, and decisions follow the outage policy.
    Degraded = 2,
    /// Sharing cannot go on until somebody acts.
    Failed = 3,
    /// The runtime was closed.
    Closed = 4,
}

/// How well a runtime is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// In a word.
    pub state: HealthState,
    /// In a sentence: what is wrong and what decisions rest on now.
    pub message: String,
}

impl Report {
    pub(super) fn health(&self, policy: &str) -> Health {
        let (state, message) = match &self.trouble {
            Some(Trouble { message, fatal: true }) => (HealthState::Failed, message.clone()),
            _ if self.partitions_halted > 0 => (
                HealthState::Failed,
                "a newer version of Tidegate writes to the log; nothing is granted from it: update this program".into(),
            ),
            Some(Trouble { message, fatal: false }) => (HealthState::Degraded, message.clone()),
            None if self.storage.partitions == 0 => {
                (HealthState::Connecting, "waiting for the first answer of the log".into())
            }
            None if self.partitions_read < self.partitions_followed => {
                (HealthState::Connecting, "reading the log".into())
            }
            None if self.partition_stranded.is_some() => {
                (HealthState::Degraded, self.partition_stranded.map_or(String::new(), stranded))
            }
            None if self.sessions_kept > 0 => {
                (HealthState::Degraded, "shares could not be renewed; the log does not confirm what is written".into())
            }
            None => return self.health_of_limits(),
        };
        let basis = if self.sessions_kept > 0 {
            "decisions go on with the last shares"
        } else if self.sessions_valid > 0 {
            "shares are still valid"
        } else {
            policy
        };
        Health { state, message: format!("{message}; {basis}") }
    }

    /// When nothing is wrong with the log.
    fn health_of_limits(&self) -> Health {
        let renewed = match &self.warning {
            None => "shares are renewed".to_owned(),
            Some(warning) => format!("shares are renewed, but {warning}"),
        };
        match &self.disagreement {
            None => Health { state: HealthState::Ok, message: renewed },
            Some(change) if change.is_intended() => {
                Health { state: HealthState::Ok, message: format!("{renewed}; {change}") }
            }
            Some(two) => Health { state: HealthState::Degraded, message: two.to_string() },
        }
    }
}

fn stranded((partition, left): (u32, Nanos)) -> String {
    let seconds = left.0.div_ceil(SECOND);
    format!(
        "the beginning of partition {partition} is gone from the log, and no snapshot in the state topic reaches what is \
         left: waiting until a process that is running writes one; if none is, it starts empty after {seconds} s more of \
         silence"
    )
}

/// Counters of a runtime. They only grow, but for `keys`, `keys_idle`, `waiting`, `partitions_followed`, `sessions_valid`, what is
/// said of snapshots that exist, and permits, where a reservation is given back, a wait ends well or a limiter is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Live keys.
    pub keys: u64,
    /// Buckets of local limits that no key stands for and that are not full again yet: remembered.
    pub keys_idle: u64,
    /// Permits granted, by live keys.
    pub permits_granted: u64,
    /// Permits refused, by live keys.
    pub permits_refused: u64,
    /// Of the granted, those without any share, in an outage, under the policy `allow`.
    pub permits_allowed: u64,
    /// Of the refused, those that a limit in shadow mode let pass.
    pub permits_shadowed: u64,
    /// Waiting calls of `acquire` now.
    pub waiting: u64,
    /// Partitions of the log that are read.
    pub partitions_followed: u64,
    /// Sessions that may be used now.
    pub sessions_valid: u64,
    /// Records written, with those said again.
    pub records_sent: u64,
    /// Records said again because the first was not read back in time.
    pub records_resent: u64,
    /// Records read.
    pub records_read: u64,
    /// Bytes in the log that are no records.
    pub records_refused: u64,
    /// Sessions of this process that others ended, or that broke off.
    pub sessions_lost: u64,
    /// Of these, while this process's clock said they were valid: a clock or a virtual machine stood still.
    pub sessions_lost_while_valid: u64,
    /// Sessions of others that this process ended for their silence.
    pub evictions_sent: u64,
    /// Times another process's state differed from this one's.
    pub digest_mismatches: u64,
    /// Times the log could not be read on and was read anew.
    pub gaps: u64,
    /// Times another process's state was compared with this one's.
    pub digests_compared: u64,
    /// Snapshots written.
    pub snapshots_written: u64,
    /// Snapshots that this process started from.
    pub snapshots_restored: u64,
    /// The age of the newest snapshot of a partition, as far as this process knows, in milliseconds: the oldest of all;
    /// 0 = none known.
    pub snapshot_age_ms: u64,
    /// The offset that it stands for.
    pub snapshot_offset: u64,
    /// Times a partition was declared empty, because nothing was left of its state and nobody was there.
    pub resets: u64,
}

/// One key as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// What a decision rests on now.
    pub basis: Basis,
    /// Rate of the limit.
    pub rate: Rate,
    /// Burst of the limit.
    pub burst: Tokens,
    /// This process's share of both.
    pub share: Share,
    /// What is left of the share now.
    pub level: Tokens,
    /// The processes that hold or want something of it, as last seen; 0 = not known.
    pub processes: u32,
    /// Permits granted by this process.
    pub granted: u64,
    /// Permits refused by this process.
    pub refused: u64,
    /// Waiting calls of `acquire` now.
    pub waiting: u32,
    /// What of its rate it refills with now, in parts per million.
    pub pace_ppm: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_shown_without_zeros_at_the_end() {
        let shown = [(0, 6), (2_000_000_000, 6), (11_574, 9), (1_500_000_000, 9)]
            .map(|(amount, digits)| permits(amount, digits));
        assert_eq!(shown, ["0", "2000", "0.000011574", "1.5"]);
    }
}
