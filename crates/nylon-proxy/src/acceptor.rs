//! Listening sockets and the thread that owns them. It accepts, and hands each connection to the least busy gateway
//! thread; one socket per address stays open for the life of the process (rules §11).

use std::{
    collections::HashMap,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use nylon_wire::ErrorCode;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    task::AbortHandle,
};

use crate::{
    admin,
    shared::Shared,
    thread::{Message, Outside},
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// How long accepting rests when the system has no more descriptors.
const REST: Duration = Duration::from_millis(50);

/// Binds an address and listens.
pub(crate) fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0` on the same port.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Clients,
    Admin,
}

/// What the acceptor is told.
pub(crate) enum Command {
    /// Listen here too, under this configured address.
    Add(Purpose, SocketAddr, StdListener),
    /// Close what was configured so.
    Remove(Purpose, SocketAddr),
    /// Close everything for clients.
    Close,
    Stop,
}

/// Where accepted connections go.
pub(crate) struct Target {
    pub(crate) threads: Vec<(UnboundedSender<Message>, Arc<Outside>)>,
    pub(crate) max_connections: AtomicUsize,
    pub(crate) refused: AtomicUsize,
}

impl Target {
    /// Hands a connection over, or turns it away.
    fn hand_over(&self, tcp: TcpStream, peer: SocketAddr, turn: usize) {
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

/// Runs the acceptor until it is told to stop.
pub(crate) async fn run(shared: Arc<Shared>, mut commands: UnboundedReceiver<Command>) {
    let mut listening: HashMap<(Purpose, SocketAddr), AbortHandle> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Add(purpose, address, socket) => match TcpListener::from_std(socket) {
                Ok(listener) => {
                    let task = tokio::task::spawn_local(listen(shared.clone(), purpose, listener));
                    listening.insert((purpose, address), task.abort_handle());
                }
                Err(error) => tracing::error!(%address, "listening: {error}"),
            },
            Command::Remove(purpose, address) => {
                if let Some(task) = listening.remove(&(purpose, address)) {
                    task.abort();
                }
            }
            Command::Close => listening.retain(|(purpose, _), task| {
                let keep = *purpose == Purpose::Admin;
                if !keep {
                    task.abort();
                }
                keep
            }),
            Command::Stop => return,
        }
    }
}

async fn listen(shared: Arc<Shared>, purpose: Purpose, listener: TcpListener) {
    let mut turn = 0usize;
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                turn = turn.wrapping_add(1);
                match purpose {
                    Purpose::Clients => shared.target.hand_over(tcp, peer, turn),
                    Purpose::Admin => drop(tokio::task::spawn_local(admin::serve(shared.clone(), tcp))),
                }
            }
            Err(error) => {
                // A client that left before it was accepted is no reason to rest.
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::warn!("accepting a connection: {error}");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}
