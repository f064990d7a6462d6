//! A connection that is kept up for ever, tells its state, and never makes a publisher wait: to NATS, or to a bus of this
//! process.

use std::{
    fmt,
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event, Subject, client::traits::Publisher, connection::State, message::OutboundMessage,
};
use bytes::Bytes;

use crate::{
    bus::{self, Member},
    subscription::Subscription,
};

/// So long after a reconnect the other side may still be on its way back: that it does not answer proves nothing.
pub(crate) const SETTLING: Duration = Duration::from_millis(2_500);

/// How a client proves who it is.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A shared token.
    Token(String),
    /// An nkey seed (`SU…`); the server knows the public key.
    NkeySeed(String),
    /// A `.creds` file: JWT and seed. Read when the connection is made.
    CredsFile(PathBuf),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets never reach a log.
        f.write_str(match self {
            Self::None => "None",
            Self::User { .. } => "User",
            Self::Token(_) => "Token",
            Self::NkeySeed(_) => "NkeySeed",
            Self::CredsFile(_) => "CredsFile",
        })
    }
}

/// TLS to the servers. Its presence makes TLS required.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate, for mutual TLS. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client's private key.
    pub key_file: Option<PathBuf>,
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// URLs such as `nats://127.0.0.1:4222`; tried in random order, the least failing first. Or the one URL
    /// `memory:<name>`: the bus of that name in this process; there, everything else of these options means nothing.
    pub servers: Vec<String>,
    /// Who we are.
    pub auth: Auth,
    /// TLS; `None` uses it only if a server or its URL asks for it.
    pub tls: Option<TlsOptions>,
    /// How often an idle connection is pinged; two unanswered pings end it. Default 5 s.
    pub ping_interval: Duration,
    /// Name in the server's connection list.
    pub name: String,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            auth: Auth::None,
            tls: None,
            ping_interval: Duration::from_secs(5),
            name: "nylon".to_owned(),
        }
    }
}

impl ConnectionOptions {
    /// Finds what no retry can heal, without connecting.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn check(&self) -> Result<(), ConnectionError> {
        if self.servers.is_empty() {
            return Err(ConnectionError::NoServer);
        }
        let tls = self.tls.iter().flat_map(|tls| [&tls.ca_file, &tls.cert_file, &tls.key_file]);
        for path in tls.flatten() {
            std::fs::File::open(path).map_err(|cause| ConnectionError::Credentials { path: path.clone(), cause })?;
        }
        Connection::authenticated(self).map(drop)
    }

    /// Whether it is a bus of this process, not NATS.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        bus::bus_name(&self.servers).is_some()
    }
}

/// Why a connection cannot even be tried. Everything that may heal by itself is retried instead.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No server is named.
    #[error("connecting to nats: no server is configured")]
    NoServer,
    /// A file cannot be read or used.
    #[error("reading nats credentials {path}: {cause}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What the system or the parser says.
        cause: std::io::Error,
    },
    /// A certificate comes without its key, or the other way round.
    #[error("configuring nats tls: cert_file and key_file belong together")]
    HalfCertificate,
    /// A server's URL is not understood.
    #[error("connecting to nats: {0}")]
    Connect(#[from] async_nats::ConnectError),
}

/// Why a message was not handed over. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection now.
    #[error("publishing to nats: not connected")]
    Disconnected,
    /// The connection does not keep up; waiting could take for ever.
    #[error("publishing to nats: the connection is congested")]
    Congested,
    /// Longer than the server allows, in bytes.
    #[error("publishing to nats: the message is longer than the server's {0} bytes")]
    TooLong(usize),
}

/// State of a connection, as a gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ConnectionState {
    /// Never connected yet.
    Connecting = 0,
    /// Up.
    Connected = 1,
    /// Lost, being retried.
    Disconnected = 2,
    /// Closed on purpose.
    Closed = 3,
}

/// What happens to a connection, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// Up, again or for the first time; subscriptions are in place before anything that is published after it.
    Connected,
    /// Lost; what was in flight may or may not have arrived.
    Disconnected,
    /// Messages of a subscription were dropped.
    SlowConsumer,
    /// The server or the client complains; the connection may live on.
    Error(String),
    /// Closed on purpose.
    Closed,
}

/// Counters and state that other threads may read.
#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    connects: AtomicU64,
    disconnects: AtomicU64,
    slow_consumers: AtomicU64,
}

/// One connection. Belongs to one thread's runtime; its state may be read from everywhere.
pub struct Connection {
    transport: Transport,
    shared: Arc<Shared>,
}

enum Transport {
    Nats(Client),
    Memory(Member),
}

/// Reads a connection's state from any thread.
#[derive(Clone, Debug)]
pub struct ConnectionWatch(Arc<Shared>);

impl ConnectionWatch {
    /// The state now.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        match self.0.state.load(Relaxed) {
            1 => ConnectionState::Connected,
            2 => ConnectionState::Disconnected,
            3 => ConnectionState::Closed,
            _ => ConnectionState::Connecting,
        }
    }

    /// How often it was connected.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.0.connects.load(Relaxed)
    }

    /// How often it was lost.
    #[must_use]
    pub fn disconnects(&self) -> u64 {
        self.0.disconnects.load(Relaxed)
    }

    /// How often messages of a subscription were dropped because nobody took them.
    #[must_use]
    pub fn slow_consumers(&self) -> u64 {
        self.0.slow_consumers.load(Relaxed)
    }
}

impl Connection {
    /// Starts connecting and returns at once; retries for ever, with jitter. `on_event` is called on the runtime's
    /// thread and must not block.
    ///
    /// # Errors
    /// Only what no retry can heal: see [`ConnectionError`].
    pub async fn start(
        options: &ConnectionOptions,
        on_event: impl Fn(ConnectionEvent) + Send + Sync + 'static,
    ) -> Result<Self, ConnectionError> {
        if options.servers.is_empty() {
            return Err(ConnectionError::NoServer);
        }
        let shared = Arc::new(Shared::default());
        if let Some(name) = bus::bus_name(&options.servers) {
            let transport = Transport::Memory(Member::join(name));
            shared.note(Event::Connected).into_iter().for_each(on_event);
            return Ok(Self { transport, shared });
        }
        let events = shared.clone();
        let on_event = Arc::new(on_event);
        let connect = Self::authenticated(options)?
            .name(&options.name)
            .ping_interval(options.ping_interval)
            .connection_timeout(Duration::from_secs(2))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(delay)
            // Every subject is made of escaped tokens; scanning it again per message buys nothing.
            .skip_subject_validation(true)
            .client_capacity(8_192)
            .subscription_capacity(1 << 16)
            .event_callback(move |event| {
                let event = events.note(event);
                let on_event = on_event.clone();
                async move {
                    if let Some(event) = event {
                        on_event(event);
                    }
                }
            });
        let client = connect.connect(options.servers.as_slice()).await?;
        Ok(Self { transport: Transport::Nats(client), shared })
    }

    fn authenticated(options: &ConnectionOptions) -> Result<ConnectOptions, ConnectionError> {
        let mut connect = match &options.auth {
            Auth::None => ConnectOptions::new(),
            Auth::User { user, password } => ConnectOptions::with_user_and_password(user.clone(), password.clone()),
            Auth::Token(token) => ConnectOptions::with_token(token.clone()),
            Auth::NkeySeed(seed) => ConnectOptions::with_nkey(seed.clone()),
            Auth::CredsFile(path) => {
                let wrap = |cause| ConnectionError::Credentials { path: path.clone(), cause };
                let text = std::fs::read_to_string(path).map_err(wrap)?;
                ConnectOptions::with_credentials(&text).map_err(wrap)?
            }
        };
        if let Some(tls) = &options.tls {
            connect = connect.require_tls(true);
            if let Some(ca) = &tls.ca_file {
                connect = connect.add_root_certificates(ca.clone());
            }
            connect = match (&tls.cert_file, &tls.key_file) {
                (Some(cert), Some(key)) => connect.add_client_certificate(cert.clone(), key.clone()),
                (None, None) => connect,
                _ => return Err(ConnectionError::HalfCertificate),
            };
        }
        Ok(connect)
    }

    /// Whether the connection is up now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        match &self.transport {
            Transport::Nats(client) => client.connection_state() == State::Connected,
            Transport::Memory(member) => member.is_open(),
        }
    }

    /// The server's limit for one message in bytes, as its last INFO said (1 MiB before the first).
    #[must_use]
    pub fn max_payload(&self) -> usize {
        match &self.transport {
            Transport::Nats(client) => client.max_payload(),
            Transport::Memory(_) => bus::MAX_PAYLOAD,
        }
    }

    /// State and counters for other threads.
    #[must_use]
    pub fn watch(&self) -> ConnectionWatch {
        ConnectionWatch(self.shared.clone())
    }

    /// Hands a message over, without ever waiting.
    ///
    /// # Errors
    /// Nothing was sent: not connected, congested, or too long.
    pub fn publish(&self, subject: Subject, reply: Option<Subject>, payload: Bytes) -> Result<(), PublishError> {
        // While disconnected the client would queue, and stale opens would reach workers later (rules §2).
        if !self.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let max = self.max_payload();
        if payload.len() > max {
            return Err(PublishError::TooLong(max));
        }
        let client = match &self.transport {
            Transport::Nats(client) => client,
            Transport::Memory(member) => {
                member.publish(&subject, reply, payload);
                return Ok(());
            }
        };
        let message = OutboundMessage { subject, reply, payload, headers: None };
        // Unconstrained: an exhausted cooperative budget would look like a full channel.
        let send = pin!(tokio::task::unconstrained(client.publish_message(message)));
        match send.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(_)) => Err(PublishError::Disconnected),
            Poll::Pending => Err(PublishError::Congested),
        }
    }

    /// Subscribes; the subscription survives reconnects.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn subscribe(&self, subject: String) -> Result<Subscription, PublishError> {
        let subscription = match &self.transport {
            Transport::Nats(client) => client.subscribe(subject).await.ok().map(Subscription::from),
            Transport::Memory(member) => member.subscribe(&subject, None).map(Subscription::from),
        };
        subscription.ok_or(PublishError::Disconnected)
    }

    /// Subscribes as a member of a queue group.
    ///
    /// # Errors
    /// The connection is closed.
    pub async fn queue_subscribe(&self, subject: String, group: String) -> Result<Subscription, PublishError> {
        let subscription = match &self.transport {
            Transport::Nats(client) => client.queue_subscribe(subject, group).await.ok().map(Subscription::from),
            Transport::Memory(member) => member.subscribe(&subject, Some(&group)).map(Subscription::from),
        };
        subscription.ok_or(PublishError::Disconnected)
    }

    /// Waits until everything handed over so far is written to the server, no longer than `limit`.
    ///
    /// # Errors
    /// Not written in time.
    pub async fn flush(&self, limit: Duration) -> Result<(), PublishError> {
        if !self.is_connected() {
            return Err(PublishError::Disconnected);
        }
        let Transport::Nats(client) = &self.transport else { return Ok(()) };
        match tokio::time::timeout(limit, client.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(PublishError::Disconnected),
            Err(_) => Err(PublishError::Congested),
        }
    }

    /// Closes after what is written. Subscriptions end.
    pub async fn close(&self, limit: Duration) {
        self.shared.state.store(ConnectionState::Closed as u8, Relaxed);
        match &self.transport {
            // A drain that cannot be handed over in time has nobody to talk to: dropping the client ends it as well.
            Transport::Nats(client) => drop(tokio::time::timeout(limit, client.drain()).await),
            Transport::Memory(member) => member.close(),
        }
    }
}

impl Shared {
    fn note(&self, event: Event) -> Option<ConnectionEvent> {
        Some(match event {
            Event::Connected => {
                self.connects.fetch_add(1, Relaxed);
                self.state.store(ConnectionState::Connected as u8, Relaxed);
                ConnectionEvent::Connected
            }
            Event::Disconnected => {
                self.disconnects.fetch_add(1, Relaxed);
                self.state.store(ConnectionState::Disconnected as u8, Relaxed);
                ConnectionEvent::Disconnected
            }
            Event::Closed => {
                self.state.store(ConnectionState::Closed as u8, Relaxed);
                ConnectionEvent::Closed
            }
            Event::SlowConsumer(_) => {
                self.slow_consumers.fetch_add(1, Relaxed);
                ConnectionEvent::SlowConsumer
            }
            Event::ServerError(error) => ConnectionEvent::Error(error.to_string()),
            Event::ClientError(error) => ConnectionEvent::Error(error.to_string()),
            // The server closes the connection itself when it is ready to.
            Event::LameDuckMode | Event::Draining => return None,
        })
    }
}

/// Time before the next attempt: short and jittered at first, half to all of min(50 ms × 2^n, 2 s) later, so that a
/// fleet does not come back in one instant.
fn delay(attempt: usize) -> Duration {
    let window = match attempt {
        0 | 1 => 20,
        more => 50u64.saturating_mul(1 << (more - 2).min(10)).min(2_000),
    };
    Duration::from_millis(window / 2 + u64::from(noise()) % (window / 2 + 1))
}

fn noise() -> u32 {
    static SEED: OnceLock<u64> = OnceLock::new();
    static STEP: AtomicU64 = AtomicU64::new(0);
    let seed = *SEED.get_or_init(|| {
        // Without the system's generator the process id still keeps two processes apart.
        getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
    });
    let mixed = (seed ^ STEP.fetch_add(1, Relaxed)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    u32::try_from((mixed ^ (mixed >> 29)) >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_with_jitter_and_stay_bounded() {
        assert!(delay(1) <= Duration::from_millis(20));
        let tenth: Vec<_> = (0..50).map(|_| delay(10)).collect();
        assert!(tenth.iter().all(|d| (1_000..=2_000).contains(&d.as_millis())));
        assert!(tenth.iter().any(|d| *d != tenth[0]), "no jitter");
        assert!(delay(usize::MAX) <= Duration::from_secs(2));
    }

    #[test]
    fn secrets_do_not_show_in_logs() {
        let options = ConnectionOptions { auth: Auth::Token("hush".into()), ..Default::default() };
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[test]
    fn half_a_certificate_is_refused() {
        let tls = TlsOptions { cert_file: Some("cert.pem".into()), ..Default::default() };
        let options = ConnectionOptions { tls: Some(tls), ..Default::default() };
        assert!(matches!(Connection::authenticated(&options), Err(ConnectionError::HalfCertificate)));
    }
}
