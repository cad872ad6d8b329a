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
    Begun::new(k0, k1).then(bytes).finish()
}

/// A hash of which a part is known: what comes can be added many times without the beginning being hashed again.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    v: [u64; 4],
    /// Bytes that do not fill a word yet, lowest first.
    rest: u64,
    length: u64,
}

impl Begun {
    /// Of nothing yet, under the key (`k0`, `k1`).
    pub fn new(k0: u64, k1: u64) -> Begun {
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Begun { v, rest: 0, length: 0 }
    }

    /// The same and `bytes` after it.
    #[must_use]
    pub fn then(mut self, bytes: &[u8]) -> Begun {
        let mut words = bytes.chunks_exact(8);
        // What each word leaves over for the next.
        let over = 8 * (self.length % 8) as u32;
        for chunk in &mut words {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word), over);
        }
        let tail = words.remainder();
        let word = match (bytes.last_chunk(), tail.len()) {
            (_, 0) => 0,
            // The last eight bytes without those that were absorbed: byte by byte takes as long as the hash.
            (Some(last), left) => u64::from_le_bytes(*last) >> (64 - 8 * left),
            (None, _) => tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        if over as usize + 8 * tail.len() < 64 {
            self.rest |= word << over;
        } else {
            self.add(word, over);
        }
        self.length += bytes.len() as u64;
        self
    }

    /// Absorbs a word's worth of bytes behind `over` bits that are there.
    fn add(&mut self, word: u64, over: u32) {
        self.v = absorb(self.v, self.rest | word << over);
        self.rest = if over == 0 { 0 } else { word >> (64 - over) };
    }

    /// The hash.
    pub fn finish(self) -> u128 {
        let mut v = absorb(self.v, self.rest | self.length << 56);
        v[2] ^= 0xee;
        v = round(round(round(round(v))));
        let low = v[0] ^ v[1] ^ v[2] ^ v[3];
        v[1] ^= 0xdd;
        v = round(round(round(round(v))));
        let high = v[0] ^ v[1] ^ v[2] ^ v[3];
        u128::from(low) | u128::from(high) << 64
    }
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

        #[test]
        fn it_is_the_same_wherever_it_was_interrupted(
            bytes in prop::collection::vec(any::<u8>(), 0..70), cuts in prop::collection::vec(any::<u8>(), 0..5),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) % (bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
            let whole = parts.fold(Begun::new(1, 2), Begun::then);
            prop_assert_eq!(whole.finish(), hash128(1, 2, &bytes));
        }
    }
}
