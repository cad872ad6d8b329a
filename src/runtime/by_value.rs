//! Decisions by scope value, without a key that somebody holds: in place where the bucket is local and idle, which costs
//! no slot; otherwise with a key that ends when it was not used for a while.

use super::acquire;
use super::decide::{self, TIERS_MAX};
use super::decision::{self, Basis, Decision};
use super::inner::{check_value, Inner};
use super::keys::Place;
use super::limit_of::LimitOf;
use super::path::{self, Parts};
use super::slot::KeyId;
use super::tiers::InForce;
use crate::core::bucket::Bucket;
use crate::core::units::Tokens;
use crate::{Error, ErrorKind};
use std::sync::Arc;

/// How often a key that ended before it was used is looked for again.
const ATTEMPTS: usize = 4;

/// Takes from the bucket of one value.
pub(super) fn try_acquire(inner: &Arc<Inner>, limit: &Arc<LimitOf>, value: &str, permits: u64) -> Decision {
    if limit.is_plain() {
        if let Some(decision) = in_place(inner, limit, value, permits) {
            return decision;
        }
    }
    with_keys(|| inner.key(limit, value, false), |key| acquire::try_acquire(*key, permits))
}

/// Takes from the buckets of all tiers or from none.
pub(super) fn try_acquire_tiers(
    inner: &Arc<Inner>,
    tiers: &[InForce],
    values: &[&str; TIERS_MAX],
    permits: u64,
) -> Decision {
    let find = || {
        let mut keys = [(KeyId(0), 0); TIERS_MAX];
        for ((tier, value), place) in tiers.iter().zip(values).zip(&mut keys) {
            *place = (inner.key(&tier.limit, value, false)?, tier.weight);
        }
        Ok(keys)
    };
    with_keys(find, |keys| {
        let parts = match Parts::of(&keys[..tiers.len()]) {
            Ok(parts) => parts,
            Err(kind) => return Decision::failed(kind),
        };
        path::try_parts(parts.all(), permits).unwrap_or_else(|| acquire::slowly(parts.all(), permits, None))
    })
}

/// Decides with keys that nobody holds: they may end in between, and then are looked for again.
fn with_keys<K>(find: impl Fn() -> Result<K, Error>, decide: impl Fn(&K) -> Decision) -> Decision {
    for _ in 0..ATTEMPTS {
        let decision = match find() {
            Ok(keys) => decide(&keys),
            Err(why) => return Decision::failed(why.kind()),
        };
        if decision.status != ErrorKind::Stale as i32 {
            return decision;
        }
    }
    Decision::failed(ErrorKind::Stale)
}

/// Takes from a local bucket that is idle, or new; `None` when it is live in a slot.
fn in_place(inner: &Arc<Inner>, limit: &Arc<LimitOf>, value: &str, permits: u64) -> Option<Decision> {
    if let Err(why) = inner.check().and_then(|()| check_value(value)) {
        return Some(Decision::failed(why.kind()));
    }
    if permits == 0 {
        return Some(Decision::failed(ErrorKind::Argument));
    }
    let bucket = limit.bucket(value);
    let amount = Tokens::permits(permits);
    let mut stripe = limit.stripe(bucket);
    // Without a clock where it can be spared: it is most of the cost.
    let spent = stripe.spend(bucket, amount).map(|left| Decision::granted(left.whole(), Basis::Local));
    let known = spent.or_else(|| stripe.idle(bucket, inner.clock().now(), |bucket| take(limit, bucket, amount)));
    let decision = match known {
        Some(decision) => decision,
        None => {
            drop(stripe);
            let Some(with_room) = inner.stripe_with_room(limit, bucket) else {
                return Some(Decision::failed(ErrorKind::Capacity));
            };
            stripe = with_room;
            let now = inner.clock().now();
            if stripe.get(bucket).is_none() {
                let new = stripe.bucket(None, now);
                stripe.set(bucket, Place::Idle(new.save()));
            }
            stripe.idle(bucket, now, |bucket| take(limit, bucket, amount))?
        }
    };
    match decision.is_granted() {
        true => stripe.granted = stripe.granted.saturating_add(permits),
        false => stripe.refused = stripe.refused.saturating_add(permits),
    }
    Some(decision)
}

fn take(limit: &LimitOf, bucket: &mut Bucket, amount: Tokens) -> Decision {
    if bucket.take(amount) {
        return Decision::granted(bucket.level().whole(), Basis::Local);
    }
    let left = bucket.level().whole();
    if amount > bucket.cap() {
        return Decision::no(decision::NEVER, u64::MAX, left, Basis::Local);
    }
    // While the limit stands still nobody knows when; at full pace it would take so long.
    let wait = bucket.wait_for(amount).unwrap_or_else(|| decide::at_rate(limit.rate(), amount));
    Decision::no(decision::DENIED, wait.0.max(1), left, Basis::Local)
}
