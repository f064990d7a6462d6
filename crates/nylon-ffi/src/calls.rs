//! What a library asks of the gateway: the messages of the ABI, sorted by what they are.

use std::sync::Arc;

use bytes::Bytes;
use nylon_plugin::{Action, Operation, Phase, PluginErrorKind};
use nylon_wire::{ResponseBody, method};

use crate::{
    extension,
    operations::{operation, show},
    reads::ask_on,
    shared::Shared,
    state::{Event, Stage, State, Wish},
    table::TABLE,
};

/// Operations of one phase. Nobody sets more headers than a head may have.
const OPERATIONS: usize = 4_096;
/// What is in them, bytes.
const OPERATIONS_SIZE: usize = 1 << 20;

impl Shared {
    /// A call of the library. The payload is valid until this returns.
    pub(crate) fn call(self: &Arc<Self>, number: u32, payload: &[u8]) {
        match number {
            method::NEXT => self.terminal(Action::Next),
            method::END => self.terminal(Action::End),
            method::GET_PAYLOAD
            | method::READ_RESPONSE_FULL_BODY..=method::READ_RESPONSE_ERROR
            | method::READ_REQUEST_FULL_BODY..=method::READ_REQUEST_TIMESTAMP
            | extension::READ_REQUEST_PIECE..=extension::READ_REQUEST_ID
            | extension::READ_REQUEST_HEADERS..=extension::READ_RESPONSE_HEADERS => self.read(number, payload),
            extension::READ_RESPONSE_PIECE if self.filters() => self.read(number, payload),
            method::SET_RESPONSE_HEADER..=method::SET_RESPONSE_FULL_BODY
            | extension::SET_REQUEST_HEADER..=extension::ADD_REQUEST_HEADER
            | extension::ADD_RESPONSE_HEADER => self.write(number, payload),
            method::SET_RESPONSE_STREAM_DATA..=method::SET_RESPONSE_STREAM_HEADER => self.stream(number, payload),
            method::WEBSOCKET_UPGRADE => self.upgrade(Wish::default()),
            extension::UPGRADE_WITH => self.upgrade_with(payload),
            method::WEBSOCKET_SEND_TEXT..=method::WEBSOCKET_CLOSE | extension::CLOSE_WITH => {
                self.socket(number, payload);
            }
            method::WEBSOCKET_JOIN_ROOM..=method::WEBSOCKET_BROADCAST_ROOM_BINARY => self.room(number, payload),
            extension::FAIL => self.failed(payload),
            extension::SEVERAL => self.several(payload),
            _ => self.violation(format_args!("method {number} is none of the ABI")),
        }
    }

    /// Several messages in one call: what a call costs, it costs once. One behind the other: method, length, payload.
    fn several(self: &Arc<Self>, mut rest: &[u8]) {
        while let Some((head, behind)) = rest.split_first_chunk::<8>() {
            let [number, length] =
                [&head[..4], &head[4..]].map(|part| part.iter().rfold(0, |n, &b| n << 8 | u32::from(b)));
            let Some((payload, next)) = behind.split_at_checked(length as usize) else { break };
            if number == extension::SEVERAL {
                break;
            }
            self.call(number, payload);
            rest = next;
        }
        if !rest.is_empty() {
            self.violation(format_args!("the payload of method {} is not understood", extension::SEVERAL));
        }
    }

    fn terminal(self: &Arc<Self>, action: Action) {
        let mut state = self.state();
        match (state.stage, action) {
            (Stage::Running(Phase::RequestFilter | Phase::Logging), _) | (Stage::Running(_), Action::Next) => {
                self.complete(&mut state, action);
                self.go_on(state);
            }
            // As in the original, where it ends the phase and nothing else.
            (Stage::Running(phase), Action::End) => {
                self.complain(format_args!("it says end in a {}: taken for next", phase.name()));
                self.complete(&mut state, Action::Next);
            }
            // The original takes it for the end of the stream.
            (Stage::Streaming, Action::End) => self.end_stream(&mut state),
            (Stage::Streaming, Action::Next) => {
                self.fail(&mut state, PluginErrorKind::Protocol, "it says next in the middle of its stream");
            }
            // What a successful upgrade makes of them.
            (Stage::Upgrading | Stage::Socket, _) => {}
            (Stage::Idle | Stage::Due(_), _) => {
                self.entry.nexts.found_stray();
                self.complain(format_args!("it says next or end when no phase runs: ignored"));
            }
            (Stage::Dead, _) => {
                drop(state);
                // The handler has come to its end: nothing more of it needs an answer.
                TABLE.remove(self.sid);
            }
        }
    }

    fn write(self: &Arc<Self>, number: u32, payload: &[u8]) {
        let Some(operation) = operation(number, payload) else {
            self.violation(format_args!("the payload of method {number} is not understood"));
            return;
        };
        let mut state = self.state();
        match state.stage {
            Stage::Running(Phase::Logging) => {
                self.complain(format_args!("it changes the answer in the logging phase: ignored"));
                return;
            }
            Stage::Running(_) => {}
            Stage::Dead => return,
            _ => {
                self.complain(format_args!("method {number} comes when the answer is out of its hands: ignored"));
                return;
            }
        }
        if let Operation::SetResponseBody(ResponseBody::Inline(body)) = &operation {
            if body.len() > self.max_body {
                let what = format!("it sets a body longer than {} bytes", self.max_body);
                self.fail(&mut state, PluginErrorKind::ResponseBodyTooLarge, what);
                return;
            }
            // Only the last one counts.
            state.operations.retain(|operation| !matches!(operation, Operation::SetResponseBody(_)));
        } else {
            state.operations_size += operation.size();
        }
        if state.operations.len() >= OPERATIONS || state.operations_size > OPERATIONS_SIZE {
            self.fail(&mut state, PluginErrorKind::Protocol, "it asks for too much in one phase");
            return;
        }
        show(&mut state, &operation);
        state.operations.push(operation);
    }

    /// What the phase asked for.
    pub(crate) fn take_operations(&self, phase: Phase) -> Vec<Operation> {
        let mut state = self.state();
        // What there is by now may be of the body filter.
        if phase == Phase::ResponseFilter && state.early { Vec::new() } else { std::mem::take(&mut state.operations) }
    }

    fn stream(self: &Arc<Self>, number: u32, payload: &[u8]) {
        let mut state = self.state();
        match (state.stage, number) {
            (Stage::Running(Phase::RequestFilter), method::SET_RESPONSE_STREAM_HEADER) => {
                state.stage = Stage::Streaming;
                state.push(Event::Stream);
                // Another thread of the handler may read the request: it goes on.
                ask_on(&mut state);
            }
            (Stage::Running(Phase::ResponseBodyFilter), method::SET_RESPONSE_STREAM_HEADER) if state.streams_body => {
                state.stage = Stage::Streaming;
                state.filtering = true;
                // The answer's body is on its way to who has asked for it; the request's is fetched by nobody any more.
                if !state.held.front().is_some_and(|&(number, _)| state.response.awaits(number)) {
                    self.release_reads(&mut state);
                }
                state.push(Event::Stream);
            }
            (Stage::Streaming, method::SET_RESPONSE_STREAM_DATA) => {
                if !payload.is_empty() {
                    self.queue(state, Event::Data(Bytes::copy_from_slice(payload)), payload.len());
                }
            }
            (Stage::Streaming, method::SET_RESPONSE_STREAM_END) => self.end_stream(&mut state),
            (Stage::Dead, _) => {}
            (Stage::Streaming | Stage::Idle | Stage::Due(_), _) => {
                self.complain(format_args!("method {number} comes where no stream is open: ignored"));
            }
            (Stage::Running(_) | Stage::Upgrading | Stage::Socket, _) => {
                self.fail(&mut state, PluginErrorKind::Protocol, format!("method {number} has no place here"));
            }
        }
    }

    fn end_stream(self: &Arc<Self>, state: &mut State) {
        state.stage = Stage::Idle;
        state.filtering = false;
        self.release_reads(state);
        state.push(Event::StreamEnd);
    }

    /// Whether its body filter streams, or nothing counts any more.
    fn filters(&self) -> bool {
        let state = self.state();
        state.stage == Stage::Dead || state.stage == Stage::Streaming && state.filtering
    }
}
