//! What a request matches and where it goes. Pure: no I/O, no async.

mod balance;
mod client;
pub mod config;
mod error;
mod host;
mod modifier;
mod params;
mod path;
mod pattern;
mod rewrite;
mod router;
mod snapshot;
mod template;

pub use balance::RoundRobin;
pub use client::TrustedProxies;
pub use error::CompileError;
pub use host::split_authority;
pub use modifier::{Modifier, Side};
pub use params::Params;
pub use path::canonical;
pub use pattern::Pattern;
pub use router::NoMatch;
pub use snapshot::{
    Endpoint, Entry, HttpService, InLibrary, Link, Match, Messaging, Middleware, OnMessaging, PathEntry, Payload,
    Place, Plugin, Revision, Route, Service, ServiceKind, Snapshot,
};
pub use template::{Facts, JsonTemplate, Template, TemplateError, UuidVersion};
