//! The I/O thread.

use std::{sync::Arc, thread::JoinHandle};

use tokio::runtime::{Builder, LocalOptions};

use super::{WorkerError, outbox::Event, shared::Shared};
use crate::Connection;

/// Starts the thread. Everything that cannot heal by itself is found out before it returns.
pub(super) fn start(shared: Arc<Shared>) -> Result<JoinHandle<()>, WorkerError> {
    let (told, tell) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("nylon-nats".to_owned())
        .spawn(move || run(&shared, &told))
        .map_err(WorkerError::Thread)?;
    match tell.recv() {
        Ok(Ok(())) => Ok(thread),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(WorkerError::Thread(std::io::Error::other("it ended at once"))),
    }
}

fn run(shared: &Arc<Shared>, started: &std::sync::mpsc::SyncSender<Result<(), WorkerError>>) {
    let (before, after) = (shared.clone(), shared.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || before.outbox.before_park())
        .on_thread_unpark(move || after.outbox.after_park())
        .build_local(LocalOptions::default());
    let result = match runtime {
        Err(cause) => Err(WorkerError::Thread(cause)),
        Ok(runtime) => runtime.block_on(serve(shared, started)),
    };
    if let Err(error) = result {
        // The starter has stopped listening only if it has gone.
        let _ = started.send(Err(error));
    }
    shared.end();
}

async fn serve(
    shared: &Arc<Shared>,
    started: &std::sync::mpsc::SyncSender<Result<(), WorkerError>>,
) -> Result<(), WorkerError> {
    let events = shared.clone();
    let connection =
        Connection::start(&shared.options.connection, move |event| events.outbox.push(Event::Connection(event)))
            .await?;
    let _ = shared.watch.set(connection.watch());
    let _ = started.send(Ok(()));
    let mut events = Vec::new();
    loop {
        shared.outbox.ready().await;
        shared.outbox.take(&mut events);
        for event in events.drain(..) {
            if matches!(event, Event::Drain | Event::Stop) {
                return Ok(());
            }
        }
    }
}
