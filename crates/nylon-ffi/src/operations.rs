//! What a library changes: its messages as operations, and what later reads see of them.

use bytes::Bytes;
use nylon_plugin::Operation;
use nylon_wire::{ResponseBody, Text, method};

use crate::{extension, flat, state::State};

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
