//! Which bucket is meant, and which partition of the log is its home: equal in every process, language and
//! version for ever, because two processes that disagree would each hold a limit of their own.

use super::siphash::Begun;

/// Key of the identity hash: "tidegate" and "bucket-1" in ASCII. Part of the log format.
const KEY: (u64, u64) = (0x7469_6465_6761_7465, 0x6275_636b_6574_2d31);

/// The identity of one bucket: a hash of (limiter, tier, scope value).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketId(pub u128);

/// The buckets of one tier of a limiter: what their identities have in common.
#[derive(Clone, Copy, Debug)]
pub struct Buckets(Begun);

impl Buckets {
    /// Of tier `tier` of the limiter named `limiter`.
    pub fn of(limiter: &str, tier: u32) -> Buckets {
        Buckets(identity(b'b', limiter, tier))
    }

    /// The bucket of `value`.
    #[inline]
    pub fn id(&self, value: &str) -> BucketId {
        BucketId(self.0.then(value.as_bytes()).finish())
    }
}

/// The bucket of `value` in tier `tier` of the limiter named `limiter`.
pub fn bucket_id(limiter: &str, tier: u32, value: &str) -> BucketId {
    Buckets::of(limiter, tier).id(value)
}

/// The identity of the limit that all buckets of one tier share.
pub fn limit_id(limiter: &str, tier: u32) -> u128 {
    identity(b'l', limiter, tier).finish()
}

fn identity(kind: u8, limiter: &str, tier: u32) -> Begun {
    // The length goes first, so that ("ab", "c") and ("a", "bc") are different buckets.
    let begun = Begun::new(KEY.0, KEY.1).then(&[kind]).then(&(limiter.len() as u64).to_le_bytes());
    begun.then(limiter.as_bytes()).then(&tier.to_le_bytes())
}

/// The home partition of `id` among `partitions` (at least 1): Lamping and Veach, "A Fast, Minimal Memory,
/// Consistent Hash Algorithm" (2014), in integers. Growing the count moves keys only to new partitions.
pub fn partition_of(id: BucketId, partitions: u32) -> u32 {
    let mut seed = id.0 as u64 ^ (id.0 >> 64) as u64;
    let (mut home, mut next) = (0u64, 0u64);
    while next < u64::from(partitions) {
        home = next;
        seed = seed.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // (home + 1) * 2^31 / ((seed >> 33) + 1), which the paper computes in floating point.
        next = ((home + 1) << 31) / ((seed >> 33) + 1);
    }
    home as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_and_homes_never_change() {
        // Golden: a change here is a change of the log format.
        let golden = [("orders", 0, "", GOLDEN[0]), ("orders", 0, "tenant-1", GOLDEN[1]), ("", 7, "ü", GOLDEN[2])];
        for (limiter, tier, value, (id, homes)) in golden {
            let bucket = bucket_id(limiter, tier, value);
            let found = [1, 2, 12, 24, 1000].map(|partitions| partition_of(bucket, partitions));
            assert_eq!((bucket.0, found), (id, homes), "{limiter}/{tier}/{value}: {:#034x} {found:?}", bucket.0);
        }
    }
    const GOLDEN: [(u128, [u32; 5]); 3] = [
        (0xa979b6e23173255c335b8c7914b8e19e, [0, 1, 4, 12, 731]),
        (0xea8593f173591c9ca5c73d7f73fbeaf6, [0, 0, 0, 15, 305]),
        (0xdc07668213f65225cf37087b9ff881e3, [0, 1, 3, 20, 343]),
    ];

    #[test]
    fn names_do_not_run_into_each_other() {
        assert_ne!(bucket_id("ab", 0, "c"), bucket_id("a", 0, "bc"));
        assert_ne!(bucket_id("a", 0, ""), bucket_id("a", 1, ""));
        assert_ne!(bucket_id("a", 0, "").0, limit_id("a", 0));
    }

    #[test]
    fn growth_moves_keys_only_to_new_partitions_and_about_the_right_part_of_them() {
        let moved = (0..10_000)
            .filter(|i| {
                let id = bucket_id("grow", 0, &i.to_string());
                let (before, after) = (partition_of(id, 12), partition_of(id, 24));
                assert!(before == after || after >= 12);
                before != after
            })
            .count();
        assert!((4_700..5_300).contains(&moved), "{moved} of 10,000 moved");
    }

    #[test]
    fn keys_spread_evenly() {
        let mut count = [0u32; 12];
        (0..12_000).for_each(|i| count[partition_of(bucket_id("x", 0, &i.to_string()), 12) as usize] += 1);
        assert!(count.iter().all(|n| (850..1_150).contains(n)), "{count:?}");
    }
}
