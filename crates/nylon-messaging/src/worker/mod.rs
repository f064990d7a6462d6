//! The worker half of a session.
