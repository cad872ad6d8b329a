//! When a process claims, how much it wants, and when it gives back. Nothing here is needed for safety:
//! processes with different policies share a limit correctly, only less well.
//!
//! What nobody lacks is not moved: in peace there is no traffic but heartbeats.

use super::{Agent, Mine};
use crate::core::fold::Shared;
use crate::core::placement::BucketId;
use crate::core::share::{Buckets, Share};
use crate::core::units::{clamp, mul_div, Nanos, Rate, Tokens};

/// At most one claim per bucket, holder and this: a thousand holders claim a thousand times a second.
const GAP: u64 = 1_000_000; // ns
/// A want is raised at most once in this.
const RAISE_GAP: Nanos = Nanos::from_millis(20);
/// A want that was lowered is not raised beyond the measured demand for this long.
const CALM: Nanos = Nanos::from_secs(1);
/// A refusal counts as being short for this long, and so does a level below this much demand.
const SHORT: Nanos = Nanos::from_millis(50);
/// A queued process that nobody asks any more leaves the queue after this.
const PATIENCE: Nanos = Nanos::from_millis(250);
/// While others queue, a holder passes on after this ..
const QUANTUM: Nanos = Nanos::from_millis(500);
/// .. or when it has had a whole permit and no request for this; twice as long after each turn in which it served
/// nobody, so that permits which nobody uses do not go round at the speed of the log.
const PASS_ON: Nanos = Nanos::from_millis(20);
/// While others want more than they have, how often a holder asks itself whether it still needs its own.
const LOOK: Nanos = Nanos::from_millis(50);
/// A log that has owed an answer for this long is away: nothing is given up then, because nobody could take it, and
/// it cannot be had back before the log answers.
const AWAY: Nanos = Nanos::from_millis(500);
/// An unused, full bucket is given back after this.
const IDLE: Nanos = Nanos::from_secs(30);

/// What the others lack of one bucket, and what this process should have.
struct Outlook {
    goal: Share,
    leases: u64,
    /// Rate that others should have and do not.
    lack: u128,
    lacks_burst: bool,
    /// Somebody waits for a turn.
    queue: bool,
    /// Somebody wants more than it has.
    wanting: bool,
    /// More is held than the limit allows: it was lowered.
    over: bool,
}

impl Agent {
    /// Takes note of a bucket's use; whether it was used at all.
    pub(super) fn observe(&mut self, now: Nanos, id: BucketId, buckets: &mut dyn Buckets) -> bool {
        let Some(mine) = self.mine.get_mut(&id) else { return false };
        let Some(bucket) = mine.bucket else { return false };
        let usage = buckets.usage(bucket, now);
        let used = usage.asked > Tokens::ZERO || usage.refused;
        mine.use_.level = usage.level;
        mine.use_.full = usage.full;
        mine.demand.count(now, usage.asked);
        if used {
            mine.use_.used_at = now;
        }
        if usage.refused {
            mine.use_.refused_at = Some(now);
            mine.use_.largest = usage.largest;
        }
        used
    }

    /// Acts on what is known of a bucket. `used` = it was used just now.
    pub(super) fn decide(&mut self, now: Nanos, id: BucketId, used: bool, buckets: &mut dyn Buckets) {
        let Some(mine) = self.mine.get_mut(&id) else { return };
        if let Some(due) = mine.due.take() {
            self.timers.remove(&(due, id));
        }
        if self.closing || self.halted {
            return;
        }
        let lease = self.session.and_then(|session| Some((session, self.fold.bucket(id)?)));
        let lease = lease.filter(|(session, shared)| shared.lease(*session).is_some());
        let Some((session, shared)) = lease else {
            if used && self.moving.may_claim(&self.fold, id) && mine.want == Rate::ZERO && mine.bucket.is_some() {
                mine.want = first_want(mine, now);
                mine.min = mine.use_.largest.max(Tokens::permits(1)).min(mine.configured.burst);
                self.dirty.insert(id);
            }
            return;
        };
        let Some(limit) = self.fold.limit(shared.limit) else { return };
        let share = mine.share();
        if mine.want == Rate::ZERO {
            // Growth that crossed the release.
            if share != Share::NONE {
                self.release(now, id, buckets);
            }
            return;
        }
        let demand = mine.demand.rate(now);
        let ample = Rate(clamp(u128::from(demand.0) * 11 / 10)).max(Rate(1)).min(limit.rate);
        let short = mine.use_.refused_at.is_some_and(|at| now.since(at) < SHORT);
        let lower = !short && ample.0 < mine.want.0 / 5 * 4;
        // Alone, a process has all without asking for it: its want is told only when somebody else is there.
        let higher = ample.0 > mul_div(mine.want.0, 6, 5);
        let want = if lower || higher { ample } else { mine.want };
        let outlook = outlook(shared, session, want, limit.rate, limit.burst);
        let used_at = mine.use_.used_at;
        let unused = now.since(used_at);

        if outlook.goal == Share::NONE && share == Share::NONE {
            // Queued: leave when nobody asks any more.
            if unused >= PATIENCE {
                self.release(now, id, buckets);
            } else {
                self.look_again(id, used_at.plus(PATIENCE));
            }
            return;
        }
        if self.outbox.unanswered_for(now) >= AWAY && !outlook.over {
            return self.look_again(id, now.plus(LOOK));
        }
        if outlook.queue && share != Share::NONE {
            let held = now.since(mine.use_.served_since);
            let has_one = mine.use_.level >= Tokens::permits(1);
            let pass_on = Nanos(PASS_ON.0 << mine.use_.idle_turns.min(5)).min(QUANTUM);
            if held >= QUANTUM || (unused.min(held) >= pass_on && has_one) {
                mine.requeue = true;
                // A request that waited for the turn was seen shortly before it.
                let served = mine.use_.used_at.plus(SHORT) >= mine.use_.served_since;
                mine.use_.idle_turns = if served { 0 } else { mine.use_.idle_turns + 1 };
                let again = if unused < PATIENCE { want } else { Rate::ZERO };
                return self.shrink(now, id, Share::NONE, again, buckets);
            }
            let idle = if has_one { mine.use_.used_at.max(mine.use_.served_since).plus(pass_on) } else { Nanos::NEVER };
            let turn = mine.use_.served_since.plus(QUANTUM).min(idle);
            self.look_again(id, turn);
        }
        let Some(mine) = self.mine.get_mut(&id) else { return };
        let (excess_rate, excess_burst) = (share.rate - outlook.goal.rate, share.burst - outlook.goal.burst);
        let excess = excess_rate > Rate::ZERO || excess_burst > Tokens::ZERO;
        let fair = u128::from(excess_rate.0) > outlook.lack / u128::from(2 * outlook.leases)
            || (outlook.lacks_burst && excess_burst.0 > share.burst.0 / 20);
        if excess && (outlook.over || (fair && (outlook.lack > 0 || outlook.lacks_burst))) {
            let gap = GAP * outlook.leases;
            let at = mine.use_.claimed_at.plus(Nanos(gap / 2 + self.rng.below(gap)));
            // A limit that was lowered is followed where it is read.
            if now < at && !outlook.over {
                return self.look_again(id, at);
            }
            if lower {
                mine.use_.lowered_at = Some(now);
            }
            let goal = Share { rate: share.rate.min(outlook.goal.rate), burst: share.burst.min(outlook.goal.burst) };
            return self.shrink(now, id, goal, want, buckets);
        }
        let largest = mine.use_.largest;
        if short && largest > share.burst && largest > mine.min && largest <= limit.burst {
            mine.min = largest;
            self.dirty.insert(id);
        }
        let limited_by_want = outlook.leases > 1 && outlook.goal.rate >= mine.want && mine.want < limit.rate;
        if limited_by_want && (short || mine.use_.level < demand.over(SHORT)) {
            let calm = mine.use_.lowered_at.is_some_and(|at| now.since(at) < CALM);
            let bold = if short && !calm { Rate(mine.want.0.saturating_mul(2)) } else { Rate::ZERO };
            let raised = ample.max(bold).min(limit.rate);
            if raised.0 > mul_div(mine.want.0, 6, 5) {
                let at = mine.use_.raised_at.plus(RAISE_GAP);
                if now < at {
                    return self.look_again(id, at);
                }
                mine.use_.raised_at = now;
                mine.want = raised;
                self.dirty.insert(id);
            }
        }
        if unused >= IDLE && mine.use_.full {
            return self.release(now, id, buckets);
        }
        let idle = mine.use_.used_at.plus(IDLE);
        let next = if outlook.wanting { LOOK } else { IDLE };
        self.look_again(id, if idle > now { idle.min(now.plus(next)) } else { now.plus(next) });
    }

    /// Gives a bucket's whole share back and wants nothing of it.
    pub(super) fn release(&mut self, now: Nanos, id: BucketId, buckets: &mut dyn Buckets) {
        self.shrink(now, id, Share::NONE, Rate::ZERO, buckets);
    }

    /// Comes down to `share`, first here and for good, then in the log; tokens above it go along.
    fn shrink(&mut self, now: Nanos, id: BucketId, share: Share, want: Rate, buckets: &mut dyn Buckets) {
        let Some(mine) = self.mine.get_mut(&id) else { return };
        let had = mine.share();
        if had != share {
            let above = mine.bucket.map_or(Tokens::ZERO, |bucket| buckets.shrink(bucket, now, share));
            mine.released.rate += u128::from((had.rate - share.rate).0);
            mine.released.burst += u128::from((had.burst - share.burst).0);
            mine.released.tokens += u128::from(above.0);
        }
        if want == Rate::ZERO || mine.requeue {
            mine.min = Tokens::permits(1).min(mine.configured.burst);
        }
        if mine.want > Rate::ZERO || mine.born.is_some() {
            self.dirty.insert(id);
        }
        mine.want = want;
    }

    /// Has policy look at a bucket at `at`, or earlier if that was planned.
    fn look_again(&mut self, id: BucketId, at: Nanos) {
        let Some(mine) = self.mine.get_mut(&id) else { return };
        if mine.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(due) = mine.due.replace(at) {
            self.timers.remove(&(due, id));
        }
        self.timers.insert((at, id));
    }
}

/// What to want before anything is held: the demand so far, and at least a permit per second.
fn first_want(mine: &mut Mine, now: Nanos) -> Rate {
    let demand = mine.demand.rate(now);
    Rate(clamp(u128::from(demand.0) * 11 / 10)).max(Rate::of(1, Nanos::from_secs(1))).min(mine.configured.rate)
}

fn outlook(shared: &Shared, session: u64, want: Rate, rate: Rate, burst: Tokens) -> Outlook {
    let limit = crate::core::fold::LimitNumbers { version: 0, rate, burst };
    let goals = shared.targets_if(limit, session, want);
    let (mut held_rate, mut held_burst) = (0u128, 0u128);
    let mut outlook = Outlook {
        goal: Share::NONE,
        leases: shared.leases.len() as u64,
        lack: 0,
        lacks_burst: false,
        queue: false,
        wanting: false,
        over: false,
    };
    for (lease, goal) in shared.leases.iter().zip(goals) {
        let share = lease.share();
        held_rate += u128::from(share.rate.0);
        held_burst += u128::from(share.burst.0);
        if lease.session == session {
            outlook.goal = goal;
            continue;
        }
        outlook.wanting |= share.rate < lease.want.min(rate);
        // Within 1/64 of what it should have, a lease lacks nothing: rounding must not cause traffic.
        let due = lease.want.min(goal.rate);
        if share.rate.0 < due.0 - due.0 / 64 {
            outlook.lack += u128::from((due - share.rate).0);
        }
        outlook.lacks_burst |=
            share.burst.0 < goal.burst.0 - goal.burst.0 / 16 || (goal != Share::NONE && share.burst < lease.min);
        outlook.queue |= goal == Share::NONE && lease.want > Rate::ZERO;
    }
    outlook.over = held_rate > rate.0.into() || held_burst > burst.0.into();
    outlook
}
