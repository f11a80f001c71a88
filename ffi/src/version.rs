//! Which library is running.

use std::ffi::c_char;

/// The number of the binary interface that this header describes; also the library's SONAME.
pub const LIT_ABI_VERSION: u32 = 0;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// The version of the library that is running, for instance "0.1.0". Static: do not free it.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// The same as a number that can be compared with LIT_VERSION_NUMBER of the header:
/// major * 1000000 + minor * 1000 + patch.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_version_number() -> u32 {
    let part = |text: &str| text.parse::<u32>().unwrap_or(0);
    part(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
        + part(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
        + part(env!("CARGO_PKG_VERSION_PATCH"))
}

/// The binary interface of the library that is running. A program may use a library whose
/// number equals the LIT_ABI_VERSION that it was compiled with, and no other.
///
/// Thread-safe. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn lit_abi_version() -> u32 {
    LIT_ABI_VERSION
}
