//! Links: the middleware of chains and the entries that are services.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::HeaderName;

use super::{
    Entry, Link,
    compile::{Names, header_name, positive},
};
use crate::{CompileError, config};

/// Compiles links and collects the entries that they name.
pub(super) struct Links<'n> {
    plugins: &'n Names,
    pub(super) entries: Vec<Entry>,
    known: HashMap<Entry, usize>,
}

impl<'n> Links<'n> {
    pub(super) fn new(plugins: &'n Names) -> Self {
        Self { plugins, entries: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn link(&mut self, link: config::Link, at: &str) -> Result<Link, CompileError> {
        let plugin = self.plugins.find(&link.plugin, "plugin", || format!("{at}.plugin"))?;
        if link.entry.is_empty() {
            return Err(CompileError::new(format!("{at}.entry"), "is empty"));
        }
        positive(link.timeout_ms, || format!("{at}.timeout_ms"))?;
        if link.retry > 1 {
            return Err(CompileError::new(format!("{at}.retry"), format!("is {}; 0 and 1 are possible", link.retry)));
        }
        if link.phases.as_ref().is_some_and(Vec::is_empty) {
            return Err(CompileError::new(format!("{at}.phases"), "is empty; the middleware would do nothing"));
        }
        Ok(Link {
            entry: self.entry(plugin, &link.entry),
            payload: link.payload.map(|payload| check_json(payload, &format!("{at}.payload"))).transpose()?,
            timeout: Duration::from_millis(link.timeout_ms),
            on_error: link.on_error,
            phases: link.phases,
            allow_headers: link
                .headers
                .allow
                .map(|names| header_names(&names, &format!("{at}.headers.allow")))
                .transpose()?,
            deny_headers: header_names(&link.headers.deny, &format!("{at}.headers.deny"))?,
            retry: link.retry,
        })
    }

    fn entry(&mut self, plugin: usize, name: &str) -> usize {
        let entry = Entry { plugin, name: name.into() };
        let entries = &mut self.entries;
        *self.known.entry(entry).or_insert_with_key(|entry| {
            entries.push(entry.clone());
            entries.len() - 1
        })
    }
}

pub(super) fn check_json(text: String, at: &str) -> Result<Arc<str>, CompileError> {
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text.into()),
        Err(error) => Err(CompileError::new(at, format!("is not json: {error}"))),
    }
}

fn header_names(names: &[String], at: &str) -> Result<Vec<HeaderName>, CompileError> {
    names.iter().enumerate().map(|(index, name)| header_name(name, || format!("{at}[{index}]"))).collect()
}
