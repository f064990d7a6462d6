//! Methods beyond the ABI (docs/decisions/0016).

use nylon_wire::method;

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

/// Whether this reads a body, or the next piece of one. An empty answer says that there is no more of it.
pub(crate) fn reads_body(number: u32) -> bool {
    matches!(
        number,
        method::READ_REQUEST_FULL_BODY | method::READ_RESPONSE_FULL_BODY | READ_REQUEST_PIECE | READ_RESPONSE_PIECE
    )
}
