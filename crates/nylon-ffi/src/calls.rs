//! What a library asks of the gateway: the messages of the ABI, sorted by what they are.

use std::{sync::Arc, sync::atomic::AtomicUsize, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use nylon_plugin::{Action, Operation, Phase, PluginErrorKind};
use nylon_wire::{ResponseBody, method};

use crate::{
    delivery::is_inline,
    extension,
    operations::{operation, show},
    shared::Shared,
    state::{Event, OVERHEAD, Stage, State, Wish},
    view::nothing,
};

/// Operations of one phase. Nobody sets more headers than a head may have.
const OPERATIONS: usize = 4_096;
/// Reads that may wait behind one that waits for a body.
const HELD: usize = 256;
/// A library that sends more than its client takes waits once so much is queued, bytes, but never longer than this.
const SOFT: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads of all libraries that may wait so.
const WAITING: usize = 256;
/// Beyond this the client is too slow for it, bytes.
const HARD: usize = 8 << 20;

static WAITERS: AtomicUsize = AtomicUsize::new(0);

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
            (Stage::Streaming, Action::End) => end_stream(&mut state),
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
                crate::table::TABLE.remove(self.sid);
            }
        }
    }

    fn read(self: &Arc<Self>, number: u32, payload: &[u8]) {
        let mut state = self.state();
        let answer = if state.stage == Stage::Dead {
            // A handler that nobody waits for must not wait for ever.
            nothing(number)
        } else {
            if state.held.len() >= HELD {
                self.fail(&mut state, PluginErrorKind::Protocol, "too many reads wait for an answer");
                return;
            }
            let held = !state.held.is_empty();
            match if held { None } else { self.answer(&mut state, number, payload) } {
                Some(answer) => answer,
                // This thread is in the library, and would have to fetch it.
                None if is_inline() => {
                    self.fail(&mut state, PluginErrorKind::Handler, "it reads a body again that has been taken");
                    nothing(number)
                }
                None => {
                    state.held.push_back((number, Bytes::copy_from_slice(payload)));
                    if !held {
                        ask(&mut state, number);
                    }
                    return;
                }
            }
        };
        if state.replying {
            self.reply(&mut state, number, answer);
            return;
        }
        drop(state);
        self.library.symbols.event(self.sid, 0, number, &answer);
    }

    /// The answer to a read, if it is here.
    fn answer(&self, state: &mut State, number: u32, payload: &[u8]) -> Option<Bytes> {
        match number {
            extension::READ_REQUEST_PIECE => match state.piece.take() {
                None if state.request_body.as_ref().is_some_and(Bytes::is_empty) => Some(Bytes::new()),
                None if state.may_take() => None,
                piece => Some(piece.unwrap_or_default()),
            },
            extension::READ_RESPONSE_PIECE => match state.piece.take() {
                None if state.stage == Stage::Streaming => None,
                piece => Some(piece.unwrap_or_default()),
            },
            method::GET_PAYLOAD => Some(state.payload.clone().unwrap_or_default()),
            method::READ_REQUEST_FULL_BODY => match &state.request_body {
                Some(body) => Some(body.clone()),
                // Only while a phase runs there is somebody to fetch it.
                None if state.stage == Stage::Streaming && !state.filtering => None,
                None if matches!(state.stage, Stage::Running(phase) if phase != Phase::Logging) => None,
                None => Some(Bytes::new()),
            },
            _ if state.response.awaits(number) && matches!(state.stage, Stage::Running(_)) => None,
            _ => {
                let answer = self.request.read(number, payload).or_else(|| state.response.read(number, &self.request));
                Some(answer.unwrap_or_default())
            }
        }
    }

    /// The request's body, for the read that waits for it and those behind.
    pub(crate) fn supply_request_body(self: &Arc<Self>, body: Bytes) {
        let mut state = self.state();
        state.request_body = Some(body);
        self.answer_held(&mut state);
    }

    /// A piece of it, or of the answer that a filter streams, likewise; empty behind the last.
    pub(crate) fn supply_piece(self: &Arc<Self>, piece: Bytes) {
        let mut state = self.state();
        state.piece = Some(piece);
        self.answer_held(&mut state);
    }

    /// The answer's body, likewise.
    pub(crate) fn supply_response_body(self: &Arc<Self>, body: Bytes) {
        let mut state = self.state();
        state.response.awaited = false;
        // What the session itself has set meanwhile stands.
        state.response.body.get_or_insert(body);
        self.answer_held(&mut state);
    }

    fn answer_held(self: &Arc<Self>, state: &mut State) {
        while let Some((number, payload)) = state.held.pop_front() {
            match self.answer(state, number, &payload) {
                Some(answer) => self.reply(state, number, answer),
                None => {
                    state.held.push_front((number, payload));
                    ask(state, number);
                    return;
                }
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
        if state.operations.len() >= OPERATIONS || state.operations_size > SOFT {
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
                self.release_reads(&mut state);
                state.push(Event::Stream);
            }
            (Stage::Running(Phase::ResponseBodyFilter), method::SET_RESPONSE_STREAM_HEADER) if state.streams_body => {
                state.stage = Stage::Streaming;
                state.filtering = true;
                self.release_reads(&mut state);
                state.push(Event::Stream);
            }
            (Stage::Streaming, method::SET_RESPONSE_STREAM_DATA) => {
                if !payload.is_empty() {
                    self.queue(state, Event::Data(Bytes::copy_from_slice(payload)), payload.len());
                }
            }
            (Stage::Streaming, method::SET_RESPONSE_STREAM_END) => end_stream(&mut state),
            (Stage::Dead, _) => {}
            (Stage::Streaming | Stage::Idle | Stage::Due(_), _) => {
                self.complain(format_args!("method {number} comes where no stream is open: ignored"));
            }
            (Stage::Running(_) | Stage::Upgrading | Stage::Socket, _) => {
                self.fail(&mut state, PluginErrorKind::Protocol, format!("method {number} has no place here"));
            }
        }
    }

    /// Whether its body filter streams, or nothing counts any more.
    fn filters(&self) -> bool {
        let state = self.state();
        state.stage == Stage::Dead || state.stage == Stage::Streaming && state.filtering
    }

    /// Queues something for the client. The library's thread waits a little while the client is slow.
    pub(crate) fn queue(self: &Arc<Self>, mut state: std::sync::MutexGuard<'_, State>, event: Event, length: usize) {
        if length > HARD.max(self.max_body) {
            self.fail(&mut state, PluginErrorKind::Protocol, format!("a message of {length} bytes is too long"));
            return;
        }
        state.weight += length + OVERHEAD;
        state.push(event);
        if state.weight <= SOFT {
            return;
        }
        // A gateway thread would wait for itself.
        if !is_inline() {
            if WAITERS.fetch_add(1, Relaxed) < WAITING {
                let full = |state: &mut State| state.weight > SOFT && state.stage != Stage::Dead;
                state.writers += 1;
                let waited = self.space.wait_timeout_while(state, PATIENCE, full);
                state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                state.writers -= 1;
            }
            WAITERS.fetch_sub(1, Relaxed);
        }
        if state.weight > HARD.max(length + OVERHEAD) && state.stage != Stage::Dead {
            let what = format!("{} bytes wait for a client that does not take them", state.weight);
            self.fail(&mut state, PluginErrorKind::Busy, what);
        }
    }
}

fn end_stream(state: &mut State) {
    state.stage = Stage::Idle;
    state.filtering = false;
    state.push(Event::StreamEnd);
}

/// Asks the gateway thread for what a read waits for.
fn ask(state: &mut State, number: u32) {
    state.push(match number {
        method::READ_REQUEST_FULL_BODY => Event::RequestBody,
        extension::READ_REQUEST_PIECE | extension::READ_RESPONSE_PIECE => Event::Piece,
        _ => Event::ResponseBody,
    });
}
