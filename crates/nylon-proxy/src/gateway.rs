//! The gateway: starts, reloads, drains and stops the threads that serve.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nylon_routing::Snapshot;
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

use crate::{
    acceptor::{self, Command, Purpose, bind},
    lock::lock,
    plugins::{PluginSource, PreparedPlugins},
    shared::Shared,
    start_error::StartError,
    starting::{LOOK, Starting},
    target::Target,
    thread::{self, Message, Outside},
};

/// How long a thread may take to switch to a new snapshot before the caller goes on without waiting.
const SWITCH: Duration = Duration::from_secs(5);

/// A running gateway. Dropping it stops it.
pub struct Gateway {
    shared: Arc<Shared>,
    source: Arc<dyn PluginSource>,
    commands: UnboundedSender<Command>,
    handles: Mutex<Vec<JoinHandle<()>>>,
    state: Mutex<State>,
}

struct State {
    snapshot: Arc<Snapshot>,
    listeners: Vec<Listener>,
    stopped: bool,
}

#[derive(Clone, Copy)]
struct Listener {
    purpose: Purpose,
    /// As configured: the port may be 0.
    configured: SocketAddr,
    bound: SocketAddr,
}

impl Gateway {
    /// Finds whatever [`Gateway::start`] would refuse in a snapshot, without binding or connecting anything, or telling
    /// plugins their configuration.
    ///
    /// # Errors
    /// [`StartError::Snapshot`] or [`StartError::Plugins`].
    pub fn check(snapshot: &[u8], source: &dyn PluginSource) -> Result<(), StartError> {
        let snapshot = Arc::new(Snapshot::compile(snapshot)?);
        source.prepare(&snapshot).map(drop).map_err(StartError::Plugins)
    }

    /// Binds all addresses and starts serving. `snapshot` is the normalised JSON.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(snapshot: &[u8], source: Arc<dyn PluginSource>) -> Result<Self, StartError> {
        Self::start_with(snapshot, source, &Starting::NOTHING)
    }

    /// As [`Gateway::start`]; clients wait to be accepted, and the gateway is not ready, until its plugins are connected
    /// (5 s at most) and the first beats of workers that are `starting` are heard (10 s at most).
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_with(
        snapshot: &[u8],
        source: Arc<dyn PluginSource>,
        starting: &Starting<'_>,
    ) -> Result<Self, StartError> {
        let snapshot = Arc::new(Snapshot::compile(snapshot)?);
        let plugins = source.prepare(&snapshot).map_err(StartError::Plugins)?;
        let (listeners, sockets) = bind_all(wanted(&snapshot))?;
        plugins.commit().map_err(StartError::Plugins)?;
        let mut threads = Vec::new();
        let mut runs = Vec::new();
        for index in 0..snapshot.process.threads {
            let (sender, receiver) = unbounded_channel();
            let outside = Arc::new(Outside::default());
            threads.push((sender, outside.clone()));
            runs.push((index, runtime(), outside, receiver));
        }
        let target = Target {
            threads,
            max_connections: AtomicUsize::new(snapshot.limits.max_connections),
            refused: AtomicUsize::new(0),
        };
        let shared = Arc::new(Shared {
            target,
            plugins: Mutex::new(plugins.clone()),
            starting: AtomicBool::new(true),
            draining: AtomicBool::new(false),
        });
        let (commands, received) = unbounded_channel();
        let gateway = Self {
            shared: shared.clone(),
            source,
            commands,
            handles: Mutex::default(),
            state: Mutex::new(State { snapshot: snapshot.clone(), listeners: listeners.clone(), stopped: false }),
        };
        let before = plugins.workers();
        for (index, make, outside, receiver) in runs {
            let (snapshot, plugins) = (snapshot.clone(), plugins.clone());
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            gateway.spawn(format!("nylon-{index}"), make, move || {
                thread::run(index, outside, receiver, snapshot, plugins)
            })?;
        }
        gateway.spawn("nylon-accept".to_owned(), runtime(), move || acceptor::run(shared, received))?;
        let (admin, clients): (Vec<_>, Vec<_>) =
            listeners.into_iter().zip(sockets).partition(|(listener, _)| listener.purpose == Purpose::Admin);
        gateway.listen(admin);
        starting.wait(&*plugins, &before, gateway.shared.target.threads.len());
        gateway.listen(clients);
        gateway.shared.starting.store(false, Relaxed);
        Ok(gateway)
    }

    fn spawn<F: Future<Output = ()>>(
        &self,
        name: String,
        mut runtime: Builder,
        run: impl FnOnce() -> F + Send + 'static,
    ) -> Result<(), StartError> {
        let (sender, receiver) = sync_channel(1);
        let handle = std::thread::Builder::new().name(name).spawn(move || {
            let runtime: LocalRuntime = match runtime.build_local(LocalOptions::default()) {
                Ok(runtime) => runtime,
                Err(error) => return drop(sender.send(Err(error))),
            };
            drop(sender.send(Ok(())));
            runtime.block_on(run());
        })?;
        lock(&self.handles).push(handle);
        receiver.recv().map_err(|_| io::Error::other("it ended at once"))??;
        Ok(())
    }

    /// Addresses for clients as bound, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound(Purpose::Clients)
    }

    /// Addresses for health and metrics as bound.
    #[must_use]
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.bound(Purpose::Admin)
    }

    fn bound(&self, purpose: Purpose) -> Vec<SocketAddr> {
        let state = lock(&self.state);
        state.listeners.iter().filter(|listener| listener.purpose == purpose).map(|listener| listener.bound).collect()
    }

    /// Serves new exchanges by another snapshot; those that run end on theirs. Connections, pools and counters stay.
    /// New addresses are listened on, old ones closed; the number of threads stays.
    ///
    /// # Errors
    /// [`StartError`]; nothing has changed then.
    pub fn reload(&self, snapshot: &[u8]) -> Result<(), StartError> {
        self.reload_with(snapshot, &Starting::NOTHING)
    }

    /// As [`Gateway::reload`]; the new snapshot waits for the first beats of workers that are `starting`, so that no
    /// request goes to a group that nobody is in yet. It goes on without those that take longer than 10 s.
    ///
    /// # Errors
    /// As [`Gateway::reload`].
    pub fn reload_with(&self, snapshot: &[u8], starting: &Starting<'_>) -> Result<(), StartError> {
        let snapshot = Arc::new(Snapshot::compile(snapshot)?);
        let mut state = lock(&self.state);
        if state.stopped || self.shared.draining.load(Relaxed) {
            return Err(StartError::ShuttingDown);
        }
        let plugins = self.source.prepare(&snapshot).map_err(StartError::Plugins)?;
        let wanted = wanted(&snapshot);
        let is = |listener: &Listener, &(purpose, configured): &(Purpose, SocketAddr)| {
            listener.purpose == purpose && listener.configured == configured
        };
        let new = wanted.iter().filter(|want| !state.listeners.iter().any(|listener| is(listener, want))).copied();
        let (added, sockets) = bind_all(new.collect())?;
        if let Err(refusal) = self.set_up(&plugins, starting) {
            let running = lock(&self.shared.plugins).clone();
            self.shared.tell(|| Message::Keep(running.clone()));
            return Err(refusal);
        }
        // From here on nothing can fail.
        if snapshot.process.threads != state.snapshot.process.threads {
            tracing::warn!(
                running = state.snapshot.process.threads,
                configured = snapshot.process.threads,
                "reloading: the number of threads changes with the next start only",
            );
        }
        self.shared.target.max_connections.store(snapshot.limits.max_connections, Relaxed);
        *lock(&self.shared.plugins) = plugins.clone();
        let (sender, receiver) = sync_channel(self.shared.target.threads.len());
        self.shared.tell(|| Message::Snapshot(snapshot.clone(), plugins.clone(), sender.clone()));
        drop(sender);
        let deadline = Instant::now() + SWITCH;
        for _ in &self.shared.target.threads {
            if receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
                tracing::warn!("reloading: a gateway thread has not switched yet");
                break;
            }
        }
        state.listeners.retain(|listener| {
            let keep = wanted.iter().any(|want| is(listener, want));
            if !keep {
                self.command(Command::Remove(listener.purpose, listener.configured));
            }
            keep
        });
        state.listeners.extend(&added);
        self.listen(added.into_iter().zip(sockets).collect());
        state.snapshot = snapshot;
        Ok(())
    }

    /// Makes plugins ready to be used: a request that finds a connection still on its way would fail.
    fn set_up(&self, plugins: &Arc<dyn PreparedPlugins>, starting: &Starting<'_>) -> Result<(), StartError> {
        let before = plugins.workers();
        self.shared.tell(|| Message::Connect(plugins.clone()));
        starting.wait(&**plugins, &before, self.shared.target.threads.len());
        plugins.commit().map_err(StartError::Plugins)
    }

    fn listen(&self, listeners: Vec<(Listener, TcpListener)>) {
        for (listener, socket) in listeners {
            self.command(Command::Add(listener.purpose, listener.configured, socket));
        }
    }

    /// Stops accepting, closes idle connections and waits until the others have been answered; at most for `limit`.
    /// Returns whether all are gone. Blocks.
    pub fn drain(&self, limit: Duration) -> bool {
        self.shared.draining.store(true, Relaxed);
        self.command(Command::Close);
        self.shared.tell(|| Message::Drain);
        let deadline = Instant::now() + limit;
        loop {
            if self.shared.connections() == 0 {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends all threads at once, whatever they do. Blocks until they have ended.
    pub fn stop(&self) {
        let stopped_before = std::mem::replace(&mut lock(&self.state).stopped, true);
        self.shared.draining.store(true, Relaxed);
        self.command(Command::Stop);
        self.shared.tell(|| Message::Stop);
        for handle in std::mem::take(&mut *lock(&self.handles)) {
            if handle.join().is_err() {
                tracing::error!("stopping: a gateway thread had panicked");
            }
        }
        if !stopped_before {
            self.source.shut_down();
        }
    }

    /// Whether requests should be sent here: it is not draining, and plugins can be reached.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.shared.not_ready().is_none()
    }

    /// All counters in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.shared.metrics()
    }

    /// Number of the snapshot in use.
    #[must_use]
    pub fn revision(&self) -> u64 {
        lock(&self.state).snapshot.revision.number
    }

    /// Client connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    fn command(&self, command: Command) {
        // An acceptor that has ended needs to be told nothing.
        drop(self.commands.send(command));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

fn runtime() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

fn wanted(snapshot: &Snapshot) -> Vec<(Purpose, SocketAddr)> {
    let clients = snapshot.process.listen.iter().map(|&address| (Purpose::Clients, address));
    clients.chain(snapshot.process.admin.iter().map(|&address| (Purpose::Admin, address))).collect()
}

fn bind_all(wanted: Vec<(Purpose, SocketAddr)>) -> Result<(Vec<Listener>, Vec<TcpListener>), StartError> {
    let mut listeners = Vec::new();
    let mut sockets = Vec::new();
    for (purpose, configured) in wanted {
        let bound = bind(configured).and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (bound, socket) = bound.map_err(|cause| StartError::Bind { address: configured, cause })?;
        listeners.push(Listener { purpose, configured, bound });
        sockets.push(socket);
    }
    Ok((listeners, sockets))
}
