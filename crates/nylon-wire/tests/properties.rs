//! What holds for every frame, every name and every payload.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::{Bytes, BytesMut};
use nylon_wire::msgpack::{Reader, Writer};
use nylon_wire::{Credit, Frame, peek, subject};
use proptest::prelude::*;
use support::{any as second_opinion, frames, meaning};

fn encoded(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out);
    out.freeze()
}

fn written(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut Writer::new(&mut out));
    out.to_vec()
}

proptest! {
    // A failing input is printed; it becomes a vector, not a file that nobody reads.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_comes_back_and_rmp_can_read_it(frame in frames::frame()) {
        let payload = encoded(&frame);
        let decoded = Frame::decode(&payload).unwrap();
        prop_assert_eq!(&decoded, &frame);
        prop_assert_eq!(encoded(&decoded), payload.clone());
        prop_assert_eq!(frame.header().copied(), peek(&payload).ok().map(|(_, header)| header));
        meaning::of(&decoded);
        let mut rest = &payload[..];
        prop_assert!(second_opinion::read(&mut rest).is_array());
        prop_assert!(rest.is_empty(), "rmp left {} bytes", rest.len());
    }

    #[test]
    fn a_frame_cut_short_is_refused(frame in frames::frame(), cut in any::<prop::sample::Index>()) {
        let payload = encoded(&frame);
        let cut = cut.index(payload.len());
        prop_assert!(Frame::decode(&payload.slice(..cut)).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = peek(&data);
        let _ = Reader::new(&data).skip(0);
        if let Ok(frame) = Frame::decode(&Bytes::from(data)) {
            prop_assert_eq!(Frame::decode(&encoded(&frame)), Ok(frame));
        }
    }

    #[test]
    fn integers_are_those_of_rmp(value in prop_oneof![any::<u64>(), any::<u32>().prop_map(u64::from), 0..70_000u64]) {
        let mut theirs = Vec::new();
        rmp::encode::write_uint(&mut theirs, value).unwrap();
        prop_assert_eq!(written(|w| w.uint(value)), theirs);
    }

    #[test]
    fn text_and_bytes_are_those_of_rmp(text in ".{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..70_000)) {
        let mut theirs = Vec::new();
        rmp::encode::write_str(&mut theirs, &text).unwrap();
        rmp::encode::write_bin(&mut theirs, &bytes).unwrap();
        prop_assert_eq!(written(|w| { w.str(&text); w.bin(&bytes) }), theirs);
    }

    #[test]
    fn heads_are_those_of_rmp(len in prop_oneof![0..40u32, 65_000..66_000u32]) {
        let mut theirs = Vec::new();
        rmp::encode::write_array_len(&mut theirs, len).unwrap();
        rmp::encode::write_map_len(&mut theirs, len).unwrap();
        prop_assert_eq!(written(|w| { w.array(len as usize); w.map(len as usize) }), theirs);
    }

    #[test]
    fn whatever_rmp_writes_is_skipped_whole(value in any::<i64>(), float in any::<f64>(), kind in any::<i8>()) {
        let mut theirs = Vec::new();
        rmp::encode::write_array_len(&mut theirs, 4).unwrap();
        rmp::encode::write_sint(&mut theirs, value).unwrap();
        rmp::encode::write_f64(&mut theirs, float).unwrap();
        rmp::encode::write_f32(&mut theirs, float as f32).unwrap();
        rmp::encode::write_ext_meta(&mut theirs, 3, kind).unwrap();
        theirs.extend_from_slice(b"abc");
        prop_assert_eq!(Reader::new(&theirs).skip(0), Ok(0..theirs.len()));
    }

    #[test]
    fn every_name_is_one_token_and_comes_back(name in ".{1,40}") {
        let token = subject::escape(&name).unwrap();
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=".contains(&byte);
        prop_assert!(token.bytes().all(legal));
        prop_assert_eq!(subject::unescape(&token).unwrap(), name.clone());
        let service = subject::service_name(&name).unwrap();
        prop_assert!(service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)));
    }

    #[test]
    fn a_token_that_is_read_is_the_one_that_is_written(token in "[a-c.=0-9A-F]{0,12}") {
        if let Ok(name) = subject::unescape(&token) {
            prop_assert_eq!(subject::escape(&name).unwrap(), token);
        }
    }

    #[test]
    fn every_slot_is_found_again(thread in any::<u32>(), slot in any::<u32>()) {
        let subject = subject::reply("nylon", "g", thread, slot).unwrap();
        prop_assert_eq!(subject::parse_slot(&subject), Some(slot));
    }

    #[test]
    fn credit_is_neither_made_nor_lost(start in any::<u32>(), steps in prop::collection::vec((any::<bool>(), 0..9000u32), 0..60)) {
        let mut credit = Credit::new(start);
        let (mut granted, mut spent) = (u64::from(start), 0);
        for (grant, bytes) in steps {
            if grant {
                credit.grant(bytes);
                granted += u64::from(bytes);
            } else {
                let length = credit.allowance(bytes as usize);
                if length > 0 {
                    prop_assert!(credit.take(length));
                    spent += Credit::cost(length);
                }
            }
            prop_assert_eq!(credit.left(), granted - spent);
        }
    }
}
