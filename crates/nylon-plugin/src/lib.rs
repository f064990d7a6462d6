//! The exchange, operations, the plugin chain and failure policies. Knows no transport: a plugin is
//! anything that implements [`Plugin`] and [`Session`].

mod built_in;
mod chain;
mod entry;
mod error;
mod exchange;
mod given;
mod metrics;
mod operations;
mod phase;
mod port;
mod response;
mod rooms;
mod run;
mod stream;
mod websocket;

pub use built_in::{BuiltIn, Changes};
pub use chain::{Chain, Link, OnError, Payload, Policy};
pub use entry::{Entries, Entry, InFlight, Permit};
pub use error::{GatewayError, PluginError, PluginErrorKind};
pub use exchange::{BodyError, Exchange, KEPT_BODY, NoBody, Request, RequestBody};
pub use given::Given;
pub use metrics::{EntryMetrics, LATENCY_BOUNDS_US, Latency};
pub use nylon_wire::Operation;
pub use operations::{HeaderChange, Ignored, remove_other_spellings};
pub use phase::{BodyMode, Phase, PhaseMask};
pub use port::{Action, Call, HeaderFilter, Outcome, Plugin, Session, Timing};
pub use response::{EarlyResponse, Response, ResponseBody};
pub use rooms::RoomCarrier;
pub use run::{BodyPlan, Flow, Run};
pub use stream::{BodyStream, Piece, StreamError, Whole};
pub use websocket::{MessageKind, PluginSocket, SocketEnd, SocketOrder, Upgrade};
