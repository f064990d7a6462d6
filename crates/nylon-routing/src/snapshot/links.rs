//! Links: the middleware of chains and the entries that are services.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    Entry, Link, Middleware, Payload,
    names::Names,
    values::{header_names, positive},
};
use crate::{CompileError, JsonTemplate, Modifier, Side, config};

/// Compiles links and collects the entries that they name.
pub(super) struct Links<'n> {
    plugins: &'n Names,
    pub(super) entries: Vec<Entry>,
    pub(super) modifiers: Vec<Modifier>,
    known: HashMap<Entry, usize>,
}

impl<'n> Links<'n> {
    pub(super) fn new(plugins: &'n Names) -> Self {
        Self { plugins, entries: Vec::new(), modifiers: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn middleware(&mut self, link: config::Link, at: &str) -> Result<Middleware, CompileError> {
        let Some(side) = Side::of(&link.plugin) else { return self.link(link, at).map(Middleware::Entry) };
        let modifier = Modifier::compile(side, link.payload.as_deref(), &format!("{at}.payload"))?;
        self.modifiers.push(modifier);
        Ok(Middleware::Modifier(self.modifiers.len() - 1))
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
            payload: link.payload.map(|text| payload(text, &format!("{at}.payload"))).transpose()?,
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

fn payload(text: String, at: &str) -> Result<Payload, CompileError> {
    let value = serde_json::from_str(&text).map_err(|error| CompileError::new(at, format!("is not json: {error}")))?;
    match JsonTemplate::compile(&value) {
        Ok(None) => Ok(Payload::Constant(text.into())),
        Ok(Some(template)) => Ok(Payload::Template(Arc::new(template))),
        Err((place, error)) => Err(CompileError::new(format!("{at}{place}"), error.to_string())),
    }
}
