//! Connects, loses, comes back, and never makes a publisher wait.

use std::time::{Duration, Instant};

use async_nats::Subject;
use bytes::Bytes;
use futures_util::StreamExt;
use nylon_messaging::{Connection, ConnectionError, ConnectionEvent, ConnectionOptions, ConnectionState, PublishError};

use crate::{connect, errors, run, server, server::NatsServer, to, until};

fn subject() -> Subject {
    Subject::from_static("somewhere")
}

#[test]
fn without_a_server_in_the_options_there_is_nothing_to_try() {
    run(async {
        let options = ConnectionOptions { servers: Vec::new(), ..Default::default() };
        let error = Connection::start(&options, |_| {}).await.err().unwrap();
        assert!(matches!(error, ConnectionError::NoServer));
    });
}

#[test]
fn a_server_that_cannot_be_understood_is_an_error_at_once() {
    run(async {
        let options = ConnectionOptions { servers: vec!["nats://a b".to_owned()], ..Default::default() };
        assert!(matches!(Connection::start(&options, |_| {}).await, Err(ConnectionError::Connect(_))));
    });
}

#[test]
fn a_failed_attempt_names_the_server_the_reason_and_the_way_out() {
    run(async {
        let mut server = NatsServer::start();
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let servers = vec![format!("nats://ann:secret@{gone}"), server.url()];
        server.kill();
        let (connection, events) = connect(&ConnectionOptions { servers, ..Default::default() }).await;
        let told = |errors: &[String], address: &str| {
            errors.iter().any(|error| {
                error.starts_with(&format!("connecting to nats://{address}: Connection refused"))
                    && error.contains("is nats-server up")
            })
        };
        let address = server.url().replace("nats://", "");
        until("both are named", || told(&errors(&events), &gone.to_string()) && told(&errors(&events), &address)).await;
        assert!(errors(&events).iter().all(|error| !error.contains("secret")), "{:?}", errors(&events));
        server.restart();
        until("connected", || connection.is_connected()).await;
        events.lock().unwrap().clear();
        server.kill();
        until("lost", || connection.watch().state() == ConnectionState::Disconnected).await;
        until("it is told again", || told(&errors(&events), &address)).await;
    });
}

#[test]
fn state_and_events_tell_what_happens() {
    run(async {
        let mut server = NatsServer::start();
        server.kill();
        let (connection, events) = connect(&to(&server)).await;
        let watch = connection.watch();
        assert_eq!(watch.state(), ConnectionState::Connecting);
        assert_eq!(connection.publish(subject(), None, Bytes::new()), Err(PublishError::Disconnected));
        server.restart();
        until("connected", || watch.state() == ConnectionState::Connected).await;
        server.kill();
        until("disconnected", || watch.state() == ConnectionState::Disconnected).await;
        assert_eq!(connection.publish(subject(), None, Bytes::new()), Err(PublishError::Disconnected));
        server.restart();
        until("connected again", || watch.state() == ConnectionState::Connected).await;
        assert_eq!((watch.connects(), watch.disconnects()), (2, 1));
        let changes: Vec<_> = events
            .lock()
            .unwrap()
            .iter()
            .filter(|event| !matches!(event, ConnectionEvent::Error(_)))
            .cloned()
            .collect();
        use ConnectionEvent::{Connected, Disconnected};
        assert_eq!(changes, [Connected, Disconnected, Connected]);
    });
}

#[test]
fn subscriptions_survive_and_come_before_what_is_published() {
    run(async {
        let mut server = NatsServer::start();
        let (connection, _) = connect(&to(&server)).await;
        let mut messages = connection.subscribe("somewhere".to_owned()).await.unwrap();
        for round in [&b"one"[..], b"two"] {
            until("connected", || connection.is_connected()).await;
            connection.publish(subject(), None, Bytes::from_static(round)).unwrap();
            assert_eq!(&messages.next().await.unwrap().payload[..], round);
            server.kill();
            until("disconnected", || !connection.is_connected()).await;
            server.restart();
        }
    });
}

#[test]
fn another_server_takes_over() {
    run(async {
        let (mut one, two) = (NatsServer::start(), NatsServer::start());
        let options = ConnectionOptions { servers: vec![one.url(), two.url()], ..Default::default() };
        let (connection, _) = connect(&options).await;
        until("connected", || connection.is_connected()).await;
        one.kill();
        // Whichever it was: the one that is left serves.
        let (again, _) = connect(&options).await;
        until("connected", || again.is_connected()).await;
        until("connected", || connection.is_connected()).await;
        connection.publish(subject(), None, Bytes::new()).unwrap();
    });
}

#[test]
fn the_limit_of_a_message_is_the_servers() {
    run(async {
        let server = server("max_payload: 4096");
        let (connection, _) = connect(&to(&server)).await;
        until("connected", || connection.is_connected()).await;
        assert_eq!(connection.max_payload(), 4_096);
        let long = Bytes::from(vec![0; 4_097]);
        assert_eq!(connection.publish(subject(), None, long), Err(PublishError::TooLong(4_096)));
        connection.publish(subject(), None, Bytes::from(vec![0; 4_096])).unwrap();
        connection.flush(Duration::from_secs(5)).await.unwrap();
        assert!(connection.is_connected());
    });
}

#[test]
fn a_publisher_never_waits() {
    run(async {
        let server = NatsServer::start();
        let (connection, _) = connect(&to(&server)).await;
        until("connected", || connection.is_connected()).await;
        // Nothing is written while this loop holds the thread: sooner or later the connection is congested.
        let started = Instant::now();
        let mut sent = 0;
        let refused = loop {
            match connection.publish(subject(), None, Bytes::new()) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent < 100_000, "it queues without limit");
        };
        assert_eq!(refused, PublishError::Congested);
        assert!(sent >= 1_000 && started.elapsed() < Duration::from_secs(5));
        until("room again", || connection.publish(subject(), None, Bytes::new()).is_ok()).await;
    });
}

#[test]
fn a_closed_connection_says_so() {
    run(async {
        let server = NatsServer::start();
        let (connection, _) = connect(&to(&server)).await;
        until("connected", || connection.is_connected()).await;
        connection.close(Duration::from_secs(5)).await;
        assert_eq!(connection.watch().state(), ConnectionState::Closed);
        until("no more", || connection.publish(subject(), None, Bytes::new()).is_err()).await;
    });
}
