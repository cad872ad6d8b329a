//! What must hold in every state while buckets move, and partitions are reset.

use super::home::Home;
use super::member::Member;
use super::scenario::Scenario;
use super::world::{Model, State};
use tidegate::core::fold::{Fold, Lease};
use tidegate::core::limit::Limit;
use tidegate::core::placement::BucketId;
use tidegate::core::share::Share;
use tidegate::core::units::{Nanos, Tokens};

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Shares,
    OneHome,
    Reserved,
    InUse,
    Admitted,
    Potential,
    SameState,
}

/// After a reset nobody has spent anything for so long, beyond the longest time-to-live.
const RESTED: Nanos = Nanos::from_secs(60);

crate::explored::promises! {
        Shares: "at every offset, the shares of all partitions add up to at most the limit, and bursts and pool to at most the burst",
        OneHome: "a bucket is held in one partition at a time",
        Reserved: "nobody uses more than the log's head reserves for it",
        InUse: "what is in use adds up to at most the limit",
        Admitted: "what was admitted fits into one exact bucket",
        Potential: "what could be admitted fits into one exact bucket",
        SameState: "who read the same records holds the same state",
}

/// After everything that happens.
pub(crate) fn check(model: &Model, state: &mut State) {
    let time = state.time;
    state.shadow.settle(time);
    let id = model.scenario.bucket();
    let found = shares(model, state, id)
        .or_else(|| in_use(model, state, id))
        .or_else(|| same_state(state))
        .or_else(|| potential(model, state, id));
    if let Some((promise, text)) = found {
        state.wrong(promise, text);
    }
}

fn shares(model: &Model, state: &State, id: BucketId) -> Option<(Promise, String)> {
    let limit = &model.scenario.limit;
    let (mut rate, mut burst, mut held) = (0u128, 0u128, Vec::new());
    for (partition, head) in state.heads.iter().enumerate() {
        let Some(shared) = head.bucket(id) else { continue };
        let sum = |of: fn(Share) -> u64| shared.leases.iter().map(|lease| u128::from(of(lease.share()))).sum::<u128>();
        let (partition_rate, partition_burst) = (sum(|share| share.rate.0), sum(|share| share.burst.0));
        rate += partition_rate;
        burst += partition_burst;
        if partition_burst + u128::from(shared.pool.0) > limit.burst().0.into() {
            return Some((
                Promise::Shares,
                format!("bursts and pool of partition {partition} are too much: {shared:?}"),
            ));
        }
        if partition_rate > 0 {
            held.push(partition);
        }
    }
    if held.len() > 1 {
        return Some((Promise::OneHome, format!("the bucket is held in partitions {held:?}")));
    }
    let over = rate > limit.rate().0.into() || burst > limit.burst().0.into();
    over.then(|| (Promise::Shares, format!("{rate} nano-permits/s, {burst} micro-permits are given out")))
}

fn in_use(model: &Model, state: &State, id: BucketId) -> Option<(Promise, String)> {
    let (mut rate, mut burst) = (0u128, 0u128);
    for (slot, member) in state.running() {
        let Some(home) = member.usable(state.time) else { continue };
        let head = &state.heads[member.placed.unwrap_or_default() as usize];
        let (share, lease) = (member.hot.share, lease_of(head, id, home));
        let reserved = lease.map_or(Share::NONE, Lease::share);
        if share.rate > reserved.rate || share.burst > reserved.burst {
            let text = format!("process {slot} uses {share:?}, the log's head reserves {reserved:?} for it");
            return Some((Promise::Reserved, text));
        }
        rate += u128::from(share.rate.0);
        burst += u128::from(share.burst.0);
    }
    let limit = &model.scenario.limit;
    let over = rate > limit.rate().0.into() || burst > limit.burst().0.into();
    over.then(|| (Promise::InUse, format!("{rate} nano-permits/s, {burst} micro-permits are in use")))
}

fn same_state(state: &State) -> Option<(Promise, String)> {
    for (slot, member) in state.running() {
        for (partition, home) in &member.homes {
            let (log, head) = (&state.logs[*partition as usize], &state.heads[*partition as usize]);
            let knows = home.read == log.records.len() && home.agent.stranded_for().is_none();
            if knows && home.agent.fold() != &**head {
                let text = format!("process {slot} holds another state of partition {partition} than the log's head");
                return Some((Promise::SameState, text));
            }
        }
    }
    None
}

/// What nobody holds of a bucket, where it may be given out: a bucket that nobody knows is full.
fn pool(fold: &Fold, id: BucketId, limit: &Limit) -> Tokens {
    let rested = limit.burst().min(limit.rate().over(RESTED));
    let untouched = if fold.was_reset() { rested } else { limit.burst() };
    fold.bucket(id).map_or(untouched, |shared| shared.pool)
}

/// Whether the next claim there would be served; nobody claims in a partition before he has told it the counts.
fn gives(model: &Model, partition: usize, fold: &Fold, id: BucketId) -> bool {
    let Scenario { before, after, .. } = model.scenario;
    let home = [before, after].contains(&(partition as u32 + 1));
    let said = fold.layout().partitions() > 0 || partition == 0;
    home && said && fold.layout().is_open(id)
}

/// Tokens in hands, in the pool of where the bucket lives, and granted to owners who have not read it yet.
fn potential(model: &Model, state: &State, id: BucketId) -> Option<(Promise, String)> {
    let limit = &model.scenario.limit;
    let heads = || state.heads.iter().enumerate();
    let open = heads().filter(|(partition, head)| gives(model, *partition, head, id));
    let mut tokens = open.map(|(_, head)| u128::from(pool(head, id, limit).0)).sum::<u128>();
    for (_, member) in state.running() {
        if lives(state, member) || member.usable(state.time).is_some() {
            tokens += u128::from(member.hot.level(member.now(state.time)).0);
        }
        for (partition, home) in &member.homes {
            let Some(lease) = lease_of(&state.heads[*partition as usize], id, home) else { continue };
            let known = lease_of(home.agent.fold(), id, home).filter(|known| known.born == lease.born);
            tokens += lease.granted.tokens - known.map_or(0, |known| known.granted.tokens);
        }
    }
    let exact = state.shadow.level();
    let text = || format!("{tokens} micro-permits could be admitted, the exact bucket holds {exact}");
    (tokens > exact).then(|| (Promise::Potential, text()))
}

fn lives(state: &State, member: &Member) -> bool {
    let Some(placed) = member.placed else { return false };
    let session = member.homes.get(&placed).and_then(|home| home.agent.session());
    session.is_some_and(|session| state.heads[placed as usize].sessions().contains_key(&session))
}

fn lease_of<'a>(fold: &'a Fold, id: BucketId, home: &Home) -> Option<&'a Lease> {
    fold.bucket(id)?.lease(home.agent.session()?)
}
