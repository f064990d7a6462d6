//! A client's socket with its time limits, as the codec sees it.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use nylon_wire::ErrorCode;
use smallvec::SmallVec;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    guard::{Guard, Position, Stop},
    state::ConnectionState,
};
use crate::framing::{HeadLimits, Refusal};

/// Stands for a refused head. The method is no token that a client can use for anything else: the service looks
/// for the refusal too.
pub(crate) const REFUSED_METHOD: &str = "NYLON-REFUSED";
const REFUSED_HEAD: &[u8] = b"NYLON-REFUSED / HTTP/1.1\r\nhost: -\r\n\r\n";

/// How much of an unread upload is thrown away so that the client gets to read its answer, bytes and time.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// Head and body together up to this many bytes are copied into one piece: the system takes longer over a list of two.
const SHORT: usize = 1024;

pub(crate) struct ClientStream {
    tcp: TcpStream,
    guard: Guard,
    state: Rc<ConnectionState>,
    /// Bytes that may pass but did not fit or were held.
    output: Vec<u8>,
    taken: usize,
    broken: bool,
    /// No HTTP any more: nobody judges what passes.
    raw: bool,
    lingered: Option<usize>,
}

impl ClientStream {
    pub(crate) fn new(tcp: TcpStream, limits: HeadLimits, state: Rc<ConnectionState>) -> Self {
        Self {
            tcp,
            guard: Guard::new(limits),
            state,
            output: Vec::new(),
            taken: 0,
            broken: false,
            raw: false,
            lingered: None,
        }
    }

    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = &self.output[self.taken..];
        if rest.is_empty() {
            return false;
        }
        let here = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..here]);
        self.taken += here;
        if self.taken == self.output.len() {
            self.output = Vec::new();
            self.taken = 0;
        }
        true
    }

    /// From now on everything passes: first what the codec has read too much, then what was held back from it.
    pub(crate) fn into_raw(mut self, front: &[u8]) -> Self {
        let mut output = front.to_vec();
        output.extend_from_slice(&self.output[self.taken..]);
        output.extend_from_slice(&self.guard.take_held());
        self.output = output;
        self.taken = 0;
        self.raw = true;
        self
    }

    fn poll_raw(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.raw {
            // What comes behind a 101 is not for the codec, which is done when that is out.
            return Poll::Pending;
        }
        if self.deliver(buffer) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }

    fn stop(&mut self, stop: Option<Stop>) {
        match stop {
            None => {}
            Some(Stop::Head(refusal)) => self.refuse(refusal),
            Some(Stop::Body(error)) => {
                tracing::debug!(peer = %self.state.peer.address, "reading a request body: {error}");
                self.broken = true;
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.guard.refuse();
        self.state.reading.disarm();
        self.state.refuse(refusal);
        self.output.extend_from_slice(REFUSED_HEAD);
    }

    /// The socket has nothing: starts or enforces the limit that belongs to the position.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let position = self.guard.position();
        let watch = &self.state.reading;
        if watch.expired() {
            watch.disarm();
            match position {
                // The rest of an answer is still on its way to a slow reader.
                Position::Between if self.state.writing.is_armed() => {}
                // The codec takes the end of the input for the client's good-bye.
                Position::Between if !self.state.is_exchanging() => return Poll::Ready(Ok(())),
                Position::Head => {
                    self.refuse(Refusal { code: ErrorCode::RequestTimeout, reason: "the head took too long" });
                    return Poll::Ready(Ok(()));
                }
                Position::Body => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                _ => {}
            }
        }
        match position {
            Position::Between if !self.state.is_exchanging() && !watch.is_armed() => watch.arm(self.state.limits.idle),
            // Once per pause: whoever else wakes this task must not put the limit off.
            Position::Body if !watch.is_armed() => watch.arm(self.state.limits.read),
            _ => {}
        }
        watch.wake(cx);
        Poll::Pending
    }

    /// Called when bytes came: the limit for the next wait.
    fn moved(&mut self, before: Position) {
        let position = self.guard.position();
        self.state.set_between(position == Position::Between);
        match position {
            Position::Head if before != Position::Head => self.state.reading.arm(self.state.limits.header),
            Position::Head => {}
            _ => self.state.reading.disarm(),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.state.is_switched() {
            return this.poll_raw(cx, buffer);
        }
        loop {
            if this.deliver(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.broken {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            let before = this.guard.position();
            if before == Position::Refused {
                // The answer to the refusal ends the connection.
                return Poll::Pending;
            }
            if this.guard.holds() {
                let mut space = [0; 4096];
                let mut more = ReadBuf::new(&mut space);
                match Pin::new(&mut this.tcp).poll_read(cx, &mut more)? {
                    Poll::Ready(()) if more.filled().is_empty() => return Poll::Ready(Ok(())),
                    Poll::Ready(()) => {
                        let stop = this.guard.resume(more.filled(), &mut this.output);
                        this.stop(stop);
                        this.moved(before);
                    }
                    Poll::Pending => {
                        ready!(this.wait(cx))?;
                    }
                }
            } else {
                let start = buffer.filled().len();
                match Pin::new(&mut this.tcp).poll_read(cx, buffer)? {
                    Poll::Ready(()) => {
                        let input = &buffer.filled()[start..];
                        if input.is_empty() {
                            return Poll::Ready(Ok(()));
                        }
                        let verdict = this.guard.feed(input);
                        buffer.set_filled(start + verdict.pass);
                        this.stop(verdict.stop);
                        this.moved(before);
                        if verdict.pass > 0 {
                            return Poll::Ready(Ok(()));
                        }
                    }
                    Poll::Pending => {
                        ready!(this.wait(cx))?;
                        if before == Position::Between {
                            return Poll::Ready(Ok(()));
                        }
                    }
                }
            }
        }
    }
}

impl ClientStream {
    fn wrote<T>(&self, cx: &Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let watch = &self.state.writing;
        match result {
            Poll::Ready(result) => {
                if watch.is_armed() || watch.expired() {
                    watch.disarm();
                }
                Poll::Ready(result)
            }
            Poll::Pending if watch.expired() => {
                // What is still in the send buffer must not look like a whole answer.
                self.state.reset();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => {
                if !watch.is_armed() {
                    watch.arm(self.state.limits.write);
                }
                watch.wake(cx);
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.wrote(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let result = if slices.len() > 1 && length <= SHORT {
            let mut whole = SmallVec::<[u8; SHORT]>::new();
            slices.iter().for_each(|slice| whole.extend_from_slice(slice));
            Pin::new(&mut self.tcp).poll_write(cx, &whole)
        } else {
            Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
        };
        self.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The codec flushes when it has nothing left to write.
        self.state.drained();
        Poll::Ready(Ok(()))
    }

    /// Ends our side, then reads on for a while if the client is still sending: closing a socket with unread bytes
    /// resets it, and the client would lose the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.tcp).poll_shutdown(cx))?;
            if (this.guard.position() == Position::Between && !this.raw) || this.state.is_reset() {
                return Poll::Ready(Ok(()));
            }
            this.lingered = Some(0);
            this.state.reading.arm(LINGER_TIME);
        }
        let mut space = [0; 4096];
        loop {
            let mut more = ReadBuf::new(&mut space);
            match Pin::new(&mut this.tcp).poll_read(cx, &mut more) {
                Poll::Ready(Ok(())) if !more.filled().is_empty() => {
                    let total = this.lingered.unwrap_or_default() + more.filled().len();
                    this.lingered = Some(total);
                    if total > LINGER_BYTES {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if this.state.reading.expired() => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    this.state.reading.wake(cx);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.state.is_reset() {
            // Failing means that the socket is gone already.
            drop(self.tcp.set_zero_linger());
        }
    }
}
