//! The exchange, operations, the plugin chain and failure policies. Knows no transport: a plugin is
//! anything that implements [`Plugin`] and [`Session`].

mod error;
mod exchange;
mod phase;
mod port;
mod response;

pub use error::{PluginError, PluginErrorKind};
pub use exchange::{BodyError, Exchange, NoBody, Request, RequestBody};
pub use nylon_wire::Operation;
pub use phase::{BodyMode, Phase, PhaseMask};
pub use port::{Action, Call, HeaderFilter, Outcome, Plugin, Session, Timing};
pub use response::{EarlyResponse, Response, ResponseBody};
