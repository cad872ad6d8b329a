//! SipHash-2-4 with 128 bits out: the hash behind bucket identities and record checksums.
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). Written out here because the
//! core depends on nothing and the value is part of the log format: it must never change.

const fn round(mut v: [u64; 4]) -> [u64; 4] {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
    v
}

fn absorb(mut v: [u64; 4], word: u64) -> [u64; 4] {
    v[3] ^= word;
    v = round(round(v));
    v[0] ^= word;
    v
}

/// The 128-bit SipHash-2-4 of `bytes` under the key (`k0`, `k1`).
pub fn hash128(k0: u64, k1: u64, bytes: &[u8]) -> u128 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut words = bytes.chunks_exact(8);
    for chunk in &mut words {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        v = absorb(v, u64::from_le_bytes(word));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    last[7] = bytes.len() as u8;
    v = absorb(v, u64::from_le_bytes(last));
    v[2] ^= 0xee;
    v = round(round(round(round(v))));
    let low = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    v = round(round(round(round(v))));
    let high = v[0] ^ v[1] ^ v[2] ^ v[3];
    u128::from(low) | u128::from(high) << 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use siphasher::sip128::{Hasher128, SipHasher24};
    use std::hash::Hasher;

    proptest! {
        #[test]
        fn it_is_siphash_2_4_128(k0: u64, k1: u64, bytes in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut reference = SipHasher24::new_with_keys(k0, k1);
            reference.write(&bytes);
            prop_assert_eq!(hash128(k0, k1, &bytes), reference.finish128().as_u128());
        }
    }
}
