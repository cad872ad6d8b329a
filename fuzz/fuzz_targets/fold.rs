//! Whatever is said, the shares of a bucket never add up to more than its limit.
//!
//! Records are cut from the input: two bytes of length, then an unsealed record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::core::fold::Fold;
use tidegate::core::record::Record;

fuzz_target!(|bytes: &[u8]| {
    let mut fold = Fold::default();
    let mut rest = bytes;
    let mut redefined = false;
    while let Some((length, tail)) = rest.split_at_checked(2) {
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(tail.len());
        let (record, tail) = tail.split_at(length);
        rest = tail;
        let Ok(record) = Record::decode_unsealed(record) else { continue };
        let before: Vec<_> = fold.limits().collect();
        let next = fold.next();
        fold.apply(next, &record);
        redefined |= before.into_iter().any(|(id, limit)| fold.limit(id) != Some(limit));
        if redefined {
            continue; // a lowered limit may be overdrawn until its holders have come down
        }
        for bucket in fold.buckets().values() {
            let limit = fold.limit(bucket.limit).expect("a bucket has a limit");
            let rate: u128 = bucket.leases.iter().map(|lease| u128::from(lease.share().rate.0)).sum();
            let burst: u128 = bucket.leases.iter().map(|lease| u128::from(lease.share().burst.0)).sum();
            assert!(rate <= limit.rate.0.into());
            assert!(burst + u128::from(bucket.pool.0) <= limit.burst.0.into());
        }
    }
});
