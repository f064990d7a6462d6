//! `protocol/vectors/` is the judge: valid ones to the same meaning and back to the same bytes, future ones to the
//! meaning v1 gives them, invalid ones refused for the reason they name.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::{Bytes, BytesMut};
use nylon_wire::{DecodeError, Frame, FrameType, peek};
use support::{cases, hex, meaning};

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.to_vec()
}

#[test]
fn valid_ones_mean_what_they_say_and_come_back_byte_for_byte() {
    for case in cases("valid") {
        let payload = Bytes::from(case.payload.clone());
        let frame = Frame::decode(&payload).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(meaning::of(&frame), case.value, "{}", case.name);
        assert_eq!(hex(&encoded(&frame)), hex(&case.payload), "{}", case.name);
        match frame.header() {
            Some(header) => assert_eq!(peek(&payload), Ok((frame.kind(), *header)), "{}", case.name),
            None => assert!(peek(&payload).is_err(), "{}", case.name),
        }
    }
}

#[test]
fn future_ones_survive() {
    for case in cases("future") {
        let frame = Frame::decode(&Bytes::from(case.payload)).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(meaning::of(&frame), case.value, "{}", case.name);
        let canonical = Bytes::from(encoded(&frame));
        assert_eq!(Frame::decode(&canonical), Ok(frame), "{}", case.name);
    }
}

#[test]
fn invalid_ones_are_refused_for_their_reason() {
    for case in cases("invalid") {
        let error = Frame::decode(&Bytes::from(case.payload)).err().unwrap_or_else(|| panic!("{}: taken", case.name));
        assert_eq!(class(&error), case.error, "{}: {error}", case.name);
    }
}

#[test]
fn every_frame_type_has_vectors_of_every_kind() {
    for kind in ["valid", "future", "invalid"] {
        let cases = cases(kind);
        for frame in FrameType::ALL {
            let name = format!("{frame:?}").to_uppercase();
            let seen = cases.iter().any(|case| case.frame.replace('_', "") == name);
            assert!(seen, "{name} has no {kind} vector");
        }
    }
}

fn class(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Truncated(_) => "truncated",
        DecodeError::Trailing(_) => "trailing",
        DecodeError::Type { .. } => "type",
        DecodeError::Utf8(_) => "utf8",
        DecodeError::Depth(_) => "depth",
        DecodeError::Range { .. } => "range",
        DecodeError::Missing(_) => "missing",
        DecodeError::SessionId(_) => "session_id",
        DecodeError::UnknownFrame(_) => "unknown_frame",
        DecodeError::UnknownOperation(_) => "unknown_operation",
        DecodeError::Version(_) => "version",
    }
}
