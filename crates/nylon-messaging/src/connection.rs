//! A connection that is kept up for ever, tells its state, and never makes a publisher wait: to NATS, or to a bus of this
//! process.

mod attempts;
mod options;

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_nats::{
    Client, ClientError, Event, Subject, client::traits::Publisher, connection::State, message::OutboundMessage,
};
use bytes::Bytes;

use crate::{
    bus::{self, Member},
    subscription::Subscription,
};

use self::attempts::Attempts;
pub use self::options::{Auth, ConnectionError, ConnectionOptions, TlsOptions};

/// So long after a reconnect the other side may still be on its way back: that it does not answer proves nothing.
pub(crate) const SETTLING: Duration = Duration::from_millis(2_500);
/// The same in milliseconds.
pub(crate) const SETTLING_MS: u64 = SETTLING.as_millis() as u64;

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
        let attempts = Arc::new(Attempts::default());
        let (tried, on_failure) = (attempts.clone(), on_event.clone());
        let connect = options::authenticated(options)?
            .name(&options.name)
            .ping_interval(options.ping_interval)
            .connection_timeout(Duration::from_secs(2))
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(delay)
            // Asked before each round of attempts: the only one to hear why the round before failed. Chooses nothing.
            .reconnect_to_server_callback(move |servers, _| {
                tried.failed(&servers).into_iter().map(ConnectionEvent::Error).for_each(&*on_failure);
                std::future::ready(None)
            })
            // Every subject is made of escaped tokens; scanning it again per message buys nothing.
            .skip_subject_validation(true)
            .client_capacity(8_192)
            .subscription_capacity(1 << 16)
            .event_callback(move |event| {
                if matches!(event, Event::Connected) {
                    attempts.connected();
                }
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
            // That a round of attempts failed, without server and reason: see `Attempts`.
            Event::ClientError(ClientError::Other(_)) => return None,
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
}
