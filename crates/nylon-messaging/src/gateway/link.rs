//! A gateway thread's connection to one messaging entry: the request layer under all its sessions.

mod replies;
mod sending;

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::Subject;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use nylon_wire::{AbortReason, Limits, subject};
use tokio::{sync::Notify, task::JoinHandle};

use self::{replies::answers, sending::postman};
use super::{
    messaging::{Messaging, MessagingError},
    post::Posts,
    random::Random,
    rooms::Rooms,
    slots::{Signal, Slots},
    stats::LinkStats,
};
use crate::{Clock, Connection, ConnectionEvent, PublishError, connection::SETTLING_MS, subscription::Subscription};

/// How often deadlines are looked at while anything is pending.
const TICK: Duration = Duration::from_millis(10);
/// A tick so late says that answers may lie unread: they are read before anything is called too late. Milliseconds.
const BEHIND_MS: u64 = 50;
/// A tick so late says that this process did not run, so silence of workers proves nothing. Milliseconds.
const LATE_MS: u64 = 200;
const GRACE_MS: u64 = 750;
/// So many threads listen to beats; the table is shared. With fewer the silence of one server that they are all connected to
/// would end the sessions of threads on others.
const BEAT_LISTENERS: u32 = 4;
/// How much memory frames are encoded into at a time, in bytes.
const ARENA: usize = 64 << 10;
/// Credit of all workers on this connection, at most: what a thousand clients that stand still may cost. The protocol allows
/// twice as much (SPEC 12.7).
const GRANTS: u64 = Limits::MAX_CONNECTION_CREDIT / 2;
/// In the place of a slot for an open that nobody answers.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// One gateway thread's link. Lives on that thread's `LocalRuntime`.
pub struct Link {
    pub(super) messaging: Arc<Messaging>,
    pub(super) thread: u32,
    pub(super) connection: Connection,
    pub(super) slots: RefCell<Slots>,
    pub(super) random: RefCell<Random>,
    pub(super) stats: Arc<LinkStats>,
    /// Reply subject of opens that nobody answers.
    pub(super) no_reply: String,
    arena: RefCell<BytesMut>,
    /// Credit that workers hold and have not used, in bytes (rules §8).
    granted: Cell<u64>,
    pending: Rc<Notify>,
    posts: RefCell<Posts>,
    posted: Rc<Notify>,
    pub(super) rooms: Rooms,
    closing: Cell<bool>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
}

impl Link {
    /// Starts connecting and returns at once; until the connection is up every open fails as unavailable.
    /// Call it on the thread's `LocalRuntime`.
    ///
    /// # Errors
    /// Only what no retry can heal: names, credentials, certificates.
    pub async fn start(messaging: &Arc<Messaging>, thread: u32) -> Result<Rc<Self>, MessagingError> {
        let prefix = &messaging.options.prefix;
        let mut options = messaging.options.connection.clone();
        options.name = format!("{}-{thread}", options.name);
        let alarm = Arc::new(Notify::new());
        let rings = alarm.clone();
        let memory = options.is_memory();
        let (known, interrupted) = (messaging.clone(), AtomicBool::new(false));
        let connection = Connection::start(&options, move |event| {
            match &event {
                ConnectionEvent::Connected if memory => {}
                ConnectionEvent::Connected => tracing::info!(thread, "connected to nats"),
                ConnectionEvent::Disconnected => tracing::warn!(thread, "lost the connection to nats"),
                ConnectionEvent::SlowConsumer => tracing::error!(thread, "nats messages were dropped: too slow"),
                ConnectionEvent::Error(error) => tracing::warn!(thread, %error, "nats"),
                ConnectionEvent::Closed => {}
            }
            let lost = event == ConnectionEvent::Disconnected;
            if lost || (event == ConnectionEvent::Connected && interrupted.load(Relaxed)) {
                interrupted.store(true, Relaxed);
                known.table.let_settle(Clock::now_ms() + SETTLING_MS);
            }
            // Dropped messages are lost answers: whoever waits cannot know whether his was among them.
            if matches!(event, ConnectionEvent::Disconnected | ConnectionEvent::SlowConsumer) {
                rings.notify_one();
            }
        })
        .await?;
        let stats = Arc::new(LinkStats::new(connection.watch()));
        messaging.note_link(thread, &stats);
        let no_reply = subject::reply(prefix, &messaging.gateway, thread, NO_SLOT)?;
        let replies = subject::reply_wildcard(prefix, &messaging.gateway, thread)?;
        let replies = connection.subscribe(replies).await.map_err(|_| MessagingError::Closed)?;
        let beats = subject::beat_all(prefix)?;
        let beats = match thread {
            0..BEAT_LISTENERS => Some(connection.subscribe(beats).await.map_err(|_| MessagingError::Closed)?),
            _ => None,
        };
        let (pending, posted) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let link = Rc::new(Self {
            messaging: messaging.clone(),
            thread,
            connection,
            slots: RefCell::new(Slots::new(no_reply.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())),
            random: RefCell::new(Random::new()),
            stats,
            no_reply,
            arena: RefCell::new(BytesMut::with_capacity(ARENA)),
            granted: Cell::new(0),
            pending: pending.clone(),
            posts: RefCell::default(),
            posted: posted.clone(),
            rooms: Rooms::default(),
            closing: Cell::new(false),
            tasks: RefCell::default(),
        });
        let mut tasks = vec![
            tokio::task::spawn_local(answers(Rc::downgrade(&link), replies)),
            tokio::task::spawn_local(ticks(Rc::downgrade(&link), pending)),
            tokio::task::spawn_local(postman(Rc::downgrade(&link), posted)),
            tokio::task::spawn_local(alarms(Rc::downgrade(&link), alarm)),
        ];
        if let Some(beats) = beats {
            tasks.push(tokio::task::spawn_local(listen(messaging.clone(), beats)));
        }
        link.tasks.replace(tasks);
        Ok(link)
    }

    /// Counters of this link.
    #[must_use]
    pub fn stats(&self) -> &Arc<LinkStats> {
        &self.stats
    }

    /// The messaging entry.
    #[must_use]
    pub fn messaging(&self) -> &Arc<Messaging> {
        &self.messaging
    }

    /// Whether the connection is up now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_connected()
    }

    /// Aborts every session at its worker, fails what waits, and closes the connection, within `limit`.
    pub async fn shutdown(&self, limit: Duration) {
        self.closing.set(true);
        let used = self.slots.borrow().used();
        for slot in used {
            self.abort(slot, AbortReason::GatewayShutdown, None);
        }
        self.send_posts();
        self.slots.borrow_mut().signal_waiting(Signal::Shutdown);
        // What cannot be flushed in time is lost with the connection; the workers notice by their probes.
        let _ = self.connection.flush(limit / 2).await;
        self.connection.close(limit / 2).await;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// The longest message that NATS takes now, in bytes.
    pub(super) fn max_payload(&self) -> usize {
        self.connection.max_payload()
    }

    /// Encodes something into memory that is shared by many frames.
    pub(super) fn encode(&self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut arena = self.arena.borrow_mut();
        if arena.capacity() < 4_096 {
            // Takes the old memory back if all its frames are gone, else takes new.
            arena.reserve(ARENA);
        }
        write(&mut arena);
        arena.split().freeze()
    }

    /// Hands a message to NATS without waiting.
    pub(super) fn publish(&self, to: Subject, reply: Option<Subject>, payload: Bytes) -> Result<(), PublishError> {
        self.connection.publish(to, reply, payload).inspect_err(|_| self.stats.unsent.add())
    }

    /// Credit for a new session's worker: less when workers hold much (rules §8).
    pub(super) fn first_credit(&self) -> u32 {
        if self.is_scarce() { Limits::INITIAL_CREDIT / 4 } else { Limits::INITIAL_CREDIT }
    }

    /// Whether workers hold so much that more is only for those who need it.
    pub(super) fn is_scarce(&self) -> bool {
        self.granted.get() >= GRANTS / 2
    }

    /// Whether workers may hold so much more.
    pub(super) fn may_grant(&self, more: u64) -> bool {
        self.granted.get() + more <= GRANTS
    }

    pub(super) fn grant(&self, more: u64) {
        self.granted.set(self.granted.get() + more);
    }

    pub(super) fn ungrant(&self, less: u64) {
        self.granted.set(self.granted.get().saturating_sub(less));
    }

    /// Something is pending from now on: the ticker must run.
    pub(super) fn note_pending(&self) {
        let slots = self.slots.borrow();
        self.stats.slots_in_use.set(slots.in_use() as u64);
        if slots.in_use() == 1 {
            self.pending.notify_one();
        }
    }

    pub(super) fn note_released(&self) {
        let slots = self.slots.borrow();
        self.stats.slots_in_use.set(slots.in_use() as u64);
        self.stats.slots_resting.set(slots.resting() as u64);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.take().iter().for_each(JoinHandle::abort);
    }
}

async fn listen(messaging: Arc<Messaging>, mut beats: Subscription) {
    while let Some(message) = beats.next().await {
        messaging.table.beat(&message.subject, &message.payload);
    }
}

async fn alarms(link: Weak<Link>, alarm: Arc<Notify>) {
    loop {
        alarm.notified().await;
        match link.upgrade() {
            Some(link) => link.slots.borrow_mut().signal_waiting(Signal::Disconnected),
            None => return,
        }
    }
}

async fn ticks(link: Weak<Link>, wake: Rc<Notify>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last = Clock::now_ms();
    let mut behind = false;
    loop {
        interval.tick().await;
        let Some(link) = link.upgrade() else { return };
        let now = Clock::now_ms();
        let late = now.saturating_sub(last);
        last = now;
        if late > LATE_MS {
            link.messaging.table.grant_grace(now + GRACE_MS);
        }
        behind = late > BEHIND_MS && !behind;
        if behind {
            continue;
        }
        let pending = link.slots.borrow_mut().tick(now);
        link.note_released();
        drop(link);
        if !pending {
            // An idle gateway sleeps.
            wake.notified().await;
            interval.reset();
            last = Clock::now_ms();
        }
    }
}
