//! What other threads tell the I/O thread, and how it is woken: at most once per batch, and only when it sleeps.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use nylon_wire::{Action, Operation, Text};
use tokio::sync::Notify;

use super::{Body, BodyReader, FetchError, OnBody, Socket, SocketError, StreamWriter, WriteError, run::Run};
use crate::{ConnectionEvent, lock::lock};

/// How a handler ended.
pub(super) enum Outcome {
    Result { operations: Vec<Operation>, action: Action },
    Failed { code: String, text: String, log_id: Option<String> },
}

/// What the I/O thread has to deal with.
pub(super) enum Event {
    Finished {
        run: Arc<Run>,
        outcome: Outcome,
        handler: Duration,
    },
    Fetch {
        run: Arc<Run>,
        body: Body,
        max: usize,
        callback: OnBody,
    },
    /// A handler begins to stream.
    Stream {
        run: Arc<Run>,
        writer: Arc<StreamWriter>,
        operations: Vec<Operation>,
    },
    /// There is something to send in the stream of this run.
    Write(Arc<Run>),
    /// A handler wants a body as it comes.
    Read {
        run: Arc<Run>,
        body: Body,
        reader: Arc<BodyReader>,
    },
    /// A handler has taken pieces of it.
    Took {
        run: Arc<Run>,
        reader: Arc<BodyReader>,
    },
    /// A handler wants a WebSocket.
    Upgrade {
        run: Arc<Run>,
        socket: Arc<Socket>,
        operations: Vec<Operation>,
        subprotocol: Option<Text>,
    },
    /// It has sent something there, or has taken something.
    Socket(Arc<Run>),
    Connection(ConnectionEvent),
    /// Finish what runs, then end.
    Drain,
    /// End now: nobody holds the worker any more.
    Stop,
}

/// So many results are worth waking the I/O thread for although more handlers are about to run.
const BATCH: usize = 32;

/// The queue of events.
///
/// A push costs a lock and a load while the I/O thread is at work. [`Outbox::before_park`] runs in the thread right before
/// it sleeps and looks once more, so no push is lost in between.
#[derive(Default)]
pub(super) struct Outbox {
    events: Mutex<Vec<Event>>,
    /// Nobody takes events any more.
    closed: AtomicBool,
    parked: AtomicBool,
    /// Something was added and nobody woken for it.
    waiting: AtomicBool,
    notify: Notify,
}

impl Outbox {
    /// Adds an event and wakes the I/O thread.
    pub fn push(&self, event: Event) {
        if self.add(event).is_some() {
            self.wake();
        }
    }

    /// Adds an event of a thread that calls [`Outbox::flush`] before it waits for work: waking the I/O thread for each
    /// result of a batch would cost more than the handlers. Should the next handler be slow, the watchdog's look after
    /// 2 ms takes along what waits here.
    pub fn push_in_batch(&self, event: Event) {
        match self.add(event) {
            Some(BATCH) => self.wake(),
            Some(_) => self.waiting.store(true, SeqCst),
            None => {}
        }
    }

    /// Wakes the I/O thread if something was added without.
    pub fn flush(&self) {
        if self.waiting.load(SeqCst) && self.waiting.swap(false, SeqCst) {
            self.wake();
        }
    }

    /// How many events wait now, unless nobody takes them any more.
    fn add(&self, event: Event) -> Option<usize> {
        let mut events = lock(&self.events);
        if self.closed.load(Relaxed) {
            drop(events);
            refuse(event);
            return None;
        }
        events.push(event);
        Some(events.len())
    }

    fn wake(&self) {
        if self.parked.load(SeqCst) && self.parked.swap(false, SeqCst) {
            self.notify.notify_one();
        }
    }

    /// Nothing is taken any more: who waits for an answer gets none.
    pub fn close(&self) {
        let left = {
            let mut events = lock(&self.events);
            self.closed.store(true, Relaxed);
            std::mem::take(&mut *events)
        };
        left.into_iter().for_each(refuse);
    }

    /// Takes everything; `into` is empty before.
    pub fn take(&self, into: &mut Vec<Event>) {
        std::mem::swap(&mut *lock(&self.events), into);
    }

    /// Waits until there is something to take.
    pub async fn ready(&self) {
        while lock(&self.events).is_empty() {
            self.notify.notified().await;
        }
    }

    /// Has the I/O, in this thread, take what there is. Whether there is something.
    pub fn look(&self) -> bool {
        let found = !lock(&self.events).is_empty();
        if found {
            self.notify.notify_one();
        }
        found
    }

    /// Hook of the runtime: the thread is about to sleep.
    pub fn before_park(&self) {
        self.parked.store(true, SeqCst);
        if self.look() {
            self.parked.store(false, SeqCst);
        }
    }

    /// Hook of the runtime: the thread is awake.
    pub fn after_park(&self) {
        self.parked.store(false, Relaxed);
    }
}

fn refuse(event: Event) {
    match event {
        Event::Fetch { callback, .. } => callback(Err(FetchError::Closed)),
        Event::Stream { writer, .. } => writer.close(&WriteError::Closed),
        Event::Upgrade { socket, .. } => socket.refuse(SocketError::Closed),
        Event::Read { reader, .. } => reader.finish(Err(FetchError::Closed)),
        _ => {}
    }
}
