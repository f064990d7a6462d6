//! What a library changes: its messages as operations, and what later reads see of them.

use bytes::Bytes;
use nylon_plugin::Operation;
use nylon_wire::{ResponseBody, Text, method};

use crate::{flat, state::State};

/// Methods beyond the ABI.
pub(crate) mod extension {
    pub(crate) const SET_REQUEST_HEADER: u32 = 400;
    pub(crate) const REMOVE_REQUEST_HEADER: u32 = 401;
    pub(crate) const ADD_REQUEST_HEADER: u32 = 402;
    pub(crate) const ADD_RESPONSE_HEADER: u32 = 410;
    pub(crate) const FAIL: u32 = 430;
    /// The next piece of the request's body; empty behind the last. The body is taken by it.
    pub(crate) const READ_REQUEST_PIECE: u32 = 431;
    pub(crate) const READ_REQUEST_ID: u32 = 432;
    /// A WebSocket with the longest message (u32, big-endian; 0 for the gateway's limit) and the sub-protocol. If the
    /// request cannot become one, the library hears why by an event of this number, and the phase goes on.
    pub(crate) const UPGRADE_WITH: u32 = 433;
    /// Closes the WebSocket with a code (u16, big-endian) and a reason.
    pub(crate) const CLOSE_WITH: u32 = 434;
    /// All headers, whatever bytes their values are.
    pub(crate) const READ_REQUEST_HEADERS: u32 = 435;
    pub(crate) const READ_RESPONSE_HEADERS: u32 = 436;
    /// The next piece of the body that a body filter streams; empty behind the last.
    pub(crate) const READ_RESPONSE_PIECE: u32 = 437;
    /// Several messages in one call.
    pub(crate) const SEVERAL: u32 = 438;
}

/// What a call to change something means.
pub(crate) fn operation(number: u32, payload: &[u8]) -> Option<Operation> {
    let header = || {
        let (name, value) = flat::read_header(payload)?;
        Some((Text::from(name), Bytes::copy_from_slice(value)))
    };
    // Rubbish in it makes it a name that no header has, which is refused like any other.
    let name = || Text::from(String::from_utf8_lossy(payload).into_owned());
    Some(match number {
        method::SET_RESPONSE_HEADER => {
            let (name, value) = header()?;
            Operation::SetResponseHeader { name, value }
        }
        extension::SET_REQUEST_HEADER => {
            let (name, value) = header()?;
            Operation::SetRequestHeader { name, value }
        }
        extension::ADD_REQUEST_HEADER => {
            let (name, value) = header()?;
            Operation::AddRequestHeader { name, value }
        }
        extension::ADD_RESPONSE_HEADER => {
            let (name, value) = header()?;
            Operation::AddResponseHeader { name, value }
        }
        method::REMOVE_RESPONSE_HEADER => Operation::RemoveResponseHeader { name: name() },
        extension::REMOVE_REQUEST_HEADER => Operation::RemoveRequestHeader { name: name() },
        method::SET_RESPONSE_STATUS => {
            let status = payload.get(..2)?;
            Operation::SetResponseStatus(u16::from_be_bytes(status.try_into().ok()?))
        }
        method::SET_RESPONSE_FULL_BODY => {
            Operation::SetResponseBody(ResponseBody::Inline(Bytes::copy_from_slice(payload)))
        }
        _ => return None,
    })
}

/// Lets later reads of the phase see the change. Whether it is legal is judged when the phase has ended.
pub(crate) fn show(state: &mut State, operation: &Operation) {
    let response = &mut state.response;
    let header = |name: &Text, value: &Bytes| {
        let name = http::HeaderName::from_bytes(name.bytes()).ok()?;
        Some((name, http::HeaderValue::from_maybe_shared(value.clone()).ok()?))
    };
    match operation {
        Operation::SetResponseStatus(status) => response.status = *status,
        Operation::SetResponseBody(ResponseBody::Inline(body)) => {
            response.body = Some(body.clone());
            response.awaited = false;
        }
        Operation::SetResponseHeader { name, value } => {
            if let Some((name, value)) = header(name, value) {
                response.headers.insert(name, value);
            }
        }
        Operation::AddResponseHeader { name, value } => {
            if let Some((name, value)) = header(name, value) {
                response.headers.append(name, value);
            }
        }
        Operation::RemoveResponseHeader { name } => {
            response.headers.remove(name.as_str());
        }
        _ => {}
    }
}
