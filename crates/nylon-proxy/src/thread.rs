//! A gateway thread: its own runtime, connections, pools and plugins. A request never leaves it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    time::Duration,
};

use nylon_routing::Snapshot;
use tokio::{net::TcpStream, sync::mpsc::UnboundedReceiver};

use crate::{
    active::{Active, KnownMetrics},
    clock::Clock,
    down,
    lock::lock,
    log_limit::LogLimit,
    metrics::ThreadMetrics,
    nats,
    plugins::PreparedPlugins,
    request_id::RequestIds,
    up::Pool,
};

/// How often pools are swept, milliseconds.
const SWEEP: u64 = 1000;

/// What other threads see of a gateway thread.
#[derive(Default)]
pub(crate) struct Outside {
    /// Client connections given to it and not closed yet.
    pub(crate) connections: AtomicUsize,
    pub(crate) metrics: Arc<ThreadMetrics>,
    /// Entries of the snapshot in use; each label once, however many places of a chain share its counters.
    pub(crate) entries: Mutex<KnownMetrics>,
}

/// What a gateway thread is told.
pub(crate) enum Message {
    Connection(std::net::TcpStream, SocketAddr),
    /// These plugins are going to be used.
    Connect(Arc<dyn PreparedPlugins>),
    /// They are not; these stay.
    Keep(Arc<dyn PreparedPlugins>),
    /// New exchanges begin on this snapshot.
    Snapshot(Arc<Snapshot>, Arc<dyn PreparedPlugins>, SyncSender<()>),
    Drain,
    Stop,
}

/// A gateway thread, seen from within.
pub(crate) struct Thread {
    pub(crate) clock: Clock,
    pub(crate) pool: Rc<Pool>,
    pub(crate) ids: RequestIds,
    pub(crate) metrics: Arc<ThreadMetrics>,
    log_limit: LogLimit,
    active: RefCell<Rc<Active>>,
    draining: Cell<bool>,
    ending: Cell<bool>,
}

impl Thread {
    /// The snapshot for exchanges that begin now.
    pub(crate) fn active(&self) -> Rc<Active> {
        Rc::clone(&self.active.borrow())
    }

    /// Whether the next failure of a request is logged.
    pub(crate) fn logs_failure(&self) -> bool {
        self.log_limit.allows(self.clock.now())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether the runtime is about to end: nothing new can be started on it.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }
}

/// How long a thread that ends tries to tell workers that their sessions are over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Runs a gateway thread until it is told to stop.
pub(crate) async fn run(
    index: u32,
    outside: Arc<Outside>,
    mut messages: UnboundedReceiver<Message>,
    snapshot: Arc<Snapshot>,
    plugins: Arc<dyn PreparedPlugins>,
) {
    let clock = Clock::new();
    let mut known = HashMap::new();
    let active = activate(index, &outside, snapshot, &*plugins, &mut known);
    let thread = Rc::new(Thread {
        pool: Rc::new(Pool::new(clock.clone())),
        ids: RequestIds::new(),
        metrics: outside.metrics.clone(),
        log_limit: LogLimit::default(),
        active: RefCell::new(active),
        draining: Cell::new(false),
        ending: Cell::new(false),
        clock,
    });
    tokio::task::spawn_local(tick(thread.clone()));
    while let Some(message) = messages.recv().await {
        match message {
            Message::Connection(socket, peer) => connect(&thread, &outside, socket, peer),
            Message::Connect(plugins) => plugins.connect(index),
            Message::Keep(plugins) => plugins.keep(index),
            Message::Snapshot(snapshot, plugins, done) => {
                let active = activate(index, &outside, snapshot, &*plugins, &mut known);
                thread.active.replace(active);
                // Whoever asked may have given up waiting.
                let _ = done.try_send(());
            }
            Message::Drain => {
                thread.draining.set(true);
                thread.clock.wake_all();
            }
            Message::Stop => break,
        }
    }
    thread.ending.set(true);
    nats::shut_down_links(LAST_WORDS).await;
}

fn activate(
    index: u32,
    outside: &Outside,
    snapshot: Arc<Snapshot>,
    plugins: &dyn PreparedPlugins,
    known: &mut KnownMetrics,
) -> Rc<Active> {
    let active = Rc::new(Active::new(snapshot, plugins, index, known));
    let entries = active.entries.iter().map(|entry| (entry.label.clone(), entry.metrics.clone())).collect();
    *lock(&outside.entries) = entries;
    active
}

async fn tick(thread: Rc<Thread>) {
    let mut next = SWEEP;
    let pool = thread.pool.clone();
    let metrics = thread.metrics.clone();
    thread
        .clock
        .clone()
        .run(move |now| {
            if now >= next {
                next = now + SWEEP;
                pool.sweep();
                metrics.upstream_idle.set(pool.len() as u64);
            }
        })
        .await;
}

/// Counts a connection until it is closed.
struct Counted {
    outside: Arc<Outside>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.outside.connections.fetch_sub(1, Relaxed);
        self.outside.metrics.open_connections.subtract(1);
    }
}

fn connect(thread: &Rc<Thread>, outside: &Arc<Outside>, socket: std::net::TcpStream, peer: SocketAddr) {
    outside.metrics.connections.add(1);
    outside.metrics.open_connections.add(1);
    let counted = Counted { outside: outside.clone() };
    let tcp = match TcpStream::from_std(socket) {
        Ok(tcp) => tcp,
        Err(error) => return tracing::warn!(%peer, "taking over a connection: {error}"),
    };
    let thread = thread.clone();
    tokio::task::spawn_local(async move {
        down::serve(thread, tcp, peer).await;
        drop(counted);
    });
}
