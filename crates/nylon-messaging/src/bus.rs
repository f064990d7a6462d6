//! The memory port: subjects, subscriptions and queue groups inside this process, for plugins that run in it.
//!
//! It keeps what both halves of a session rely on: a message goes to every subscription of its subject and to one member
//! of each queue group; a request that nobody is subscribed to is answered with *no responders*; who leaves gets what was
//! published before. So a session cannot tell it from NATS, and beats, probes and draining need no second way.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::lock::lock;

/// What a server's URL begins with that names a bus of this process.
const SCHEME: &str = "memory:";
/// What nats-server takes by default, so that bodies are cut alike on both transports.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

/// The name of the bus that a list of servers means.
pub(crate) fn bus_name(servers: &[String]) -> Option<&str> {
    match servers {
        [server] => server.strip_prefix(SCHEME),
        _ => None,
    }
}

/// Messages wait in queues without a bound of their own: what may be on its way is bounded by the session protocol
/// (slots, credit), and a queue that drops would be a lost answer.
#[derive(Default)]
struct Bus {
    routes: ArcSwap<Routes>,
    /// Counts what went to queue groups, so that members take turns.
    turn: AtomicUsize,
    next_id: AtomicU64,
}

#[derive(Clone, Default)]
struct Routes {
    exact: HashMap<Box<str>, Vec<Queue>, foldhash::fast::RandomState>,
    patterns: Vec<(Pattern, Queue)>,
}

/// Members of which one gets each message; a plain subscription is alone in its queue.
#[derive(Clone)]
struct Queue {
    group: Option<Arc<str>>,
    members: Vec<(u64, UnboundedSender<Message>)>,
}

#[derive(Clone, PartialEq, Eq)]
struct Pattern {
    /// Up to the first wildcard: most subjects differ there.
    head: Box<str>,
    tail: Box<str>,
}

impl Pattern {
    fn of(subject: &str) -> Option<Self> {
        let at = subject.split('.').try_fold(0, |at, token| match token {
            "*" | ">" => Err(at),
            _ => Ok(at + token.len() + 1),
        });
        let (head, tail) = subject.split_at(at.err()?);
        Some(Self { head: head.into(), tail: tail.into() })
    }

    fn matches(&self, subject: &str) -> bool {
        let Some(rest) = subject.strip_prefix(&*self.head) else { return false };
        let (mut wanted, mut found) = (self.tail.split('.'), rest.split('.'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(found)) if wanted == found => {}
                _ => return false,
            }
        }
    }
}

impl Queue {
    /// Whether somebody got it.
    fn send(&self, mut message: Message, turn: &AtomicUsize) -> bool {
        let count = self.members.len();
        let first = if count > 1 { turn.fetch_add(1, Relaxed) } else { 0 };
        for step in 0..count {
            let (_, sender) = &self.members[first.wrapping_add(step) % count];
            match sender.send(message) {
                Ok(()) => return true,
                // It is about to leave: the next one, as if it had left.
                Err(back) => message = back.0,
            }
        }
        false
    }
}

impl Bus {
    /// The bus of that name; it lives as long as anybody is on it.
    fn named(name: &str) -> Arc<Self> {
        static NAMED: Mutex<Vec<(Box<str>, Weak<Bus>)>> = Mutex::new(Vec::new());
        let mut named = lock(&NAMED);
        named.retain(|(_, bus)| bus.strong_count() > 0);
        match named.iter().find(|(other, _)| **other == *name).and_then(|(_, bus)| bus.upgrade()) {
            Some(bus) => bus,
            None => {
                let bus = Arc::new(Self::default());
                named.push((name.into(), Arc::downgrade(&bus)));
                bus
            }
        }
    }

    fn publish(&self, subject: &Subject, reply: Option<Subject>, payload: Bytes) {
        let answer_to = reply.clone();
        if !self.deliver(&message(subject.clone(), reply, payload, None))
            && let Some(to) = answer_to
        {
            self.deliver(&message(to, None, Bytes::new(), Some(StatusCode::NO_RESPONDERS)));
        }
    }

    /// Whether anybody got it.
    fn deliver(&self, message: &Message) -> bool {
        let routes = self.routes.load();
        let exact = routes.exact.get(message.subject.as_str()).map(Vec::as_slice).unwrap_or_default();
        let patterns = routes.patterns.iter().filter(|(pattern, _)| pattern.matches(&message.subject));
        let mut delivered = false;
        for queue in exact.iter().chain(patterns.map(|(_, queue)| queue)) {
            delivered |= queue.send(message.clone(), &self.turn);
        }
        delivered
    }

    fn add(&self, subject: &str, group: Option<&str>, sender: &UnboundedSender<Message>) -> u64 {
        let id = self.next_id.fetch_add(1, Relaxed);
        let group: Option<Arc<str>> = group.map(Into::into);
        self.routes.rcu(|routes| {
            let mut routes = Routes::clone(routes);
            let member = (id, sender.clone());
            match Pattern::of(subject) {
                Some(pattern) => {
                    let mut queues = routes.patterns.iter_mut().filter(|(other, _)| *other == pattern);
                    match queues.find(|(_, queue)| group.is_some() && queue.group == group) {
                        Some((_, queue)) => queue.members.push(member),
                        None => {
                            routes.patterns.push((pattern, Queue { group: group.clone(), members: vec![member] }));
                        }
                    }
                }
                None => {
                    let queues = routes.exact.entry(subject.into()).or_default();
                    match queues.iter_mut().find(|queue| group.is_some() && queue.group == group) {
                        Some(queue) => queue.members.push(member),
                        None => queues.push(Queue { group: group.clone(), members: vec![member] }),
                    }
                }
            }
            routes
        });
        id
    }

    fn remove(&self, ids: &[u64]) {
        let stay = |queue: &mut Queue| {
            queue.members.retain(|(id, _)| !ids.contains(id));
            !queue.members.is_empty()
        };
        self.routes.rcu(|routes| {
            let mut routes = Routes::clone(routes);
            routes.patterns.retain_mut(|(_, queue)| stay(queue));
            routes.exact.retain(|_, queues| {
                queues.retain_mut(stay);
                !queues.is_empty()
            });
            routes
        });
    }
}

fn message(subject: Subject, reply: Option<Subject>, payload: Bytes, status: Option<StatusCode>) -> Message {
    let length = subject.len() + reply.as_ref().map_or(0, |reply| reply.len()) + payload.len();
    Message { subject, reply, payload, headers: None, status, description: None, length }
}

/// One side's place on a bus.
pub(crate) struct Member {
    bus: Arc<Bus>,
    subscriptions: Mutex<Vec<u64>>,
    closed: AtomicBool,
}

impl Member {
    pub fn join(name: &str) -> Self {
        Self { bus: Bus::named(name), subscriptions: Mutex::default(), closed: AtomicBool::new(false) }
    }

    pub fn is_open(&self) -> bool {
        !self.closed.load(Acquire)
    }

    pub fn publish(&self, subject: &Subject, reply: Option<Subject>, payload: Bytes) {
        self.bus.publish(subject, reply, payload);
    }

    /// `None` after [`Member::close`].
    pub fn subscribe(&self, subject: &str, group: Option<&str>) -> Option<BusSubscription> {
        let mut subscriptions = lock(&self.subscriptions);
        if !self.is_open() {
            return None;
        }
        let (sender, receiver) = unbounded_channel();
        let id = self.bus.add(subject, group, &sender);
        subscriptions.push(id);
        Some(BusSubscription { bus: Arc::clone(&self.bus), id, receiver })
    }

    /// Ends every subscription after what was published before.
    pub fn close(&self) {
        let mut subscriptions = lock(&self.subscriptions);
        self.closed.store(true, Release);
        self.bus.remove(&std::mem::take(&mut *subscriptions));
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.close();
    }
}

/// What a member is subscribed to.
pub(crate) struct BusSubscription {
    bus: Arc<Bus>,
    id: u64,
    receiver: UnboundedReceiver<Message>,
}

impl BusSubscription {
    /// Takes nothing that is published from now on; what is there can still be read, and then it ends.
    pub fn leave(&self) {
        self.bus.remove(&[self.id]);
    }

    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.receiver.poll_recv(context)
    }
}

impl Drop for BusSubscription {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
