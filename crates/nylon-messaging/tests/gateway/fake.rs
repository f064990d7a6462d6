//! A worker that speaks raw NATS and does exactly what a test says.

use std::{collections::VecDeque, time::Duration};

use async_nats::{Client, Subscriber};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use nylon_wire::{
    AbortReason, AcceptFrame, Action, BeatEntry, BeatFrame, BodyMode, BusyFrame, BusyReason, CreditFrame, DataFrame,
    DataKind, ErrorFrame, Ext, FetchFrame, FetchKind, First, Frame, Header, OpenFrame, Operation, PhaseMask,
    ResultFrame, Timing, WorkerState, session_frames, subject,
};

const PREFIX: &str = "nylon";

pub struct Fake {
    pub client: Client,
    pub id: String,
    pub beat: BeatFrame,
    pub mask: PhaseMask,
    direct: Subscriber,
    open: Option<Subscriber>,
    /// The rest of a batch.
    early: VecDeque<Bytes>,
}

/// How a frame came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Queue,
    Direct,
}

impl Fake {
    pub async fn start(url: &str, group: &str, id: &str, entry: Option<&str>) -> Self {
        let client = async_nats::connect(url).await.unwrap();
        let direct = client.subscribe(subject::worker(PREFIX, group, id).unwrap()).await.unwrap();
        let open = match entry {
            Some(entry) => {
                let open = subject::open(PREFIX, group, entry).unwrap();
                Some(client.queue_subscribe(open, group.replace(' ', "_")).await.unwrap())
            }
            None => None,
        };
        client.flush().await.unwrap();
        roundtrip(&client).await;
        let entries = vec![BeatEntry {
            entry: entry.unwrap_or("auth").into(),
            mask: PhaseMask(1),
            body_mode: BodyMode::Buffered,
        }];
        let beat = BeatFrame {
            group: group.into(),
            worker: id.into(),
            seq: 0,
            load: 0,
            limit: 100,
            draining: false,
            oldest_running_ms: 0,
            oldest_waiting_ms: 0,
            entries,
            revision: None,
            state: WorkerState::Ready,
            ext: Ext::empty(),
        };
        Self { client, id: id.to_owned(), beat, mask: PhaseMask(1), direct, open, early: VecDeque::new() }
    }

    /// Announces itself.
    pub async fn beat(&mut self) {
        let subject = subject::beat(PREFIX, &self.beat.group, &self.beat.worker).unwrap();
        let mut out = BytesMut::new();
        self.beat.encode(&mut out);
        self.beat.seq += 1;
        self.client.publish(subject, out.freeze()).await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// Beats four times a second until the handle is dropped.
    pub fn keep_beating(&self) -> Beating {
        let (client, mut beat) = (self.client.clone(), self.beat.clone());
        let subject = subject::beat(PREFIX, &beat.group, &beat.worker).unwrap();
        Beating(tokio::task::spawn_local(async move {
            let mut interval = tokio::time::interval(Duration::from_millis(250));
            loop {
                interval.tick().await;
                beat.seq += 1;
                let mut out = BytesMut::new();
                beat.encode(&mut out);
                client.publish(subject.clone(), out.freeze()).await.unwrap();
            }
        }))
    }

    /// Leaves the queue group, as a draining worker does.
    pub async fn leave_queue(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.unsubscribe().await.unwrap();
            roundtrip(&self.client).await;
        }
    }

    /// Stops to listen; what is sent to it afterwards finds nobody.
    pub async fn vanish(mut self) {
        self.leave_queue().await;
        self.direct.unsubscribe().await.unwrap();
        roundtrip(&self.client).await;
    }

    /// The next frame that comes here, however it comes. PROBEs are passed over.
    pub async fn next(&mut self) -> (Frame, By) {
        loop {
            while let Some(frame) = self.early.pop_front() {
                match Frame::decode(&frame).unwrap() {
                    Frame::Probe(_) => {}
                    frame => return (frame, By::Direct),
                }
            }
            let (message, by) = tokio::select! {
                message = self.direct.next() => (message, By::Direct),
                message = async {
                    match &mut self.open {
                        Some(open) => open.next().await,
                        None => std::future::pending().await,
                    }
                } => (message, By::Queue),
            };
            let frames: Vec<_> = session_frames(message.unwrap().payload).map(Result::unwrap).collect();
            if by == By::Direct {
                self.early.extend(frames);
                continue;
            }
            assert_eq!(frames.len(), 1, "a batch came through the queue group");
            return (Frame::decode(&frames[0]).unwrap(), by);
        }
    }

    pub async fn open(&mut self) -> OpenFrame {
        self.open_by().await.0
    }

    pub async fn open_by(&mut self) -> (OpenFrame, By) {
        match self.next().await {
            (Frame::Open(open), by) => (*open, by),
            (other, _) => panic!("expected OPEN, got {other:?}"),
        }
    }

    /// The next frame must be an ABORT; its reason.
    pub async fn aborted(&mut self) -> AbortReason {
        match self.next().await {
            (Frame::Abort(abort), By::Direct) => abort.reason,
            (other, _) => panic!("expected ABORT, got {other:?}"),
        }
    }

    /// Asserts that nothing has come: what was sent before has arrived when this one arrives.
    pub async fn assert_nothing_came(&mut self) {
        let mark = Frame::Close(nylon_wire::CloseFrame { header: Header::default(), ext: Ext::empty() });
        let own = subject::worker(PREFIX, &self.beat.group, &self.id).unwrap();
        self.send(&own, &mark).await;
        match self.next().await {
            (Frame::Close(close), _) if close.header == Header::default() => {}
            (other, by) => panic!("{other:?} came {by:?}"),
        }
    }

    pub fn first(&self) -> Option<First> {
        Some(First { worker: self.id.as_str().into(), mask: self.mask, body_mode: BodyMode::Buffered, credit: 32_768 })
    }

    pub async fn send(&self, to: &str, frame: &Frame) {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.send_raw(to, out.freeze()).await;
    }

    pub async fn send_raw(&self, to: &str, payload: Bytes) {
        self.client.publish(to.to_owned(), payload).await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// Sends a frame with another NATS reply subject.
    pub async fn ask(&self, to: &str, reply: &str, frame: &Frame) {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        self.client.publish_with_reply(to.to_owned(), reply.to_owned(), out.freeze()).await.unwrap();
        self.client.flush().await.unwrap();
    }

    /// Sends a PROBE as a worker does.
    pub async fn probe(&self, to: &str, frame: &Frame) {
        let direct = subject::worker(PREFIX, &self.beat.group, &self.id).unwrap();
        self.ask(to, &direct, frame).await;
    }

    /// A RESULT as the first answer.
    pub async fn result(&self, open: &OpenFrame, ops: Vec<Operation>, action: Action) {
        self.result_with(open, open.header, ops, action, self.first()).await;
    }

    pub async fn result_with(
        &self,
        open: &OpenFrame,
        header: Header,
        ops: Vec<Operation>,
        action: Action,
        first: Option<First>,
    ) {
        let timing = Some(Timing { queue_us: 10, handler_us: 20 });
        let header = Header { seq: header.seq, ..header };
        self.send(&open.reply, &Frame::Result(ResultFrame { header, ops, action, first, timing, ext: Ext::empty() }))
            .await;
    }

    /// The simplest answer.
    pub async fn next_please(&self, open: &OpenFrame) {
        self.result(open, Vec::new(), Action::Next).await;
    }

    pub async fn accept(&self, open: &OpenFrame) {
        let frame = AcceptFrame { header: open.header, first: self.first(), ext: Ext::empty() };
        self.send(&open.reply, &Frame::Accept(frame)).await;
    }

    pub async fn busy(&self, open: &OpenFrame, reason: BusyReason) {
        self.busy_for(open, reason, 0).await;
    }

    pub async fn busy_for(&self, open: &OpenFrame, reason: BusyReason, retry_after_ms: u32) {
        let worker = self.id.as_str().into();
        let frame = BusyFrame { header: open.header, worker, reason, retry_after_ms, ext: Ext::empty() };
        self.send(&open.reply, &Frame::Busy(frame)).await;
    }

    pub async fn fetch(&self, open: &OpenFrame, seq: u32, call_id: u32, what: FetchKind, max_bytes: u64) {
        let first = if seq == 0 { self.first() } else { None };
        let header = Header { seq, ..open.header };
        let frame = FetchFrame { header, call_id, what, max_bytes, first, ext: Ext::empty() };
        self.send(&open.reply, &Frame::Fetch(frame)).await;
    }

    pub async fn credit(&self, open: &OpenFrame, seq: u32, id: u32, bytes: u32) {
        let header = Header { seq, ..open.header };
        self.send(&open.reply, &Frame::Credit(CreditFrame { header, id, bytes, ext: Ext::empty() })).await;
    }

    pub async fn data(&self, open: &OpenFrame, seq: u32, id: u32, bytes: Bytes, more: bool) {
        let header = Header { seq, ..open.header };
        let frame = DataFrame { header, id, bytes, more, kind: DataKind::Body, ext: Ext::empty() };
        self.send(&open.reply, &Frame::Data(frame)).await;
    }

    pub async fn error(&self, open: &OpenFrame, code: &str) {
        let frame = ErrorFrame {
            header: open.header,
            call_id: None,
            code: code.into(),
            text: "boom".into(),
            log_id: Some("L1".into()),
            first: self.first(),
            ext: Ext::empty(),
        };
        self.send(&open.reply, &Frame::Error(frame)).await;
    }

    /// Answers every open with *next* until the handle is dropped.
    pub fn serve(mut self) -> Beating {
        Beating(tokio::task::spawn_local(async move {
            loop {
                if let (Frame::Open(open), _) = self.next().await {
                    let mut out = BytesMut::new();
                    let frame = ResultFrame {
                        header: open.header,
                        ops: Vec::new(),
                        action: Action::Next,
                        first: self.first(),
                        timing: None,
                        ext: Ext::empty(),
                    };
                    frame.encode(&mut out);
                    self.client.publish(open.reply.to_string(), out.freeze()).await.unwrap();
                }
            }
        }))
    }
}

/// Something that goes on until it is dropped.
pub struct Beating(tokio::task::JoinHandle<()>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until the server has handled everything that this client sent: its own message comes back.
pub async fn roundtrip(client: &Client) {
    let inbox = client.new_inbox();
    let mut echo = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, Bytes::new()).await.unwrap();
    echo.next().await.unwrap();
}
