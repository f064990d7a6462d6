//! Any bytes: no panic; and what is taken keeps its meaning through encode and decode.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use nylon_wire::{Frame, peek};

fuzz_target!(|data: &[u8]| {
    let payload = Bytes::copy_from_slice(data);
    let peeked = peek(data);
    let Ok(frame) = Frame::decode(&payload) else { return };
    if let Some(header) = frame.header() {
        assert_eq!(peeked, Ok((frame.kind(), *header)));
    }
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    assert_eq!(Frame::decode(&out.freeze()), Ok(frame));
});
