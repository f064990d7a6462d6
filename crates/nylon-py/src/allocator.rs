//! The allocator of everything in this extension.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name.
const PURGE_DELAY: c_int = 15;
/// For how long freed memory waits for the next who needs it, in milliseconds. mimalloc 3 waits for a second, in which a burst
/// of streams frees and takes tens of MiB; mimalloc 2 waited as long as this.
const PURGED_AFTER: c_long = 10;

/// Sets it up; `MIMALLOC_PURGE_DELAY` of the environment goes before.
pub(crate) fn set_up() {
    // SAFETY: writes an option that the allocator reads at any time; the number is checked by it.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, PURGED_AFTER) };
}
