//! How buckets come to new partitions when the log gets more of them: all partitions of one process together.
//!
//! Where a bucket lives is decided in partition 0: the counts in its fold, and nothing else. A count that the log has and
//! partition 0 does not know is proposed there; the first proposal counts. From then on
//!
//! 1. whoever holds something in an older partition says the count there; what the count puts elsewhere is *closed* from
//!    that offset on: nothing more of it is given out, and its holders give it back;
//! 2. who wants a bucket in its new home looks into the old one, says the count there if nobody did, and evicts the dead;
//! 3. once the old home is *drained*, what it still knows goes to the new one (`Carry`), and then it is *opened*.
//!
//! Every step is a fact that stays true, so it does not matter who takes it, how often, or how late he reads.

use super::agent::Agent;
use super::layout::{Layout, PARTITIONS_MAX, STEPS_MAX};
use super::placement::{partition_of, BucketId};
use super::units::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// The partition that says where everything lives.
pub const DIRECTORY: u32 = 0;

/// What one process knows of the log's partitions.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    /// As the log has them; 0: not known yet.
    partitions: u32,
    /// As the directory has them.
    history: Vec<u32>,
    /// It was reset, and has forgotten those before.
    reset: bool,
    /// Something is to be placed: before that, a process has no say in this.
    wanted: bool,
    /// How often the log's partitions were told, and how often they had been when the directory could be reset.
    told: u64,
    told_before: Option<u64>,
    /// Where buckets of this process will live at the highest, if nothing is left of the directory: that partition and all
    /// before it will be asked as well, and their silence is witnessed at the same time.
    presumed: Option<u32>,
}

impl Growth {
    /// The log has so many partitions.
    pub fn on_partitions(&mut self, partitions: u32) {
        self.partitions = partitions.min(PARTITIONS_MAX);
        self.told += 1;
    }

    /// Whether the log must be asked how many partitions it has: others use some that this process has not heard of, or it is
    /// about to say how many there are in a directory of which nothing is left.
    pub fn must_ask(&self) -> bool {
        self.in_force() > self.partitions || self.told_before == Some(self.told)
    }

    /// The partitions that buckets live in; 0 until the directory says.
    pub fn in_force(&self) -> u32 {
        self.history.last().copied().unwrap_or(0)
    }

    /// Where a bucket lives; `None` until the directory was read.
    pub fn home<H: AsRef<Agent>>(&mut self, homes: &BTreeMap<u32, H>, id: BucketId) -> Option<u32> {
        self.wanted = true;
        let Some(count) = self.history.last().copied() else {
            let presumed = (self.partitions > 0).then(|| partition_of(id, self.partitions));
            self.presumed = self.presumed.max(presumed);
            return None;
        };
        let home = partition_of(id, count);
        // An agent that is ahead of the directory knows that the bucket has left.
        let left = homes.get(&home).is_some_and(|agent| !agent.as_ref().fold().layout().has(id));
        (!left).then_some(home)
    }

    /// Brings the agents up to date; what it returns has to be followed. Call after each round of events.
    pub fn tick<H: AsRef<Agent> + AsMut<Agent>>(&mut self, homes: &mut BTreeMap<u32, H>) -> BTreeSet<u32> {
        if self.partitions == 0 {
            return BTreeSet::new();
        }
        let Some(directory) = homes.get(&DIRECTORY).map(AsRef::as_ref) else { return BTreeSet::from([DIRECTORY]) };
        if directory.is_caught_up() && directory.fold().layout().steps() != self.history {
            self.history = directory.fold().layout().steps().to_vec();
        }
        if directory.is_caught_up() {
            self.reset = directory.fold().was_reset();
        }
        let mut proposal = self.history.clone();
        let proposes = directory.is_caught_up()
            && self.wanted
            && self.partitions > self.in_force()
            && self.history.len() < STEPS_MAX;
        if proposes {
            proposal.push(self.partitions);
        }
        let stranded = directory.stranded_for().is_some();
        let presumed = self.presumed.filter(|_| stranded).map_or(0, |highest| highest + 1);
        self.told_before = directory.is_resetting().then(|| self.told_before.unwrap_or(self.told));
        let known_until = directory.valid_until();
        let vouching = homes.iter().any(|(partition, home)| *partition != DIRECTORY && home.as_ref().is_resetting());
        let mut awaited = BTreeMap::new();
        for (partition, home) in homes.iter_mut() {
            let agent = home.as_mut();
            let is_directory = *partition == DIRECTORY;
            agent.set_vouching(vouching && is_directory);
            if agent.stranded_for().is_some() {
                if !is_directory {
                    agent.vouch(Layout::told(&self.history, self.reset, *partition), known_until);
                } else if self.told_before.is_some_and(|before| before < self.told) {
                    agent.vouch(Layout::told(&[self.partitions], true, DIRECTORY), Nanos::NEVER);
                }
            }
            agent.set_layout(
                if is_directory { &proposal } else { &self.history },
                self.reset,
                *partition,
                proposes && is_directory,
            );
            let from = agent.awaited();
            if !from.is_empty() {
                awaited.insert(*partition, from);
            }
        }
        let mut unknown = self.hand_over(homes, awaited);
        unknown.extend((0..presumed).filter(|partition| !homes.contains_key(partition)));
        unknown
    }

    /// Opens what is drained, and has the rest drained.
    fn hand_over<H: AsRef<Agent> + AsMut<Agent>>(
        &self,
        homes: &mut BTreeMap<u32, H>,
        awaited: BTreeMap<u32, BTreeSet<u32>>,
    ) -> BTreeSet<u32> {
        let mut unknown = BTreeSet::new();
        for (partition, sources) in awaited {
            for from in sources {
                // Out of the map for a moment, so that both ends can be looked at.
                let Some(mut source) = homes.remove(&from) else {
                    unknown.insert(from);
                    continue;
                };
                source.as_mut().drain();
                if source.as_ref().is_caught_up() {
                    if let Some(home) = homes.get_mut(&partition) {
                        home.as_mut().open(partition, from, source.as_ref().fold());
                    }
                }
                homes.insert(from, source);
            }
        }
        unknown
    }
}
