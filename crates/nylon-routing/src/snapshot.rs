//! The compiled snapshot: immutable, names resolved to indexes, shared by all threads behind an `Arc`.

mod compile;
mod links;
mod names;
mod services;
mod values;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, Method};

pub use crate::config::Messaging;
use crate::{
    JsonTemplate, Modifier, NoMatch, Params, Pattern, RoundRobin, TrustedProxies,
    config::{Balance, EncodedSlashes, Executor, Limits, OnErrors, PhaseName, Process},
    rewrite::Rewrite,
    router::Router,
};

/// A configuration ready to serve.
#[derive(Debug)]
pub struct Snapshot {
    /// Which configuration this is.
    pub revision: Revision,
    /// Addresses, threads, drain limit.
    pub process: Process,
    /// Limits of the HTTP side.
    pub limits: Limits,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Header that selects `header` routes.
    pub header_selector: HeaderName,
    /// NATS connections.
    pub messaging: Vec<Messaging>,
    /// Plugins.
    pub plugins: Vec<Plugin>,
    /// Every entry that some link names, once.
    pub entries: Vec<Entry>,
    /// Every built-in that some chain has.
    pub modifiers: Vec<Modifier>,
    /// Services.
    pub services: Vec<Service>,
    /// Routes.
    pub routes: Vec<Route>,
    /// How many paths there are; [`PathEntry::index`] is below it.
    pub path_count: usize,
    router: Router,
}

/// Identifies a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Counts the reloads of this process from 1.
    pub number: u64,
    /// When it was loaded, Unix milliseconds.
    pub loaded_at_ms: u64,
}

/// A plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// Name in configuration, logs and metrics.
    pub name: Arc<str>,
    /// Configuration for `initialize`, JSON text.
    pub config: Option<Arc<str>>,
    /// Sessions in flight over all threads.
    pub max_in_flight: usize,
    /// Largest body that a handler may read or write, bytes.
    pub max_body: usize,
    /// Where its code runs.
    pub place: Place,
}

/// Where the code of a plugin runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// In workers on NATS.
    Messaging(OnMessaging),
    /// In a shared library of this process.
    Library(InLibrary),
}

/// What a plugin in a library has besides.
#[derive(Clone, Debug)]
pub struct InLibrary {
    /// The library.
    pub file: std::path::PathBuf,
    /// Which threads call it.
    pub executor: Executor,
    /// What its rooms reach other gateways by: index into [`Snapshot::messaging`].
    pub rooms: Option<usize>,
}

/// What a plugin on NATS has besides.
#[derive(Clone, Debug)]
pub struct OnMessaging {
    /// Index into [`Snapshot::messaging`].
    pub messaging: usize,
    /// Queue group of the workers.
    pub group: Arc<str>,
    /// How a worker is chosen.
    pub balance: Balance,
    /// How much of a request body an open may bring unasked, bytes.
    pub prefetch_body: usize,
    /// SHA-256 of its configuration: workers go by it.
    pub config_hash: [u8; 32],
}

/// An entry of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Index into [`Snapshot::plugins`].
    pub plugin: usize,
    /// Name of the entry.
    pub name: Arc<str>,
}

/// One middleware of a chain.
#[derive(Clone, Debug)]
pub enum Middleware {
    /// An entry of a plugin.
    Entry(Link),
    /// A built-in: index into [`Snapshot::modifiers`].
    Modifier(usize),
}

/// JSON text that a handler gets.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The same for every request.
    Constant(Arc<str>),
    /// Rendered for each.
    Template(Arc<JsonTemplate>),
}

/// One use of an entry: in a chain, or as a service.
#[derive(Clone, Debug)]
pub struct Link {
    /// Index into [`Snapshot::entries`].
    pub entry: usize,
    /// Handed to the handler.
    pub payload: Option<Payload>,
    /// How long a phase may take.
    pub timeout: Duration,
    /// What happens when a phase fails.
    pub on_error: OnErrors,
    /// The only phases to run.
    pub phases: Option<Vec<PhaseName>>,
    /// The only request headers that the worker may see.
    pub allow_headers: Option<Vec<HeaderName>>,
    /// Request headers that the worker may not see.
    pub deny_headers: Vec<HeaderName>,
    /// How often an open that was not accepted is tried again.
    pub retry: u32,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Name in configuration, logs and metrics.
    pub name: Arc<str>,
    /// What it is.
    pub kind: ServiceKind,
}

/// What a service is.
#[derive(Debug)]
pub enum ServiceKind {
    /// HTTP/1.1 upstreams.
    Http(HttpService),
    /// A plugin entry that makes the response.
    Plugin(Link),
}

/// HTTP/1.1 upstreams.
#[derive(Debug)]
pub struct HttpService {
    /// Where they are; never empty.
    pub endpoints: Vec<Endpoint>,
    /// To connect.
    pub connect_timeout: Duration,
    /// From the end of the request to the response head.
    pub head_timeout: Duration,
    /// Between two reads of the response body.
    pub read_timeout: Duration,
    /// Until a write of the request makes progress.
    pub write_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Unused connections kept per thread and endpoint.
    pub max_idle_connections: usize,
    balance: RoundRobin,
}

impl HttpService {
    /// The endpoint for the next request. The turn is shared by all threads.
    pub fn next_endpoint(&self) -> &Endpoint {
        &self.endpoints[self.balance.next()]
    }
}

/// An upstream address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// Share of the traffic.
    pub weight: u32,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Name in configuration, logs and metrics.
    pub name: Arc<str>,
    /// Request headers that are removed before anything else sees them (rules §10).
    pub strip_headers: Vec<HeaderName>,
    /// Its paths.
    pub paths: Vec<PathEntry>,
}

/// A path of a route.
#[derive(Debug)]
pub struct PathEntry {
    /// Position among all paths of the snapshot, for tables kept beside it (chains, counters).
    pub index: usize,
    /// Its patterns.
    pub patterns: Vec<Pattern>,
    /// Whether `%2F` may stand in a request's path.
    pub encoded_slashes: EncodedSlashes,
    /// Index into [`Snapshot::services`].
    pub service: usize,
    /// Middleware in order.
    pub chain: Vec<Middleware>,
    rewrite: Option<Rewrite>,
}

/// What a request matched.
#[derive(Clone, Debug)]
pub struct Match<'s, 'p> {
    /// The route.
    pub route: &'s Route,
    /// The path of the route.
    pub path: &'s PathEntry,
    /// The pattern of the path.
    pub pattern: &'s Pattern,
    /// What its parameters matched, raw.
    pub params: Params<'s, 'p>,
}

impl Match<'_, '_> {
    /// The path for the upstream where it differs from the request's; the query is kept by the caller. `path` is the
    /// one that was matched.
    #[must_use]
    pub fn rewrite(&self, path: &str) -> Option<String> {
        self.path.rewrite.as_ref().map(|rewrite| rewrite.apply(path, self.pattern, &self.params))
    }
}

impl Snapshot {
    /// What a request matches: by selector header, then exact host, then `*`; the first that exists is final.
    /// `host` is without port (see [`crate::split_authority`]), `path` without query and [`crate::canonical`].
    ///
    /// # Errors
    /// [`NoMatch`]: 400, 404 or 405.
    pub fn find<'p>(
        &self,
        host: &str,
        method: &Method,
        path: &'p str,
        headers: &HeaderMap,
    ) -> Result<Match<'_, 'p>, NoMatch> {
        let selector = if self.router.has_selectors() { headers.get(&self.header_selector) } else { None };
        let selector = selector.map(|value| value.as_bytes());
        let hit = self.router.find(selector, host, method, path)?;
        let route = &self.routes[hit.route];
        let path = &route.paths[hit.leaf.path as usize];
        Ok(Match { route, path, pattern: &path.patterns[hit.leaf.pattern as usize], params: hit.params })
    }

    /// The service of a path.
    #[must_use]
    pub fn service(&self, path: &PathEntry) -> &Service {
        &self.services[path.service]
    }

    /// The plugin that an entry belongs to.
    #[must_use]
    pub fn plugin(&self, entry: &Entry) -> &Plugin {
        &self.plugins[entry.plugin]
    }

    /// The client's address; see [`TrustedProxies::client`].
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.trusted_proxies.client(peer, headers)
    }
}
