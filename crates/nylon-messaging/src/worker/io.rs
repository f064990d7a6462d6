//! The I/O thread: subscriptions, the ticker, the watchdog, and the way out.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, mpsc::SyncSender},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use nylon_wire::subject;
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::Notify,
    task::spawn_local,
    time::{sleep_until, timeout, timeout_at},
};

use super::{
    WorkerError,
    core::Core,
    outbox::Event,
    service::{Question, Service},
    shared::Shared,
};
use crate::{Connection, ConnectionEvent};

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

/// Whatever ends the thread, nobody waits for it any more.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn run(shared: &Arc<Shared>, started: &SyncSender<Result<(), WorkerError>>) {
    let _end = End(shared);
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
        // The starter waits for this; afterwards there is no error any more.
        let _ = started.send(Err(error));
    }
}

/// What the tasks of the thread share.
struct Io {
    shared: Arc<Shared>,
    core: RefCell<Core>,
    /// Room for [`Io::take_events`].
    events: Cell<Vec<Event>>,
    connection: Connection,
    service: Service,
    /// When the watchdog of the lanes wants to look.
    watch_at: Cell<Option<Instant>>,
    watch: Notify,
    /// The ticker has more to do than beats.
    busy: Notify,
    /// Something has ended.
    changed: Notify,
    drain: Cell<bool>,
    stop: Cell<bool>,
    /// `drain` or `stop` was set.
    leave: Notify,
}

async fn serve(shared: &Arc<Shared>, started: &SyncSender<Result<(), WorkerError>>) -> Result<(), WorkerError> {
    let core = RefCell::new(Core::new(shared.clone())?);
    let service = Service::new(shared)?;
    let events = shared.clone();
    let on_event = move |event| events.outbox.push(Event::Connection(event));
    let connection = Connection::start(&shared.options.connection, on_event).await?;
    let _ = shared.watch.set(connection.watch());
    let io = Rc::new(Io {
        shared: shared.clone(),
        core,
        events: Cell::default(),
        connection,
        service,
        watch_at: Cell::new(None),
        watch: Notify::new(),
        busy: Notify::new(),
        changed: Notify::new(),
        drain: Cell::new(false),
        stop: Cell::new(false),
        leave: Notify::new(),
    });
    let _ = started.send(Ok(()));
    spawn_local(Io::events(io.clone(), shared.clone()));
    spawn_local(Io::watchdog(io.clone(), shared.clone()));
    let opens = Io::subscribe(&io, shared).await;
    // Beats come last: who hears one may rely on the subscriptions.
    spawn_local(Io::ticker(io.clone()));
    io.settle();
    io.until_leaving().await;
    if !io.stop.get() {
        Io::drain(&io, shared, opens).await;
    }
    io.core.borrow_mut().abort_all();
    io.settle();
    // Without a connection there is nobody to tell.
    let _ = io.connection.flush(FLUSH_LIMIT).await;
    io.connection.close(FLUSH_LIMIT).await;
    Ok(())
}

impl Io {
    /// Subscribes to everything. The subscriptions wait in the client while there is no connection. Returns the tasks of
    /// the open subjects, which end when they are drained.
    async fn subscribe(io: &Rc<Self>, shared: &Arc<Shared>) -> Vec<(tokio::task::JoinHandle<()>, Rc<Notify>)> {
        let options = &shared.options;
        let direct = io.core.borrow().subject().to_string();
        // Only a closed client refuses, and nobody but this thread closes it.
        if let Ok(subscriber) = io.connection.subscribe(direct).await {
            spawn_local(Self::listen(io.clone(), subscriber));
        }
        for (subject, question) in io.service.subjects(shared) {
            if let Ok(subscriber) = io.connection.subscribe(subject).await {
                spawn_local(Self::answer(io.clone(), subscriber, question));
            }
        }
        let mut opens = Vec::with_capacity(options.entries.len());
        for entry in &options.entries {
            let subject = subject::open(&options.prefix, &options.group, &entry.name);
            let (Ok(subject), Ok(group)) = (subject, subject::escape(&options.group)) else { continue };
            if let Ok(subscriber) = io.connection.queue_subscribe(subject, group).await {
                let leave = Rc::new(Notify::new());
                let task = spawn_local(Self::listen_for_opens(io.clone(), subscriber, leave.clone()));
                opens.push((task, leave));
            }
        }
        opens
    }

    /// Takes what has come as one batch.
    fn batch(&self, first: Message, subscriber: &mut Subscriber) -> u64 {
        let now = Instant::now();
        let mut count = 1;
        let mut core = self.core.borrow_mut();
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

    async fn listen(io: Rc<Self>, mut subscriber: Subscriber) {
        while let Some(message) = subscriber.next().await {
            io.batch(message, &mut subscriber);
        }
    }

    /// Serves an open subject until told to leave, then leaves without losing an open.
    ///
    /// The client forgets a subscription together with its UNSUB, and drops what the server had sent before it read that.
    /// An UNSUB *after n messages* is exact on both sides. So: after a number that a busy subject reaches at once; if it is
    /// not reached, after one more; if not even that comes, at once.
    async fn listen_for_opens(io: Rc<Self>, mut subscriber: Subscriber, leave: Rc<Notify>) {
        let mut count = 0;
        loop {
            tokio::select! {
                biased;
                message = subscriber.next() => match message {
                    Some(message) => count += io.batch(message, &mut subscriber),
                    None => return,
                },
                () = leave.notified() => break,
            }
        }
        for more in [64, 1] {
            if subscriber.unsubscribe_after(count + more).await.is_err() {
                return;
            }
            let ended = timeout(Duration::from_millis(150), async {
                while let Some(message) = subscriber.next().await {
                    count += io.batch(message, &mut subscriber);
                }
            });
            if ended.await.is_ok() {
                return;
            }
        }
        // Refused only by a client that has ended.
        let _ = subscriber.unsubscribe().await;
        while let Some(message) = subscriber.next().await {
            io.batch(message, &mut subscriber);
        }
    }

    async fn answer(io: Rc<Self>, mut subscriber: Subscriber, question: Question) {
        while let Some(message) = subscriber.next().await {
            let Some(reply) = message.reply else { continue };
            let answer = io.service.answer(question, &io.core.borrow());
            io.core.borrow_mut().answer(reply, answer);
            io.settle();
        }
    }

    /// What other threads say.
    async fn events(io: Rc<Self>, shared: Arc<Shared>) {
        loop {
            shared.outbox.ready().await;
            io.take_events(Instant::now());
            io.settle();
        }
    }

    fn take_events(&self, now: Instant) {
        let mut events = self.events.take();
        self.shared.outbox.take(&mut events);
        for event in events.drain(..) {
            self.on_event(event, now);
        }
        self.events.set(events);
    }

    fn on_event(&self, event: Event, now: Instant) {
        match &event {
            Event::Drain => {
                self.drain.set(true);
                self.leave.notify_one();
            }
            Event::Stop => {
                self.stop.set(true);
                self.leave.notify_one();
            }
            Event::Connection(ConnectionEvent::Connected) => {
                tracing::info!("connected to nats");
                self.core.borrow_mut().set_max_payload(self.connection.max_payload());
            }
            Event::Connection(ConnectionEvent::Disconnected) => tracing::warn!("lost the connection to nats"),
            Event::Connection(ConnectionEvent::SlowConsumer) => {
                tracing::error!("nats messages were dropped: the worker does not keep up");
            }
            Event::Connection(ConnectionEvent::Error(error)) => tracing::warn!(error, "nats"),
            _ => {}
        }
        self.core.borrow_mut().on_event(event, now);
    }

    /// Carries on what the core has decided: jobs to the lanes, frames to the connection.
    fn settle(&self) {
        let mut core = self.core.borrow_mut();
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
            && self.watch_at.replace(Some(at)).is_none()
        {
            self.watch.notify_one();
        }
    }

    /// Deadlines every 10 ms while there is a session, beats every 250 ms always.
    async fn ticker(io: Rc<Self>) {
        let mut beat_at = Instant::now();
        loop {
            let now = Instant::now();
            {
                let mut core = io.core.borrow_mut();
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
            if io.core.borrow().needs_ticks() {
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
    async fn watchdog(io: Rc<Self>, shared: Arc<Shared>) {
        loop {
            match io.watch_at.get() {
                None => io.watch.notified().await,
                Some(at) => {
                    sleep_until(at.into()).await;
                    io.watch_at.set(shared.threads.watch(Instant::now()));
                }
            }
        }
    }

    async fn until_leaving(&self) {
        while !self.drain.get() && !self.stop.get() {
            self.leave.notified().await;
        }
    }

    /// Waits until `done`, no longer than `until`, or until everything has to stop.
    async fn wait_for(&self, until: Instant, done: impl Fn(&Core) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.stop.get() || done(&self.core.borrow()) {
                    return;
                }
                changed.await;
            }
        };
        // Over time is what the callers go on from.
        let _ = timeout_at(until.into(), wait).await;
    }

    /// Leaves as rules §8 and sdk-api §2.8 say: no new sessions, finish the old ones, abort the rest, Shutdown.
    async fn drain(io: &Rc<Self>, shared: &Arc<Shared>, opens: Vec<(tokio::task::JoinHandle<()>, Rc<Notify>)>) {
        let until = Instant::now() + shared.options.drain_timeout;
        {
            let mut core = io.core.borrow_mut();
            core.leave();
            core.beat(Instant::now());
        }
        io.settle();
        for (_, leave) in &opens {
            leave.notify_one();
        }
        for (task, _) in opens {
            if timeout_at(until.into(), task).await.is_err() {
                tracing::warn!("draining: an open subscription did not end in time");
            }
        }
        io.core.borrow_mut().shut_the_door();
        io.wait_for(until, Core::is_idle).await;
        io.core.borrow_mut().abort_all();
        io.settle();
        // Handlers that were just cancelled may still return.
        io.wait_for(Instant::now() + Duration::from_secs(1), Core::is_idle).await;
        let now = Instant::now();
        io.core.borrow_mut().shut_down(now);
        io.settle();
        io.wait_for(now + shared.options.shutdown_timeout, Core::shutdown_done).await;
        if !io.core.borrow().shutdown_done() {
            tracing::warn!("draining: the shutdown handler did not end in time");
        }
    }
}
