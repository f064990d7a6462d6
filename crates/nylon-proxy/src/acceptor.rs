//! Listening sockets and the thread that owns them. It accepts, and hands each connection to the least busy gateway
//! thread; one socket per address stays open for the life of the process (rules §11).

use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, sync::mpsc::UnboundedReceiver, task::AbortHandle};

use crate::{admin, shared::Shared, target::Doorman};

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
    let doorman = Doorman::new();
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                turn = turn.wrapping_add(1);
                match purpose {
                    Purpose::Clients => shared.target.hand_over(tcp, peer, turn, &doorman),
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
