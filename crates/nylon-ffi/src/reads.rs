//! What a library reads: answered at once with what is here, or when the gateway thread has fetched it.

use std::sync::Arc;

use bytes::Bytes;
use nylon_plugin::{Phase, PluginErrorKind};
use nylon_wire::method;

use crate::{
    delivery::is_inline,
    extension,
    shared::Shared,
    state::{Event, Stage, State},
    view::nothing,
};

/// Reads that may wait behind one that waits for a body.
const HELD: usize = 256;

impl Shared {
    /// A read of the library. It has its answer when this returns, if that is here.
    pub(crate) fn read(self: &Arc<Self>, number: u32, payload: &[u8]) {
        let mut state = self.state();
        let answer = if state.stage == Stage::Dead {
            self.answer_of_dead(&mut state, number)
        } else {
            if state.held.len() >= HELD {
                self.fail(&mut state, PluginErrorKind::Protocol, "too many reads wait for an answer");
                return;
            }
            let held = !state.held.is_empty();
            match if held { None } else { self.answer(&mut state, number, payload) } {
                Some(answer) => Some(answer),
                // This thread is in the library, and would have to fetch it.
                None if is_inline() => {
                    self.fail(&mut state, PluginErrorKind::Handler, "it reads a body again that has been taken");
                    self.answer_of_dead(&mut state, number)
                }
                None => {
                    state.held.push_back((number, Bytes::copy_from_slice(payload)));
                    if !held {
                        ask_on(&mut state);
                    }
                    return;
                }
            }
        };
        let Some(answer) = answer else { return };
        if state.replying {
            self.reply(&mut state, number, answer);
            return;
        }
        drop(state);
        self.library.symbols.event(self.sid, 0, number, &answer);
    }

    /// The answer to a read in a session that counts no more: a handler that nobody waits for must not wait for ever.
    fn answer_of_dead(self: &Arc<Self>, state: &mut State, number: u32) -> Option<Bytes> {
        if !self.library.symbols.takes_extensions() || !extension::reads_body(number) {
            return Some(nothing(number));
        }
        // Nothing would say that the body is whole: the close of the session wakes it.
        if is_inline() {
            self.part_beside(state);
        }
        None
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
                let State { request, response, .. } = state;
                let answer = request
                    .as_ref()
                    .and_then(|request| request.read(number, payload).or_else(|| response.read(number, request)));
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

    /// For the read that wants it whole although the library has begun to take it piece by piece: nothing. It can read on.
    pub(crate) fn withhold_request_body(self: &Arc<Self>) {
        let mut state = self.state();
        let number = method::READ_REQUEST_FULL_BODY;
        if state.held.front().is_some_and(|&(waits, _)| waits == number) {
            state.held.pop_front();
            self.reply(&mut state, number, nothing(number));
        }
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
                    ask_on(state);
                    return;
                }
            }
        }
    }

    /// What the first read that waits has asked for.
    pub(crate) fn asked(&self) -> Option<u32> {
        self.state().held.front().map(|&(number, _)| number)
    }
}

/// Asks the gateway thread for what the first read waits for, if there is one. It forgets that where the phase turns into
/// something else.
pub(crate) fn ask_on(state: &mut State) {
    let Some(&(number, _)) = state.held.front() else { return };
    state.push(match number {
        method::READ_REQUEST_FULL_BODY => Event::RequestBody,
        extension::READ_REQUEST_PIECE | extension::READ_RESPONSE_PIECE => Event::Piece,
        _ => Event::ResponseBody,
    });
}
