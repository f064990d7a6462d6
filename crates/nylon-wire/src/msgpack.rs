//! The part of MessagePack the protocol uses: a writer of smallest forms and a reader with bounds checks.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::Reader;
pub use writer::Writer;
