//! The driver's hand on the buckets: each call is one atomic step against admissions, because it takes the credit
//! back first.

use super::slot::{self, Cold, Slot};
use crate::core::share::{BucketRef, Buckets, Share, Usage};
use crate::core::units::{Nanos, Tokens};

/// The slots, as the protocol sees them.
#[derive(Default)]
pub(super) struct Slots {
    /// Buckets that grew while somebody waited for them; whoever waits looks only once the share may be used.
    grown: Vec<BucketRef>,
}

impl Slots {
    /// Lets those look again who wait for what has grown: after the validity of the shares was published.
    pub(super) fn call_waiters(&mut self) {
        for bucket in self.grown.drain(..) {
            call_first(bucket);
        }
    }

    /// Runs `act` on the settled bucket, then lets the hot path go on. A slot that was given back does nothing.
    fn at<T: Default>(bucket: BucketRef, now: Nanos, act: impl FnOnce(&mut Cold, &Slot) -> T) -> T {
        let Some(slot) = slot::of_ref(bucket) else { return T::default() };
        let mut guard = slot.cold.lock();
        let Some(cold) = guard.as_mut() else { return T::default() };
        cold.settled(slot, now, |cold| act(cold, slot))
    }
}

/// Lets the first of those who wait for a bucket look again.
fn call_first(bucket: BucketRef) {
    let Some(slot) = slot::of_ref(bucket) else { return };
    if let Some(cold) = slot.cold.lock().as_ref() {
        cold.waiters.call_first();
    }
}

impl Buckets for Slots {
    fn usage(&mut self, bucket: BucketRef, now: Nanos) -> Usage {
        Slots::at(bucket, now, |cold, _| {
            let largest = std::mem::take(&mut cold.largest_refused).max(cold.waiters.first_amount());
            Usage {
                level: cold.level(),
                full: cold.meter.is_full(),
                asked: std::mem::take(&mut cold.asked),
                refused: std::mem::take(&mut cold.is_refused) || !cold.waiters.is_empty(),
                largest,
            }
        })
    }

    fn grow(&mut self, bucket: BucketRef, now: Nanos, share: Share, arrived: Tokens) {
        let waited_for = Slots::at(bucket, now, |cold, slot| {
            cold.reshape(slot, share);
            cold.meter.put(arrived);
            !cold.waiters.is_empty()
        });
        if waited_for {
            self.grown.push(bucket);
        }
    }

    fn shrink(&mut self, bucket: BucketRef, now: Nanos, share: Share) -> Tokens {
        Slots::at(bucket, now, |cold, slot| cold.reshape(slot, share))
    }

    fn forfeit(&mut self, bucket: BucketRef, now: Nanos) {
        self.shrink(bucket, now, Share::NONE);
    }
}
