//! One connection to an upstream.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::clock::{Clock, Watch};

/// One connection to an upstream.
pub(crate) struct Connection {
    io: Io,
    /// Received, not used yet.
    pub(crate) input: BytesMut,
    /// The request head; kept for its memory.
    pub(crate) output: Vec<u8>,
    /// The one time limit that is running.
    pub(crate) watch: Watch,
    /// Where it leads.
    pub(crate) address: SocketAddr,
    /// When it became idle, by the thread's clock.
    pub(crate) idle_since: u64,
    /// What the service of the running request says about it.
    pub(crate) terms: Terms,
}

/// How a connection is used and kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Between two reads of a response body.
    pub(crate) read_timeout: Duration,
    /// How long it may idle.
    pub(crate) idle_timeout: Duration,
    /// How many may idle.
    pub(crate) max_idle: usize,
}

enum Io {
    Whole(TcpStream),
    /// The other half belongs to an upload.
    Reading(OwnedReadHalf),
    /// Only between two of the states above.
    Gone,
}

impl Connection {
    /// Connects, no longer than `limit`.
    pub(crate) async fn connect(address: SocketAddr, limit: Duration, clock: &Clock) -> io::Result<Box<Self>> {
        let watch = clock.watch();
        watch.arm(limit);
        let mut connecting = pin!(TcpStream::connect(address));
        let tcp = std::future::poll_fn(|cx| match connecting.as_mut().poll(cx) {
            Poll::Pending if watch.expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => {
                watch.wake(cx);
                Poll::Pending
            }
            ready => ready,
        })
        .await?;
        tcp.set_nodelay(true)?;
        watch.disarm();
        Ok(Box::new(Self {
            io: Io::Whole(tcp),
            input: BytesMut::new(),
            output: Vec::new(),
            watch,
            address,
            idle_since: 0,
            terms: Terms::default(),
        }))
    }

    /// Reads what is there into `input`, which has room for at least `room` bytes then. 0 is the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < room.min(1024) {
            self.input.reserve(room);
        }
        match &mut self.io {
            Io::Whole(tcp) => pin!(tcp.read_buf(&mut self.input)).poll(cx),
            Io::Reading(half) => pin!(half.read_buf(&mut self.input)).poll(cx),
            Io::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Whole(tcp) => match slices {
                [one] => Pin::new(tcp).poll_write(cx, one),
                _ => Pin::new(tcp).poll_write_vectored(cx, slices),
            },
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Gives the writing half away, for an upload.
    pub(crate) fn split(&mut self) -> Option<OwnedWriteHalf> {
        match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Whole(tcp) => {
                let (reading, writing) = tcp.into_split();
                self.io = Io::Reading(reading);
                Some(writing)
            }
            other => {
                self.io = other;
                None
            }
        }
    }

    /// Takes the writing half back.
    pub(crate) fn join(&mut self, writing: OwnedWriteHalf) {
        if let Io::Reading(reading) = std::mem::replace(&mut self.io, Io::Gone)
            && let Ok(tcp) = reading.reunite(writing)
        {
            self.io = Io::Whole(tcp);
        }
    }

    /// Whether an idle connection can carry another request: it is whole, and the upstream has neither closed it nor
    /// said anything unasked.
    pub(crate) fn is_alive(&self) -> bool {
        let Io::Whole(tcp) = &self.io else { return false };
        // Asks the runtime first, and the system only if the runtime has heard of something.
        let quiet = |read: io::Result<usize>| matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        self.input.is_empty() && quiet(tcp.try_read(&mut [0]))
    }

    /// Whether the system has anything to read, which on an idle connection can only be its end. The runtime may not
    /// have heard of it yet.
    pub(crate) fn has_ended(&self) -> bool {
        let Io::Whole(tcp) = &self.io else { return true };
        let mut space = [std::mem::MaybeUninit::uninit(); 1];
        let peeked = socket2::SockRef::from(tcp).peek(&mut space);
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
