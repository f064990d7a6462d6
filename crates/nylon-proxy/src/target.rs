//! Where accepted connections go: to the least busy thread, as long as there is room.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use nylon_wire::ErrorCode;
use tokio::{net::TcpStream, sync::mpsc::UnboundedSender};

use crate::{
    errors::ErrorAnswer,
    log_limit::LogLimit,
    request_id::RequestIds,
    thread::{Message, Outside},
};

/// The gateway threads, and how many connections they may have.
pub(crate) struct Target {
    pub(crate) threads: Vec<(UnboundedSender<Message>, Arc<Outside>)>,
    pub(crate) max_connections: AtomicUsize,
    pub(crate) refused: AtomicUsize,
}

impl Target {
    /// Hands a connection over, or turns it away.
    pub(crate) fn hand_over(&self, tcp: TcpStream, peer: SocketAddr, turn: usize, doorman: &Doorman) {
        let busy = |index: usize| self.threads[index].1.connections.load(Relaxed);
        let total: usize = (0..self.threads.len()).map(busy).sum();
        if total >= self.max_connections.load(Relaxed) {
            self.refused.fetch_add(1, Relaxed);
            return doorman.turn_away(tcp, peer);
        }
        // Ties go round.
        let order = (0..self.threads.len()).map(|offset| (turn + offset) % self.threads.len());
        let Some(least) = order.min_by_key(|&index| busy(index)) else { return };
        let (messages, outside) = &self.threads[least];
        let socket = match tcp.set_nodelay(true).and_then(|()| tcp.into_std()) {
            Ok(socket) => socket,
            Err(error) => return tracing::debug!(%peer, "accepting a connection: {error}"),
        };
        outside.connections.fetch_add(1, Relaxed);
        if messages.send(Message::Connection(socket, peer)).is_err() {
            outside.connections.fetch_sub(1, Relaxed);
        }
    }
}

/// Answers connections beyond the limit, for one listener.
pub(crate) struct Doorman {
    ids: RequestIds,
    log_limit: LogLimit,
    start: Instant,
}

impl Doorman {
    pub(crate) fn new() -> Self {
        Self { ids: RequestIds::new(), log_limit: LogLimit::default(), start: Instant::now() }
    }

    /// Too many connections: says so if that takes no waiting.
    fn turn_away(&self, tcp: TcpStream, peer: SocketAddr) {
        let (id, answer) = (self.ids.next(), ErrorAnswer::from(ErrorCode::Overloaded));
        if self.log_limit.allows(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)) {
            let code = answer.code.code();
            tracing::info!(id = &*id, code, peer = %peer.ip(), "refusing a connection: as many as allowed are open");
        }
        let body = answer.body(&id);
        let mut text = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n".to_vec();
        for (name, value) in &answer.headers(&id) {
            text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        text.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        text.extend_from_slice(&body);
        if let Ok(mut socket) = tcp.into_std() {
            // Nobody waits for this client; it may see a reset instead.
            drop(socket.write_all(&text));
            drop(socket.shutdown(std::net::Shutdown::Write));
        }
    }
}
