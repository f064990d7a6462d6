//! Where accepted connections go: to the least busy thread, as long as there is room.

use std::{
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use nylon_wire::ErrorCode;
use tokio::{net::TcpStream, sync::mpsc::UnboundedSender};

use crate::thread::{Message, Outside};

/// The gateway threads, and how many connections they may have.
pub(crate) struct Target {
    pub(crate) threads: Vec<(UnboundedSender<Message>, Arc<Outside>)>,
    pub(crate) max_connections: AtomicUsize,
    pub(crate) refused: AtomicUsize,
}

impl Target {
    /// Hands a connection over, or turns it away.
    pub(crate) fn hand_over(&self, tcp: TcpStream, peer: SocketAddr, turn: usize) {
        let busy = |index: usize| self.threads[index].1.connections.load(Relaxed);
        let total: usize = (0..self.threads.len()).map(busy).sum();
        if total >= self.max_connections.load(Relaxed) {
            self.refused.fetch_add(1, Relaxed);
            return turn_away(tcp);
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

/// Too many connections: says so if that takes no waiting.
fn turn_away(tcp: TcpStream) {
    let code = ErrorCode::Overloaded;
    let body = format!(r#"{{"status":{},"error":"{}","message":"{}"}}"#, code.status(), code.code(), code.message());
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    if let Ok(mut socket) = tcp.into_std() {
        // Nobody waits for this client; it may see a reset instead.
        drop(socket.write_all(answer.as_bytes()));
        drop(socket.shutdown(std::net::Shutdown::Write));
    }
}
