//! The worker's I/O: subscriptions, the ticker, the watchdog. Runs in whichever thread drives it.

mod leaving;

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::SyncSender,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_nats::Message;
use futures_util::{FutureExt, StreamExt};
use nylon_wire::subject;
use tokio::{runtime::Builder, spawn, sync::Notify, time::sleep_until};

use super::{
    WorkerError,
    core::Core,
    outbox::Event,
    service::{Question, Service},
    shared::Shared,
};
use crate::{Connection, ConnectionEvent, lock::lock, subscription::Subscription};

const BEAT_EVERY: Duration = Duration::from_millis(250);
const TICK_EVERY: Duration = Duration::from_millis(10);
/// How long the last frames may take to leave.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

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

/// Whatever ends the I/O, nobody waits for it any more.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("running a worker: its I/O panicked");
        }
        self.0.end();
    }
}

fn run(shared: &Arc<Shared>, started: &SyncSender<Result<(), WorkerError>>) {
    let (before, after) = (shared.clone(), shared.clone());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || before.outbox.before_park())
        .on_thread_unpark(move || after.outbox.after_park())
        .build();
    let end = End(shared.clone());
    let prepared = match runtime {
        Err(cause) => Err(WorkerError::Thread(cause)),
        Ok(runtime) => runtime.block_on(Io::prepare(shared)).map(|io| (runtime, io)),
    };
    match prepared {
        Err(error) => {
            // The starter waits for this.
            let _ = started.send(Err(error));
        }
        Ok((runtime, io)) => {
            let _ = started.send(Ok(()));
            runtime.spawn(async move {
                let _end = end;
                io.serve().await;
            });
            shared.drive.stand_by(runtime);
        }
    }
}

/// What the tasks share. Only the thread that drives touches it, so no lock is ever waited for.
struct Io {
    shared: Arc<Shared>,
    core: Mutex<Core>,
    /// Room for [`Io::take_events`].
    events: Mutex<Vec<Event>>,
    connection: Connection,
    service: Service,
    /// When the watchdog of the lanes wants to look.
    watch_at: Mutex<Option<Instant>>,
    watch: Notify,
    /// The ticker has more to do than beats.
    busy: Notify,
    /// Something has ended.
    changed: Notify,
    drain: AtomicBool,
    stop: AtomicBool,
    /// `drain` or `stop` was set.
    leave: Notify,
}

impl Io {
    async fn prepare(shared: &Arc<Shared>) -> Result<Arc<Self>, WorkerError> {
        let core = Mutex::new(Core::new(shared.clone())?);
        let service = Service::new(shared)?;
        let events = shared.clone();
        let on_event = move |event| events.outbox.push(Event::Connection(event));
        let connection = Connection::start(&shared.options.connection, on_event).await?;
        let _ = shared.watch.set(connection.watch());
        Ok(Arc::new(Self {
            shared: shared.clone(),
            core,
            events: Mutex::default(),
            connection,
            service,
            watch_at: Mutex::default(),
            watch: Notify::new(),
            busy: Notify::new(),
            changed: Notify::new(),
            drain: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            leave: Notify::new(),
        }))
    }

    async fn serve(self: Arc<Self>) {
        spawn(Self::take_all_events(self.clone()));
        spawn(Self::watchdog(self.clone()));
        let opens = self.subscribe().await;
        // Beats come last: who hears one may rely on the subscriptions.
        spawn(Self::ticker(self.clone()));
        self.settle();
        self.until_leaving().await;
        if !self.stop.load(SeqCst) {
            self.drain(opens).await;
        }
        self.core().abort_all();
        self.settle();
        // Without a connection there is nobody to tell.
        let _ = self.connection.flush(FLUSH_LIMIT).await;
        self.connection.close(FLUSH_LIMIT).await;
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    /// Subscribes to everything. The subscriptions wait in the client while there is no connection. Returns the tasks of
    /// the open subjects, which end when they are drained.
    async fn subscribe(self: &Arc<Self>) -> Vec<(tokio::task::JoinHandle<()>, Arc<Notify>)> {
        let options = &self.shared.options;
        let direct = self.core().subject().to_string();
        // Only a closed client refuses, and nobody but this thread closes it.
        if let Ok(subscriber) = self.connection.subscribe(direct).await {
            spawn(Self::listen(self.clone(), subscriber));
        }
        for (subject, question) in self.service.subjects(&self.shared) {
            if let Ok(subscriber) = self.connection.subscribe(subject).await {
                spawn(Self::answer(self.clone(), subscriber, question));
            }
        }
        let mut opens = Vec::with_capacity(options.entries.len());
        for entry in &options.entries {
            let subject = subject::open(&options.prefix, &options.group, &entry.name);
            let (Ok(subject), Ok(group)) = (subject, subject::escape(&options.group)) else { continue };
            if let Ok(subscriber) = self.connection.queue_subscribe(subject, group).await {
                let leave = Arc::new(Notify::new());
                let task = spawn(Self::listen_for_opens(self.clone(), subscriber, leave.clone()));
                opens.push((task, leave));
            }
        }
        opens
    }

    /// Takes what has come as one batch.
    fn batch(&self, first: Message, subscriber: &mut Subscription) -> u64 {
        let now = Instant::now();
        let mut count = 1;
        let mut core = self.core();
        core.on_message(first, now);
        while let Some(Some(message)) = subscriber.next().now_or_never() {
            core.on_message(message, now);
            count += 1;
        }
        drop(core);
        // A busy thread may not sleep for long, so it looks for results itself.
        self.take_events(now);
        self.settle();
        count
    }

    async fn listen(io: Arc<Self>, mut subscriber: Subscription) {
        while let Some(message) = subscriber.next().await {
            io.batch(message, &mut subscriber);
        }
    }

    async fn answer(io: Arc<Self>, mut subscriber: Subscription, question: Question) {
        while let Some(message) = subscriber.next().await {
            let Some(reply) = message.reply else { continue };
            let mut core = io.core();
            let answer = io.service.answer(question, &core);
            core.answer(reply, &answer);
            drop(core);
            io.settle();
        }
    }

    /// What other threads say.
    async fn take_all_events(io: Arc<Self>) {
        loop {
            io.shared.outbox.ready().await;
            io.take_events(Instant::now());
            io.settle();
        }
    }

    fn take_events(&self, now: Instant) {
        let mut events = std::mem::take(&mut *lock(&self.events));
        self.shared.outbox.take(&mut events);
        let mut core = self.core();
        for event in events.drain(..) {
            self.note(&event, &mut core);
            core.on_event(event, now);
        }
        drop(core);
        *lock(&self.events) = events;
    }

    /// What an event means besides the core.
    fn note(&self, event: &Event, core: &mut Core) {
        match event {
            Event::Drain => {
                self.drain.store(true, SeqCst);
                self.leave.notify_one();
            }
            Event::Stop => {
                self.stop.store(true, SeqCst);
                self.leave.notify_one();
            }
            Event::Connection(ConnectionEvent::Connected) => {
                if !self.shared.options.connection.is_memory() {
                    tracing::info!("connected to nats");
                }
                core.set_max_payload(self.connection.max_payload());
            }
            Event::Connection(ConnectionEvent::Disconnected) => tracing::warn!("lost the connection to nats"),
            Event::Connection(ConnectionEvent::SlowConsumer) => {
                tracing::error!("nats messages were dropped: the worker does not keep up");
            }
            Event::Connection(ConnectionEvent::Error(error)) => tracing::warn!(error, "nats"),
            _ => {}
        }
    }

    /// Carries on what the core has decided: jobs to the lanes, frames to the connection.
    fn settle(&self) {
        let mut core = self.core();
        let watch = core.hand_over(Instant::now());
        core.send_out(|subject, reply, payload| {
            self.connection.publish(subject.clone(), reply.cloned(), payload.clone())
        });
        if core.needs_ticks() {
            self.busy.notify_one();
        }
        drop(core);
        self.changed.notify_waiters();
        if let Some(at) = watch
            && lock(&self.watch_at).replace(at).is_none()
        {
            self.watch.notify_one();
        }
    }

    /// Deadlines every 10 ms while there is a session, beats every 250 ms always.
    async fn ticker(io: Arc<Self>) {
        let mut beat_at = Instant::now();
        loop {
            let now = Instant::now();
            // Results that an event loop gathers and does not release because a handler blocks it.
            io.take_events(now);
            {
                let mut core = io.core();
                let connected = io.connection.is_connected();
                core.tick(connected, now);
                if now >= beat_at {
                    // The first beat goes out with the connection: nobody misses a worker that was never heard of.
                    beat_at = now + if connected { BEAT_EVERY } else { TICK_EVERY };
                    if connected {
                        core.beat(now);
                    }
                }
            }
            io.settle();
            let needed = io.core().needs_ticks();
            if needed {
                sleep_until((now + TICK_EVERY).into()).await;
            } else {
                tokio::select! {
                    () = sleep_until(beat_at.into()) => {}
                    () = io.busy.notified() => sleep_until((now + TICK_EVERY).min(beat_at).into()).await,
                }
            }
        }
    }

    /// Wakes followers when the leader is slow (rules §12).
    async fn watchdog(io: Arc<Self>) {
        loop {
            let at = *lock(&io.watch_at);
            match at {
                None => io.watch.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at.into()) => {}
                        () = io.shared.drive.stood_in.notified() => {}
                    }
                    *lock(&io.watch_at) = io.shared.threads.watch(Instant::now());
                }
            }
        }
    }
}
