//! The messages about WebSockets.

use std::sync::Arc;

use bytes::Bytes;
use nylon_plugin::{MessageKind, Phase, PluginErrorKind};
use nylon_wire::method;

use crate::{
    extension, rooms,
    shared::Shared,
    state::{Event, Stage, State, Wish},
};

/// RFC 6455, 7.4.1.
const NORMAL: u16 = 1000;
/// What fits beside the code into a frame, bytes.
const REASON: usize = 123;

impl Shared {
    /// Method 433.
    pub(crate) fn upgrade_with(self: &Arc<Self>, payload: &[u8]) {
        match wish(payload) {
            Some(wish) => self.upgrade(wish),
            None => self.violation(format_args!("the payload of method {} is not understood", extension::UPGRADE_WITH)),
        }
    }

    pub(crate) fn upgrade(self: &Arc<Self>, wish: Wish) {
        let mut state = self.state();
        match state.stage {
            // The gateway thread may be in the library, and cannot be asked.
            Stage::Running(Phase::RequestFilter)
                if wish.answered && !state.request.as_ref().is_some_and(|request| request.websocket) =>
            {
                let why = Bytes::from_static(b"it is no handshake");
                if state.replying {
                    self.reply(&mut state, extension::UPGRADE_WITH, why);
                } else {
                    drop(state);
                    self.library.symbols.event(self.sid, 0, extension::UPGRADE_WITH, &why);
                }
            }
            Stage::Running(Phase::RequestFilter) => {
                state.stage = Stage::Upgrading;
                state.push(Event::Upgrade(wish));
            }
            Stage::Dead => {}
            Stage::Running(_) | Stage::Streaming => {
                self.fail(&mut state, PluginErrorKind::Protocol, "only a request filter can make a websocket");
            }
            Stage::Upgrading | Stage::Socket | Stage::Idle | Stage::Due(_) => {
                self.complain(format_args!("it asks for a websocket when it has one or cannot have one: ignored"));
            }
        }
    }

    /// Whether there is a WebSocket that this method can be about. A phase that never had one fails.
    fn has_socket(self: &Arc<Self>, state: &mut State, number: u32) -> bool {
        let open = matches!(state.stage, Stage::Upgrading | Stage::Socket);
        if !open && !state.had_socket && matches!(state.stage, Stage::Running(_) | Stage::Streaming) {
            self.fail(state, PluginErrorKind::Protocol, format!("method {number} without a websocket"));
        }
        open
    }

    pub(crate) fn socket(self: &Arc<Self>, number: u32, payload: &[u8]) {
        let mut state = self.state();
        // Callbacks come behind the close too.
        if !self.has_socket(&mut state, number) || state.closing {
            return;
        }
        let bytes = Bytes::copy_from_slice(payload);
        match number {
            method::WEBSOCKET_SEND_TEXT if std::str::from_utf8(payload).is_err() => {
                self.fail(&mut state, PluginErrorKind::Protocol, "a text message is not UTF-8");
            }
            method::WEBSOCKET_SEND_TEXT => {
                self.queue(state, Event::Send(MessageKind::Text, bytes), payload.len());
            }
            method::WEBSOCKET_SEND_BINARY => {
                self.queue(state, Event::Send(MessageKind::Binary, bytes), payload.len());
            }
            extension::CLOSE_WITH => match closing(payload) {
                Some(event) => close(&mut state, event),
                None => {
                    self.fail(&mut state, PluginErrorKind::Protocol, "it closes with a code or a reason that is none")
                }
            },
            _ => close(&mut state, Event::Close { code: NORMAL, reason: "".into() }),
        }
    }

    /// One of the calls 310 to 313.
    pub(crate) fn room(self: &Arc<Self>, number: u32, payload: &[u8]) {
        let mut state = self.state();
        let speaks = !matches!(number, method::WEBSOCKET_JOIN_ROOM | method::WEBSOCKET_LEAVE_ROOM);
        // A callback behind the close may still say goodbye to the others, until the library has returned from hearing that the
        // session is over.
        if !(self.has_socket(&mut state, number) || speaks && state.had_socket) {
            return;
        }
        let name = || String::from_utf8_lossy(payload).into_owned();
        match number {
            method::WEBSOCKET_JOIN_ROOM => rooms::join(self, &mut state, name()),
            method::WEBSOCKET_LEAVE_ROOM => rooms::leave(self, &mut state, name()),
            _ => {
                state.spoken = true;
                drop(state);
                rooms::broadcast(self, number, payload);
            }
        }
    }
}

fn close(state: &mut State, event: Event) {
    state.closing = true;
    state.push(event);
}

/// What a library wants of a WebSocket, from its message.
fn wish(payload: &[u8]) -> Option<Wish> {
    let (longest, subprotocol) = payload.split_first_chunk()?;
    let longest = u32::from_be_bytes(*longest) as usize;
    let subprotocol = std::str::from_utf8(subprotocol).ok()?;
    Some(Wish {
        max_message: (longest > 0).then_some(longest),
        subprotocol: (!subprotocol.is_empty()).then(|| subprotocol.into()),
        answered: true,
    })
}

/// A close with a code that may be sent (RFC 6455, 7.4.1) and a reason that fits a frame.
fn closing(payload: &[u8]) -> Option<Event> {
    let (code, reason) = payload.split_first_chunk()?;
    let (code, reason) = (u16::from_be_bytes(*code), std::str::from_utf8(reason).ok()?);
    let sendable = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) && reason.len() <= REASON;
    sendable.then(|| Event::Close { code, reason: reason.into() })
}
