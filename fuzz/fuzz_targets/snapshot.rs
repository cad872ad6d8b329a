//! A snapshot restores what was written; any other bytes restore nothing that its digest does not cover.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::core::snapshot::{chunks, digest, Assembler};
use tidegate_fuzz::{fold, record, Input};

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let (spoil, at, other) = (input.byte(), input.u64(), input.bytes());
    let mut veteran = fold(&mut input);
    let slot = spoil % 2;
    let mut assembler = Assembler::default();
    assembler.push(&other, &other);
    let written = chunks(&veteran, slot);
    for chunk in &written {
        let (mut key, mut value) = (chunk.key.clone(), chunk.value.clone());
        if spoil & 2 != 0 {
            // One bit is wrong, or the end is missing.
            let at = at as usize % value.len();
            value[at] ^= 1 << (spoil >> 5);
            if spoil & 4 != 0 {
                value.truncate(at);
            }
        }
        if spoil & 8 != 0 {
            key.push(0);
        }
        assembler.push(&key, &value);
    }
    let restored = assembler.newest();
    if spoil & 10 != 0 {
        // A flipped bit can leave it as it was: then it is the same all the same.
        assert!(restored.is_none_or(|(_, fold)| fold == veteran));
        return;
    }
    let (from, mut restored) = restored.expect("a whole snapshot is read");
    assert_eq!((from, &restored), (slot, &veteran));
    assert_eq!(digest(&restored), digest(&veteran));
    let mut later = Input(&other);
    while !later.is_empty() {
        if let Some(record) = record(&mut later) {
            veteran.apply(veteran.next(), &record);
            restored.apply(restored.next(), &record);
            assert_eq!(restored, veteran);
        }
    }
});
