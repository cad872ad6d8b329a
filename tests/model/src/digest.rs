//! One number for a whole agent: what it says of itself by `Debug`, hashed as it is written, without its counters.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{Debug, Write};
use std::hash::Hasher;

/// Counters only count: two agents that differ in nothing else do the same for ever.
const SKIPPED: &str = "counters";

#[derive(Default)]
struct Digest {
    hasher: DefaultHasher,
    skipping: bool,
}

impl Write for Digest {
    fn write_str(&mut self, piece: &str) -> std::fmt::Result {
        self.skipping |= piece == SKIPPED;
        if self.skipping {
            // A flat struct: its first closing brace ends it.
            self.skipping = !piece.ends_with('}');
        } else {
            self.hasher.write(piece.as_bytes());
        }
        Ok(())
    }
}

/// The digest of anything that says all it is.
pub fn of(value: &impl Debug) -> u64 {
    let mut digest = Digest::default();
    write!(digest, "{value:?}").expect("a digest takes all that is written");
    digest.hasher.finish()
}
