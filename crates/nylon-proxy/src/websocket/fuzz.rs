//! Any bytes as what a client says on a WebSocket.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;
use nylon_plugin::{MessageKind, PluginError, PluginErrorKind, PluginSocket, SocketEnd, SocketOrder};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

use super::{ABNORMAL, Around, converse};

/// The longest message that the entry takes, in bytes.
const MOST: usize = 1_000;

/// An entry that sends back what it gets, and after `after` messages does something else.
#[derive(Default)]
pub(super) struct Echo {
    waiting: VecDeque<(MessageKind, Bytes)>,
    offered: usize,
    after: usize,
    how: u8,
}

impl PluginSocket for Echo {
    fn open(&mut self) {}

    fn poll_order(&mut self, _: &mut Context<'_>) -> Poll<SocketOrder> {
        if self.offered > self.after {
            self.offered = 0;
            match self.how % 4 {
                0 => return Poll::Ready(SocketOrder::Close { code: 1000, reason: "enough".into() }),
                1 => return Poll::Ready(SocketOrder::Close { code: 1005, reason: "€".repeat(99).into() }),
                2 => {
                    let error = PluginError::new(PluginErrorKind::Handler, "raised");
                    return Poll::Ready(SocketOrder::Fail { code: 1011, error });
                }
                _ => {}
            }
        }
        match self.waiting.pop_front() {
            Some((kind, bytes)) => Poll::Ready(SocketOrder::Send { kind, bytes, more: false }),
            None => Poll::Pending,
        }
    }

    fn moved_on(&mut self) {}

    fn is_ready(&self) -> bool {
        self.waiting.is_empty()
    }

    fn offer(&mut self, kind: MessageKind, bytes: Bytes) {
        assert!(self.is_ready(), "a message that nobody asked for");
        assert!(bytes.len() <= MOST, "a message of {} bytes", bytes.len());
        assert!(kind != MessageKind::Text || std::str::from_utf8(&bytes).is_ok());
        self.offered += 1;
        self.waiting.push_back((kind, bytes));
    }

    fn close(&mut self, _: SocketEnd) {}

    fn poll_done(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

pub(super) struct Nothing;

impl Around for Nothing {
    fn is_draining(&self) -> bool {
        false
    }

    fn wake(&self, _: &Context<'_>) {}

    fn sent(&mut self, _: usize) {}

    fn failed(&mut self, _: &PluginError) {}
}

/// No panic, nothing grows beyond a message, the conversation ends with a code, and what the client gets are frames of a
/// server, a close frame last. The first two bytes say how long the pieces are and what the entry does.
///
/// # Panics
/// If that does not hold, or if no runtime can be made.
pub fn websocket(data: &[u8]) {
    let [step, how, data @ ..] = data else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { panic!("no runtime") };
    let mut echo = Echo { waiting: VecDeque::new(), offered: 0, after: usize::from(how >> 2), how: *how };
    let (ours, theirs) = duplex(usize::from(*step) * 8 + 1);
    let (mut reading, mut writing) = split(theirs);
    let (end, heard) = runtime.block_on(async {
        let says = async {
            // the gateway may have ended the connection before all of it is said
            let _ = writing.write_all(data).await;
            let _ = writing.shutdown().await;
        };
        let hears = async {
            let mut heard = Vec::new();
            let _ = reading.read_to_end(&mut heard).await;
            heard
        };
        let talks = async { converse(ours, MOST, &mut echo, Nothing).await.0 };
        let (end, (), heard) = tokio::join!(talks, says, hears);
        (end, heard)
    });
    assert!((1000..5000).contains(&end.code), "ended with {}", end.code);
    assert!(end.code != ABNORMAL || end.error.is_some(), "nobody says why it ended");
    let (closes, whole) = frames(&heard);
    // a client that has left without a close frame may have been in the middle of one of ours
    assert!(whole || end.code == ABNORMAL, "half a frame");
    assert_eq!(closes, usize::from(end.code != ABNORMAL), "close frames, ended with {}", end.code);
    assert!(heard.len() <= 4 * data.len() + 1_000, "{} bytes for {}", heard.len(), data.len());
}

/// How many of these frames of a server are close frames, behind which there is nothing, and whether all are whole.
fn frames(mut heard: &[u8]) -> (usize, bool) {
    let mut closes = 0;
    while let [first, second, rest @ ..] = heard {
        assert_eq!(closes, 0, "a frame behind the close frame");
        assert_eq!((first & 0x70, second & 0x80), (0, 0), "a frame that is masked or has reserved bits");
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (length @ 0..126, rest) => (usize::from(length), rest),
            (127, _) => panic!("a frame that is longer than any message"),
            _ => return (closes, false),
        };
        assert!(first & 0x08 == 0 || (length <= 125 && first & 0x80 != 0), "a long control frame");
        let Some(behind) = rest.get(length..) else { return (closes, false) };
        closes += usize::from(first & 0x0f == 8);
        heard = behind;
    }
    (closes, heard.is_empty())
}
