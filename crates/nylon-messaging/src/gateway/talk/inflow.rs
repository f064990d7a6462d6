//! Bodies that the worker reads as they come.

use std::task::{Context, Poll};

use bytes::Bytes;
use nylon_plugin::{BodyStream, Piece, StreamError};
use nylon_wire::{DataFrame, DataKind, Ext, Frame, Limits, failure};

use super::Talk;

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

impl Talk {
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
                match inflow.body.poll_piece(cx) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(None) => inflow.ended = true,
                    Poll::Ready(Some(Ok(Piece::Data(piece)))) => inflow.piece = piece,
                    Poll::Ready(Some(Ok(Piece::Trailers(trailers)))) => self.trailers = Some(trailers),
                    Poll::Ready(Some(Err(error @ StreamError::Taken))) => {
                        self.refuse(call, failure::NOT_FOUND, &error.to_string())?;
                        return Ok(true);
                    }
                    Poll::Ready(Some(Err(error))) => return Err(error),
                }
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
            self.send(|header| {
                Frame::Data(DataFrame { header, id: call, bytes, more, kind: DataKind::Body, ext: Ext::empty() })
            })?;
            if !more {
                return Ok(true);
            }
        }
    }
}
