//! One client connection from accept to close.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{
    state::{ClientLimits, ConnectionState},
    stream::ClientStream,
};
use crate::{exchange, framing::HeadLimits, thread::Thread, websocket};

/// Room beside the head in the codec's buffer, bytes. It is also the most that waits for a slow reader.
const BUFFER: usize = 64 * 1024;

/// Serves one client until it leaves, is told to, or idles for too long. A client that closes its sending side counts as
/// gone, even if it could still read: the two look the same, and work for nobody is worse.
pub(crate) async fn serve(thread: Rc<Thread>, tcp: TcpStream, peer: SocketAddr) {
    let limits = {
        let active = thread.active();
        active.snapshot.limits.clone()
    };
    let head_limits = HeadLimits { bytes: limits.max_header_bytes, headers: limits.max_headers };
    let state = Rc::new(ConnectionState::new(peer, ClientLimits::from(&limits), &thread.clock));
    let stream = ClientStream::new(tcp, head_limits, state.clone());
    let service = {
        let thread = thread.clone();
        let state = state.clone();
        service_fn(move |request| exchange::handle(thread.clone(), state.clone(), request))
    };
    let mut codec = http1::Builder::new();
    // Time limits are the stream's: the codec's own also runs between requests.
    codec.header_read_timeout(None).max_buf_size(limits.max_header_bytes.saturating_add(BUFFER));
    if limits.max_headers > 100 {
        codec.max_headers(limits.max_headers);
    }
    let mut connection = codec.serve_connection(TokioIo::new(stream), service);
    let mut leaving = false;
    let result = poll_fn(|cx| {
        if thread.is_draining() && !leaving {
            leaving = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        state.reading.wake(cx);
        Pin::new(&mut connection).poll(cx)
    })
    .await;
    if let Err(error) = result {
        tracing::debug!(%peer, "serving a connection: {error}");
    }
    if let Some(switch) = state.take_switch() {
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().into_raw(&parts.read_buf);
        drop((parts.read_buf, parts.service));
        // A 101 that is not all in the socket is lost with the codec; its client has left, or might as well have.
        if state.drains() != switch.drains {
            // On the heap, so that a connection that stays HTTP does not carry its place.
            Box::pin(websocket::serve(thread, stream, *switch)).await;
        }
    }
}
