//! WebSockets, against a gateway that speaks raw frames.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use nylon_messaging::worker::{Closure, Job, Message, Socket, SocketError, Worker};
use nylon_wire::{
    AbortReason, Action, DataFrame, DataKind, ErrorFrame, Frame, Operation, Phase, WsClosedFrame, WsErrorFrame,
    WsOpenFrame, WsOperation, failure,
};

use crate::{
    gateway::{Gateway, Open, Opened, first},
    options, pass, serve,
    server::NatsServer,
    start,
    wait::PATIENCE,
};

const CONNECTION: u32 = 7;

fn wait<T: Send + 'static>(begin: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (sender, receiver) = mpsc::channel();
    begin(Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("it waits for ever")
}

fn upgrade(job: &Job) -> Result<Arc<Socket>, SocketError> {
    wait(|done| job.upgrade(vec![], 1 << 20, Some("chat"), done))
}

fn receive(socket: &Arc<Socket>) -> Result<Option<Message>, SocketError> {
    wait(|done| socket.ready(done))?;
    socket.take()
}

fn send(socket: &Arc<Socket>, message: Message) -> Result<(), SocketError> {
    wait(|done| socket.send(message, done))
}

async fn opened(worker: &Worker, gateway: &mut Gateway) -> Opened {
    let mut opened = gateway.open(&Open::default()).await;
    let Frame::Upgrade(frame) = gateway.frame(&opened).await else { panic!("expected UPGRADE") };
    assert_eq!((frame.max_message_bytes, frame.subprotocol.as_deref()), (1 << 20, Some("chat")));
    assert_eq!(frame.first, first(worker, 1));
    let header = opened.header();
    let open = WsOpenFrame { header, connection_id: CONNECTION, ext: Default::default() };
    gateway.say(worker, &opened, Frame::WsOpen(open)).await;
    opened
}

async fn text(worker: &Worker, gateway: &Gateway, opened: &mut Opened, bytes: &'static [u8], more: bool) {
    let (header, kind) = (opened.header(), DataKind::Text);
    let (bytes, ext) = (Bytes::from_static(bytes), Default::default());
    let data = DataFrame { header, id: CONNECTION, bytes, more, kind, ext };
    gateway.say(worker, opened, Frame::Data(data)).await;
}

async fn closed(worker: &Worker, gateway: &Gateway, opened: &mut Opened, code: u16) {
    let (header, reason, ext) = (opened.header(), "so".into(), Default::default());
    gateway.say(worker, opened, Frame::WsClosed(WsClosedFrame { header, code, reason, ext })).await;
}

async fn refused(worker: &Worker, gateway: &Gateway, opened: &mut Opened, call: u32, text: &str) {
    let (header, code, text) = (opened.header(), failure::NOT_FOUND.into(), text.into());
    let (log_id, first, ext) = (None, None, Default::default());
    let error = ErrorFrame { header, call_id: Some(call), code, text, log_id, first, ext };
    gateway.say(worker, opened, Frame::Error(error)).await;
}

async fn closing(gateway: &mut Gateway, opened: &Opened) -> u16 {
    match gateway.frame(opened).await {
        Frame::WsOp(op) => match op.operation {
            WsOperation::Close { code, .. } => code,
            other => panic!("expected a close, got {other:?}"),
        },
        other => panic!("expected WS_OP, got {other:?}"),
    }
}

#[tokio::test]
async fn a_refusal_leaves_the_response_in_hand() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let refused = upgrade(&job).err();
        assert_eq!(refused, Some(SocketError::NotWebSocket("no key".to_owned())));
        job.finish(vec![Operation::SetResponseStatus(426)], Action::End);
    });
    let mut opened = gateway.open(&Open::default()).await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Upgrade(_)));
    let error = ErrorFrame {
        header: opened.header(),
        call_id: None,
        code: failure::NOT_WEBSOCKET.into(),
        text: "no key".into(),
        log_id: None,
        first: None,
        ext: Default::default(),
    };
    gateway.say(&worker, &opened, Frame::Error(error)).await;
    let Frame::Result(result) = gateway.frame(&opened).await else { panic!("expected RESULT") };
    assert_eq!(result.ops, [Operation::SetResponseStatus(426)]);
}

#[tokio::test]
async fn the_phase_ends_behind_the_close() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let socket = upgrade(&job).unwrap();
        let message = receive(&socket).unwrap().unwrap();
        assert_eq!(send(&socket, message), Ok(()));
        // What was there before the close can still be taken, then comes the end, again and again.
        assert_eq!(receive(&socket), Ok(Some(Message::Text(Bytes::from_static(b"last")))));
        assert_eq!(receive(&socket), Ok(None));
        assert_eq!(receive(&socket), Ok(None));
        let closure = Closure { code: 1006, reason: "so".to_owned(), error: Some("it broke".to_owned()) };
        assert_eq!(socket.closure(), Some(closure));
        assert_eq!(send(&socket, Message::Text(Bytes::new())), Err(SocketError::Closed));
        let join = WsOperation::Join { room: "hall".into() };
        assert_eq!(wait(|done| socket.operate(join, done)), Err(SocketError::Closed));
        let message = Bytes::from_static(b"gone");
        let last = WsOperation::BroadcastText { room: "hall".into(), message };
        assert_eq!(wait(|done| socket.operate(last, done)), Ok(()));
        pass(job);
    });
    let mut opened = opened(&worker, &mut gateway).await;
    text(&worker, &gateway, &mut opened, b"he", true).await;
    text(&worker, &gateway, &mut opened, b"llo", false).await;
    let Frame::Data(data) = gateway.frame(&opened).await else { panic!("expected DATA") };
    assert_eq!((data.id, &data.bytes[..], data.more, data.kind), (CONNECTION, &b"hello"[..], false, DataKind::Text));
    text(&worker, &gateway, &mut opened, b"last", false).await;
    let error = WsErrorFrame { header: opened.header(), text: "it broke".into(), ext: Default::default() };
    gateway.say(&worker, &opened, Frame::WsError(error)).await;
    closed(&worker, &gateway, &mut opened, 1006).await;
    let Frame::WsOp(op) = gateway.frame(&opened).await else { panic!("expected WS_OP") };
    assert!(matches!(op.operation, WsOperation::BroadcastText { .. }), "{op:?}");
    assert_eq!(gateway.frame_within(&opened, Duration::from_millis(100)).await, None, "the broadcast is not answered");
    gateway.data(&worker, &mut opened, op.call_id, Bytes::new(), false).await;
    let Frame::Result(result) = gateway.frame(&opened).await else { panic!("expected RESULT") };
    assert_eq!((result.ops.len(), result.action), (0, Action::End));
}

#[tokio::test]
async fn a_join_that_the_close_has_overtaken_is_too_late() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let socket = upgrade(&job).unwrap();
        let join = WsOperation::Join { room: "hall".into() };
        assert_eq!(wait(|done| socket.operate(join, done)), Err(SocketError::Closed));
        // What is said in a room may fail then as before, for a reason of its own.
        let last = WsOperation::BroadcastText { room: "hall".into(), message: Bytes::new() };
        let failed = Err(SocketError::NotAvailable("no nats".to_owned()));
        assert_eq!(wait(|done| socket.operate(last, done)), failed);
        pass(job);
    });
    let mut opened = opened(&worker, &mut gateway).await;
    let Frame::WsOp(join) = gateway.frame(&opened).await else { panic!("expected WS_OP") };
    closed(&worker, &gateway, &mut opened, 1006).await;
    refused(&worker, &gateway, &mut opened, join.call_id, "the websocket is closed").await;
    let Frame::WsOp(last) = gateway.frame(&opened).await else { panic!("expected WS_OP") };
    refused(&worker, &gateway, &mut opened, last.call_id, "no nats").await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
}

#[tokio::test]
async fn the_phase_does_not_end_before_what_it_asked_for_is_answered() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    serve(&worker, |job| {
        let socket = upgrade(&job).unwrap();
        assert_eq!(receive(&socket), Ok(None));
        let last = WsOperation::BroadcastText { room: "hall".into(), message: Bytes::new() };
        socket.operate(last, Box::new(drop));
        pass(job);
    });
    let mut opened = opened(&worker, &mut gateway).await;
    closed(&worker, &gateway, &mut opened, 1000).await;
    let Frame::WsOp(op) = gateway.frame(&opened).await else { panic!("expected WS_OP") };
    assert_eq!(gateway.frame_within(&opened, Duration::from_millis(200)).await, None, "the answer would come too late");
    gateway.data(&worker, &mut opened, op.call_id, Bytes::new(), false).await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
}

#[tokio::test]
async fn what_outlives_its_handler_holds_no_phase_and_is_told() {
    fn speak(socket: &Arc<Socket>) {
        let again = socket.clone();
        let word = WsOperation::BroadcastText { room: "hall".into(), message: Bytes::new() };
        let said = move |said: Result<(), SocketError>| {
            if said.is_ok() {
                speak(&again);
            }
        };
        socket.operate(word, Box::new(said));
    }
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (sender, receiver) = mpsc::channel();
    serve(&worker, move |job| {
        let socket = upgrade(&job).unwrap();
        assert_eq!(receive(&socket), Ok(None));
        speak(&socket);
        pass(job);
        sender.send(socket).unwrap();
    });
    let mut opened = opened(&worker, &mut gateway).await;
    closed(&worker, &gateway, &mut opened, 1000).await;
    let mut words = 0;
    while let Frame::WsOp(op) = gateway.frame(&opened).await {
        words += 1;
        assert!(words < 1_000, "its phase does not end");
        gateway.data(&worker, &mut opened, op.call_id, Bytes::new(), false).await;
    }
    let socket = receiver.recv_timeout(PATIENCE).unwrap();
    let late = WsOperation::BroadcastText { room: "hall".into(), message: Bytes::new() };
    assert_eq!(wait(|done| socket.operate(late, done)), Err(SocketError::Closed));
}

#[tokio::test]
async fn a_handler_that_returns_or_fails_closes() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let mut fails = [false, true].into_iter();
    serve(&worker, move |job| {
        upgrade(&job).unwrap();
        match fails.next() {
            Some(false) => pass(job),
            _ => job.fail(failure::HANDLER_ERROR, "asked to", None),
        }
    });
    for code in [1000, 1011] {
        let mut opened = opened(&worker, &mut gateway).await;
        assert_eq!(closing(&mut gateway, &opened).await, code);
        closed(&worker, &gateway, &mut opened, code).await;
        assert!(matches!(gateway.frame(&opened).await, Frame::Result(_)));
    }
}

#[tokio::test]
async fn messages_that_nobody_takes_give_no_credit_back() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (go, gone) = mpsc::channel::<()>();
    serve(&worker, move |job| {
        let socket = upgrade(&job).unwrap();
        gone.recv().unwrap();
        for _ in 0..3 {
            assert!(matches!(receive(&socket), Ok(Some(Message::Text(bytes))) if bytes.len() == 10_000));
        }
        // Longer than the window: its pieces are granted as they come.
        assert!(matches!(receive(&socket), Ok(Some(Message::Text(bytes))) if bytes.len() == 100_000));
        pass(job);
    });
    const PIECE: &[u8] = &[b'x'; 10_000];
    let mut opened = opened(&worker, &mut gateway).await;
    for _ in 0..3 {
        text(&worker, &gateway, &mut opened, PIECE, false).await;
    }
    assert_eq!(gateway.frame_within(&opened, Duration::from_millis(200)).await, None);
    go.send(()).unwrap();
    let mut granted = 0;
    for piece in 0..10 {
        while granted < 10_000 {
            match gateway.frame(&opened).await {
                Frame::Credit(credit) => granted += credit.bytes,
                other => panic!("expected CREDIT, got {other:?}"),
            }
        }
        granted -= 10_000;
        text(&worker, &gateway, &mut opened, PIECE, piece < 9).await;
    }
    loop {
        match gateway.frame(&opened).await {
            Frame::Credit(_) => {}
            Frame::WsOp(_) => break,
            other => panic!("expected a close, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn more_than_was_granted_ends_the_session() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start(&server, &[Phase::RequestFilter]).await;
    let (sender, receiver) = mpsc::channel();
    serve(&worker, move |job| {
        let socket = upgrade(&job).unwrap();
        while !job.cancelled() {
            std::thread::yield_now();
        }
        sender.send(receive(&socket)).unwrap();
        pass(job);
    });
    let mut opened = opened(&worker, &mut gateway).await;
    for _ in 0..2 {
        text(&worker, &gateway, &mut opened, &[b'x'; 20_000], false).await;
    }
    let Frame::Abort(abort) = gateway.frame(&opened).await else { panic!("expected ABORT") };
    assert_eq!(abort.reason, AbortReason::Protocol);
    let heard = receiver.recv_timeout(PATIENCE).unwrap();
    assert_eq!(heard, Err(SocketError::Cancelled(AbortReason::Protocol)));
}

/// A worker that has two seconds to drain.
async fn start_to_drain(server: &NatsServer) -> (Worker, Gateway) {
    let mut gateway = Gateway::connect(server).await;
    let mut options = options(server, &[Phase::RequestFilter]);
    options.drain_timeout = Duration::from_secs(2);
    let worker = Worker::start(options).unwrap();
    gateway.ready(&worker).await;
    (worker, gateway)
}

/// It drains: the socket is closed with 1001, and its phase ends.
async fn drained(worker: &Worker, gateway: &mut Gateway, opened: &mut Opened) {
    worker.drain();
    assert_eq!(closing(gateway, opened).await, 1001);
    closed(worker, gateway, opened, 1001).await;
    assert!(matches!(gateway.frame(opened).await, Frame::Result(_)));
}

#[tokio::test]
async fn a_worker_that_drains_closes_its_sockets() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start_to_drain(&server).await;
    serve(&worker, |job| {
        let socket = upgrade(&job).unwrap();
        assert_eq!(receive(&socket), Ok(None));
        pass(job);
    });
    let mut opened = opened(&worker, &mut gateway).await;
    drained(&worker, &mut gateway, &mut opened).await;
}

#[tokio::test]
async fn what_a_socket_has_not_asked_for_before_its_worker_drains_fails() {
    let server = NatsServer::start();
    let (worker, mut gateway) = start_to_drain(&server).await;
    serve(&worker, |job| {
        let socket = upgrade(&job).unwrap();
        // More than there is credit for: the join waits behind it.
        socket.send(Message::Binary(vec![0; 100_000].into()), Box::new(drop));
        let join = WsOperation::Join { room: "hall".into() };
        assert_eq!(wait(|done| socket.operate(join, done)), Err(SocketError::Closed));
        pass(job);
    });
    let mut opened = opened(&worker, &mut gateway).await;
    assert!(matches!(gateway.frame(&opened).await, Frame::Data(_)));
    drained(&worker, &mut gateway, &mut opened).await;
}
