//! A client's connection after its request was made a WebSocket: framing, pings and the close handshake are done here,
//! whole messages go to the entry.

use std::{
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use nylon_plugin::{MessageKind, PluginError, PluginSocket, SocketEnd, SocketOrder, Upgrade};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{
            CloseFrame, Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::{down::ClientStream, exchange::Course, thread::Thread};

/// How often the client is pinged.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that says nothing for so long, although it is pinged and read, is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// How long the other side of a close handshake may take.
const CLOSING: Duration = Duration::from_secs(5);
/// Frames up to so many bytes leave together.
const TOGETHER: usize = 64 << 10;
/// What the codec reads at a time, in bytes: it is there for every socket, idle or not.
const READ: usize = 4 << 10;
/// The longest reason that fits into a close frame, in bytes.
const REASON: usize = 123;

/// RFC 6455, 7.4.1.
const NO_CODE: u16 = 1005;
const ABNORMAL: u16 = 1006;

/// What becomes of a connection behind its 101.
pub(crate) struct Switch {
    pub(crate) course: Box<Course>,
    pub(crate) upgrade: Box<Upgrade>,
    /// [`ConnectionState::drains`](crate::down::ConnectionState::drains) before the 101.
    pub(crate) drains: u64,
}

/// How the conversation ends.
enum Ending {
    /// The client has closed it; the codec answers.
    Theirs { code: u16, reason: String },
    /// We close it.
    Ours { code: u16, reason: String, error: Option<String> },
    /// There is nobody to close it with.
    Gone(String),
}

enum Step {
    Client(Option<Result<Message, Error>>),
    Order(SocketOrder),
    Tick,
    Drain,
}

/// Serves a WebSocket until it is closed.
pub(crate) async fn serve(thread: Rc<Thread>, stream: ClientStream, switch: Switch) {
    let Switch { mut course, upgrade, .. } = switch;
    let Upgrade { max_message_bytes, mut socket, .. } = *upgrade;
    socket.open();
    let around = InCourse { course: &mut course, thread: &thread };
    let (end, stream) = converse(stream, max_message_bytes, &mut *socket, around).await;
    course.socket_closed(end.error.as_deref());
    socket.close(end);
    let goodbye = async {
        if let Some(mut stream) = stream {
            // A client that does not end its connection after that is cut off.
            let _ = timeout(CLOSING, stream.shutdown()).await;
        }
    };
    tokio::join!(goodbye, poll_fn(|cx| socket.poll_done(cx)));
}

/// What a conversation needs of the gateway around it.
trait Around {
    /// The gateway shuts down.
    fn is_draining(&self) -> bool;
    /// The task is to be woken when what is written moves on or the connection's time is over.
    fn wake(&self, cx: &Context<'_>);
    /// So many bytes are sent to the client.
    fn sent(&mut self, bytes: usize);
    /// The entry's side is gone.
    fn failed(&mut self, error: &PluginError);
}

struct InCourse<'a> {
    course: &'a mut Course,
    thread: &'a Thread,
}

impl Around for InCourse<'_> {
    fn is_draining(&self) -> bool {
        self.thread.is_draining()
    }

    fn wake(&self, cx: &Context<'_>) {
        self.course.connection().reading.wake(cx);
    }

    fn sent(&mut self, bytes: usize) {
        self.course.sent(bytes);
    }

    fn failed(&mut self, error: &PluginError) {
        let (id, code) = (self.course.id(), error.code().code());
        tracing::warn!(id, code, "serving a websocket: {error}; it is closed");
    }
}

/// Carries messages between a client and an entry until one of them ends it. Returns the connection if there is one left to
/// end: the entry is not kept waiting for that.
async fn converse<S, A>(
    stream: S,
    max_message_bytes: usize,
    socket: &mut dyn PluginSocket,
    around: A,
) -> (SocketEnd, Option<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Around,
{
    let most = Some(max_message_bytes);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(TOGETHER)
        .max_message_size(most)
        .max_frame_size(most);
    let client = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut conversation =
        Conversation { client, socket, around, pings, heard: Instant::now(), unflushed: 0, midway: false };
    let ending = conversation.run().await;
    let gone = matches!(ending, Ending::Gone(_));
    let end = conversation.end(ending).await;
    (end, (!gone).then(|| conversation.client.into_inner()))
}

struct Conversation<'a, S, A> {
    client: WebSocketStream<S>,
    socket: &'a mut dyn PluginSocket,
    around: A,
    pings: Interval,
    /// When the client last said something, or could not because it was not read.
    heard: Instant,
    /// Handed to the codec and not known to be in the client's socket, bytes.
    unflushed: usize,
    /// The entry is in the middle of a message.
    midway: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin, A: Around> Conversation<'_, S, A> {
    async fn run(&mut self) -> Ending {
        loop {
            let ending = match poll_fn(|cx| self.step(cx)).await {
                Step::Client(None) => Some(Ending::Gone("the client has left".to_owned())),
                Step::Client(Some(Err(error))) => Some(failed(&error)),
                Step::Client(Some(Ok(message))) => self.message(message),
                Step::Order(order) => self.order(order),
                Step::Tick => self.ping(),
                Step::Drain => {
                    Some(Ending::Ours { code: 1001, reason: "the gateway shuts down".to_owned(), error: None })
                }
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.around.is_draining() {
            return Poll::Ready(Step::Drain);
        }
        self.around.wake(cx);
        if self.unflushed < TOGETHER
            && let Poll::Ready(order) = self.socket.poll_order(cx)
        {
            return Poll::Ready(Step::Order(order));
        }
        if self.unflushed > 0 {
            match self.client.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = 0;
                    self.socket.moved_on();
                    // There may be orders that waited for that.
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Step::Client(Some(Err(error)))),
                Poll::Pending => {
                    if let Poll::Ready(order) = self.socket.poll_order(cx) {
                        return Poll::Ready(Step::Order(order));
                    }
                }
            }
        }
        if self.socket.is_ready()
            && let Poll::Ready(message) = self.client.poll_next_unpin(cx)
        {
            return Poll::Ready(Step::Client(message));
        }
        self.pings.poll_tick(cx).map(|_| Step::Tick)
    }

    fn message(&mut self, message: Message) -> Option<Ending> {
        self.heard = Instant::now();
        match message {
            Message::Text(text) => self.socket.offer(MessageKind::Text, Bytes::from(text)),
            Message::Binary(bytes) => self.socket.offer(MessageKind::Binary, bytes),
            // The codec has its answer ready, which leaves with the next flush.
            Message::Ping(_) => self.unflushed = self.unflushed.max(1),
            Message::Pong(_) | Message::Frame(_) => {}
            Message::Close(frame) => {
                let (code, reason) = match frame {
                    Some(frame) => (u16::from(frame.code), frame.reason.as_str().to_owned()),
                    None => (NO_CODE, String::new()),
                };
                return Some(Ending::Theirs { code, reason });
            }
        }
        None
    }

    fn order(&mut self, order: SocketOrder) -> Option<Ending> {
        match order {
            SocketOrder::Send { kind, bytes, more } => {
                let data = match kind {
                    _ if self.midway => Data::Continue,
                    MessageKind::Text => Data::Text,
                    MessageKind::Binary => Data::Binary,
                };
                self.midway = more;
                self.unflushed += bytes.len().max(1);
                self.around.sent(bytes.len());
                let frame = Frame::message(bytes, OpCode::Data(data), !more);
                let sent = self.client.start_send_unpin(Message::Frame(frame));
                sent.err().map(|error| failed(&error))
            }
            SocketOrder::Close { code, reason } => Some(Ending::Ours { code, reason: reason.into(), error: None }),
            SocketOrder::Fail { code, error } => {
                self.around.failed(&error);
                let reason = if code == 1001 { "the worker shuts down" } else { "the plugin failed" };
                Some(Ending::Ours { code, reason: reason.to_owned(), error: Some(error.to_string()) })
            }
        }
    }

    fn ping(&mut self) -> Option<Ending> {
        if !self.socket.is_ready() {
            self.heard = Instant::now();
        }
        if self.heard.elapsed() >= SILENCE {
            return Some(Ending::Gone(format!("the client has said nothing for {} s", SILENCE.as_secs())));
        }
        self.unflushed = self.unflushed.max(1);
        self.client.start_send_unpin(Message::Ping(Bytes::new())).err().map(|error| failed(&error))
    }

    /// The close handshake.
    async fn end(&mut self, ending: Ending) -> SocketEnd {
        let end = match ending {
            Ending::Gone(error) => return SocketEnd { code: ABNORMAL, reason: String::new(), error: Some(error) },
            Ending::Theirs { code, reason } => SocketEnd { code, reason, error: None },
            Ending::Ours { code, mut reason, error } => {
                let code = if CloseCode::from(code).is_allowed() { code } else { 1011 };
                while reason.len() > REASON {
                    reason.pop();
                }
                let frame = CloseFrame { code: code.into(), reason: reason.as_str().into() };
                // A client that cannot be told finds out when its connection ends.
                let _ = self.client.start_send_unpin(Message::Close(Some(frame)));
                SocketEnd { code, reason, error }
            }
        };
        let handshake = async {
            let flushed = self.client.flush().await;
            // What the client still says is of no interest; its close frame ends it.
            while flushed.is_ok() && matches!(self.client.next().await, Some(Ok(_))) {}
        };
        // One that does not answer in time is cut off.
        let _ = timeout(CLOSING, handshake).await;
        end
    }
}

/// What an error of the codec means.
fn failed(error: &Error) -> Ending {
    let ours = |code| Ending::Ours { code, reason: String::new(), error: Some(error.to_string()) };
    match error {
        Error::Capacity(_) => ours(1009),
        Error::Utf8(_) => ours(1007),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ending::Gone("the client has left".to_owned()),
        Error::Protocol(_) => ours(1002),
        _ => Ending::Gone(format!("the client has left: {error}")),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;

#[cfg(test)]
mod tests;
