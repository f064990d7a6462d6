//! CPU of one request filter in the gateway thread, beside what async-nats alone costs for the same two messages.
//! `NYLON_NATS_SERVER=… cargo bench -p nylon-messaging`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, dead_code, missing_docs)]

#[path = "../tests/support/server.rs"]
mod server;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use nylon_messaging::{
    ConnectionOptions,
    gateway::{Link, Messaging, MessagingOptions, NatsPlugin, PluginOptions},
};
use nylon_plugin::{Call, EarlyResponse, Exchange, HeaderFilter, NoBody, Phase, Plugin, Request, Response};
use nylon_wire::{Action, BodyMode, Ext, First, Frame, PhaseMask, ResultFrame, subject};

const TASKS: usize = 64;
const EACH: usize = 2_000;

fn main() {
    let server = server::NatsServer::start();
    let url = server.url();
    let workers: Vec<_> = (0..1).map(|_| worker(url.clone())).collect();
    for round in 0..3 {
        let plain = measured(|| plain(url.clone()));
        let ours = measured(|| ours(url.clone()));
        println!(
            "round {round}: async-nats alone {:.2} µs CPU, {:.0}/s; gateway half {:.2} µs CPU, {:.0}/s; ours {:+.2} µs",
            plain.0,
            plain.1,
            ours.0,
            ours.1,
            ours.0 - plain.0
        );
    }
    drop(workers);
}

/// CPU µs and rate per request of what runs on a thread of its own.
fn measured<F: Future<Output = ()>>(run: impl FnOnce() -> F + Send) -> (f64, f64) {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(tokio::runtime::LocalOptions::default())
                    .unwrap();
                let (cpu, started) = (cpu(), Instant::now());
                runtime.block_on(run());
                let count = (TASKS * EACH) as f64;
                ((self::cpu() - cpu).as_secs_f64() * 1e6 / count, count / started.elapsed().as_secs_f64())
            })
            .join()
            .unwrap()
    })
}

fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn worker(url: String) -> std::thread::JoinHandle<()> {
    let (ready, wait) = std::sync::mpsc::channel();
    let handle = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let client = async_nats::connect(url).await.unwrap();
            let open = subject::open("nylon", "g", "e").unwrap();
            let mut opens = client.queue_subscribe(open, "g".to_owned()).await.unwrap();
            client.flush().await.unwrap();
            ready.send(()).unwrap();
            while let Some(message) = opens.next().await {
                let Ok(Frame::Open(open)) = Frame::decode(&message.payload) else {
                    let reply = message.reply.unwrap();
                    client.publish(reply, message.payload).await.unwrap();
                    continue;
                };
                let first = Some(First {
                    worker: "w".into(),
                    mask: PhaseMask(1),
                    body_mode: BodyMode::Buffered,
                    credit: 32_768,
                });
                let result = ResultFrame {
                    header: open.header,
                    ops: Vec::new(),
                    action: Action::Next,
                    first,
                    timing: None,
                    ext: Ext::empty(),
                };
                let mut out = BytesMut::new();
                result.encode(&mut out);
                client.publish(open.reply.to_string(), out.freeze()).await.unwrap();
            }
        });
    });
    wait.recv().unwrap();
    handle
}

async fn plain(url: String) {
    let client = async_nats::ConnectOptions::new().skip_subject_validation(true).connect(url).await.unwrap();
    let mut replies = client.subscribe("plain.*").await.unwrap();
    let waiting: Rc<std::cell::RefCell<Vec<Option<tokio::sync::oneshot::Sender<Bytes>>>>> =
        Rc::new(std::cell::RefCell::new((0..TASKS).map(|_| None).collect()));
    let answers = waiting.clone();
    let answering = tokio::task::spawn_local(async move {
        while let Some(message) = replies.next().await {
            let slot = subject::parse_slot(&message.subject).unwrap() as usize;
            let sender = answers.borrow_mut()[slot].take().unwrap();
            sender.send(message.payload).unwrap();
        }
    });
    let payload = Bytes::from(vec![7; 260]);
    let tasks: Vec<_> = (0..TASKS)
        .map(|slot| {
            let (client, waiting, payload) = (client.clone(), waiting.clone(), payload.clone());
            tokio::task::spawn_local(async move {
                let to = async_nats::Subject::from(subject::open("nylon", "g", "e").unwrap());
                let reply = async_nats::Subject::from(format!("plain.{slot}"));
                for _ in 0..EACH {
                    let (sender, answer) = tokio::sync::oneshot::channel();
                    waiting.borrow_mut()[slot] = Some(sender);
                    client.publish_with_reply(to.clone(), reply.clone(), payload.clone()).await.unwrap();
                    answer.await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    answering.abort();
}

async fn ours(url: String) {
    let connection = ConnectionOptions { servers: vec![url], ..Default::default() };
    let messaging = Messaging::new(MessagingOptions { connection, ..Default::default() }).unwrap();
    let shared = messaging.plugin(PluginOptions::new("p", "g")).unwrap();
    let link = Link::start(&messaging, 0).await.unwrap();
    let plugin = NatsPlugin::new(&link, &shared, "e").unwrap();
    while !link.is_connected() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let plugin = plugin.clone();
            tokio::task::spawn_local(async move {
                let headers = HeaderFilter::default();
                for _ in 0..EACH {
                    let mut exchange = exchange();
                    let mut session = plugin.session();
                    let started = Instant::now();
                    let call = Call {
                        phase: Phase::RequestFilter,
                        exchange: &mut exchange,
                        payload: None,
                        started,
                        deadline: started + Duration::from_secs(5),
                        headers: &headers,
                        again: false,
                        body_next: false,
                        retry: 1,
                    };
                    session.run(call).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn exchange() -> Exchange {
    let mut headers = http::HeaderMap::new();
    headers.insert("host", http::HeaderValue::from_static("a.test"));
    headers.insert("authorization", http::HeaderValue::from_static("Bearer t"));
    Exchange {
        request: Request {
            id: "0123456789abcdef".into(),
            method: http::Method::GET,
            uri: http::Uri::from_static("/users/42?x=1"),
            host: "a.test".into(),
            port: 8080,
            headers,
            params: Vec::new(),
            client_ip: [127, 0, 0, 1].into(),
            tls: false,
            websocket: false,
            content_length: None,
            timestamp_ms: 1_700_000_000_123,
            given: Default::default(),
            received: Instant::now(),
            route: "main".into(),
        },
        request_body: Box::new(NoBody),
        early: EarlyResponse::default(),
        response: Response::default(),
        error: None,
    }
}
