//! Bodies that the worker asked for, as its credit allows.

use std::task::{Context, Poll};

use bytes::Bytes;
use nylon_plugin::{BodyStream, Piece, PluginError, StreamError};
use nylon_wire::{DataFrame, DataKind, Ext, Frame, Limits, failure};

use super::Talk;

/// A body that the worker reads as it comes.
pub(super) struct Inflow {
    call: u32,
    body: Box<dyn BodyStream>,
    /// Read and not sent yet.
    piece: Bytes,
    ended: bool,
    /// Bytes that the worker still takes.
    left: u64,
}

pub(super) struct Outgoing {
    call: u32,
    rest: Bytes,
}

impl Talk {
    /// Answers a FETCH with bytes, as credit allows.
    pub(in crate::gateway) fn answer_with(&mut self, call: u32, bytes: Bytes) {
        self.outgoing.push_back(Outgoing { call, rest: bytes });
    }

    /// Sends what credit allows of what was asked for.
    pub(in crate::gateway) fn pump(&mut self) -> Result<(), PluginError> {
        let chunk = Limits::chunk(self.lease.link.max_payload());
        while let Some(outgoing) = self.outgoing.front_mut() {
            let length = match outgoing.rest.len() {
                0 => 0,
                rest => match self.credit.allowance(rest.min(chunk)) {
                    0 => return Ok(()),
                    length => length,
                },
            };
            if !self.credit.take(length) {
                return Ok(());
            }
            let (id, bytes) = (outgoing.call, outgoing.rest.split_to(length));
            let more = !outgoing.rest.is_empty();
            self.send(|header| {
                Frame::Data(DataFrame { header, id, bytes, more, kind: DataKind::Body, ext: Ext::empty() })
            })?;
            if !more {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }

    /// Answers a FETCH with a body of which pieces are sent as they come, up to `limit` bytes.
    pub(in crate::gateway) fn answer_as_it_comes(&mut self, call: u32, body: Box<dyn BodyStream>, limit: u64) {
        self.inflow = Some(Box::new(Inflow { call, body, piece: Bytes::new(), ended: false, left: limit }));
    }

    /// The phase is over: nobody reads its body any more.
    pub(in crate::gateway) fn stop_feeding(&mut self) {
        self.inflow = None;
    }

    /// Sends what has come of the body that the worker reads, as credit allows.
    pub(in crate::gateway) fn feed(&mut self, cx: &mut Context<'_>) -> Result<(), StreamError> {
        while let Some(inflow) = &mut self.inflow {
            if inflow.piece.is_empty() && !inflow.ended {
                match inflow.body.poll_piece(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(None) => inflow.ended = true,
                    Poll::Ready(Some(Ok(Piece::Data(piece)))) => inflow.piece = piece,
                    Poll::Ready(Some(Ok(Piece::Trailers(trailers)))) => self.trailers = Some(trailers),
                    Poll::Ready(Some(Err(error))) => return Err(error),
                }
                continue;
            }
            if inflow.piece.len() as u64 > inflow.left {
                let call = inflow.call;
                self.inflow = None;
                self.refuse(call, failure::BODY_TOO_LARGE, "the body is longer than was asked for")?;
                return Ok(());
            }
            let link = &self.lease.link;
            let wanted = inflow.piece.len().min(Limits::chunk(link.max_payload()));
            let length = if inflow.ended { 0 } else { self.credit.allowance(wanted) };
            // Without a connection it waits: streams go on after a reconnect (rules §2).
            if (length == 0 && !inflow.ended) || !link.is_connected() || !self.credit.take(length) {
                return Ok(());
            }
            let (id, bytes, more) = (inflow.call, inflow.piece.split_to(length), !inflow.ended);
            inflow.left -= length as u64;
            if inflow.piece.is_empty() {
                inflow.body.moved_on();
            }
            if !more {
                self.inflow = None;
            }
            self.send(|header| {
                Frame::Data(DataFrame { header, id, bytes, more, kind: DataKind::Body, ext: Ext::empty() })
            })?;
        }
        Ok(())
    }
}
