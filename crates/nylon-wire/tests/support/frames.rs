//! Any frame, for the property tests.

use bytes::{Bytes, BytesMut};
use nylon_wire::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

const SAFE: std::ops::Range<u64> = 0..Limits::MAX_SAFE;

fn text() -> BoxedStrategy<Text> {
    prop_oneof![".{0,40}", "[a-z-]{1,20}", "[a-z]{250,270}"].prop_map(Text::from).boxed()
}

fn bytes() -> BoxedStrategy<Bytes> {
    prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 250..260), vec(any::<u8>(), 65_530..65_540)]
        .prop_map(Bytes::from)
        .boxed()
}

fn short() -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from).boxed()
}

fn header() -> impl Strategy<Value = Header> {
    (any::<[u8; 16]>(), any::<u32>(), any::<u32>(), 0u32..300).prop_map(|(session, generation, seq, phase_seq)| {
        Header { session: SessionId(session), generation, seq, phase_seq }
    })
}

fn ext() -> impl Strategy<Value = Ext> {
    vec(("[a-z]{1,40}", any::<u64>()), 0..20).prop_map(|pairs| {
        let mut out = BytesMut::new();
        let mut writer = msgpack::Writer::new(&mut out);
        writer.map(pairs.len());
        for (key, value) in pairs {
            writer.str(&key);
            writer.uint(value);
        }
        Ext::from_encoded(out.freeze()).unwrap()
    })
}

fn first() -> impl Strategy<Value = Option<First>> {
    of((text(), any::<u32>(), select(&BodyMode::ALL[..]), any::<u32>())
        .prop_map(|(worker, mask, body_mode, credit)| First { worker, mask: PhaseMask(mask), body_mode, credit }))
}

fn revision() -> impl Strategy<Value = Option<Revision>> {
    of((short(), SAFE).prop_map(|(hash, loaded_ms)| Revision { hash, loaded_ms }))
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let one = prop_oneof![
        (text(), short()).prop_map(|(name, value)| Operation::SetResponseHeader { name, value }),
        (text(), short()).prop_map(|(name, value)| Operation::SetRequestHeader { name, value }),
        (text(), short()).prop_map(|(name, value)| Operation::AddRequestHeader { name, value }),
        (text(), short()).prop_map(|(name, value)| Operation::AddResponseHeader { name, value }),
        text().prop_map(|name| Operation::RemoveResponseHeader { name }),
        text().prop_map(|name| Operation::RemoveRequestHeader { name }),
        any::<u16>().prop_map(Operation::SetResponseStatus),
        short().prop_map(|bytes| Operation::SetResponseBody(ResponseBody::Inline(bytes))),
        (any::<u32>(), SAFE).prop_map(|(id, total)| Operation::SetResponseBody(ResponseBody::Data { id, total })),
    ];
    vec(one, 0..20)
}

type Pairs<T> = Vec<(String, T)>;

fn pairs<T: std::fmt::Debug + 'static>(value: BoxedStrategy<T>) -> impl Strategy<Value = Pairs<T>> {
    vec(("[a-z-]{1,40}", value), 0..20)
}

fn list(headers: &Pairs<Bytes>) -> impl Iterator<Item = (&str, &[u8])> + Clone {
    headers.iter().map(|(name, value)| (name.as_str(), &value[..]))
}

/// A response with all it is made of.
type Response = (u16, Pairs<Bytes>, u64, u64, Option<String>, Option<u64>);

fn response() -> impl Strategy<Value = Option<Response>> {
    of((any::<u16>(), pairs(short()), SAFE, SAFE, of(".{0,40}"), of(SAFE)))
}

fn response_fields<'a>(
    part: &'a Option<Response>,
) -> Option<ResponseFields<'a, impl Iterator<Item = (&'a str, &'a [u8])> + Clone>> {
    part.as_ref().map(|(status, headers, body_bytes, duration_ms, error, body_length)| ResponseFields {
        status: *status,
        headers: list(headers),
        body_bytes: *body_bytes,
        duration_ms: *duration_ms,
        error: error.as_deref(),
        body_length: *body_length,
    })
}

/// OPEN and PHASE exist decoded only, so they come as payloads.
fn open() -> impl Strategy<Value = Frame> {
    let texts = vec(".{0,40}", 8);
    let snapshot = (any::<u16>(), pairs(".{0,40}".boxed()), pairs(short()), SAFE, of(SAFE), any::<(bool, bool)>());
    let rest = (select(&Phase::ALL[..]), SAFE, SAFE, of(bytes()), revision(), any::<u32>(), any::<bool>(), of(short()));
    (header(), texts, snapshot, rest, response()).prop_map(|(header, texts, snapshot, rest, response)| {
        let (port, params, headers, timestamp_ms, content_length, (tls, websocket)) = snapshot;
        let (phase, remaining_ms, mono_ms, payload, revision, credit, more, body) = rest;
        let fields = OpenFields {
            reply: "a.v1.h.b.0.1",
            entry: &texts[0],
            phase,
            remaining_ms,
            mono_ms,
            snapshot: SnapshotFields {
                method: &texts[1],
                scheme: &texts[2],
                host: &texts[3],
                port,
                path: &texts[4],
                query: &texts[5],
                params: params.iter().map(|(name, value)| (name.as_str(), value.as_str())),
                headers: list(&headers),
                client_ip: &texts[6],
                timestamp_ms,
                content_length,
                tls,
                websocket,
                request_id: &texts[7],
            },
            payload: payload.as_deref(),
            revision: revision.as_ref(),
            credit,
            more,
            body: body.as_deref(),
            response: response_fields(&response),
            ext: &nylon_wire::Ext::empty(),
        };
        let mut out = BytesMut::new();
        encode_open(&mut out, &header, &fields);
        let frame = Frame::decode(&out.freeze()).unwrap();
        let Frame::Open(open) = &frame else { panic!("an open became {:?}", frame.kind()) };
        assert!(open.snapshot.headers().eq(list(&headers)), "headers differ");
        assert!(open.snapshot.params().eq(params.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        assert_eq!(
            (open.snapshot.path(), open.snapshot.client_ip(), open.snapshot.request_id()),
            (&texts[4][..], &texts[6][..], &texts[7][..])
        );
        assert_eq!((&open.payload, &open.body, open.mono_ms), (&payload, &body, mono_ms));
        frame
    })
}

fn phase() -> impl Strategy<Value = Frame> {
    let rest = (select(&Phase::ALL[..]), SAFE, SAFE, of(short()), of(bytes()), any::<bool>());
    (header(), rest, response()).prop_map(|(header, rest, response)| {
        let (phase, remaining_ms, mono_ms, payload, body, more) = rest;
        let fields = PhaseFields {
            phase,
            remaining_ms,
            mono_ms,
            payload: payload.as_deref(),
            response: response_fields(&response),
            body: body.as_deref(),
            more,
            ext: &nylon_wire::Ext::empty(),
        };
        let mut out = BytesMut::new();
        encode_phase(&mut out, &header, &fields);
        let frame = Frame::decode(&out.freeze()).unwrap();
        let Frame::Phase(decoded) = &frame else { panic!("a phase became {:?}", frame.kind()) };
        assert_eq!(decoded.response.is_some(), response.is_some());
        if let (Some(part), Some(given)) = (&decoded.response, &response) {
            assert!(part.headers().eq(list(&given.1)), "headers differ");
            assert_eq!((part.status(), part.error()), (given.0, given.4.as_deref()));
        }
        frame
    })
}

/// Any frame at all.
pub fn frame() -> impl Strategy<Value = Frame> {
    let session = prop_oneof![
        (header(), first(), ext()).prop_map(|(header, first, ext)| Frame::Accept(AcceptFrame { header, first, ext })),
        (header(), any::<u32>(), select(&FetchKind::ALL[..]), SAFE, first(), ext()).prop_map(
            |(header, call_id, what, max_bytes, first, ext)| {
                Frame::Fetch(FetchFrame { header, call_id, what, max_bytes, first, ext })
            }
        ),
        (header(), any::<u32>(), bytes(), any::<bool>(), select(&DataKind::ALL[..]), ext()).prop_map(
            |(header, id, bytes, more, kind, ext)| Frame::Data(DataFrame { header, id, bytes, more, kind, ext })
        ),
        (header(), any::<u32>(), any::<u32>(), ext()).prop_map(|(header, id, bytes, ext)| Frame::Credit(CreditFrame {
            header,
            id,
            bytes,
            ext
        })),
        (header(), operations(), select(&Action::ALL[..]), first(), of(any::<(u32, u32)>()), ext()).prop_map(
            |(header, ops, action, first, timing, ext)| {
                let timing = timing.map(|(queue_us, handler_us)| Timing { queue_us, handler_us });
                Frame::Result(ResultFrame { header, ops, action, first, timing, ext })
            }
        ),
        (header(), select(&AbortReason::ALL[..]), of(text()), ext())
            .prop_map(|(header, reason, text, ext)| Frame::Abort(AbortFrame { header, reason, text, ext })),
        (header(), text(), select(&BusyReason::ALL[..]), any::<u32>(), ext()).prop_map(
            |(header, worker, reason, retry_after_ms, ext)| {
                Frame::Busy(BusyFrame { header, worker, reason, retry_after_ms, ext })
            }
        ),
        (header(), of(any::<u32>()), text(), text(), of(text()), first(), ext()).prop_map(
            |(header, call_id, code, text, log_id, first, ext)| {
                Frame::Error(ErrorFrame { header, call_id, code, text, log_id, first, ext })
            }
        ),
        (header(), ext()).prop_map(|(header, ext)| Frame::Close(CloseFrame { header, ext })),
        (header(), ext()).prop_map(|(header, ext)| Frame::Probe(ProbeFrame { header, ext })),
    ];
    prop_oneof![3 => open(), 2 => phase(), 10 => session, 7 => draft(), 1 => beat(), 1 => batch()]
}

fn draft() -> impl Strategy<Value = Frame> {
    let wanted = prop_oneof![
        (any::<u16>(), text()).prop_map(|(code, reason)| WsOperation::Close { code, reason }),
        text().prop_map(|room| WsOperation::Join { room }),
        text().prop_map(|room| WsOperation::Leave { room }),
        (text(), bytes()).prop_map(|(room, message)| WsOperation::BroadcastText { room, message }),
        (text(), bytes()).prop_map(|(room, message)| WsOperation::BroadcastBinary { room, message }),
    ];
    prop_oneof![
        (header(), operations(), any::<u32>(), first(), ext()).prop_map(|(header, ops, stream_id, first, ext)| {
            Frame::Stream(StreamFrame { header, ops, stream_id, first, ext })
        }),
        (header(), select(&Outcome::ALL[..]), ext())
            .prop_map(|(header, outcome, ext)| Frame::StreamEnd(StreamEndFrame { header, outcome, ext })),
        (header(), operations(), SAFE, of(text()), first(), ext()).prop_map(
            |(header, ops, max_message_bytes, subprotocol, first, ext)| {
                Frame::Upgrade(UpgradeFrame { header, ops, max_message_bytes, subprotocol, first, ext })
            }
        ),
        (header(), any::<u32>(), ext()).prop_map(|(header, connection_id, ext)| Frame::WsOpen(WsOpenFrame {
            header,
            connection_id,
            ext
        })),
        (header(), any::<u16>(), text(), ext())
            .prop_map(|(header, code, reason, ext)| Frame::WsClosed(WsClosedFrame { header, code, reason, ext })),
        (header(), text(), ext()).prop_map(|(header, text, ext)| Frame::WsError(WsErrorFrame { header, text, ext })),
        (header(), any::<u32>(), wanted, ext()).prop_map(|(header, call_id, operation, ext)| {
            Frame::WsOp(WsOpFrame { header, call_id, operation, ext })
        }),
    ]
}

fn batch() -> impl Strategy<Value = Frame> {
    (vec(short(), 1..20), ext()).prop_map(|(frames, ext)| Frame::Batch(BatchFrame { frames, ext }))
}

fn beat() -> impl Strategy<Value = Frame> {
    let entry = (text(), any::<u32>(), select(&BodyMode::ALL[..])).prop_map(|(entry, mask, body_mode)| BeatEntry {
        entry,
        mask: PhaseMask(mask),
        body_mode,
    });
    let numbers = (any::<u32>(), any::<u32>(), any::<u32>(), any::<bool>(), SAFE, SAFE);
    (text(), text(), numbers, vec(entry, 0..20), revision(), select(&WorkerState::ALL[..]), ext()).prop_map(
        |(group, worker, numbers, entries, revision, state, ext)| {
            let (seq, load, limit, draining, oldest_running_ms, oldest_waiting_ms) = numbers;
            Frame::Beat(BeatFrame {
                group,
                worker,
                seq,
                load,
                limit,
                draining,
                oldest_running_ms,
                oldest_waiting_ms,
                entries,
                revision,
                state,
                ext,
            })
        },
    )
}
