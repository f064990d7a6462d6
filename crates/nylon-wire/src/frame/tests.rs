use super::*;
use crate::{Action, BodyMode, Ext, Limits, Operation, Phase, PhaseMask, ResponseBody, SessionId, SnapshotFields};
use crate::{DecodeError, ResponseFields, peek, peek_refused};

fn header() -> Header {
    Header { session: SessionId([7; 16]), generation: 3, seq: 1, phase_seq: 2 }
}

fn open(more: bool) -> BytesMut {
    let mut out = BytesMut::new();
    let headers: [(&str, &[u8]); 2] = [("authorization", b"Bearer x"), ("cookie", b"a=\xff")];
    let fields = OpenFields {
        reply: "nylon.v1.h.g.0.1",
        entry: "auth",
        phase: Phase::RequestFilter,
        remaining_ms: 5000,
        mono_ms: 1 << 40,
        snapshot: SnapshotFields {
            method: "GET",
            scheme: "http",
            host: "a.test",
            port: 8080,
            path: "/x",
            query: "q=1",
            params: [("id", "7")],
            headers,
            client_ip: "127.0.0.1",
            timestamp_ms: 1_700_000_000_000,
            content_length: Some(4),
            tls: false,
            websocket: true,
            request_id: "r1",
        },
        payload: Some(b"{}"),
        revision: Some(&Revision { hash: Bytes::from_static(b"h"), loaded_ms: 1 }),
        credit: Limits::INITIAL_CREDIT,
        more,
        body: None,
        response: Some(ResponseFields {
            status: 200,
            headers,
            body_bytes: 1,
            duration_ms: 2,
            error: Some("e"),
            body_length: None,
        }),
        ext: &crate::Ext::empty(),
    };
    encode_open(&mut out, &header(), &fields);
    out
}

#[test]
fn the_header_of_a_type_from_the_future_is_known() {
    let mut payload = open(false).to_vec();
    let at = payload.iter().position(|&byte| byte == FrameType::Open.number()).unwrap();
    payload[at] = 99;
    assert_eq!(peek(&payload), Err(DecodeError::UnknownFrame(99)));
    assert_eq!(peek_refused(&payload), Ok(header()));
    assert!(peek_refused(&payload[..6]).is_err());
}

#[test]
fn an_open_comes_back_as_it_was_written() {
    let payload = open(false).freeze();
    assert_eq!(peek(&payload), Ok((FrameType::Open, header())));
    let Ok(Frame::Open(frame)) = Frame::decode(&payload) else { panic!("not an open") };
    assert_eq!((frame.entry.as_str(), frame.phase, frame.remaining_ms), ("auth", Phase::RequestFilter, 5000));
    assert_eq!((frame.mono_ms, frame.credit, frame.more), (1 << 40, Limits::INITIAL_CREDIT, false));
    let s = &frame.snapshot;
    assert_eq!((s.method(), s.scheme(), s.host(), s.port()), ("GET", "http", "a.test", Some(8080)));
    assert_eq!((s.path(), s.query(), s.client_ip(), s.request_id()), ("/x", "q=1", "127.0.0.1", "r1"));
    assert_eq!((s.timestamp_ms(), s.content_length(), s.tls()), (1_700_000_000_000, Some(4), false));
    assert!(s.websocket());
    assert_eq!(s.params().collect::<Vec<_>>(), [("id", "7")]);
    assert_eq!(s.headers().len(), 2);
    assert_eq!(s.header("Cookie"), Some(&b"a=\xff"[..]));
    assert_eq!(s.header("absent"), None);
    let response = frame.response.as_ref().unwrap();
    assert_eq!((response.status(), response.error(), response.body_length()), (200, Some("e"), None));
    let mut again = BytesMut::new();
    frame.encode(&mut again);
    assert_eq!(again, payload);
}

#[test]
fn byte_fields_are_slices_of_the_payload() {
    let mut out = BytesMut::new();
    let body = Bytes::from(vec![1u8; 4096]);
    let data =
        DataFrame { header: header(), id: 1, bytes: body, more: false, kind: crate::DataKind::Body, ext: Ext::empty() };
    data.encode(&mut out);
    let payload = out.freeze();
    let Ok(Frame::Data(decoded)) = Frame::decode(&payload) else { panic!("not data") };
    let range = payload.as_ptr_range();
    assert!(range.contains(&decoded.bytes.as_ptr()));
}

#[test]
fn operations_keep_their_order_and_unknown_ones_are_refused() {
    let result = ResultFrame {
        header: header(),
        ops: vec![
            Operation::SetResponseStatus(401),
            Operation::AddResponseHeader { name: "set-cookie".into(), value: Bytes::from_static(b"a") },
            Operation::SetResponseBody(ResponseBody::Data { id: 1, total: 9 }),
            Operation::SetResponseBody(ResponseBody::Inline(Bytes::from_static(b"no"))),
        ],
        action: Action::End,
        first: Some(First {
            worker: "w1".into(),
            mask: PhaseMask::default().with(Phase::Logging),
            body_mode: BodyMode::Buffered,
            credit: 1,
        }),
        timing: None,
        ext: Ext::empty(),
    };
    let mut out = BytesMut::new();
    result.encode(&mut out);
    let payload = out.freeze();
    assert_eq!(Frame::decode(&payload), Ok(Frame::Result(result)));

    let mut unknown = payload.to_vec();
    let at = unknown.iter().position(|byte| *byte == 102).unwrap();
    unknown[at] = 99;
    assert_eq!(Frame::decode(&Bytes::from(unknown)), Err(DecodeError::UnknownOperation(99)));
}

#[test]
fn a_frame_cut_anywhere_or_continued_is_refused() {
    let payload = open(true).freeze();
    for cut in 0..payload.len() {
        assert!(Frame::decode(&payload.slice(..cut)).is_err(), "cut at {cut}");
    }
    let mut long = payload.to_vec();
    long.push(0);
    assert_eq!(Frame::decode(&Bytes::from(long)), Err(DecodeError::Trailing(1)));
}

#[test]
fn masks_know_what_is_left() {
    let mask = PhaseMask::default().with(Phase::RequestFilter).with(Phase::ResponseBodyFilter);
    assert!(mask.any_after(Phase::RequestFilter));
    assert!(!mask.any_after(Phase::ResponseBodyFilter));
    assert!(!PhaseMask::ALL.any_after(Phase::Logging));
    assert!(mask.contains(Phase::RequestFilter) && !mask.contains(Phase::Logging));
}

#[test]
fn again_is_one_known_extension() {
    assert_eq!(Ext::from_encoded(Ext::again().encoded().clone()), Ok(Ext::again()));
    assert!(Ext::again().is_again());
    assert!(!Ext::empty().is_again());
    // Beside others; not true; not even a boolean.
    for (encoded, expected) in
        [(&b"\x82\xa1x\x01\xa5again\xc3"[..], true), (b"\x81\xa5again\xc2", false), (b"\x81\xa5again\x01", false)]
    {
        assert_eq!(Ext::from_encoded(Bytes::from_static(encoded)).unwrap().is_again(), expected, "{encoded:02x?}");
    }
}
