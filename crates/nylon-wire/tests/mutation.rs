//! Vectors and corpus, damaged again and again for `NYLON_FUZZ_SECONDS` (default 3): no panic, and what is taken keeps
//! its meaning. The search guided by coverage is `tools/fuzz`; this one needs nothing but cargo.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::{Bytes, BytesMut};
use nylon_wire::{Frame, peek};
use std::time::{Duration, Instant};
use support::{
    cases,
    damage::{Random, damage},
    hex, meaning, protocol, unhex,
};

/// What MessagePack begins with, at the edges of its ranges.
const SPECIAL: [u8; 12] = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xc0, 0xc1, 0xc4, 0xcf, 0xdd, 0xff];

fn inputs() -> Vec<Vec<u8>> {
    let corpus = std::fs::read_to_string(protocol().join("corpus/frames.hex")).unwrap();
    let mut inputs: Vec<Vec<u8>> = corpus.lines().map(unhex).collect();
    assert!(inputs.len() > 100, "the corpus has only {} inputs", inputs.len());
    for kind in ["valid", "future", "invalid"] {
        inputs.extend(cases(kind).into_iter().map(|case| case.payload));
    }
    inputs
}

/// Says whether the payload was taken.
fn check(data: &[u8]) -> bool {
    let payload = Bytes::copy_from_slice(data);
    let peeked = peek(data);
    let Ok(frame) = Frame::decode(&payload) else { return false };
    if let Some(header) = frame.header() {
        assert_eq!(peeked, Ok((frame.kind(), *header)));
    }
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    assert_eq!(Frame::decode(&out.freeze()), Ok(frame));
    true
}

#[test]
fn the_corpus_and_damaged_frames_are_read_without_panic() {
    let inputs = inputs();
    let mut taken = inputs.iter().filter(|input| check(input)).count();
    let seconds = std::env::var("NYLON_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let until = Instant::now() + Duration::from_secs(seconds);
    let seed = std::env::var("NYLON_FUZZ_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().map_or(1, |elapsed| elapsed.as_nanos() as u64 | 1));
    // So that a failure can be repeated.
    println!("NYLON_FUZZ_SEED={seed}");
    let mut random = Random(seed);
    let mut tried = 0u64;
    while Instant::now() < until {
        for _ in 0..1000 {
            let mut data = inputs[random.below(inputs.len())].clone();
            let other = &inputs[random.below(inputs.len())];
            damage(&mut data, &mut random, &SPECIAL, other);
            match std::panic::catch_unwind(|| check(&data)) {
                Ok(ok) => taken += usize::from(ok),
                Err(_) => panic!("this payload breaks the codec: {}", hex(&data)),
            }
            tried += 1;
        }
    }
    println!("{tried} payloads, {taken} of them and of the corpus taken");
    assert!(taken > 100, "nearly nothing was taken: the frames under test are damaged beyond use");
}

#[test]
fn every_accessor_works_on_what_was_taken() {
    for input in inputs() {
        if let Ok(frame) = Frame::decode(&Bytes::from(input)) {
            if !frame_has_odd_extensions(&frame) {
                meaning::of(&frame);
            }
            let _ = format!("{frame:?}");
        }
    }
}

/// The meaning of extensions is read by a helper of the tests that knows neither floats nor keys that are numbers.
fn frame_has_odd_extensions(frame: &Frame) -> bool {
    match frame {
        Frame::Open(open) => !open.ext.is_empty() || !open.snapshot.attributes().is_empty(),
        frame => !format!("{frame:?}").contains("ext: Ext(b\"\")"),
    }
}
