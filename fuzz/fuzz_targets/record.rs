//! Any bytes are a record or a refusal, and one record has one encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::core::record::Record;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::decode(bytes) {
        assert_eq!(record.encode(), bytes);
    }
    // The fuzzer cannot guess checksums: seal the bytes for it.
    if let Ok(record) = Record::decode_unsealed(bytes) {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
});
