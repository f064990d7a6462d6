//! Shared libraries with the Nylon ABI as plugins. Only user of libloading, only room with C types.
//!
//! ```text
//! gateway thread                         library
//! FfiSession ── begin ─▶ Shared ── pool thread ─▶ register_session_stream, event_stream
//!       ▲                  │  ▲
//!       └── events ────────┘  └── callback, on any thread of the library
//! ```
//! Reads are answered inside the callback, from copies in `Shared`; what changes the answer is kept there until
//! the phase has ended, and then applied as for every other transport. A gateway thread never calls into a library, so one
//! that blocks costs its own requests a 504 and nobody else anything; with [`Executor::Inline`] it does, until one blocks. docs/ffi-plugins.md says what users need to know.
//!
//! Files take from those further down only: `session`, `plugin` and `loading`; `callback`, `calls`, `reads`; `delivery`, `ending`,
//! `outbox`; `courier`, `rooms`, `table`; `shared` with `library`, which know each other; `state`, `pool`, `abi`.

#![allow(unsafe_code)] // C is on the other side; every block says why it is sound

mod abi;
mod backpressure;
mod batch;
mod bodies;
mod callback;
mod calls;
mod complaints;
mod courier;
mod delivery;
mod ending;
mod extension;
mod failures;
mod flat;
mod inbox;
mod library;
mod load_error;
mod loading;
mod lock;
mod operations;
mod outbox;
mod plugin;
mod pool;
mod reads;
mod rooms;
mod running;
mod session;
mod shared;
mod socket;
mod socket_calls;
mod state;
mod stream;
mod table;
mod view;

pub use callback::stray_calls;
pub use library::{Executor, Library};
pub use load_error::LoadError;
pub use plugin::FfiPlugin;
pub use rooms::deliver;
