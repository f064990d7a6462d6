//! See `nylon_proxy::fuzz::response`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nylon_proxy::fuzz::response(data));
