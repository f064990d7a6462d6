//! What a request matches and where it goes. Pure: no I/O, no async.
