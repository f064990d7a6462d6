//! A body on its way: read piece by piece, never in memory as a whole.

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;

use crate::PluginError;

/// What a body is made of.
#[derive(Debug)]
pub enum Piece {
    /// Bytes; not empty.
    Data(Bytes),
    /// The last piece, if there is one.
    Trailers(HeaderMap),
}

/// Why a body is not whole.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// A plugin failed, or cut the stream short.
    #[error("{0}")]
    Plugin(PluginError),
    /// The upstream, or the client that sends the body, broke off.
    #[error("{0}")]
    Source(String),
    /// It is a request's body, and another reader has it ([`BodyError::Taken`](crate::BodyError::Taken)).
    #[error("{}", crate::BodyError::Taken)]
    Taken,
}

impl From<PluginError> for StreamError {
    fn from(error: PluginError) -> Self {
        Self::Plugin(error)
    }
}

/// A body on its way. Dropped before its end, it is cancelled where it comes from.
pub trait BodyStream {
    /// The next piece; `None` at the end of a whole body.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>>;

    /// Everything that was read so far has gone on: to the client's socket, or to the next filter. Whoever makes the
    /// body may make more of it (rules §8).
    fn moved_on(&mut self) {}
}

impl fmt::Debug for dyn BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}

/// A body that is in memory.
pub struct Whole(pub Bytes);

impl BodyStream for Whole {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then_some(Ok(Piece::Data(bytes))))
    }
}

/// A body that was to be read whole.
pub(crate) enum Collected {
    Whole(Bytes),
    TooLong,
}

/// Reads all of a body, up to `limit` bytes. Trailers are dropped: there is a length now.
pub(crate) async fn collect(mut stream: Box<dyn BodyStream>, limit: usize) -> Result<Collected, StreamError> {
    let mut whole = bytes::BytesMut::new();
    loop {
        match std::future::poll_fn(|cx| stream.poll_piece(cx)).await.transpose()? {
            None => return Ok(Collected::Whole(whole.freeze())),
            Some(Piece::Trailers(_)) => {}
            Some(Piece::Data(data)) if whole.len() + data.len() > limit => return Ok(Collected::TooLong),
            Some(Piece::Data(data)) => {
                whole.extend_from_slice(&data);
                stream.moved_on();
            }
        }
    }
}
