//! The routing table: selector header, then exact host, then `*`; then path and method (nylon-config §4).

use std::collections::{BTreeSet, HashMap, hash_map::Entry};

use http::Method;

use crate::{
    CompileError, Params,
    config::{EncodedSlashes, MatchKind},
    host::HostKey,
    path::{SLASH, readings},
};

/// Where a path was found.
pub(crate) struct Hit<'s, 'p> {
    pub(crate) route: usize,
    pub(crate) leaf: Leaf,
    pub(crate) params: Params<'s, 'p>,
}

/// What a tree leads to: a path of the route and the pattern of it that matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) path: u32,
    pub(crate) pattern: u32,
    pub(crate) encoded_slashes: EncodedSlashes,
}

/// Why nothing matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMatch {
    /// No route for the host, or no path in the route: 404.
    NotFound,
    /// The path is there for other methods: 405. Sorted, ready for the `Allow` header.
    MethodNotAllowed(String),
    /// An upstream could read the path as one that leads elsewhere in the route: 400.
    Ambiguous,
    /// The path has an encoded slash, which the path of the route refuses: 400.
    EncodedSlash,
}

/// The routing table.
#[derive(Debug, Default)]
pub(crate) struct Router {
    hosts: HashMap<Box<str>, usize>,
    any_host: Option<usize>,
    selectors: HashMap<Box<[u8]>, usize>,
    routes: Vec<Table>,
}

impl Router {
    /// Adds a route; its index is the number of routes added before.
    pub(crate) fn add(
        &mut self,
        kind: MatchKind,
        values: &[String],
        table: Table,
        at: &str,
    ) -> Result<(), CompileError> {
        let route = self.routes.len();
        for (index, value) in values.iter().enumerate() {
            let at = || format!("{at}.match.values[{index}]");
            let duplicate = || CompileError::new(at(), format!("{value:?} is the value of another route too"));
            match kind {
                MatchKind::Host if value == "*" => {
                    if self.any_host.replace(route).is_some() {
                        return Err(duplicate());
                    }
                }
                MatchKind::Host => {
                    let key = HostKey::new(value).ok_or_else(|| CompileError::new(at(), "the host is too long"))?;
                    if !is_host(key.as_str()) {
                        let problem = format!("{value:?} is no host: a name or an ip address without port, or \"*\"");
                        return Err(CompileError::new(at(), problem));
                    }
                    insert_new(&mut self.hosts, key.as_str().into(), route).map_err(|()| duplicate())?;
                }
                MatchKind::Header if value.is_empty() => {
                    return Err(CompileError::new(at(), "the value is empty"));
                }
                MatchKind::Header => {
                    insert_new(&mut self.selectors, value.as_bytes().into(), route).map_err(|()| duplicate())?;
                }
            }
        }
        self.routes.push(table);
        Ok(())
    }

    /// Whether any route is chosen by the selector header.
    pub(crate) fn has_selectors(&self) -> bool {
        !self.selectors.is_empty()
    }

    pub(crate) fn find<'s, 'p>(
        &'s self,
        selector: Option<&[u8]>,
        host: &str,
        method: &Method,
        path: &'p str,
    ) -> Result<Hit<'s, 'p>, NoMatch> {
        let route = self.choose(selector, host).ok_or(NoMatch::NotFound)?;
        let table = &self.routes[route];
        let (leaf, params) = table.find(method, path)?;
        if path.bytes().any(|byte| byte == b'%' || byte == b';') {
            table.check_readings(method, path, leaf)?;
        }
        Ok(Hit { route, leaf, params })
    }

    /// The route for a request; it is final, whatever its paths are.
    fn choose(&self, selector: Option<&[u8]>, host: &str) -> Option<usize> {
        let selected = selector.and_then(|value| self.selectors.get(value));
        let key = || if self.hosts.is_empty() { None } else { HostKey::new(host) };
        let exact = || key().and_then(|key| self.hosts.get(key.as_str()));
        selected.or_else(exact).copied().or(self.any_host)
    }
}

fn insert_new<K: Eq + std::hash::Hash>(map: &mut HashMap<K, usize>, key: K, route: usize) -> Result<(), ()> {
    match map.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(route);
            Ok(())
        }
        Entry::Occupied(_) => Err(()),
    }
}

fn is_host(host: &str) -> bool {
    host.parse::<std::net::Ipv6Addr>().is_ok()
        || (!host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
}

/// The paths of one route, by method. Methods with the same patterns share a tree.
#[derive(Debug, Default)]
pub(crate) struct Table {
    methods: Vec<(Method, usize)>,
    trees: Vec<matchit::Router<Leaf>>,
}

impl Table {
    /// Builds the trees; `entries` are (methods, pattern text, leaf).
    pub(crate) fn build(entries: &[(&[Method], &str, Leaf)], at: &str) -> Result<Self, CompileError> {
        let mut table = Self::default();
        let mut lists: Vec<Vec<usize>> = Vec::new();
        let mut methods: Vec<&Method> = Vec::new();
        for method in entries.iter().flat_map(|(methods, ..)| *methods) {
            if !methods.contains(&method) {
                methods.push(method);
            }
        }
        for method in methods {
            let list: Vec<usize> = (0..entries.len()).filter(|&index| entries[index].0.contains(method)).collect();
            let tree = match lists.iter().position(|known| *known == list) {
                Some(tree) => tree,
                None => {
                    table.trees.push(tree(entries, &list, method, at)?);
                    lists.push(list);
                    lists.len() - 1
                }
            };
            table.methods.push((method.clone(), tree));
        }
        Ok(table)
    }

    fn find<'s, 'p>(&'s self, method: &Method, path: &'p str) -> Result<(Leaf, Params<'s, 'p>), NoMatch> {
        let tree = self.methods.iter().find(|(known, _)| known == method).map(|&(_, tree)| &self.trees[tree]);
        match tree.and_then(|tree| tree.at(path).ok()) {
            Some(found) => Ok((*found.value, Params::new(found.params))),
            None => Err(self.refuse(path)),
        }
    }

    /// However an upstream reads the path, it leads to the same path of the route. Where `%2F` is taken for a slash it
    /// may also be none of the route: `{name}` could not have one otherwise.
    fn check_readings(&self, method: &Method, path: &str, leaf: Leaf) -> Result<(), NoMatch> {
        let slashes = path.contains(SLASH);
        if slashes && leaf.encoded_slashes == EncodedSlashes::Refuse {
            return Err(NoMatch::EncodedSlash);
        }
        let leads = |reading: &String, or_nowhere: bool| match self.find(method, reading) {
            Ok((other, _)) => other.path == leaf.path,
            Err(problem) => or_nowhere && problem == NoMatch::NotFound,
        };
        let clear = readings(path, false).iter().all(|reading| leads(reading, false))
            && (!slashes || readings(path, true).iter().all(|reading| leads(reading, true)));
        if clear { Ok(()) } else { Err(NoMatch::Ambiguous) }
    }

    fn refuse(&self, path: &str) -> NoMatch {
        let known: Vec<bool> = self.trees.iter().map(|tree| tree.at(path).is_ok()).collect();
        let allowed: BTreeSet<&str> =
            self.methods.iter().filter(|&&(_, tree)| known[tree]).map(|(method, _)| method.as_str()).collect();
        if allowed.is_empty() {
            return NoMatch::NotFound;
        }
        NoMatch::MethodNotAllowed(allowed.into_iter().collect::<Vec<_>>().join(", "))
    }
}

fn tree(
    entries: &[(&[Method], &str, Leaf)],
    list: &[usize],
    method: &Method,
    at: &str,
) -> Result<matchit::Router<Leaf>, CompileError> {
    let mut tree = matchit::Router::new();
    for &index in list {
        let (_, pattern, leaf) = entries[index];
        tree.insert(pattern, leaf).map_err(|error| {
            let at = format!("{at}.paths[{}].patterns[{}]", leaf.path, leaf.pattern);
            CompileError::new(at, describe(pattern, method, &error))
        })?;
    }
    Ok(tree)
}

fn describe(pattern: &str, method: &Method, error: &matchit::InsertError) -> String {
    use matchit::InsertError::{Conflict, InvalidCatchAll, InvalidParam, InvalidParamSegment};
    match error {
        Conflict { with } => {
            format!("{pattern:?} is ambiguous with {with:?} of the same route for {method}")
        }
        InvalidParamSegment => format!("{pattern:?} has two parameters in one segment"),
        InvalidParam => format!("{pattern:?} has a parameter without a valid name"),
        InvalidCatchAll => {
            format!("{pattern:?} has a catch-all that is not at the end or not a whole segment")
        }
        other => format!("{pattern:?}: {other}"),
    }
}
