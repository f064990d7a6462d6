//! The gateway half of a session.
