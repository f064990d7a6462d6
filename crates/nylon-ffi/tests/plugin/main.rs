//! Entries of the C library in `tests/library`, asked as a gateway thread asks them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod answers;
mod bodies;
mod executor;
mod loading;
mod misuse;
mod streams;
mod support;
mod threads;
