//! The background thread: feeds records, time and news of use to the agents, and appends what they say.
//!
//! It alone waits for the storage. It decides nothing that the core could decide.

use super::clock::{self, Clock};
use super::deaths::Deaths;
use super::decision::Basis;
use super::inner::LIMITERS_MAX;
use super::lifeline::{self, Lifeline};
use super::limit_of::LimitOf;
use super::link::{Command, Desk, Far};
use super::reading::Reading;
use super::report::{Disagreement, Report, Trouble};
use super::slot;
use super::slots::Slots;
use super::validity::OwnValidity;
use crate::core::agent::{Agent, Counters, Settings};
use crate::core::fold::LimitNumbers;
use crate::core::growth::Growth;
use crate::core::limit::{Limit, Outage};
use crate::core::share::BucketRef;
use crate::core::snapshot::Chunk;
use crate::core::units::Nanos;
use crate::storage::{LogStore, StorageEvent};
use crate::{Error, ErrorKind};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A bucket that is refused again and again is looked at this often.
const LOOK: Nanos = Nanos::from_millis(20);
/// Longest sleep: health and the policies of an outage are as fresh as this.
const TICK: Nanos = Nanos::from_millis(100);
/// Events taken in one round, before agents speak.
const ROUND_MAX: usize = 4_096;
/// Without trouble, a log that has not answered for so long is away all the same.
const AWAY_AFTER: Nanos = Nanos::from_secs(2);

/// One partition that this process follows.
struct Home {
    agent: Agent,
    reading: Reading,
    /// For limits that stop at once when a share is not renewed.
    strict: OwnValidity,
    /// For limits that go on with their last share.
    kept: OwnValidity,
    followed_at: Nanos,
    published: Published,
}

impl AsRef<Agent> for Home {
    fn as_ref(&self) -> &Agent {
        &self.agent
    }
}

impl AsMut<Agent> for Home {
    fn as_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }
}

/// A new limit on its way into the log.
struct Defining {
    limit: Arc<LimitOf>,
    new: Limit,
    /// The partitions that it was written to.
    partitions: u32,
    reply: Sender<Result<(), Error>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Published {
    strict: Nanos,
    kept: Nanos,
    keeping: bool,
    away: bool,
}

/// The background thread's state.
pub(super) struct Driver {
    desk: Arc<Desk>,
    events: Receiver<StorageEvent>,
    commands: Receiver<Command>,
    clock: Clock,
    settings: Settings,
    note: String,
    started: Nanos,
    growth: Growth,
    homes: BTreeMap<u32, Home>,
    slots: Slots,
    /// Where each slot's bucket lives.
    placed: HashMap<u32, u32>,
    /// The limits of the buckets here, to be told what the log says of them.
    limits: BTreeMap<u128, Weak<LimitOf>>,
    /// Limits, and the partition whose log has other numbers for them than this process. As many as it has limiters, at most.
    differing: BTreeSet<(u128, u32)>,
    /// Who waits for a definition to be read back; bounded by the commands that wait.
    defining: Vec<Defining>,
    /// Slots that were refused or wait, to be looked at in the next round of looks.
    hot: Vec<u32>,
    looked_at: Nanos,
    trouble: Option<Trouble>,
    warning: Option<String>,
    closing: Option<(Nanos, Sender<bool>)>,
    lobby_away: bool,
    /// What tells others on this host that this process lives; `None` where that is not possible.
    lifeline: Option<Lifeline>,
    deaths: Deaths,
}

impl Driver {
    pub(super) fn new(far: Far, clock: Clock, ttl: Duration, note: String) -> Driver {
        let started = clock.now();
        Driver {
            desk: far.desk,
            events: far.events,
            commands: far.commands,
            settings: Settings::with_ttl(clock::nanos(ttl)),
            clock,
            note,
            started,
            growth: Growth::default(),
            homes: BTreeMap::new(),
            slots: Slots::default(),
            placed: HashMap::new(),
            limits: BTreeMap::new(),
            differing: BTreeSet::new(),
            defining: Vec::new(),
            hot: Vec::new(),
            looked_at: Nanos::ZERO,
            trouble: None,
            warning: None,
            closing: None,
            lobby_away: false,
            lifeline: None,
            deaths: Deaths::new(lifeline::look),
        }
    }

    /// Runs until closed.
    pub(super) fn run(&mut self, storage: &mut dyn LogStore) {
        let mut reported = Nanos::ZERO;
        self.lifeline = Lifeline::hold();
        self.settings.lock = self.own_lock();
        loop {
            self.sleep(storage);
            let now = self.clock.now();
            self.look_for_the_dead(now);
            self.take_commands(now, storage);
            self.grow(now, storage);
            self.take_defined(now, storage);
            self.take_released(now);
            if now >= self.looked_at.plus(LOOK) {
                self.look(now, storage);
            }
            self.tick(now);
            self.speak(now, storage);
            self.publish(now);
            self.slots.call_waiters();
            if now >= reported.plus(TICK) {
                reported = now;
                self.report(now, storage);
            }
            if self.is_over(now, storage) {
                return;
            }
        }
    }

    /// Waits for the first event or the next timer, and takes what came.
    fn sleep(&mut self, storage: &mut dyn LogStore) {
        let now = self.clock.now();
        let mut until = now.plus(TICK);
        for home in self.homes.values() {
            until = until.min(home.agent.next_timer()).min(home.reading.next_look());
        }
        if !self.hot.is_empty() || !self.desk.activity.is_empty() {
            until = until.min(self.looked_at.plus(LOOK));
        }
        match self.events.recv_timeout(Duration::from_nanos(until.since(now).0)) {
            Ok(event) => {
                self.take(event, storage);
                for _ in 1..ROUND_MAX {
                    let Ok(event) = self.events.try_recv() else { break };
                    self.take(event, storage);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The storage is gone; timers and commands go on.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(20)),
        }
    }

    fn take(&mut self, event: StorageEvent, storage: &mut dyn LogStore) {
        let now = self.clock.now();
        match event {
            StorageEvent::Topics { partitions, .. } => {
                self.growth.on_partitions(partitions);
                self.trouble = None;
            }
            StorageEvent::State { partition, .. }
            | StorageEvent::StateRead { partition }
            | StorageEvent::Began { partition, .. }
            | StorageEvent::Missing { partition }
            | StorageEvent::Record { partition, .. }
            | StorageEvent::CaughtUp { partition }
            | StorageEvent::Gap { partition, .. } => {
                if let Some(Home { agent, reading, followed_at, .. }) = self.homes.get_mut(&partition) {
                    if matches!(event, StorageEvent::Gap { .. }) {
                        *followed_at = now;
                    }
                    if matches!(event, StorageEvent::CaughtUp { .. }) {
                        self.deaths.hasten();
                    }
                    reading.take(now, event, agent, &mut self.slots, storage);
                }
            }
            StorageEvent::Warning { message } => self.warning = message,
            StorageEvent::Trouble { message, fatal } => self.trouble = Some(Trouble { message, fatal }),
            StorageEvent::Recovered => self.trouble = None,
            StorageEvent::Wake => {}
        }
    }

    fn own_lock(&self) -> u128 {
        self.lifeline.as_ref().map_or(0, Lifeline::id)
    }

    /// Who was killed on this host is evicted without waiting for its time-to-live. Before agents speak: one that has
    /// just read the log says so with its first record.
    fn look_for_the_dead(&mut self, now: Nanos) {
        if !self.deaths.is_due(now) {
            return;
        }
        let own = self.own_lock();
        let agents = self.homes.values().map(|home| &home.agent).filter(|agent| agent.is_caught_up());
        let locks = agents.flat_map(|agent| agent.fold().sessions().values().map(|session| session.lock));
        let dead = self.deaths.of(now, own, locks);
        if !dead.is_empty() {
            self.homes.values_mut().for_each(|home| home.agent.on_deaths(&dead));
        }
    }

    fn take_commands(&mut self, now: Nanos, storage: &mut dyn LogStore) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Close(timeout, reply) => {
                    self.closing = Some((now.plus(clock::nanos(timeout)), reply));
                    for home in self.homes.values_mut() {
                        home.agent.close(now, &mut self.slots);
                    }
                }
                Command::Define(limit, new, reply) => match self.define(&limit, new, now, storage) {
                    Ok(partitions) => self.defining.push(Defining { limit, new, partitions, reply }),
                    Err(why) => {
                        let _ = reply.try_send(Err(why));
                    }
                },
                Command::Status(key, reply) => {
                    let status = self.placed.get(&key.index()).and_then(|home| self.homes.get(home));
                    let _ = reply
                        .try_send(status.map(|home| home.agent.status(BucketRef(key.index()))).unwrap_or_default());
                }
            }
        }
    }

    fn take_released(&mut self, now: Nanos) {
        for key in self.desk.take_released() {
            let index = key.index();
            if let Some(home) = self.placed.remove(&index).and_then(|home| self.homes.get_mut(&home)) {
                home.agent.remove(now, BucketRef(index), &mut self.slots);
            }
            slot::destroy(index);
        }
    }

    /// Looks at what was refused since the last look.
    fn look(&mut self, now: Nanos, storage: &mut dyn LogStore) {
        let mut told = std::mem::take(&mut self.hot);
        told.extend(std::iter::from_fn(|| self.desk.activity.pop()));
        if told.is_empty() {
            return;
        }
        self.looked_at = now;
        for index in told {
            // Meanwhile it may have ended, and its place may be another runtime's.
            let is_mine =
                |slot: &slot::Slot| slot.cold.lock().as_ref().is_some_and(|cold| cold.owner.is_at(&self.desk));
            if !slot::get(index).is_some_and(is_mine) {
                continue;
            }
            let Some(partition) = self.place(index, now, storage) else {
                // No partition to go to yet: it stays flagged.
                self.hot.push(index);
                continue;
            };
            let (Some(slot), Some(home)) = (slot::get(index), self.homes.get_mut(&partition)) else { continue };
            slot.flagged.store(false, Ordering::Release);
            let bucket = BucketRef(index);
            home.agent.on_activity(now, bucket, &mut self.slots);
            let guard = slot.cold.lock();
            let Some(cold) = guard.as_ref() else { continue };
            if !cold.waiters.is_empty() {
                // One who began to wait between the growth of the share and the publication of its validity was
                // not called by either.
                cold.waiters.call_first();
                if !slot.flagged.swap(true, Ordering::AcqRel) {
                    self.hot.push(index);
                }
            }
        }
    }

    /// The partition of a slot's bucket, followed from now on if it was not; `None` while the log is not known.
    fn place(&mut self, index: u32, now: Nanos, storage: &mut dyn LogStore) -> Option<u32> {
        if let Some(partition) = self.placed.get(&index) {
            return Some(*partition);
        }
        if self.closing.is_some() {
            return None;
        }
        let slot = slot::get(index)?;
        let (id, bucket, limit, name) = {
            let guard = slot.cold.lock();
            let cold = guard.as_ref()?;
            (cold.id, cold.bucket_id, cold.limit.clone(), format!("{}/{}", cold.limit.limiter, cold.value))
        };
        let partition = self.growth.home(&self.homes, bucket)?;
        self.know(&limit);
        self.follow(partition, now, storage)?;
        let home = self.homes.get_mut(&partition)?;
        if let Some(numbers) = home.agent.fold().limit(limit.limit_id) {
            note(&mut self.differing, &limit, partition, numbers);
        }
        home.agent.add(bucket, &name, limit.limit_id, &limit.configured, BucketRef(index));
        let validity = if limit.outage == Outage::Deny { &home.strict } else { &home.kept };
        // It has no share yet: nothing of it is paid out that needs another validity.
        slot.with(id, |slot, _| slot.validity.store(validity.index(), Ordering::Release));
        self.placed.insert(index, partition);
        Some(partition)
    }

    /// Follows a partition from now on; `None` when this process follows too many.
    fn follow(&mut self, partition: u32, now: Nanos, storage: &mut dyn LogStore) -> Option<()> {
        if !self.homes.contains_key(&partition) {
            let (strict, kept) = (OwnValidity::take()?, OwnValidity::take()?);
            let agent = Agent::new(self.settings, random(), &self.note);
            let published = Published::default();
            storage.follow(partition);
            self.homes.insert(
                partition,
                Home { agent, reading: Reading::default(), strict, kept, followed_at: now, published },
            );
        }
        Some(())
    }

    /// Moves keys to new partitions.
    fn grow(&mut self, now: Nanos, storage: &mut dyn LogStore) {
        for partition in self.growth.tick(&mut self.homes) {
            self.follow(partition, now, storage);
        }
        if self.growth.must_ask() {
            storage.look();
        }
        for home in self.homes.values_mut() {
            for bucket in home.agent.take_moved() {
                home.agent.remove(now, bucket, &mut self.slots);
                self.placed.remove(&bucket.0);
                self.hot.push(bucket.0);
            }
        }
    }

    /// Starts to write a limit's new numbers into every partition; how many there are.
    fn define(
        &mut self,
        limit: &Arc<LimitOf>,
        new: Limit,
        now: Nanos,
        storage: &mut dyn LogStore,
    ) -> Result<u32, Error> {
        let refuse = |kind, text: &str| Err(Error::new(kind, text));
        let partitions = self.growth.in_force();
        if partitions == 0 {
            return refuse(ErrorKind::Storage, "the log was not reached yet; a limit can be changed when health is ok");
        }
        for partition in 0..partitions {
            if self.follow(partition, now, storage).is_none() {
                return Err(super::inner::too_many_runtimes());
            }
            let home = self.homes.get_mut(&partition);
            let accepted =
                home.is_some_and(|home| home.agent.define(limit.limit_id, &limit.limiter, new.rate(), new.burst()));
            if !accepted {
                return refuse(
                    ErrorKind::Capacity,
                    "too many changes of limits wait for the log already; try again later",
                );
            }
        }
        self.know(limit);
        Ok(partitions)
    }

    /// Tells this limit from now on what the log says of it, as long as a limiter or key holds it.
    fn know(&mut self, limit: &Arc<LimitOf>) {
        if self.limits.len() >= LIMITERS_MAX {
            self.limits.retain(|_, limit| limit.strong_count() > 0);
        }
        self.limits.insert(limit.limit_id, Arc::downgrade(limit));
    }

    /// Takes note of limits whose definition was read, and answers those who wait for one.
    fn take_defined(&mut self, now: Nanos, storage: &mut dyn LogStore) {
        for (partition, home) in &mut self.homes {
            for id in home.agent.take_defined() {
                let limit = self.limits.get(&id).and_then(Weak::upgrade);
                if let (Some(limit), Some(numbers)) = (limit, home.agent.fold().limit(id)) {
                    note(&mut self.differing, &limit, *partition, numbers);
                }
            }
        }
        if self.defining.is_empty() || self.homes.values().any(|home| home.agent.is_defining()) {
            return;
        }
        // Partitions that were added meanwhile took their definitions over from older ones, perhaps before this one was there.
        let newest = self.homes.values().map(|home| home.agent.fold().layout().partitions()).max().unwrap_or(0);
        if newest > self.growth.in_force() {
            return;
        }
        for pending in std::mem::take(&mut self.defining) {
            let Defining { limit, new, partitions, reply } = pending;
            let again = if partitions < newest { self.define(&limit, new, now, storage).map(Some) } else { Ok(None) };
            match again {
                Ok(Some(partitions)) => self.defining.push(Defining { limit, new, partitions, reply }),
                Ok(None) => _ = reply.try_send(Ok(())),
                Err(why) => _ = reply.try_send(Err(why)),
            }
        }
    }

    fn tick(&mut self, now: Nanos) {
        for home in self.homes.values_mut() {
            if now >= home.agent.next_timer() {
                home.agent.on_timer(now, &mut self.slots);
            }
        }
    }

    fn speak(&mut self, now: Nanos, storage: &mut dyn LogStore) {
        for (partition, home) in &mut self.homes {
            home.reading.look(*partition, now, &mut home.agent, &mut self.slots, storage);
            while let Some(record) = home.agent.poll_send(now) {
                storage.append(*partition, record);
            }
            if let Some(chunks) = home.agent.poll_snapshot(now) {
                storage.write_state(*partition, messages(chunks));
            }
        }
    }

    /// Tells the hot path until when it may spend.
    fn publish(&mut self, now: Nanos) {
        let trouble = self.trouble.is_some();
        for home in self.homes.values_mut() {
            let (strict, kept) = (home.agent.valid_until(), home.agent.usable_until());
            let waited = now.since(home.followed_at) > AWAY_AFTER;
            let away = now >= kept && (trouble || (waited && !home.agent.has_session()));
            let new = Published { strict, kept, keeping: home.agent.is_keeping(now), away };
            if new != home.published {
                home.published = new;
                let basis = if new.keeping { Basis::KeptShare } else { Basis::Shared };
                home.strict.publish(now, strict, Basis::Shared, away);
                home.kept.publish(now, kept, basis, away);
            }
        }
        let away = self.growth.in_force() == 0 && (trouble || now.since(self.started) > AWAY_AFTER);
        if away != self.lobby_away {
            self.lobby_away = away;
            self.desk.lobby.publish(now, Nanos::ZERO, Basis::NoShare, away);
        }
    }

    fn report(&mut self, now: Nanos, storage: &dyn LogStore) {
        let homes = || self.homes.values();
        let count = |what: fn(&Agent) -> bool| homes().filter(|home| what(&home.agent)).count() as u32;
        let mut agents = Counters::default();
        homes().for_each(|home| agents.add(home.agent.counters()));
        let report = Report {
            storage: storage.info(),
            trouble: self.trouble.clone(),
            partitions_followed: self.homes.len() as u32,
            partitions_read: count(Agent::is_caught_up),
            sessions_valid: homes().filter(|home| now < home.agent.usable_until()).count() as u32,
            sessions_kept: homes().filter(|home| home.agent.is_keeping(now)).count() as u32,
            partitions_halted: count(Agent::is_halted),
            partition_stranded: self.homes.iter().find_map(|(p, home)| Some((*p, home.agent.stranded_for()?))),
            snapshot: homes().filter_map(|home| home.agent.newest_snapshot(now)).max(),
            warning: self.warning.clone(),
            agents,
            disagreement: self.disagreement(),
        };
        *self.desk.report.lock() = report;
    }

    /// What the log has other numbers for than this process; forgets limits that nobody here holds any more.
    fn disagreement(&mut self) -> Option<Disagreement> {
        let limits = &self.limits;
        // The runtime's own list holds each once.
        self.differing.retain(|(id, _)| limits.get(id).is_some_and(|limit| limit.strong_count() > 1));
        let ids: BTreeSet<u128> = self.differing.iter().map(|(id, _)| *id).collect();
        self.differing.iter().find_map(|(id, partition)| {
            let limit = limits.get(id)?.upgrade()?;
            let log = self.homes.get(partition)?.agent.fold().limit(*id)?;
            let configured = (limit.configured.rate(), limit.configured.burst());
            Some(Disagreement { limiter: limit.limiter.clone(), configured, log, others: ids.len() - 1 })
        })
    }

    /// Whether the goodbye is confirmed, or its time is up.
    fn is_over(&mut self, now: Nanos, storage: &mut dyn LogStore) -> bool {
        let Some((deadline, reply)) = &self.closing else { return false };
        let confirmed = self.homes.values().all(|home| home.agent.is_closed());
        if !confirmed && now < *deadline {
            return false;
        }
        let left = Duration::from_nanos(deadline.since(now).0);
        for (partition, home) in &mut self.homes {
            if let Some(chunks) = home.agent.last_snapshot(now) {
                storage.write_state(*partition, messages(chunks));
            }
        }
        storage.close(left.max(Duration::from_millis(200)));
        let _ = reply.try_send(confirmed);
        // All shares were given back here, whether or not that is confirmed.
        if let Some(lifeline) = self.lifeline.take() {
            lifeline.end(confirmed);
        }
        true
    }
}

/// The log of `partition` has these numbers for `limit`.
fn note(differing: &mut BTreeSet<(u128, u32)>, limit: &LimitOf, partition: u32, numbers: LimitNumbers) {
    limit.read(numbers);
    let place = (limit.limit_id, partition);
    if limit.agrees_with(numbers) {
        differing.remove(&place);
    } else {
        differing.insert(place);
    }
}

fn messages(chunks: Vec<Chunk>) -> Vec<(Vec<u8>, Vec<u8>)> {
    chunks.into_iter().map(|chunk| (chunk.key, chunk.value)).collect()
}

/// A random number from the kernel: it must differ between processes, also between clones of one machine.
fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == 8 {
        return u64::from_le_bytes(bytes);
    }
    // Only on kernels older than 3.17.
    clock::boot_time().0 ^ u64::from(std::process::id()).rotate_left(32)
}
