//! The gateway half of a session: opens sessions, chooses workers, implements the session port of `nylon-plugin`.
//!
//! Once per process and messaging entry there is a [`Messaging`] (worker table, counters), once per process and plugin
//! a [`PluginShared`]. Each gateway thread starts a [`Link`] on its `LocalRuntime` and makes a [`NatsPlugin`] per entry.

mod answer;
mod encode;
mod entry;
mod ewma;
mod group;
mod known;
mod lease;
mod link;
mod long_phase;
mod messaging;
mod options;
mod pack;
mod plugin;
mod post;
mod random;
mod rooms;
mod session;
mod slots;
mod socket;
mod stats;
mod stream;
mod table;
mod talk;
mod upgrade;
mod waiting;

pub use group::Group;
pub use known::KnownWorker;
pub use link::Link;
pub use messaging::{Messaging, MessagingError, PluginShared};
pub use options::{Balance, MessagingOptions, PluginOptions};
pub use plugin::NatsPlugin;
pub use rooms::{carried::CarriedRooms, carrier::Deliver};
pub use stats::{Counter, Histogram, LinkStats, PluginStats, PluginTimes};
pub use table::WorkerTable;
