//! See `nylon_proxy::fuzz::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nylon_proxy::fuzz::request(data));
