//! Time on a WebSocket: the clock of these tests stands still while anything can happen, and then jumps.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    join,
    time::Instant,
};

use super::{
    ABNORMAL, PING_EVERY, SILENCE, converse,
    fuzz::{Echo, Nothing},
};

const PING: [u8; 2] = [0x89, 0];
const MASKED_PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_even_answer_pings_is_gone() {
    let began = Instant::now();
    let (ours, mut theirs) = duplex(1024);
    let (mut entry, mut heard) = (Echo::default(), Vec::new());
    let (end, read) = join!(converse(ours, 1024, &mut entry, Nothing), theirs.read_to_end(&mut heard));
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
    let (end, stayed) = join!(converse(ours, 1024, &mut entry, Nothing), answering);
    assert_eq!(stayed, PING_EVERY * 10);
    assert_eq!(end.error.as_deref(), Some("the client has left"));
    assert_eq!(began.elapsed() - stayed, Duration::ZERO, "and its end is noticed at once");
}
