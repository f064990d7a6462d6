//! Services, plugins and the NATS connections they use.

use std::time::Duration;

use super::{
    Endpoint, HttpService, InLibrary, Messaging, OnMessaging, Place, Plugin, Service, ServiceKind,
    links::Links,
    names::Names,
    values::{check_json, positive, sha256},
};
use crate::{CompileError, RoundRobin, config};

pub(super) fn messaging(messaging: Vec<Messaging>) -> Result<(Vec<Messaging>, Names), CompileError> {
    let mut names = Names::default();
    for connection in &messaging {
        let name = names.add(&connection.name, "messaging")?;
        let at = |key: &str| format!("messaging[{name}].{key}");
        if connection.servers.is_empty() {
            return Err(CompileError::new(at("servers"), "is empty; there is nothing to connect to"));
        }
        if connection.prefix.is_empty() {
            return Err(CompileError::new(at("prefix"), "is empty"));
        }
        positive(connection.timeout_ms, || at("timeout_ms"))?;
        positive(connection.accept_timeout_ms, || at("accept_timeout_ms"))?;
        positive(connection.ping_interval_ms, || at("ping_interval_ms"))?;
        if let Some(tls) = &connection.tls
            && tls.cert_file.is_some() != tls.key_file.is_some()
        {
            return Err(CompileError::new(at("tls"), "has one of cert_file and key_file; both belong together"));
        }
    }
    Ok((messaging, names))
}

pub(super) fn plugins(plugins: Vec<config::Plugin>, messaging: &Names) -> Result<(Vec<Plugin>, Names), CompileError> {
    let mut names = Names::default();
    let mut compiled = Vec::new();
    for plugin in plugins {
        let (config::Plugin::Messaging { name, .. } | config::Plugin::Ffi { name, .. }) = &plugin;
        let name = names.add(name, "plugins")?;
        let at = |key: &str| format!("plugins[{name}].{key}");
        let (place, config, max_in_flight, max_body) = match plugin {
            config::Plugin::Messaging {
                name: _,
                messaging: connection,
                group,
                config,
                config_hash,
                balance,
                max_in_flight,
                max_body_bytes,
                prefetch_body_bytes,
            } => {
                if group.is_empty() {
                    return Err(CompileError::new(at("group"), "is empty"));
                }
                let place = OnMessaging {
                    messaging: messaging.find(&connection, "messaging", || at("messaging"))?,
                    group: group.into(),
                    balance,
                    prefetch_body: prefetch_body_bytes,
                    config_hash: sha256(&config_hash, || at("config_hash"))?,
                };
                (Place::Messaging(place), config, max_in_flight, max_body_bytes)
            }
            config::Plugin::Ffi {
                name: _,
                file,
                executor,
                messaging: connection,
                config,
                max_in_flight,
                max_body_bytes,
            } => {
                if file.as_os_str().is_empty() {
                    return Err(CompileError::new(at("file"), "is empty"));
                }
                let rooms =
                    connection.map(|name| messaging.find(&name, "messaging", || at("messaging"))).transpose()?;
                (Place::Library(InLibrary { file, executor, rooms }), config, max_in_flight, max_body_bytes)
            }
        };
        positive(max_in_flight as u64, || at("max_in_flight"))?;
        let config = config.map(|text| check_json(text, &at("config"))).transpose()?;
        compiled.push(Plugin { name, config, max_in_flight, max_body, place });
    }
    Ok((compiled, names))
}

pub(super) fn services(
    services: Vec<config::Service>,
    links: &mut Links<'_>,
) -> Result<(Vec<Service>, Names), CompileError> {
    let mut names = Names::default();
    let mut compiled = Vec::new();
    for service in services {
        let (config::Service::Http { name, .. } | config::Service::Plugin { name, .. }) = &service;
        let name = names.add(name, "services")?;
        let at = format!("services[{name}]");
        let kind = match service {
            config::Service::Plugin { link, .. } => ServiceKind::Plugin(links.link(link, &format!("{at}.link"))?),
            http @ config::Service::Http { .. } => ServiceKind::Http(http_service(http, &at)?),
        };
        compiled.push(Service { name, kind });
    }
    Ok((compiled, names))
}

fn http_service(service: config::Service, at: &str) -> Result<HttpService, CompileError> {
    let config::Service::Http {
        name: _,
        algorithm: config::Algorithm::RoundRobin,
        endpoints,
        connect_timeout_ms,
        head_timeout_ms,
        read_timeout_ms,
        write_timeout_ms,
        idle_timeout_ms,
        max_idle_connections,
    } = service
    else {
        return Err(CompileError::new(at, "is no http service"));
    };
    let time = |key: &str, value: u64| positive(value, || format!("{at}.{key}")).map(|()| Duration::from_millis(value));
    if endpoints.is_empty() {
        return Err(CompileError::new(format!("{at}.endpoints"), "is empty; every request would fail"));
    }
    let weights: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.weight).collect();
    let balance = RoundRobin::new(&weights).map_err(|problem| CompileError::new(format!("{at}.endpoints"), problem))?;
    Ok(HttpService {
        endpoints: endpoints
            .into_iter()
            .map(|config::Endpoint { address, weight }| Endpoint { address, weight })
            .collect(),
        connect_timeout: time("connect_timeout_ms", connect_timeout_ms)?,
        head_timeout: time("head_timeout_ms", head_timeout_ms)?,
        read_timeout: time("read_timeout_ms", read_timeout_ms)?,
        write_timeout: time("write_timeout_ms", write_timeout_ms)?,
        idle_timeout: time("idle_timeout_ms", idle_timeout_ms)?,
        max_idle_connections,
        balance,
    })
}
