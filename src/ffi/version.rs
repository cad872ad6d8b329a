//! Which library this is.

use super::boundary::boundary;
use std::ffi::c_char;

/// The number of this ABI. It changes when anything that a compiled caller can see changes meaning; additions do not
/// change it. Compare it with tidegate_abi_version() once, before any other call.
pub const TIDEGATE_ABI_VERSION: u32 = 1;
/// This build has the Kafka storage.
pub const TIDEGATE_FEATURE_KAFKA: u64 = 1;

/// The number of the library's ABI.
#[no_mangle]
pub extern "C" fn tidegate_abi_version() -> u32 {
    boundary!(0, { TIDEGATE_ABI_VERSION })
}

/// The library's version, such as "0.1.0". Static.
#[no_mangle]
pub extern "C" fn tidegate_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    boundary!(c"".as_ptr(), { VERSION.as_ptr().cast() })
}

/// What this build can do: TIDEGATE_FEATURE_* bits.
#[no_mangle]
pub extern "C" fn tidegate_features() -> u64 {
    boundary!(0, {
        if cfg!(feature = "kafka") {
            TIDEGATE_FEATURE_KAFKA
        } else {
            0
        }
    })
}
