//! A WebSocket of a library.

use std::{
    borrow::Cow,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use nylon_plugin::{MessageKind, Phase, PluginError, PluginErrorKind, PluginSocket, SocketEnd, SocketOrder};
use nylon_wire::method;
use tokio::time::{Sleep, sleep};

use crate::{
    extension,
    reads::ask_on,
    rooms,
    shared::Shared,
    state::{Event, Item, Stage},
};

/// RFC 6455, 7.4.1.
const INTERNAL: u16 = 1011;
const NO_FRAME: u16 = 1006;
/// How long the library may take to hear that its socket is closed.
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) struct FfiSocket {
    session: Arc<Shared>,
    closed: bool,
    /// A close, and what goes out before it.
    parting: Option<(SocketOrder, BoxFuture<'static, ()>)>,
    goodbye: Option<Pin<Box<Sleep>>>,
}

impl FfiSocket {
    pub(crate) fn new(session: Arc<Shared>) -> Self {
        Self { session, closed: false, parting: None, goodbye: None }
    }

    fn tell(&self, number: u32, bytes: Bytes) {
        let mut state = self.session.state();
        if state.stage == Stage::Socket {
            self.session.tell(&mut state, Item::Socket(number, bytes));
        }
    }

    /// Closes, behind what the library has said before in the client's own rooms (as SPEC 14.12).
    fn part(&mut self, close: SocketOrder) -> Option<SocketOrder> {
        let state = self.session.state();
        let waits = state.spoken && !state.rooms.is_empty() && !state.overflown && self.parting.is_none();
        drop(state);
        match &self.session.entry.rooms {
            Some(rooms) if waits => {
                self.parting = Some((close, rooms.settle()));
                None
            }
            _ => Some(close),
        }
    }

    fn poll_parting(&mut self, cx: &mut Context<'_>) -> Poll<SocketOrder> {
        let Some((_, settled)) = &mut self.parting else { return Poll::Pending };
        ready!(settled.poll_unpin(cx));
        self.parting.take().map_or(Poll::Pending, |(close, _)| Poll::Ready(close))
    }

    /// Tells the library how it ended, once, and leaves the rooms. One that knows more than the ABI hears the code as well.
    fn end(&mut self, end: SocketEnd) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let mut state = self.session.state();
        rooms::leave_all(&self.session, &mut state);
        if let Some(text) = end.error {
            self.session.tell(&mut state, Item::Socket(method::WEBSOCKET_ON_ERROR, text.into()));
        }
        let mut how = Vec::new();
        if self.session.library.symbols.takes_extensions() {
            how.extend_from_slice(&end.code.to_be_bytes());
            how.extend_from_slice(end.reason.as_bytes());
        }
        self.session.tell(&mut state, Item::Socket(method::WEBSOCKET_ON_CLOSE, how.into()));
        if state.stage == Stage::Socket {
            state.stage = Stage::Idle;
        }
        state.events.clear();
        self.session.wake_writers(&state);
    }
}

impl Shared {
    /// Tells the library why there is no WebSocket. The phase goes on.
    pub(crate) fn refuse(self: &Arc<Self>, why: Cow<'static, str>) {
        let mut state = self.state();
        if state.stage == Stage::Upgrading {
            state.stage = Stage::Running(Phase::RequestFilter);
            ask_on(&mut state);
            // It may wait for this on the thread that told it to begin.
            self.reply(&mut state, extension::UPGRADE_WITH, why.into_owned().into());
        }
    }
}

impl PluginSocket for FfiSocket {
    fn open(&mut self) {
        self.tell(method::WEBSOCKET_ON_OPEN, Bytes::new());
    }

    fn poll_order(&mut self, cx: &mut Context<'_>) -> Poll<SocketOrder> {
        loop {
            let Poll::Ready(event) = self.session.poll_event(cx) else { return self.poll_parting(cx) };
            return Poll::Ready(match event {
                Event::Send(kind, bytes) => SocketOrder::Send { kind, bytes, more: false },
                Event::Close { code, reason } => match self.part(SocketOrder::Close { code, reason }) {
                    Some(close) => close,
                    None => continue,
                },
                Event::Failed(error) => SocketOrder::Fail { code: INTERNAL, error },
                Event::Done(_) | Event::StreamEnd => continue,
                other => {
                    let what = format!("{other:?} in a websocket");
                    SocketOrder::Fail { code: INTERNAL, error: PluginError::new(PluginErrorKind::Protocol, what) }
                }
            });
        }
    }

    fn moved_on(&mut self) {
        self.session.moved_on();
    }

    fn is_ready(&self) -> bool {
        self.session.takes_more()
    }

    fn offer(&mut self, kind: MessageKind, bytes: Bytes) {
        let number = match kind {
            MessageKind::Text => method::WEBSOCKET_ON_MESSAGE_TEXT,
            MessageKind::Binary => method::WEBSOCKET_ON_MESSAGE_BINARY,
        };
        self.tell(number, bytes);
    }

    fn close(&mut self, end: SocketEnd) {
        self.end(end);
        self.goodbye = Some(Box::pin(sleep(GOODBYE)));
    }

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.poll_told(cx).is_ready() {
            return Poll::Ready(());
        }
        match &mut self.goodbye {
            Some(goodbye) => goodbye.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for FfiSocket {
    fn drop(&mut self) {
        if !self.closed {
            let error = Some("the client has left".to_owned());
            self.end(SocketEnd { code: NO_FRAME, reason: String::new(), error });
            self.session.abandon();
        }
    }
}
