//! Routes: what a request matches.

use serde::Deserialize;

use super::{Link, explicit};

/// A route.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Unique name.
    pub name: String,
    /// Which requests it is for.
    #[serde(rename = "match")]
    pub matching: Match,
    /// Request headers that are removed before anything else sees them.
    pub strip_headers: Vec<String>,
    /// Its paths.
    pub paths: Vec<Path>,
}

/// Which requests a route is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// What is compared.
    #[serde(rename = "type")]
    pub kind: MatchKind,
    /// Any of these; for hosts `*` is the catch-all.
    pub values: Vec<String>,
}

/// What a route's values are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// The request's host.
    Host,
    /// The selector header.
    Header,
}

/// A path of a route.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// Patterns (nylon-config §4.3); at least one.
    pub patterns: Vec<String>,
    /// Methods in upper case; `null` for the nine of nylon-config §4.2.
    #[serde(deserialize_with = "explicit")]
    pub methods: Option<Vec<String>>,
    /// Whether `%2F` may stand in a request's path.
    pub encoded_slashes: EncodedSlashes,
    /// Name of the service.
    pub service: String,
    /// What the upstream sees instead of the path (nylon-config §4.5); `null` for the path itself.
    #[serde(deserialize_with = "explicit")]
    pub rewrite: Option<String>,
    /// Middleware, route level first.
    pub chain: Vec<Link>,
}

/// What becomes of a request whose path has `%2F` in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSlashes {
    /// 400.
    Refuse,
    /// The upstream gets it as it is, within a segment.
    Keep,
}
