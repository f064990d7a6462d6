//! Session frames and their codec, subject names, method numbers. No I/O, no async.
