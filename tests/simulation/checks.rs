//! What must hold after every event, and at the end.

use crate::plan::{Pattern, Plan, MS, SECOND};
use crate::process::Process;
use crate::shadow::Numbers;
use crate::world::World;
use tidegate::core::limit::Outage;
use tidegate::core::record::Op;
use tidegate::core::share::Share;
use tidegate::core::snapshot::digest;
use tidegate::core::units::Tokens;

/// Times that an orphaned session is waited for once more after each history.
const LATE_HELLOS: u32 = 3;

pub fn op(op: &Op) -> String {
    match op {
        Op::Claim(claim) => {
            format!("claim want {} released {}", claim.want.0 / SECOND, claim.released.rate / u128::from(SECOND))
        }
        Op::Evict { session, seq } => format!("evict {session} at {seq}"),
        Op::Bye => "bye".to_owned(),
        Op::Define(define) => format!("define v{}", define.version),
        Op::Layout { previous, partitions, .. } => format!("layout {previous} -> {partitions}"),
        Op::Carry(carried) => format!("carry {}", carried.len()),
        Op::Open { from, .. } => format!("open {from}"),
        Op::Reset { from, before, any, counts } => {
            format!("reset from {from}, {}{before} -> {counts:?}", if *any { "at most " } else { "" })
        }
    }
}

/// Permits per second that a process asks for.
pub fn demand(plan: &Plan, now: u64, slot: usize, key: usize) -> u64 {
    let (numbers, n) = (plan.keys[key], plan.processes as u64);
    let turn = |period: u64| tidegate::core::rng::Rng::new(plan.seed ^ (now / period) << 8 ^ key as u64).below(n);
    let part = match numbers.pattern {
        Pattern::Saturating => 2_000 / n,
        Pattern::Idle => 700 / n * u64::from(turn(700 * MS) % 2 == slot as u64 % 2),
        Pattern::HotSpot { period } if turn(period) == slot as u64 => 1_500,
        Pattern::HotSpot { .. } => 20,
        Pattern::Zipf => 1_000 / (slot as u64 + 1),
    };
    (numbers.permits * part).div_ceil(1_000)
}

/// Whether `process` goes on with a share that was taken from it, as `keep_share` says it may when it is not heard.
fn excused(world: &World, process: &Process) -> Option<u64> {
    let session = process.agent.session()?;
    let ended = *world.ended.get(&session)?;
    let keeps = world.plan.outage != Outage::Deny;
    (keeps && ended <= process.unheard_until + 2 * world.plan.ttl).then_some(session)
}

/// An admission fits into the exact bucket of the fleet.
pub fn admission(world: &mut World, process: &mut Process, slot: usize, key: usize, amount: Tokens) {
    if world.plan.leases_only {
        return;
    }
    let now = world.now;
    if let Some(session) = excused(world, process) {
        let excess = world.excess_of(process, session);
        if let Err(over) = excess.shadows[key].take(now, amount) {
            panic!("process {slot}, cut off and evicted, admitted {over} micro-permits more than its own share");
        }
        return;
    }
    if let Err(over) = world.shadows[key].take(now, amount) {
        panic!("{over} micro-permits of key {key} were admitted too many (process {slot})");
    }
}

/// A process's state is the state at that offset.
pub fn same_state(process: &Process, slot: usize, expected: u128) {
    let fold = process.agent.fold();
    assert!(digest(fold) == expected, "process {slot} has another state before offset {}", fold.next());
}

/// After every record: shares and pool fit into the limit.
pub fn fold(world: &mut World) {
    let now = world.now;
    for key in 0..world.ids.len() {
        let (bucket, limit) = world.ids[key];
        if let Some(defined) = world.head.limit(limit) {
            let numbers = Numbers { rate: defined.rate.0, burst: defined.burst.0 };
            if world.shadows[key].newest() != numbers {
                world.shadows[key].define(now, numbers);
            }
        }
        let Some(shared) = world.head.bucket(bucket) else {
            world.shadows[key].all_followed(now);
            continue;
        };
        let sum = |of: fn(Share) -> u64| shared.leases.iter().map(|lease| u128::from(of(lease.share()))).sum::<u128>();
        let (rate, burst) = (sum(|share| share.rate.0), sum(|share| share.burst.0) + u128::from(shared.pool.0));
        let newest = world.shadows[key].newest();
        if rate <= newest.rate.into() && burst <= newest.burst.into() {
            world.shadows[key].all_followed(now);
        }
        let Numbers { rate: r, burst: b } = world.shadows[key].in_force();
        assert!(rate <= r.into(), "shares of key {key} add up to {rate} of {r} nano-permits/s");
        assert!(burst <= b.into(), "burst and pool of key {key} add up to {burst} of {b} micro-permits");
    }
}

/// At any time: what all processes together could admit now, and soon, is no more than the exact bucket holds.
pub fn potential(world: &mut World) {
    let now = world.now;
    for key in 0..world.ids.len() {
        world.shadows[key].settle(now);
        let shared = world.head.bucket(world.ids[key].0);
        let lease_of = |session: Option<u64>| shared.and_then(|shared| shared.lease(session?));
        let numbers = world.shadows[key].in_force();
        let (mut rate, mut burst, mut tokens) = (0u128, 0u128, 0u128);
        for (slot, process) in world.slots.iter().enumerate() {
            let Some(process) = process else { continue };
            let session = process.agent.session();
            let lives = session.is_some_and(|session| world.head.sessions().contains_key(&session));
            let usable = process.is_usable(now);
            let (share, level) = process.level(key, now);
            if !lives && (!usable || excused(world, process).is_some()) {
                continue;
            }
            let reserved = lease_of(session).map_or(Share::NONE, |lease| lease.share());
            if usable {
                assert!(
                    share.rate <= reserved.rate && share.burst <= reserved.burst,
                    "process {slot} uses {share:?} of key {key}, the log reserves {reserved:?} for it"
                );
                rate += u128::from(share.rate.0);
                burst += u128::from(share.burst.0);
            }
            tokens += u128::from(level.0);
        }
        assert!(rate <= numbers.rate.into(), "{rate} nano-permits/s of key {key} are in use, of {}", numbers.rate);
        assert!(
            burst <= numbers.burst.into(),
            "{burst} micro-permits of burst of key {key} are in use, of {}",
            numbers.burst
        );
        if world.plan.leases_only {
            continue;
        }
        tokens += on_the_way(world, key);
        let exact = world.shadows[key].level();
        assert!(
            tokens <= exact,
            "{} micro-permits of key {key} could be admitted too many: {tokens}, the exact bucket holds {exact}",
            tokens - exact
        );
    }
}

/// Tokens in the pool, and granted to sessions whose owners have not read it yet.
fn on_the_way(world: &World, key: usize) -> u128 {
    let Some(shared) = world.head.bucket(world.ids[key].0) else { return 0 };
    let granted = |lease: &tidegate::core::fold::Lease| {
        let Some(owner) = world.owners.get(&lease.session) else { return 0 };
        let process = world.slots[owner.slot].as_ref();
        let Some(process) = process.filter(|process| process.life == owner.life && process.forgot < owner.sent) else {
            return 0;
        };
        let known = process.agent.fold().bucket(world.ids[key].0).and_then(|shared| shared.lease(lease.session));
        let read = known.filter(|known| known.born == lease.born && process.agent.session() == Some(lease.session));
        lease.granted.tokens - read.map_or(0, |known| known.granted.tokens)
    };
    u128::from(shared.pool.0) + shared.leases.iter().map(granted).sum::<u128>()
}

/// After a quiet time everything works: nobody is forgotten, nothing is lost for ever.
pub fn liveness(world: &mut World) {
    let ttl = world.plan.ttl;
    // Late copies of a Hello open sessions that nobody owns; those, and the dead, return after their time-to-live.
    world.run_until(world.now + 12 * SECOND + 2 * ttl + 8 * SECOND);
    let live = world.slots.len();
    // What a cut or an outage kept back can come later still.
    for _ in 0..LATE_HELLOS {
        if world.head.sessions().len() > live {
            world.run_until(world.now + ttl + 3 * SECOND);
        }
    }
    assert_eq!(world.slots.iter().flatten().count(), live, "the test has all processes running");
    for (slot, process) in world.slots.iter().enumerate() {
        let Some(process) = process else { continue };
        let counters = process.agent.counters();
        // Who gets nothing of a tiny limit leaves for a while.
        let here = process.agent.session().is_some() || world.plan.keys.iter().all(|key| key.permits >= 40);
        assert!(!here || process.is_usable(world.now), "process {slot} may use nothing");
        assert!(!process.agent.is_keeping(process.now(world.now)), "process {slot} does not renew");
        assert_eq!(counters.clones, 0, "process {slot} took itself for a clone");
        assert_eq!(counters.digest_mismatches, 0, "process {slot} differs");
        assert!(counters.gaps > 0 || counters.lost_while_valid == 0, "process {slot} lost a session that was valid");
    }
    assert!(world.head.sessions().len() <= live, "sessions of the dead are over");
    assert!(world.shadows.iter().all(|shadow| !shadow.changing()), "a changed limit is in force");

    let slow = world.plan.keys.iter().map(|key| key.permits).min().unwrap_or(1);
    let span = if slow < 40 { 20 } else { 8 };
    let admitted = world.measure(span * SECOND);
    for (key, numbers) in world.plan.keys.iter().enumerate() {
        let force = world.shadows[key].newest();
        let ideal = (u128::from(force.rate) * u128::from(span) / u128::from(SECOND)) as u64;
        let total: u64 = admitted.iter().map(|keys| keys[key]).sum();
        // Requests of several permits that must wait for a share of the burst leave a part unused.
        let tiny = force.burst / 1_000_000 < 4 * live as u64 * numbers.request || numbers.permits < 40;
        let floor = match (tiny, world.plan.patience > 0) {
            // Clocks that all run slow mint that much less.
            (false, _) => 93 - world.plan.drift_ppm / 10_000,
            (true, true) if force.burst < 3_000_000 => 40,
            (true, true) => 70,
            // A permit that nobody waits for is only used where somebody happens to ask.
            (true, false) => 12,
        };
        let slack = 2 * numbers.request * live as u64;
        assert!(
            total + slack >= ideal * floor / 100,
            "only {total} of {ideal} permits of key {key} are used after a quiet time: {admitted:?}"
        );
        let fair = ideal / live as u64;
        let least = admitted.iter().map(|keys| keys[key]).min().unwrap_or(0);
        if fair >= 10 * numbers.request {
            let floor = match (tiny, world.plan.patience > 0) {
                (false, _) => fair / 2,
                (true, waits) => u64::from(waits),
            };
            assert!(least >= floor, "a process starves on key {key}: {least} of a fair {fair}: {admitted:?}");
        }
    }
}
