//! Time on a WebSocket: the clock of these tests stands still while anything can happen, and then jumps.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    join,
    time::Instant,
};

use super::{
    ABNORMAL, PING_EVERY, SILENCE, converse,
    fuzz::{Echo, Nothing},
};

const MASKED_CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];
const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xe8];
const PING: [u8; 2] = [0x89, 0];
const MASKED_PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_even_answer_pings_is_gone() {
    let began = Instant::now();
    let (ours, mut theirs) = duplex(1024);
    let (mut entry, mut heard) = (Echo::default(), Vec::new());
    let talking = async { converse(ours, 1024, &mut entry, Nothing).await.0 };
    let (end, read) = join!(talking, theirs.read_to_end(&mut heard));
    assert_eq!(read.ok(), Some(heard.len()));
    assert_eq!((began.elapsed(), heard), (SILENCE, PING.repeat(2)));
    assert_eq!((end.code, end.error.as_deref()), (ABNORMAL, Some("the client has said nothing for 60 s")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays() {
    let began = Instant::now();
    let (ours, mut theirs) = duplex(1024);
    let mut entry = Echo::default();
    let answering = async move {
        for _ in 0..10 {
            let mut ping = [0; 2];
            theirs.read_exact(&mut ping).await.unwrap();
            assert_eq!(ping, PING);
            theirs.write_all(&MASKED_PONG).await.unwrap();
        }
        began.elapsed()
    };
    let ((end, left), stayed) = join!(converse(ours, 1024, &mut entry, Nothing), answering);
    assert!(left.is_none(), "there is nobody to say goodbye to");
    assert_eq!(stayed, PING_EVERY * 10);
    assert_eq!(end.error.as_deref(), Some("the client has left"));
    assert_eq!(began.elapsed() - stayed, Duration::ZERO, "and its end is noticed at once");
}

/// A connection that takes for ever to end, as where the client does not close it.
struct Lingering(DuplexStream);

impl AsyncRead for Lingering {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_hears_of_the_close_before_the_connection_has_ended() {
    let began = Instant::now();
    let (ours, mut theirs) = duplex(1024);
    let mut entry = Echo::default();
    theirs.write_all(&MASKED_CLOSE).await.unwrap();
    let (end, left) = converse(Lingering(ours), 1024, &mut entry, Nothing).await;
    assert_eq!((end.code, began.elapsed()), (1000, Duration::ZERO));
    assert!(left.is_some(), "it is still to be ended");
    let mut answer = [0; 4];
    theirs.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, CLOSE);
}
