//! What must hold in every state.

use crate::process::bucket;
use crate::scenario::Seen;
use crate::shadow::Numbers;
use crate::world::{Model, State};
use tidegate::core::fold::{Fold, Lease};
use tidegate::core::share::Share;
use tidegate::core::units::Tokens;

/// A promise of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Shares,
    Reserved,
    InUse,
    Admitted,
    Potential,
    Sessions,
    SameState,
}

crate::explored::promises! {
        Shares: "at every offset, shares add up to at most the limit, and bursts and pool to at most the burst",
        Reserved: "nobody uses more than the log's head reserves for it",
        InUse: "what is in use adds up to at most the limit",
        Admitted: "what was admitted fits into one exact bucket",
        Potential: "what could be admitted fits into one exact bucket",
        Sessions: "an ended session never comes back, and no sequence number goes back",
        SameState: "who read the same records holds the same state",
}

/// `taken` was admitted by the process in `slot`.
pub(crate) fn admitted(state: &mut State, slot: usize, taken: Tokens) {
    let time = state.time;
    if let Err(over) = state.shadow.take(time, taken) {
        state.wrong(Promise::Admitted, format!("process {slot} was admitted {over} micro-permits too many"));
    }
}

/// After the record at `offset`: sessions only end, and begin where their Hello stands.
pub(crate) fn sessions(state: &mut State, before: &Fold, offset: u64) {
    let mut wrong = None;
    for (id, session) in state.head.sessions() {
        match before.sessions().get(id) {
            None if *id != offset => wrong = Some(format!("session {id} is there again")),
            Some(old) if old.last_seq > session.last_seq || old.nonce != session.nonce => {
                wrong = Some(format!("session {id} went back from {old:?} to {session:?}"));
            }
            _ => {}
        }
    }
    if let Some(wrong) = wrong {
        state.wrong(Promise::Sessions, wrong);
    }
}

/// After every record: what the log gives out.
pub(crate) fn fold(model: &Model, state: &mut State) {
    let time = state.time;
    let Some(limit) = state.head.limits().next().map(|(_, limit)| limit) else { return };
    let numbers = Numbers { rate: limit.rate.0, burst: limit.burst.0 };
    if state.shadow.newest() != numbers {
        state.shadow.define(time, numbers);
    }
    let Some(shared) = state.head.bucket(bucket()) else { return state.shadow.all_followed(time) };
    let sum = |of: fn(Share) -> u64| shared.leases.iter().map(|lease| u128::from(of(lease.share()))).sum::<u128>();
    let (rate, burst) = (sum(|share| share.rate.0), sum(|share| share.burst.0) + u128::from(shared.pool.0));
    if rate <= numbers.rate.into() && burst <= numbers.burst.into() {
        state.shadow.all_followed(time);
    } else {
        model.saw(Seen::Over);
    }
    let Numbers { rate: r, burst: b } = state.shadow.in_force();
    if rate > r.into() || burst > b.into() {
        state.wrong(
            Promise::Shares,
            format!("{rate} of {r} nano-permits/s, {burst} of {b} micro-permits are given out"),
        );
    }
}

/// After everything that happens: what is used, and what could be admitted.
pub(crate) fn check(model: &Model, state: &mut State) {
    let time = state.time;
    state.shadow.settle(time);
    let found = in_use(model, state).or_else(|| same_state(state)).or_else(|| potential(model, state));
    if let Some((promise, text)) = found {
        state.wrong(promise, text);
    }
}

fn in_use(model: &Model, state: &State) -> Option<(Promise, String)> {
    let (mut rate, mut burst) = (0u128, 0u128);
    for (slot, process) in state.running().filter(|(_, process)| process.is_usable(state.time)) {
        let (share, lease) = (process.hot.share, lease_of(&state.head, process.agent.session()));
        let reserved = lease.map_or(Share::NONE, Lease::share);
        if share.rate > reserved.rate || share.burst > reserved.burst {
            let text = format!("process {slot} uses {share:?}, the log's head reserves {reserved:?} for it");
            return Some((Promise::Reserved, text));
        }
        if process.agent.is_keeping(process.now(state.time)) {
            model.saw(Seen::Kept);
        }
        rate += u128::from(share.rate.0);
        burst += u128::from(share.burst.0);
    }
    let Numbers { rate: r, burst: b } = state.shadow.in_force();
    let over = rate > r.into() || burst > b.into();
    over.then(|| (Promise::InUse, format!("{rate} of {r} nano-permits/s, {burst} of {b} micro-permits are in use")))
}

fn same_state(state: &State) -> Option<(Promise, String)> {
    let differs = |(_, process): &(usize, &crate::process::Process)| {
        process.read == state.log.len() && *process.agent.fold() != *state.head
    };
    let (slot, _) = state.running().find(differs)?;
    Some((Promise::SameState, format!("process {slot} holds another state than the log's head")))
}

/// Tokens in hands, in the pool, and granted to owners who have not read it yet.
fn potential(model: &Model, state: &State) -> Option<(Promise, String)> {
    if model.scenario.leases_only {
        return None;
    }
    let shared = state.head.bucket(bucket());
    let mut tokens = shared.map_or(0, |shared| u128::from(shared.pool.0));
    for (_, process) in state.running() {
        let session = process.agent.session();
        let lives = session.is_some_and(|session| state.head.sessions().contains_key(&session));
        if lives || process.is_usable(state.time) {
            tokens += u128::from(process.hot.level(process.now(state.time)).0);
        }
        let read = |lease: &Lease| {
            let known = lease_of(process.agent.fold(), Some(lease.session)).filter(|known| known.born == lease.born);
            known.filter(|_| session == Some(lease.session)).map_or(0, |known| known.granted.tokens)
        };
        let nonce = |lease: &Lease| state.head.sessions().get(&lease.session).map(|session| session.nonce);
        let own = |lease: &&Lease| match session {
            Some(session) => lease.session == session,
            None => process.hello.is_some() && nonce(lease) == process.hello,
        };
        let leases = shared.into_iter().flat_map(|shared| &shared.leases).filter(own);
        tokens += leases.map(|lease| lease.granted.tokens - read(lease)).sum::<u128>();
    }
    let exact = state.shadow.level();
    let text = || format!("{tokens} micro-permits could be admitted, the exact bucket holds {exact}");
    (tokens > exact).then(|| (Promise::Potential, text()))
}

fn lease_of(fold: &Fold, session: Option<u64>) -> Option<&Lease> {
    fold.bucket(bucket())?.lease(session?)
}
