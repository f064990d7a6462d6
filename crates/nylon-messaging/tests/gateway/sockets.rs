//! WebSockets, against a worker that does what the test says.

use bytes::BytesMut;
use nylon_plugin::{PluginSocket, Session, SocketEnd, SocketOrder};
use nylon_wire::{
    Action, DataFrame, DataKind, ErrorFrame, Ext, Frame, Header, OpenFrame, UpgradeFrame, WsOpFrame, WsOperation,
    encode_batch,
};

use crate::{
    fake::Fake,
    gateway::{Ask, Gateway, handshake, run},
};

const JOIN: u32 = 9;

/// A WebSocket that is open, and both of its ends.
struct Opened {
    gateway: Gateway,
    worker: Fake,
    open: OpenFrame,
    socket: Box<dyn PluginSocket>,
    connection: u32,
    seq: u32,
    _session: Box<dyn Session>,
}

impl Opened {
    async fn start() -> Self {
        let gateway = Gateway::start().await;
        let mut worker = gateway.worker("w1").await;
        let plugin = gateway.plugin.clone();
        let asked = tokio::task::spawn_local(async move {
            let mut session = nylon_plugin::Plugin::session(&plugin);
            let outcome = Ask::default().of(&mut *session, &mut handshake()).await;
            (session, outcome)
        });
        let open = worker.open().await;
        let (header, first, ext) = (open.header, worker.first(), Ext::empty());
        let (ops, max_message_bytes, subprotocol) = (Vec::new(), 1 << 20, None);
        let frame = UpgradeFrame { header, ops, max_message_bytes, subprotocol, first, ext };
        worker.send(&open.reply, &Frame::Upgrade(frame)).await;
        let (session, outcome) = asked.await.unwrap();
        let mut socket = outcome.unwrap().upgrade.expect("a websocket").socket;
        socket.open();
        let (Frame::WsOpen(opened), _) = worker.next().await else { panic!("expected WS_OPEN") };
        let connection = opened.connection_id;
        Self { gateway, worker, open, socket, connection, seq: 1, _session: session }
    }

    fn header(&mut self) -> Header {
        let header = Header { seq: self.seq, ..self.open.header };
        self.seq += 1;
        header
    }

    /// The worker asks for this, and says something behind it. Returns when the gateway has read both, and before anything
    /// else has run on its thread.
    async fn ask(&mut self, operations: Vec<WsOperation>) {
        let mut frames: Vec<_> = operations
            .into_iter()
            .zip(JOIN..)
            .map(|(operation, call_id)| {
                Frame::WsOp(WsOpFrame { header: self.header(), call_id, operation, ext: Ext::empty() })
            })
            .collect();
        let (header, id, kind) = (self.header(), self.connection, DataKind::Text);
        let (bytes, more, ext) = ("so".into(), false, Ext::empty());
        frames.push(Frame::Data(DataFrame { header, id, bytes, more, kind, ext }));
        let encoded: Vec<_> = frames
            .iter()
            .map(|frame| {
                let mut out = BytesMut::new();
                frame.encode(&mut out);
                out
            })
            .collect();
        let mut batch = BytesMut::new();
        encode_batch(&mut batch, encoded.iter().map(|frame| &frame[..]));
        self.worker.send_raw(&self.open.reply, batch.freeze()).await;
        let order = std::future::poll_fn(|cx| self.socket.poll_order(cx)).await;
        assert!(matches!(order, SocketOrder::Send { .. }), "{order:?}");
    }

    async fn refused(&mut self) -> ErrorFrame {
        match self.worker.next().await.0 {
            Frame::Error(error) => error,
            other => panic!("expected ERROR, got {other:?}"),
        }
    }

    /// The client leaves, and the handler returns.
    async fn end(&mut self) {
        self.socket.close(SocketEnd { code: 1006, reason: String::new(), error: None });
        assert!(matches!(self.worker.next().await.0, Frame::WsClosed(_)));
    }

    async fn done(mut self) {
        let header = self.header();
        self.worker.result_with(&self.open, header, Vec::new(), Action::End, None).await;
        std::future::poll_fn(|cx| self.socket.poll_done(cx)).await;
        drop((self.socket, self._session));
        self.gateway.assert_clean().await;
    }
}

#[test]
fn a_join_that_the_close_has_overtaken_is_answered() {
    run(async {
        let mut opened = Opened::start().await;
        let hall = || WsOperation::Join { room: "hall".into() };
        opened.ask(vec![hall(), hall()]).await;
        // The server has not answered yet.
        opened.end().await;
        for call in [JOIN, JOIN + 1] {
            assert_eq!(opened.refused().await.call_id, Some(call));
        }
        opened.done().await;
    });
}

#[test]
fn a_join_is_answered_although_its_room_is_left_before_it_is_done() {
    run(async {
        let mut opened = Opened::start().await;
        let hall = WsOperation::Join { room: "hall".into() };
        opened.ask(vec![hall, WsOperation::Leave { room: "hall".into() }]).await;
        assert_eq!(opened.refused().await.call_id, Some(JOIN));
        opened.end().await;
        opened.worker.assert_nothing_came().await;
        opened.done().await;
    });
}
