//! The worker half of a session: what every SDK stands on.
//!
//! [`Worker::start`] starts one I/O thread that does NATS, frames, deadlines, beats and discovery. User code runs on
//! threads of the SDK: they take a [`Job`] from a [`Lane`], run the handler and answer with [`Job::finish`].

mod age;
mod core;
mod handle;
mod init;
mod io;
mod job;
mod lane;
mod live;
mod options;
mod outbox;
mod run;
mod service;
mod shared;
mod stats;

pub use handle::{Next, Worker};
pub use job::{Body, FetchError, Job, JobKind, OnBody};
pub use lane::Lane;
pub use options::{EntryOptions, WorkerError, WorkerOptions};
pub use run::{OnCancel, Session};
pub use stats::{WorkerCondition, WorkerCounts, WorkerStats};
