//! Every way to prove who we are, and how a connection lives, against a real nats-server.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, missing_docs)]

#[path = "../support/server.rs"]
mod server;

mod credentials;
mod life;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use nylon_messaging::{Connection, ConnectionEvent, ConnectionOptions};

use crate::server::NatsServer;

/// Runs a test on a runtime of its own.
pub fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

pub type Events = Arc<Mutex<Vec<ConnectionEvent>>>;

/// Starts a connection that notes its events.
pub async fn connect(options: &ConnectionOptions) -> (Connection, Events) {
    let events = Events::default();
    let noted = events.clone();
    let connection = Connection::start(options, move |event| noted.lock().unwrap().push(event)).await.unwrap();
    (connection, events)
}

/// What was complained about.
pub fn errors(events: &Events) -> Vec<String> {
    let error = |event: &ConnectionEvent| match event {
        ConnectionEvent::Error(error) => Some(error.clone()),
        _ => None,
    };
    events.lock().unwrap().iter().filter_map(error).collect()
}

pub fn to(server: &NatsServer) -> ConnectionOptions {
    ConnectionOptions { servers: vec![server.url()], ..Default::default() }
}

pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waiting for {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A server with this configuration file.
pub fn server(config: &str) -> NatsServer {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("nylon-conf-{}-{}.conf", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, config).unwrap();
    let server = NatsServer::with(&["-c", &path.to_string_lossy()]);
    std::fs::remove_file(path).unwrap();
    server
}
