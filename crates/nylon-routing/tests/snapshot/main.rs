//! The compiled snapshot as its users see it.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod compile;
mod cost;
mod matching;
mod reference;
mod support;
