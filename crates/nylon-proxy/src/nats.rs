//! Plugins that are workers on NATS: makes links and entries of a snapshot for each gateway thread.

mod metrics;
mod options;

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use futures_util::FutureExt;
use nylon_messaging::{
    ConnectionState,
    gateway::{Link, Messaging, NatsPlugin, PluginShared},
};
use nylon_plugin::{Entry, InFlight, Plugin, RoomCarrier};
use nylon_routing::{Place, Snapshot};

use crate::{broken::Broken, lock::lock, plugins::Heard};

/// Makes plugins that are workers on NATS. Worker tables, connections and counters outlive a reload as long as the
/// `messaging` entry stays the same.
#[derive(Default)]
pub(crate) struct NatsPlugins {
    known: Mutex<Vec<Known>>,
}

/// A messaging entry that some snapshot has.
#[derive(Clone)]
struct Known {
    /// [`options::identity`].
    identity: String,
    name: String,
    messaging: Arc<Messaging>,
}

/// The plugins of one snapshot that are on NATS.
pub(crate) struct PreparedNats {
    source: Arc<NatsPlugins>,
    messaging: Vec<Known>,
    /// Of these, the ones that no snapshot had before.
    new: Vec<Known>,
    /// By the plugin's place in the snapshot.
    plugins: HashMap<usize, Arc<PluginShared>>,
}

/// What a thread has of each messaging entry.
pub(crate) struct Links(Vec<Result<Rc<Link>, String>>);

thread_local! {
    /// The links of this gateway thread; a link ends with its last session once no snapshot has its entry.
    static LINKS: RefCell<Vec<(Weak<Messaging>, Rc<Link>)>> = const { RefCell::new(Vec::new()) };
}

impl NatsPlugins {
    /// As [`crate::PluginSource::prepare`].
    pub(crate) fn prepare(self: &Arc<Self>, snapshot: &Snapshot) -> Result<PreparedNats, String> {
        let known = lock(&self.known).clone();
        let mut messaging = Vec::new();
        let mut new = Vec::new();
        for entry in &snapshot.messaging {
            let identity = options::identity(entry);
            let same = known.iter().find(|known| known.identity == identity);
            messaging.push(match same {
                Some(same) => same.clone(),
                None => {
                    let options = options::connection(entry);
                    options.connection.check().map_err(|error| format!("messaging {:?}: {error}", entry.name))?;
                    let made =
                        Messaging::new(options).map_err(|error| format!("messaging {:?}: {error}", entry.name))?;
                    let made = Known { identity, name: entry.name.clone(), messaging: made };
                    new.push(made.clone());
                    made
                }
            });
        }
        let mut plugins = HashMap::new();
        for (index, plugin) in snapshot.plugins.iter().enumerate() {
            let Place::Messaging(place) = &plugin.place else { continue };
            let options = options::plugin(snapshot, plugin, place);
            let shared = messaging[place.messaging]
                .messaging
                .plugin(options)
                .map_err(|error| format!("plugin {:?}: {error}", plugin.name))?;
            plugins.insert(index, shared);
        }
        Ok(PreparedNats { source: Arc::clone(self), messaging, new, plugins })
    }
}

impl PreparedNats {
    /// What takes rooms of this process to other gateways over a messaging entry.
    pub(crate) fn rooms(&self, messaging: usize) -> Arc<dyn RoomCarrier> {
        Arc::clone(self.messaging[messaging].messaging.rooms()) as Arc<dyn RoomCarrier>
    }

    /// Starts the thread's links to messaging entries that are new.
    pub(crate) fn connect(&self, thread: u32) {
        // Why one cannot be started is in the log, and comes again with the entries.
        self.new.iter().for_each(|known| drop(link(known, thread)));
    }

    /// Whether every thread is connected to those.
    pub(crate) fn connected(&self, threads: usize) -> bool {
        all_connected(&self.new, threads)
    }

    /// As [`crate::PreparedPlugins::workers`].
    pub(crate) fn workers(&self) -> HashSet<Heard> {
        let now = nylon_messaging::Clock::now_ms();
        let mut heard = HashSet::new();
        for known in &self.messaging {
            for group in known.messaging.workers().groups() {
                heard.extend(group.fresh(now).into_iter().map(|id| Heard {
                    messaging: known.name.clone(),
                    group: group.name().to_owned(),
                    id,
                }));
            }
        }
        heard
    }

    /// The snapshot is the one in use from now on.
    pub(crate) fn commit(&self) {
        lock(&self.source.known).clone_from(&self.messaging);
    }

    /// The thread's links to all messaging entries; those that are not there yet are started.
    pub(crate) fn links(&self, thread: u32) -> Links {
        let links: Vec<_> = self.messaging.iter().map(|known| link(known, thread)).collect();
        self.keep();
        Links(links)
    }

    /// Ends the thread's other links: what another snapshot needed, unless one of its exchanges still holds it.
    pub(crate) fn keep(&self) {
        LINKS.with_borrow_mut(|all| {
            all.retain(|(messaging, _)| {
                self.messaging.iter().any(|known| std::ptr::eq(messaging.as_ptr(), Arc::as_ptr(&known.messaging)))
            });
        });
    }

    /// The entry, if its plugin is on NATS.
    pub(crate) fn entry(
        &self,
        snapshot: &Snapshot,
        entry: &nylon_routing::Entry,
        links: &Links,
        in_flight: &Arc<InFlight>,
    ) -> Option<Entry> {
        let plugin = snapshot.plugin(entry);
        let Place::Messaging(place) = &plugin.place else { return None };
        let shared = self.plugins.get(&entry.plugin)?;
        let made: Rc<dyn Plugin> = match &links.0[place.messaging] {
            Ok(link) => match NatsPlugin::new(link, shared, &entry.name) {
                Ok(made) => Rc::new(made),
                Err(error) => Rc::new(Broken(error.to_string())),
            },
            Err(error) => Rc::new(Broken(error.clone())),
        };
        let label = format!("{}/{}", plugin.name, entry.name);
        Some(Entry::new(label, made, plugin.max_body, Arc::clone(in_flight)))
    }

    /// Whether every thread is connected.
    pub(crate) fn ready(&self, threads: usize) -> bool {
        all_connected(&self.messaging, threads)
    }
}

fn all_connected(messaging: &[Known], threads: usize) -> bool {
    messaging.iter().all(|known| {
        let links = known.messaging.links();
        // A thread that is still on its way has no link yet.
        links.len() >= threads && links.iter().all(|(_, link)| link.connection_state() == ConnectionState::Connected)
    })
}

/// The thread's link to a messaging entry; the first call starts it.
fn link(known: &Known, thread: u32) -> Result<Rc<Link>, String> {
    let identity = Arc::as_ptr(&known.messaging);
    let there = LINKS.with_borrow(|links| {
        links.iter().find(|(messaging, _)| std::ptr::eq(messaging.as_ptr(), identity)).map(|(_, link)| Rc::clone(link))
    });
    if let Some(link) = there {
        return Ok(link);
    }
    // Nothing in it waits: the connection is made in the background.
    let started = match Link::start(&known.messaging, thread).now_or_never() {
        Some(Ok(link)) => Ok(link),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the client wants to wait".to_owned()),
    };
    let started = started.inspect_err(|error| {
        tracing::error!(messaging = %known.name, %error, "starting a nats link");
    })?;
    if thread == 0 {
        started.carry_rooms(nylon_ffi::deliver);
    }
    LINKS.with_borrow_mut(|links| links.push((Arc::downgrade(&known.messaging), Rc::clone(&started))));
    Ok(started)
}

/// Ends the links of this thread: sessions are aborted at their workers, what is published is flushed.
pub(crate) async fn shut_down_links(limit: Duration) {
    let links = LINKS.take();
    for (_, link) in links {
        link.shutdown(limit).await;
    }
}
