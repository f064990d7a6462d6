//! A bus in memory where the other tests have a nats-server.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Named like what it stands in for, so that the same tests run on it.
pub struct NatsServer {
    url: String,
}

impl NatsServer {
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Self { url: format!("memory:{}", NUMBER.fetch_add(1, Relaxed)) }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }
}
