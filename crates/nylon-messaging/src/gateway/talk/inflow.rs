//! Bodies that the worker reads as they come.

use std::task::{Context, Poll};

use bytes::Bytes;
use nylon_plugin::{BodyStream, Piece, StreamError};
use nylon_wire::{DataFrame, DataKind, Ext, Frame, Limits, failure};

use super::Talk;
use crate::Clock;

/// An answer to a FETCH that is on its way.
pub(super) struct Inflow {
    call: u32,
    body: Box<dyn BodyStream>,
    /// Read and not sent yet.
    piece: Bytes,
    ended: bool,
    /// Bytes that the worker still takes.
    left: u64,
}

/// The first answer of a phase that brings the request as it comes: while it is on its way its own limits hold in place of
/// the phase's deadline (SPEC 14.13).
pub(in crate::gateway) struct Upload {
    call: u32,
    /// When anything of it last came or went. Milliseconds of our clock.
    moved: u64,
    /// The client is waited for, and nobody else.
    pending: bool,
}

impl Upload {
    pub(in crate::gateway) fn new(call: u32) -> Self {
        Self { call, moved: Clock::now_ms(), pending: false }
    }

    /// Until when the worker has to do something, if it may take so long; never while the client is waited for.
    pub(in crate::gateway) fn deadline(&self, span: u64) -> u64 {
        if self.pending { u64::MAX } else { self.moved.saturating_add(span) }
    }
}

impl Talk {
    /// What an answer waits for has changed.
    fn note(&mut self, call: u32, pending: bool) {
        if let Some(upload) = self.upload.as_mut().filter(|upload| upload.call == call) {
            *upload = Upload { pending, ..Upload::new(call) };
        }
    }

    /// Answers a FETCH with a body of which pieces are sent as they come, up to `limit` bytes.
    pub(in crate::gateway) fn answer_as_it_comes(&mut self, call: u32, body: Box<dyn BodyStream>, limit: u64) {
        self.inflows.push(Inflow { call, body, piece: Bytes::new(), ended: false, left: limit });
    }

    /// The phase is over: nobody reads its bodies any more.
    pub(in crate::gateway) fn stop_feeding(&mut self) {
        self.inflows.clear();
    }

    /// Sends what has come of the bodies that the worker reads, as credit allows.
    pub(in crate::gateway) fn feed(&mut self, cx: &mut Context<'_>) -> Result<(), StreamError> {
        let mut at = 0;
        while at < self.inflows.len() {
            if self.feed_one(at, cx)? {
                self.inflows.remove(at);
            } else {
                at += 1;
            }
        }
        Ok(())
    }

    /// Whether the answer is complete.
    fn feed_one(&mut self, at: usize, cx: &mut Context<'_>) -> Result<bool, StreamError> {
        loop {
            let Some(inflow) = self.inflows.get_mut(at) else { return Ok(true) };
            let call = inflow.call;
            if inflow.piece.is_empty() && !inflow.ended {
                let polled = inflow.body.poll_piece(cx);
                match polled {
                    Poll::Pending => {
                        self.note(call, true);
                        return Ok(false);
                    }
                    Poll::Ready(None) => inflow.ended = true,
                    Poll::Ready(Some(Ok(Piece::Data(piece)))) => inflow.piece = piece,
                    Poll::Ready(Some(Ok(Piece::Trailers(trailers)))) => self.trailers = Some(trailers),
                    Poll::Ready(Some(Err(error @ StreamError::Taken))) => {
                        self.note(call, false);
                        self.refuse(call, failure::NOT_FOUND, &error.to_string())?;
                        return Ok(true);
                    }
                    Poll::Ready(Some(Err(error))) => return Err(error),
                }
                self.note(call, false);
                continue;
            }
            if inflow.piece.len() as u64 > inflow.left {
                self.refuse(call, failure::BODY_TOO_LARGE, "the body is longer than was asked for")?;
                return Ok(true);
            }
            let link = &self.lease.link;
            let wanted = inflow.piece.len().min(Limits::chunk(link.max_payload()));
            let length = if inflow.ended { 0 } else { self.credit.allowance(wanted) };
            // Without a connection it waits: streams go on after a reconnect (rules §2).
            if (length == 0 && !inflow.ended) || !link.is_connected() || !self.credit.take(length) {
                return Ok(false);
            }
            let (bytes, more) = (inflow.piece.split_to(length), !inflow.ended);
            inflow.left -= length as u64;
            if inflow.piece.is_empty() {
                inflow.body.moved_on();
            }
            self.note(call, false);
            self.send(|header| {
                Frame::Data(DataFrame { header, id: call, bytes, more, kind: DataKind::Body, ext: Ext::empty() })
            })?;
            if !more {
                return Ok(true);
            }
        }
    }
}
