//! The worker half of a session: what every SDK stands on.
//!
//! [`Worker::start`] starts what does NATS, frames, deadlines, beats and discovery. User code runs on threads of the SDK:
//! they take a [`Job`] from a [`Lane`], run the handler and answer with [`Job::finish`]. *The I/O thread* is whichever
//! thread does the former at the moment: one that waits in [`Worker::next`], or a thread of the worker's own.
//!
//! ```no_run
//! use nylon_messaging::worker::{EntryOptions, JobKind, Lane, Next, Worker, WorkerOptions};
//! use nylon_wire::{Action, Operation, Phase, PhaseMask};
//!
//! let auth = EntryOptions::new("auth", PhaseMask::default().with(Phase::RequestFilter));
//! let worker = Worker::start(WorkerOptions::new("auth_workers", vec![auth]))?;
//! while let Next::Job(job) = worker.next(Lane::Threads, None) {
//!     let known = job.snapshot().is_some_and(|request| request.header("authorization") == Some(b"Bearer secret"));
//!     match job.kind() {
//!         JobKind::Phase(_) if !known => job.finish(vec![Operation::SetResponseStatus(401)], Action::End),
//!         _ => job.finish(vec![], Action::Next),
//!     }
//! }
//! # Ok::<(), nylon_messaging::worker::WorkerError>(())
//! ```

mod age;
mod core;
mod drive;
mod flow;
mod handle;
mod init;
mod io;
mod job;
mod lane;
mod live;
mod options;
mod outbox;
mod outgoing;
mod patience;
mod run;
mod service;
mod shared;
mod socket;
mod stats;

pub use flow::{BodyReader, OnPiece, OnWritten, StreamWriter, WriteError};
pub use handle::{Next, Worker};
pub use job::{Body, FetchError, Job, JobKind, OnBody};
pub use lane::Lane;
pub use options::{EntryOptions, WorkerError, WorkerOptions};
pub use run::{OnCancel, Session};
pub use socket::{Closure, Message, OnDone, OnVerdict, Socket, SocketError};
pub use stats::{WorkerCondition, WorkerCounts, WorkerStats};
