//! See `nylon_proxy::fuzz::websocket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nylon_proxy::fuzz::websocket(data));
