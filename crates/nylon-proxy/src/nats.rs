//! Plugins that are workers on NATS: makes links and entries of a snapshot for each gateway thread.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt::Write,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use nylon_messaging::{
    Auth, ConnectionOptions, ConnectionState, TlsOptions,
    gateway::{
        Balance, Counter, Link, LinkStats, Messaging, MessagingOptions, NatsPlugin, PluginOptions, PluginShared,
    },
};
use nylon_plugin::{Entry, InFlight, Plugin, PluginError, PluginErrorKind, RoomCarrier, Session};
use nylon_routing::{Place, Snapshot, config};
use nylon_wire::Revision;

use crate::plugins::Heard;

/// Makes plugins that are workers on NATS. Worker tables, connections and counters outlive a reload as long as the
/// `messaging` entry stays the same.
#[derive(Default)]
pub(crate) struct NatsPlugins {
    known: Mutex<Vec<Known>>,
}

/// A messaging entry that some snapshot has.
#[derive(Clone)]
struct Known {
    /// Everything the configuration says of it: another text is another entry.
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
    plugins: HashMap<usize, (Arc<PluginShared>, Arc<InFlight>)>,
}

/// What a thread has of each messaging entry.
pub(crate) struct Links(Vec<Result<Rc<Link>, String>>);

/// A stream in which nothing moves for so long is cut.
const STREAM_IDLE: Duration = Duration::from_secs(300);

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
            let identity = identity(entry);
            let same = known.iter().find(|known| known.identity == identity);
            messaging.push(match same {
                Some(same) => same.clone(),
                None => {
                    let options = options(entry);
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
            let options = PluginOptions {
                name: plugin.name.to_string(),
                group: place.group.to_string(),
                config: plugin.config.as_ref().map(|text| Bytes::copy_from_slice(text.as_bytes())),
                revision: Some(Revision {
                    hash: Bytes::copy_from_slice(&place.config_hash),
                    loaded_ms: snapshot.revision.loaded_at_ms,
                }),
                balance: match place.balance {
                    config::Balance::Auto => Balance::Auto,
                    config::Balance::Queue => Balance::Queue,
                    config::Balance::LeastLoaded => Balance::LeastLoaded,
                },
                // The chain counts sessions against the same limit, with one answer for every transport.
                max_in_flight: usize::MAX,
                max_body_bytes: plugin.max_body,
                prefetch_body_bytes: place.prefetch_body,
                stream_idle: STREAM_IDLE,
            };
            let shared = messaging[place.messaging]
                .messaging
                .plugin(options)
                .map_err(|error| format!("plugin {:?}: {error}", plugin.name))?;
            plugins.insert(index, (shared, InFlight::new(plugin.max_in_flight)));
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
    pub(crate) fn entry(&self, snapshot: &Snapshot, entry: &nylon_routing::Entry, links: &Links) -> Option<Entry> {
        let plugin = snapshot.plugin(entry);
        let Place::Messaging(place) = &plugin.place else { return None };
        let (shared, in_flight) = self.plugins.get(&entry.plugin)?;
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

    /// Adds the counters of links and workers.
    pub(crate) fn metrics(&self, text: &mut String) {
        type Pick = fn(&LinkStats) -> &Counter;
        let counters: [(&str, &str, &str, Pick); 10] = [
            ("nylon_opens_total", "counter", "Sessions opened at workers, retries included.", |link| &link.opens),
            ("nylon_retries_total", "counter", "Opens tried again.", |link| &link.retries),
            ("nylon_retries_refused_total", "counter", "Opens that the retry budget did not allow.", |link| {
                &link.over_budget
            }),
            ("nylon_busy_total", "counter", "BUSY answers of workers.", |link| &link.busy),
            ("nylon_not_accepted_total", "counter", "Opens that nobody accepted in time.", |link| &link.not_accepted),
            ("nylon_no_responders_total", "counter", "Messages that nobody was subscribed to.", |link| {
                &link.no_responders
            }),
            ("nylon_stale_answers_total", "counter", "Answers that came too late.", |link| &link.stale),
            ("nylon_protocol_errors_total", "counter", "Frames not understood or out of order.", |link| {
                &link.protocol_errors
            }),
            ("nylon_slots_in_use", "gauge", "Sessions that are open.", |link| &link.slots_in_use),
            ("nylon_slots_resting", "gauge", "Slots that rest after a timeout.", |link| &link.slots_resting),
        ];
        let all: Vec<_> = self.messaging.iter().map(|known| (known.name.as_str(), known.messaging.links())).collect();
        for (name, kind, help, pick) in counters {
            // Writing to memory cannot fail, here and below.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (messaging, links) in &all {
                let sum: u64 = links.iter().map(|(_, link)| pick(link).get()).sum();
                let _ = writeln!(text, "{name}{{messaging=\"{}\"}} {sum}", escape(messaging));
            }
        }
        let _ = writeln!(
            text,
            "# HELP nylon_nats_connected Whether a gateway thread's connection is up.\n\
             # TYPE nylon_nats_connected gauge"
        );
        for (messaging, links) in &all {
            for (thread, link) in links {
                let up = u8::from(link.connection_state() == ConnectionState::Connected);
                let _ = writeln!(
                    text,
                    "nylon_nats_connected{{messaging=\"{}\",thread=\"{thread}\"}} {up}",
                    escape(messaging)
                );
            }
        }
        let _ = writeln!(
            text,
            "# HELP nylon_ejections_total Workers put aside because they did not answer.\n\
             # TYPE nylon_ejections_total counter\n\
             # HELP nylon_workers Workers with a fresh beat.\n# TYPE nylon_workers gauge"
        );
        for known in &self.messaging {
            let now = nylon_messaging::Clock::now_ms();
            for group in known.messaging.workers().groups() {
                let labels = format!("messaging=\"{}\",group=\"{}\"", escape(&known.name), escape(group.name()));
                let _ = writeln!(text, "nylon_ejections_total{{{labels}}} {}", group.ejections());
                let _ = writeln!(text, "nylon_workers{{{labels}}} {}", group.live(now));
            }
        }
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
        known.messaging.rooms().start(&started, nylon_ffi::deliver);
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

/// A plugin that cannot be reached at all: its phases fail, and so no request passes it.
pub(crate) struct Broken(pub(crate) String);

impl Broken {
    /// An entry that nobody has made: it fails.
    pub(crate) fn entry(name: &str) -> Entry {
        Entry::new(name, Rc::new(Self("there is no transport for it".to_owned())), 0, InFlight::new(1))
    }
}

impl Plugin for Broken {
    fn session(&self) -> Box<dyn Session> {
        Box::new(BrokenSession(self.0.clone()))
    }
}

struct BrokenSession(String);

impl Session for BrokenSession {
    fn phases(&self) -> Option<nylon_plugin::PhaseMask> {
        None
    }

    fn body_mode(&self) -> nylon_plugin::BodyMode {
        nylon_plugin::BodyMode::Buffered
    }

    fn run<'a>(
        &'a mut self,
        _call: nylon_plugin::Call<'a>,
    ) -> futures_util::future::LocalBoxFuture<'a, Result<nylon_plugin::Outcome, PluginError>> {
        let error = PluginError::new(PluginErrorKind::Unavailable, self.0.clone());
        Box::pin(std::future::ready(Err(error)))
    }

    fn log(&mut self, _call: nylon_plugin::Call<'_>) {}

    fn close(&mut self, _client_gone: bool) {}
}

fn options(entry: &config::Messaging) -> MessagingOptions {
    let auth = match &entry.auth {
        None => Auth::None,
        Some(config::Auth::Password { user, password }) => {
            Auth::User { user: user.clone(), password: password.clone() }
        }
        Some(config::Auth::Token { token }) => Auth::Token(token.clone()),
        Some(config::Auth::Nkey { nkey_seed }) => Auth::NkeySeed(nkey_seed.clone()),
        Some(config::Auth::File { creds_file }) => Auth::CredsFile(creds_file.clone()),
    };
    let tls = entry.tls.as_ref().map(|tls| TlsOptions {
        ca_file: tls.ca_file.clone(),
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
    });
    MessagingOptions {
        connection: ConnectionOptions {
            servers: entry.servers.clone(),
            auth,
            tls,
            ping_interval: Duration::from_millis(entry.ping_interval_ms),
            name: "nylon-gateway".to_owned(),
        },
        prefix: entry.prefix.clone(),
        accept_timeout: Duration::from_millis(entry.accept_timeout_ms),
    }
}

/// Secrets are part of it, so it never leaves this room.
fn identity(entry: &config::Messaging) -> String {
    let secret = match &entry.auth {
        None => String::new(),
        Some(config::Auth::Password { user, password }) => format!("{user:?} {password:?}"),
        Some(config::Auth::Token { token }) => format!("{token:?}"),
        Some(config::Auth::Nkey { nkey_seed }) => format!("{nkey_seed:?}"),
        Some(config::Auth::File { creds_file }) => format!("{creds_file:?}"),
    };
    format!("{entry:?} {secret}")
}

pub(crate) fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Poisoning only says that another thread panicked; the list is whole at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
