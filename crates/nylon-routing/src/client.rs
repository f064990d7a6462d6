//! Whose request it is: the client's address behind trusted proxies (rules §10).

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Networks whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Box<[IpNet]>,
}

impl TrustedProxies {
    /// Trusts these networks; with none, nobody.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks: networks.into() }
    }

    /// Whether the address belongs to a trusted proxy. IPv4 addresses in IPv6 form count as IPv4.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        !self.networks.is_empty() && {
            let address = address.to_canonical();
            self.networks.iter().any(|network| network.contains(&address))
        }
    }

    /// The client's address: the peer, or behind trusted proxies the last address of `X-Forwarded-For` that is
    /// not one of them. Reading stops at an entry that is no address; the proxy that reported it is the client then.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        for line in headers.get_all("x-forwarded-for").into_iter().rev() {
            let Ok(line) = line.to_str() else {
                return client;
            };
            for entry in line.rsplit(',') {
                let Some(address) = parse(entry.trim()) else {
                    return client;
                };
                client = address;
                if !self.trusts(client) {
                    return client;
                }
            }
        }
        client
    }
}

/// An entry of `X-Forwarded-For`: an address, with or without brackets and port.
fn parse(entry: &str) -> Option<IpAddr> {
    let address = entry.parse::<IpAddr>().ok().or_else(|| {
        let unbracketed = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        unbracketed.and_then(|address| address.parse().ok())
    });
    address
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;
