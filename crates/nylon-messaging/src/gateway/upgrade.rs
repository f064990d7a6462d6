//! Whether a request can be made the WebSocket that a worker asks for (SPEC 14.3).

use nylon_plugin::Exchange;
use nylon_wire::UpgradeFrame;

/// Why the request cannot be made a WebSocket; the worker still has its response in hand then.
pub(super) fn refusal(exchange: Option<&Exchange>, frame: &UpgradeFrame) -> Option<String> {
    let Some(exchange) = exchange else { return Some("nobody waits for it".to_owned()) };
    let request = &exchange.request;
    if let Err(why) = request.websocket_key() {
        return Some(why.to_owned());
    }
    if !exchange.request_body.is_empty() {
        return Some("it has a body".to_owned());
    }
    let chosen = frame.subprotocol.as_deref()?;
    (!request.offers_subprotocol(chosen)).then(|| format!("it does not offer the sub-protocol {chosen:?}"))
}
