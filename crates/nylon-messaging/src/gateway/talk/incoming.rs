//! Bodies that the worker sends, within the credit that it has from us.

use bytes::BytesMut;
use nylon_plugin::{PluginError, PluginErrorKind};
use nylon_wire::{AbortReason, Credit, CreditFrame, DataFrame, DataKind, Ext, Frame, Operation, ResponseBody};

use super::Talk;

/// The most that a worker may send ahead, in bytes.
const WINDOW_MAX: u64 = 512 << 10;
/// Where workers hold much already, a stream's window does not grow before so many bytes have moved on: up to that the
/// system swallows for a client that reads nothing at all.
const FLOWS_AFTER: u64 = 2 << 20;

/// What the worker may send: granted and not used.
///
/// For streams the link counts what has come and not moved on as granted: it is still in memory.
pub(super) struct Window {
    left: u64,
    size: u64,
    /// Came in a stream and has not moved on.
    held: u64,
    /// Has moved on and is not granted again.
    owed: u64,
    /// Has moved on in a stream.
    flowed: u64,
}

impl Window {
    pub(super) fn new(credit: u32) -> Self {
        Self { left: u64::from(credit), size: u64::from(credit), held: 0, owed: 0, flowed: 0 }
    }

    /// What the link counts as granted to it.
    pub(super) fn granted(&self) -> u64 {
        self.left + self.held + self.owed
    }

    /// How large a stream's should be from now on.
    fn grown(&self, scarce: bool) -> u64 {
        let used = self.left < self.size / 4;
        let flows = !scarce || self.flowed >= FLOWS_AFTER;
        if used && flows { (self.size * 2).min(WINDOW_MAX) } else { self.size }
    }
}

pub(super) struct Incoming {
    id: u32,
    bytes: BytesMut,
    complete: bool,
}

impl Talk {
    /// Takes a piece of a stream. What it cost is granted again when it has moved on.
    pub(in crate::gateway) fn receive(&mut self, data: &DataFrame) -> Result<(), PluginError> {
        let cost = Credit::cost(data.bytes.len());
        if cost > self.window.left {
            return Err(self.protocol("the worker sent more than it was granted"));
        }
        self.window.left -= cost;
        self.window.held += cost;
        Ok(())
    }

    /// What has come of a stream has moved on: grants as much again, and more while it flows.
    pub(in crate::gateway) fn moved_on(&mut self, id: u32) -> Result<(), PluginError> {
        let window = &mut self.window;
        let moved = std::mem::take(&mut window.held);
        window.owed += moved;
        window.flowed += moved;
        let link = &self.lease.link;
        if window.owed < window.size / 4 || !link.is_connected() {
            return Ok(());
        }
        let mut bytes = std::mem::take(&mut window.owed);
        let more = window.grown(link.is_scarce()) - window.size;
        if link.may_grant(more) {
            link.grant(more);
            window.size += more;
            bytes += more;
        }
        window.left += bytes;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.send(|header| Frame::Credit(CreditFrame { header, id, bytes, ext: Ext::empty() }))
    }

    /// Takes a piece of a body that the worker sends, and grants more.
    pub(in crate::gateway) fn collect(&mut self, data: DataFrame, limit: usize) -> Result<(), PluginError> {
        self.account(&data)?;
        if data.kind != DataKind::Body {
            return Err(self.protocol(format!("DATA of kind {:?} without a stream", data.kind)));
        }
        let incoming = match &mut self.incoming {
            Some(incoming) if incoming.id == data.id && !incoming.complete => incoming,
            _ => self.incoming.insert(Incoming { id: data.id, bytes: BytesMut::new(), complete: false }),
        };
        if incoming.bytes.len() + data.bytes.len() > limit {
            let message = format!("the plugin's response body is longer than {limit} bytes");
            return Err(self.fail(PluginErrorKind::ResponseBodyTooLarge, AbortReason::Protocol, message));
        }
        incoming.bytes.extend_from_slice(&data.bytes);
        incoming.complete = !data.more;
        Ok(())
    }

    /// Accounts for a DATA frame whether or not it is used.
    pub(in crate::gateway) fn account(&mut self, data: &DataFrame) -> Result<(), PluginError> {
        let cost = Credit::cost(data.bytes.len());
        if cost > self.window.left {
            return Err(self.protocol("the worker sent more than it was granted"));
        }
        self.window.left -= cost;
        let link = &self.lease.link;
        link.ungrant(cost);
        if self.window.left > self.window.size / 2 {
            return Ok(());
        }
        // Grown while it flows, as far as the connection's limit goes; what was there is always given back.
        let grown = (self.window.size * 2).min(WINDOW_MAX);
        if link.may_grant(grown - self.window.left) {
            self.window.size = grown;
        }
        let bytes = self.window.size - self.window.left;
        link.grant(bytes);
        self.window.left = self.window.size;
        let (id, bytes) = (data.id, u32::try_from(bytes).unwrap_or(u32::MAX));
        self.send(|header| Frame::Credit(CreditFrame { header, id, bytes, ext: Ext::empty() }))
    }

    /// Puts bodies that came in DATA frames into the operations that name them.
    pub(in crate::gateway) fn resolve(&mut self, operations: &mut [Operation]) -> Result<(), PluginError> {
        for operation in operations {
            let Operation::SetResponseBody(ResponseBody::Data { id, total }) = *operation else { continue };
            let Some(incoming) = self.incoming.take_if(|incoming| incoming.id == id && incoming.complete) else {
                return Err(self.protocol(format!("operation 103 names body {id}, which did not come")));
            };
            if incoming.bytes.len() as u64 != total {
                let found = incoming.bytes.len();
                return Err(self.protocol(format!("operation 103 names {total} bytes, {found} came")));
            }
            *operation = Operation::SetResponseBody(ResponseBody::Inline(incoming.bytes.freeze()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_much_is_held_only_what_flows_gets_more() {
        let window = |left, flowed| Window { left, size: 32 << 10, held: 0, owed: 0, flowed };
        for (left, flowed, scarce, grown) in [
            (0, 0, false, 64),
            (16 << 10, 4 << 20, false, 32),
            (0, FLOWS_AFTER - 1, true, 32),
            (0, FLOWS_AFTER, true, 64),
            (16 << 10, FLOWS_AFTER, true, 32),
        ] {
            assert_eq!(window(left, flowed).grown(scarce) >> 10, grown, "{left} {flowed} {scarce}");
        }
    }
}
