//! The allocator of everything in this extension.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name.
const PURGE_DELAY: c_int = 15;
/// For how long freed memory waits for the next who needs it, in milliseconds. mimalloc 3 waits for a second, in which a burst
/// of streams frees and takes tens of MiB; mimalloc 2 waited as long as this.
const PURGED_AFTER: c_long = 10;
/// `mi_option_allow_thp`: whether to ask the kernel for huge pages. They are 2 MiB each, a gateway with 64 connections
/// needs 6 MiB, and serves as much without them.
const HUGE_PAGES: c_int = 43;

/// Sets it up when the extension is loaded, before anything is allocated: what the first allocation takes from the system lasts.
/// `MIMALLOC_PURGE_DELAY` and `MIMALLOC_ALLOW_THP` of the environment go before.
#[used]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
static SET_UP: extern "C" fn() = set_up;

extern "C" fn set_up() {
    let set = |option, value| {
        // SAFETY: writes an option that the allocator reads at any time; the number is checked by it.
        unsafe { libmimalloc_sys::mi_option_set_default(option, value) };
    };
    // First: where it begins with huge pages turned off, it turns them off for the whole process and all that it starts, also
    // for arrays of plugins.
    // SAFETY: does nothing the second time.
    unsafe { libmimalloc_sys::mi_process_init() };
    set(PURGE_DELAY, PURGED_AFTER);
    set(HUGE_PAGES, 0);
}
