//! One request from its head to the last byte of its answer (architecture.md, "Life of a request").

mod answer;
mod begin;
mod course;
mod notes;
mod respond;

pub(crate) use begin::handle;
pub(crate) use course::Course;
