//! The meaning of a frame as JSON, in the names of protocol/messages.toml.

use super::hex;
use nylon_wire::{BeatEntry, First, Frame, Header, Operation, ResponseBody, ResponsePart, Revision, Snapshot, Timing};
use nylon_wire::{Ext, WsOperation};
use serde_json::{Map, Value, json};

/// What the frame says.
pub fn of(frame: &Frame) -> Value {
    let content = match frame {
        Frame::Open(f) => json!({
            "v": 1, "reply": f.reply.as_str(), "entry": f.entry.as_str(), "phase": name(f.phase),
            "remaining_ms": f.remaining_ms, "mono_ms": f.mono_ms, "snapshot": snapshot(&f.snapshot),
            "payload": bytes(f.payload.as_deref()), "revision": revision(f.revision.as_ref()), "credit": f.credit,
            "more": f.more, "body": bytes(f.body.as_deref()), "response": response(f.response.as_ref()),
            "ext": ext(&f.ext),
        }),
        Frame::Accept(f) => json!({"first": first(f.first.as_ref()), "ext": ext(&f.ext)}),
        Frame::Phase(f) => json!({
            "phase": name(f.phase), "remaining_ms": f.remaining_ms, "mono_ms": f.mono_ms,
            "payload": bytes(f.payload.as_deref()), "response": response(f.response.as_ref()),
            "body": bytes(f.body.as_deref()), "more": f.more, "ext": ext(&f.ext),
        }),
        Frame::Fetch(f) => json!({
            "call_id": f.call_id, "what": name(f.what), "max_bytes": f.max_bytes, "first": first(f.first.as_ref()),
            "ext": ext(&f.ext),
        }),
        Frame::Data(f) => json!({
            "id": f.id, "bytes": hex(&f.bytes), "more": f.more, "kind": name(f.kind), "ext": ext(&f.ext),
        }),
        Frame::Credit(f) => json!({"id": f.id, "bytes": f.bytes, "ext": ext(&f.ext)}),
        Frame::Result(f) => json!({
            "ops": operations(&f.ops), "action": name(f.action), "first": first(f.first.as_ref()),
            "timing": timing(f.timing), "ext": ext(&f.ext),
        }),
        Frame::Stream(f) => json!({
            "ops": operations(&f.ops), "stream_id": f.stream_id, "first": first(f.first.as_ref()), "ext": ext(&f.ext),
        }),
        Frame::StreamEnd(f) => json!({"outcome": name(f.outcome), "ext": ext(&f.ext)}),
        Frame::Upgrade(f) => json!({
            "ops": operations(&f.ops), "max_message_bytes": f.max_message_bytes,
            "subprotocol": f.subprotocol.as_deref(), "first": first(f.first.as_ref()), "ext": ext(&f.ext),
        }),
        Frame::WsOpen(f) => json!({"connection_id": f.connection_id, "ext": ext(&f.ext)}),
        Frame::WsClosed(f) => json!({"code": f.code, "reason": f.reason.as_str(), "ext": ext(&f.ext)}),
        Frame::WsError(f) => json!({"text": f.text.as_str(), "ext": ext(&f.ext)}),
        Frame::WsOp(f) => {
            json!({"call_id": f.call_id, "operation": ws_operation(&f.operation), "ext": ext(&f.ext)})
        }
        Frame::Abort(f) => json!({"reason": name(f.reason), "text": f.text.as_deref(), "ext": ext(&f.ext)}),
        Frame::Busy(f) => json!({
            "worker": f.worker.as_str(), "reason": name(f.reason), "retry_after_ms": f.retry_after_ms,
            "ext": ext(&f.ext),
        }),
        Frame::Error(f) => json!({
            "call_id": f.call_id, "code": f.code.as_str(), "text": f.text.as_str(), "log_id": f.log_id.as_deref(),
            "first": first(f.first.as_ref()), "ext": ext(&f.ext),
        }),
        Frame::Close(f) => json!({"ext": ext(&f.ext)}),
        Frame::Probe(f) => json!({"ext": ext(&f.ext)}),
        Frame::Beat(f) => json!({
            "v": 1, "group": f.group.as_str(), "worker": f.worker.as_str(), "seq": f.seq, "load": f.load,
            "limit": f.limit, "draining": f.draining, "oldest_running_ms": f.oldest_running_ms,
            "oldest_waiting_ms": f.oldest_waiting_ms, "entries": f.entries.iter().map(entry).collect::<Vec<_>>(),
            "revision": revision(f.revision.as_ref()), "state": name(f.state), "ext": ext(&f.ext),
        }),
        Frame::Batch(f) => {
            json!({"frames": f.frames.iter().map(|frame| hex(frame)).collect::<Vec<_>>(), "ext": ext(&f.ext)})
        }
    };
    let mut all = frame.header().map(header).unwrap_or_default();
    all.extend(content.as_object().unwrap().clone());
    Value::Object(all)
}

fn header(header: &Header) -> Map<String, Value> {
    json!({
        "session": header.session.to_string(), "generation": header.generation, "seq": header.seq,
        "phase_seq": header.phase_seq,
    })
    .as_object()
    .unwrap()
    .clone()
}

fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn bytes(value: Option<&[u8]>) -> Value {
    value.map_or(Value::Null, |value| json!(hex(value)))
}

fn headers<'a>(list: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<Value> {
    list.map(|(name, value)| json!({"name": name, "value": hex(value)})).collect()
}

fn snapshot(s: &Snapshot) -> Value {
    let params: Vec<Value> = s.params().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({
        "method": s.method(), "scheme": s.scheme(), "host": s.host(), "port": s.port().unwrap_or(0),
        "path": s.path(), "query": s.query(), "params": params, "headers": headers(s.headers()),
        "client_ip": s.client_ip(), "timestamp_ms": s.timestamp_ms(), "content_length": s.content_length(),
        "tls": s.tls(), "websocket": s.websocket(), "request_id": s.request_id(), "attributes": ext(s.attributes()),
    })
}

fn response(part: Option<&ResponsePart>) -> Value {
    part.map_or(Value::Null, |r| {
        json!({
            "status": r.status(), "headers": headers(r.headers()), "body_bytes": r.body_bytes(),
            "duration_ms": r.duration_ms(), "error": r.error(), "body_length": r.body_length(),
        })
    })
}

fn first(first: Option<&First>) -> Value {
    first.map_or(Value::Null, |f| {
        json!({
            "worker": f.worker.as_str(), "mask": f.mask.0, "body_mode": name(f.body_mode), "credit": f.credit,
        })
    })
}

fn revision(revision: Option<&Revision>) -> Value {
    revision.map_or(Value::Null, |r| json!({"hash": hex(&r.hash), "loaded_ms": r.loaded_ms}))
}

fn timing(timing: Option<Timing>) -> Value {
    timing.map_or(Value::Null, |t| json!({"queue_us": t.queue_us, "handler_us": t.handler_us}))
}

fn entry(entry: &BeatEntry) -> Value {
    json!({"entry": entry.entry.as_str(), "mask": entry.mask.0, "body_mode": name(entry.body_mode)})
}

fn operations(list: &[Operation]) -> Vec<Value> {
    list.iter().map(operation).collect()
}

fn operation(operation: &Operation) -> Value {
    let number = operation.number().number();
    match operation {
        Operation::SetResponseHeader { name, value }
        | Operation::SetRequestHeader { name, value }
        | Operation::AddRequestHeader { name, value }
        | Operation::AddResponseHeader { name, value } => {
            json!({"number": number, "name": name.as_str(), "value": hex(value)})
        }
        Operation::RemoveResponseHeader { name } | Operation::RemoveRequestHeader { name } => {
            json!({"number": number, "name": name.as_str()})
        }
        Operation::SetResponseStatus(status) => json!({"number": number, "status": status}),
        Operation::SetResponseBody(ResponseBody::Inline(bytes)) => json!({"number": number, "bytes": hex(bytes)}),
        Operation::SetResponseBody(ResponseBody::Data { id, total }) => {
            json!({"number": number, "bytes": null, "id": id, "total": total})
        }
    }
}

fn ws_operation(operation: &WsOperation) -> Value {
    match operation {
        WsOperation::Close { code, reason } => json!({"number": 303, "code": code, "reason": reason.as_str()}),
        WsOperation::Join { room } => json!({"number": 310, "room": room.as_str()}),
        WsOperation::Leave { room } => json!({"number": 311, "room": room.as_str()}),
        WsOperation::BroadcastText { room, message } => {
            json!({"number": 312, "room": room.as_str(), "message": hex(message)})
        }
        WsOperation::BroadcastBinary { room, message } => {
            json!({"number": 313, "room": room.as_str(), "message": hex(message)})
        }
    }
}

fn ext(ext: &Ext) -> Value {
    if ext.is_empty() {
        return json!({});
    }
    super::any::read(&mut &ext.encoded()[..])
}
