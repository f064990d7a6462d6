//! Bodies that a library asks for: only the gateway thread can read them.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use nylon_plugin::{
    BodyError, BodyStream, Exchange, KEPT_BODY, Piece, PluginError, PluginErrorKind, ResponseBody, StreamError,
};
use tokio::time::Sleep;

use crate::shared::Shared;

/// Reads the request's body for the library, unless the phase ends before. One that it has taken itself, piece by piece, is empty.
pub(crate) async fn read_request(
    shared: &Arc<Shared>,
    exchange: &mut Exchange,
    piecewise: bool,
    mut deadline: Pin<&mut Sleep>,
) -> Result<(), PluginError> {
    let mut reading = exchange.request_body.read_all(shared.max_body);
    let read = poll_fn(|cx| {
        if let Poll::Ready(body) = reading.as_mut().poll(cx) {
            return Poll::Ready(Some(body));
        }
        // A phase that ends needs its body no more; one that is late is told so by the caller.
        let over = shared.poll_any(cx).is_ready() || deadline.as_mut().poll(cx).is_ready();
        if over { Poll::Ready(None) } else { Poll::Pending }
    });
    match read.await {
        Some(Ok(body)) => shared.supply_request_body(body),
        Some(Err(BodyError::Taken)) if piecewise => shared.withhold_request_body(),
        // It cannot know: empty would be a body that it is not.
        Some(Err(error @ BodyError::Taken)) => {
            return Err(PluginError::new(PluginErrorKind::Handler, error.to_string()));
        }
        Some(Err(error @ BodyError::TooLarge(_))) => {
            return Err(PluginError::new(PluginErrorKind::RequestBodyTooLarge, error.to_string()));
        }
        Some(Err(error @ BodyError::Client(_))) => {
            return Err(PluginError::new(PluginErrorKind::ClientGone, error.to_string()));
        }
        None => {}
    }
    Ok(())
}

/// The request's body, of a library that reads it piece by piece.
pub(crate) struct Upload {
    pub(crate) body: Box<dyn BodyStream>,
    /// The library has had all of it.
    ended: bool,
}

/// Reads the next piece of the request's body for the library, unless the phase ends before. The first one takes a body that is
/// long. The client has time limits of its own; the library has the phase's `span` anew from each piece to the last (SPEC 14.13).
pub(crate) async fn read_piece(
    shared: &Arc<Shared>,
    exchange: &mut Exchange,
    upload: &mut Option<Upload>,
    mut deadline: Pin<&mut Sleep>,
    span: Duration,
) -> Result<(), PluginError> {
    let upload = match upload {
        Some(upload) => upload,
        None => match exchange.request_body.stream(KEPT_BODY) {
            Ok(body) => upload.insert(Upload { body, ended: false }),
            Err(error) => return Err(PluginError::new(PluginErrorKind::Handler, error.to_string())),
        },
    };
    let read = poll_fn(|cx| {
        if let Poll::Ready(piece) = next_piece(upload.body.as_mut(), &mut None, cx) {
            return Poll::Ready(Some(piece));
        }
        shared.poll_any(cx).map(|()| None)
    });
    let read = read.await;
    if !upload.ended {
        deadline.as_mut().reset(tokio::time::Instant::now() + span);
        upload.ended = matches!(&read, Some(Ok(piece)) if piece.is_empty());
    }
    match read {
        Some(Ok(piece)) => shared.supply_piece(piece),
        Some(Err(StreamError::Plugin(error))) => return Err(error),
        Some(Err(StreamError::Source(what))) => return Err(PluginError::new(PluginErrorKind::ClientGone, what)),
        Some(Err(error @ StreamError::Taken)) => {
            return Err(PluginError::new(PluginErrorKind::Handler, error.to_string()));
        }
        None => {}
    }
    Ok(())
}

/// Bytes of a body; none behind the last. Its trailers are put aside.
pub(crate) fn next_piece(
    body: &mut dyn BodyStream,
    trailers: &mut Option<HeaderMap>,
    cx: &mut Context<'_>,
) -> Poll<Result<Bytes, StreamError>> {
    loop {
        match std::task::ready!(body.poll_piece(cx)) {
            Some(Ok(Piece::Data(data))) => {
                body.moved_on();
                return Poll::Ready(Ok(data));
            }
            Some(Ok(Piece::Trailers(found))) => *trailers = Some(found),
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => return Poll::Ready(Ok(Bytes::new())),
        }
    }
}

/// Reads the answer's body for a library that asks for it. If that fails, what has come of it stays in the answer. The
/// deadline is moved by what this takes: a slow upstream is not the library's failure, and has time limits of its own.
pub(crate) async fn read_response(
    shared: &Arc<Shared>,
    exchange: &mut Exchange,
    deadline: Pin<&mut Sleep>,
) -> Result<(), PluginError> {
    let began = Instant::now();
    let result = collect(shared, exchange).await;
    let until = deadline.deadline() + began.elapsed();
    deadline.reset(until);
    result
}

async fn collect(shared: &Arc<Shared>, exchange: &mut Exchange) -> Result<(), PluginError> {
    if let Some(error) = exchange.unfilterable() {
        return Err(error);
    }
    let mut stream = match std::mem::take(&mut exchange.response.body) {
        ResponseBody::Stream(stream) => stream,
        other => {
            shared.supply_response_body(other.full().cloned().unwrap_or_default());
            exchange.response.body = other;
            return Ok(());
        }
    };
    let mut whole = BytesMut::new();
    let rest = loop {
        match poll_fn(|cx| stream.poll_piece(cx)).await {
            None => break Ok(()),
            Some(Ok(Piece::Data(data))) => {
                whole.extend_from_slice(&data);
                if whole.len() > shared.max_body {
                    let what = format!("the response body is longer than {} bytes", shared.max_body);
                    break Err(Ok(PluginError::new(PluginErrorKind::ResponseBodyTooLarge, what)));
                }
                stream.moved_on();
            }
            // There is a length now.
            Some(Ok(Piece::Trailers(_))) => {}
            Some(Err(error)) => break Err(Err(error)),
        }
    };
    let whole = whole.freeze();
    match rest {
        Ok(()) => {
            exchange.response.body = ResponseBody::Full(whole.clone());
            shared.supply_response_body(whole);
            Ok(())
        }
        Err(Ok(error)) => {
            exchange.response.body = ResponseBody::Stream(Box::new(Resumed { first: whole, rest: Ok(stream) }));
            Err(error)
        }
        Err(Err(error)) => {
            let broken = Resumed { first: whole, rest: Err(Some(error.clone())) };
            exchange.response.body = ResponseBody::Stream(Box::new(broken));
            Err(match error {
                StreamError::Plugin(error) => error,
                error => PluginError::new(PluginErrorKind::UpstreamBroken, error.to_string()),
            })
        }
    }
}

/// A body of which the beginning has been read.
struct Resumed {
    first: Bytes,
    rest: Result<Box<dyn BodyStream>, Option<StreamError>>,
}

impl BodyStream for Resumed {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, StreamError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Piece::Data(std::mem::take(&mut self.first)))));
        }
        match &mut self.rest {
            Ok(stream) => stream.poll_piece(cx),
            Err(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    fn moved_on(&mut self) {
        if let Ok(stream) = &mut self.rest {
            stream.moved_on();
        }
    }
}
