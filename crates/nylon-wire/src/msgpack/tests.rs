use super::*;
use crate::{DecodeError, Limits};
use bytes::BytesMut;

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out));
    out.to_vec()
}

#[test]
fn integers_take_the_smallest_form_and_any_form_is_read() {
    for (value, length) in [(0, 1), (127, 1), (128, 2), (255, 2), (256, 3), (65535, 3), (65536, 5), (1 << 32, 9)] {
        let bytes = written(|w| w.uint(value));
        assert_eq!(bytes.len(), length, "{value}");
        assert_eq!(Reader::new(&bytes).uint(), Ok(value));
    }
    for wide in [&[0xcc, 7][..], &[0xcd, 0, 7], &[0xce, 0, 0, 0, 7], &[0xd0, 7], &[0xd1, 0, 7], &[0xd2, 0, 0, 0, 7]] {
        assert_eq!(Reader::new(wide).uint(), Ok(7));
    }
    assert!(Reader::new(&[0xff]).uint().is_err());
    assert!(Reader::new(&[0xd0, 0xff]).uint().is_err());
    assert!(Reader::new(&[0xca, 0, 0, 0, 0]).uint().is_err());
}

#[test]
fn lengths_beyond_the_end_are_refused_before_anything_is_made() {
    for bytes in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc9, 0xff, 0xff, 0xff, 0xff, 1],
        &[0x92, 1],
    ] {
        assert!(matches!(Reader::new(bytes).skip(0), Err(DecodeError::Truncated(_))), "{bytes:?}");
    }
    assert!(Reader::new(&[0xdd, 0xff, 0xff, 0xff, 0xff]).array().is_err());
    assert!(Reader::new(&[0xc4, 2, 0]).bin().is_err());
}

#[test]
fn every_type_can_be_skipped() {
    for bytes in [
        &[0xc0][..],
        &[0xc2],
        &[0xc3],
        &[0x7f],
        &[0xe0],
        &[0xcc, 1],
        &[0xcd, 1, 1],
        &[0xce, 1, 1, 1, 1],
        &[0xcf, 1, 1, 1, 1, 1, 1, 1, 1],
        &[0xd0, 1],
        &[0xd1, 1, 1],
        &[0xd2, 1, 1, 1, 1],
        &[0xd3, 1, 1, 1, 1, 1, 1, 1, 1],
        &[0xca, 1, 1, 1, 1],
        &[0xcb, 1, 1, 1, 1, 1, 1, 1, 1],
        &[0xa1, 1],
        &[0xd9, 1, 1],
        &[0xda, 0, 1, 1],
        &[0xdb, 0, 0, 0, 1, 1],
        &[0xc4, 1, 1],
        &[0xc5, 0, 1, 1],
        &[0xc6, 0, 0, 0, 1, 1],
        &[0xd4, 1, 1],
        &[0xd5, 1, 1, 1],
        &[0xd6, 1, 1, 1, 1, 1],
        &[0xd7, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        &[0xc7, 1, 1, 1],
        &[0xc8, 0, 1, 1, 1],
        &[0xc9, 0, 0, 0, 1, 1, 1],
        &[0x92, 1, 0x91, 1],
        &[0x81, 0xa1, 65, 1],
        &[0xdc, 0, 1, 1],
        &[0xdd, 0, 0, 0, 1, 1],
        &[0xde, 0, 1, 1, 1],
        &[0xdf, 0, 0, 0, 1, 1, 1],
    ] {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.skip(0), Ok(0..bytes.len()), "{bytes:?}");
        for cut in 0..bytes.len() {
            assert!(Reader::new(&bytes[..cut]).skip(0).is_err(), "{bytes:?} cut at {cut}");
        }
    }
    assert!(Reader::new(&[0xc1]).skip(0).is_err());
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |depth: usize| {
        let mut bytes = vec![0x91; depth];
        bytes.push(0);
        bytes
    };
    assert!(Reader::new(&nested(Limits::MAX_DEPTH)).skip(0).is_ok());
    assert_eq!(Reader::new(&nested(Limits::MAX_DEPTH + 1)).skip(0), Err(DecodeError::Depth(Limits::MAX_DEPTH)));
    assert!(Reader::new(&nested(100_000)).skip(0).is_err());
}

#[test]
fn text_must_be_utf8() {
    assert_eq!(Reader::new(&[0xa2, 0xc3, 0xa9]).str(), Ok("é"));
    assert_eq!(Reader::new(&[0xa1, 0xff]).str(), Err(DecodeError::Utf8(1)));
    assert!(Reader::new(&[0xc4, 1, 65]).str().is_err());
}
