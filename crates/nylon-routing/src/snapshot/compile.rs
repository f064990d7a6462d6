//! From the normalised JSON to the compiled snapshot.

use http::{HeaderName, Method};

use super::{
    PathEntry, Revision, Route, Snapshot,
    links::Links,
    names::Names,
    services,
    values::{header_name, positive},
};
use crate::{
    CompileError, Pattern, TrustedProxies,
    config::{self, Config, EncodedSlashes},
    path::SLASH,
    rewrite::Rewrite,
    router::{Leaf, Router, Table},
};

/// What `methods: null` stands for (nylon-config §4.2). CONNECT and TRACE are refused before a route is looked for, so
/// no `Allow` may promise them.
const DEFAULT_METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::HEAD, Method::PATCH];

/// Headers that belong to the message itself: a route cannot strip them.
const NOT_STRIPPABLE: [HeaderName; 4] =
    [http::header::HOST, http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION];

impl Snapshot {
    /// Compiles the normalised JSON. All or nothing: a snapshot that is returned has no dangling name, no ambiguous
    /// route and no value out of range.
    ///
    /// # Errors
    /// The first problem found, and where.
    pub fn compile(json: &[u8]) -> Result<Self, CompileError> {
        let config: Config =
            serde_json::from_slice(json).map_err(|error| CompileError::new("json", error.to_string()))?;
        Self::from_config(config)
    }

    /// Compiles a configuration that has been read already.
    ///
    /// # Errors
    /// As [`Snapshot::compile`].
    pub fn from_config(config: Config) -> Result<Self, CompileError> {
        check_process(&config)?;
        let revision = Revision { number: config.revision.number, loaded_at_ms: config.revision.loaded_at_ms };
        let header_selector = header_name(&config.header_selector, || "header_selector".to_owned())?;
        let (messaging, messaging_names) = services::messaging(config.messaging)?;
        let (plugins, plugin_names) = services::plugins(config.plugins, &messaging_names)?;
        let mut links = Links::new(&plugin_names);
        let (services, service_names) = services::services(config.services, &mut links)?;
        let (routes, router, path_count) = routes(config.routes, &service_names, &mut links)?;
        let (entries, modifiers) = (links.entries, links.modifiers);
        Ok(Self {
            revision,
            process: config.process,
            limits: config.limits,
            trusted_proxies: TrustedProxies::new(config.trusted_proxies),
            header_selector,
            messaging,
            plugins,
            entries,
            modifiers,
            services,
            routes,
            path_count,
            router,
        })
    }
}

fn check_process(config: &Config) -> Result<(), CompileError> {
    if config.process.threads == 0 {
        return Err(CompileError::new("process.threads", "is 0; at least one thread is needed"));
    }
    let limits = &config.limits;
    let times = [
        ("limits.header_timeout_ms", limits.header_timeout_ms),
        ("limits.idle_timeout_ms", limits.idle_timeout_ms),
        ("limits.read_timeout_ms", limits.read_timeout_ms),
        ("limits.write_timeout_ms", limits.write_timeout_ms),
        ("limits.max_header_bytes", limits.max_header_bytes as u64),
        ("limits.max_headers", limits.max_headers as u64),
        ("limits.max_connections", limits.max_connections as u64),
    ];
    times.into_iter().try_for_each(|(at, value)| positive(value, || at.to_owned()))
}

fn routes(
    routes: Vec<config::Route>,
    services: &Names,
    links: &mut Links<'_>,
) -> Result<(Vec<Route>, Router, usize), CompileError> {
    let mut names = Names::default();
    let mut router = Router::default();
    let mut compiled = Vec::new();
    let mut path_count = 0;
    for route in routes {
        let name = names.add(&route.name, "routes")?;
        let at = format!("routes[{name}]");
        let strip_headers = strip_headers(&route.strip_headers, &at)?;
        if route.matching.values.is_empty() {
            return Err(CompileError::new(format!("{at}.match.values"), "is empty; nothing would match"));
        }
        let methods = route
            .paths
            .iter()
            .enumerate()
            .map(|(index, path)| methods(path.methods.as_deref(), &format!("{at}.paths[{index}].methods")))
            .collect::<Result<Vec<_>, _>>()?;
        let mut paths = Vec::new();
        for (index, path) in route.paths.into_iter().enumerate() {
            let at = format!("{at}.paths[{index}]");
            paths.push(path_entry(path, path_count, services, links, &at)?);
            path_count += 1;
        }
        let table = table(&paths, &methods, &at)?;
        router.add(route.matching.kind, &route.matching.values, table, &at)?;
        compiled.push(Route { name, strip_headers, paths });
    }
    Ok((compiled, router, path_count))
}

fn table(paths: &[PathEntry], methods: &[Vec<Method>], at: &str) -> Result<Table, CompileError> {
    let mut entries = Vec::new();
    for (path_index, (path, methods)) in paths.iter().zip(methods).enumerate() {
        for (pattern_index, pattern) in path.patterns.iter().enumerate() {
            let leaf = Leaf {
                path: narrow(path_index, at)?,
                pattern: narrow(pattern_index, at)?,
                encoded_slashes: path.encoded_slashes,
            };
            entries.push((methods.as_slice(), pattern.as_str(), leaf));
        }
    }
    Table::build(&entries, at)
}

fn narrow(index: usize, at: &str) -> Result<u32, CompileError> {
    u32::try_from(index).map_err(|_| CompileError::new(at, "there are too many paths"))
}

fn strip_headers(names: &[String], at: &str) -> Result<Vec<HeaderName>, CompileError> {
    let compile = |(index, name): (usize, &String)| {
        let at = || format!("{at}.strip_headers[{index}]");
        let name = header_name(name, at)?;
        if NOT_STRIPPABLE.contains(&name) {
            return Err(CompileError::new(at(), format!("{name} belongs to the message and cannot be stripped")));
        }
        Ok(name)
    };
    names.iter().enumerate().map(compile).collect()
}

fn methods(names: Option<&[String]>, at: &str) -> Result<Vec<Method>, CompileError> {
    let Some(names) = names else {
        return Ok(DEFAULT_METHODS.to_vec());
    };
    if names.is_empty() {
        return Err(CompileError::new(at, "is empty; the path would never match"));
    }
    let compile = |(index, name): (usize, &String)| {
        let problem = |problem: &str| CompileError::new(format!("{at}[{index}]"), format!("{name:?} {problem}"));
        if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(problem("is not in upper case and would never match"));
        }
        Method::from_bytes(name.as_bytes()).map_err(|_| problem("is no method"))
    };
    names.iter().enumerate().map(compile).collect()
}

fn path_entry(
    path: config::Path,
    index: usize,
    services: &Names,
    links: &mut Links<'_>,
    at: &str,
) -> Result<PathEntry, CompileError> {
    if path.patterns.is_empty() {
        return Err(CompileError::new(format!("{at}.patterns"), "is empty; the path would never match"));
    }
    let encoded_slashes = path.encoded_slashes;
    let allowed = |text: &str| match encoded_slashes {
        EncodedSlashes::Refuse if text.contains(SLASH) => Err(format!("{text:?} needs encoded_slashes: keep")),
        _ => Ok(()),
    };
    let patterns = path
        .patterns
        .iter()
        .enumerate()
        .map(|(index, text)| {
            allowed(text)
                .and_then(|()| Pattern::parse(text))
                .map_err(|problem| CompileError::new(format!("{at}.patterns[{index}]"), problem))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let service = services.find(&path.service, "service", || format!("{at}.service"))?;
    let rewrite = path
        .rewrite
        .map(|text| {
            allowed(&text)
                .and_then(|()| Rewrite::parse(&text, &patterns))
                .map_err(|problem| CompileError::new(format!("{at}.rewrite"), problem))
        })
        .transpose()?;
    let chain = path
        .chain
        .into_iter()
        .enumerate()
        .map(|(index, link)| links.middleware(link, &format!("{at}.chain[{index}]")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(PathEntry { index, patterns, encoded_slashes, service, chain, rewrite })
}
