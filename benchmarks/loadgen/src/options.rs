//! Command line of the load generator.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

pub const USAGE: &str = "usage: loadgen --address HOST:PORT --rate N --seconds S [--warmup S] [--connections N]
               [--path P] [--marked-path P --marked-every N] [--header 'Name: value']... [--timeout S] [--grid-us N] [--log FILE]";

pub struct Options {
    pub address: SocketAddr,
    /// Requests per second.
    pub rate: f64,
    /// Measured seconds; the warm-up comes before them.
    pub seconds: f64,
    pub warmup: f64,
    /// Upper bound of connections; all are opened before the first request.
    pub connections: usize,
    /// Requests are due on multiples of this many µs; 0 = evenly spaced.
    pub grid_us: u64,
    /// Every n-th request asks for the marked path and counts as class 1; 0 = none.
    pub marked_every: u64,
    /// Per request, from sending.
    pub timeout: Duration,
    /// One CSV line per request.
    pub log: Option<String>,
    requests: [Vec<u8>; 2],
}

impl Options {
    pub fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut address = None;
        let (mut rate, mut seconds, mut warmup, mut timeout) = (0.0, 0.0, 0.0, 10.0);
        let (mut connections, mut marked_every, mut grid_us) = (64, 0, 250);
        let (mut path, mut marked_path) = (String::from("/"), String::from("/"));
        let (mut headers, mut log) = (Vec::new(), None);
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--address" => {
                    let mut found = value.to_socket_addrs().map_err(|error| format!("{value}: {error}"))?;
                    address = found.next().map(|found| (found, value));
                }
                "--rate" => rate = number(&name, &value)?,
                "--seconds" => seconds = number(&name, &value)?,
                "--warmup" => warmup = number(&name, &value)?,
                "--timeout" => timeout = number(&name, &value)?,
                "--connections" => connections = number::<usize>(&name, &value)?.max(1),
                "--path" => path = value,
                "--marked-path" => marked_path = value,
                "--marked-every" => marked_every = number(&name, &value)?,
                "--header" => headers.push(value),
                "--grid-us" => grid_us = number(&name, &value)?,
                "--log" => log = Some(value),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        let (address, host) = address.ok_or("--address is missing")?;
        if !(rate > 0.0 && seconds > 0.0 && warmup >= 0.0 && timeout > 0.0) {
            return Err("--rate and --seconds must be positive".into());
        }
        let build = |path: &str| {
            let mut text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
            for header in &headers {
                text.push_str(header);
                text.push_str("\r\n");
            }
            text.push_str("\r\n");
            text.into_bytes()
        };
        Ok(Options {
            address,
            rate,
            seconds,
            warmup,
            connections,
            grid_us,
            marked_every,
            timeout: Duration::from_secs_f64(timeout),
            log,
            requests: [build(&path), build(&marked_path)],
        })
    }

    /// Requests in warm-up and measurement together.
    pub fn total(&self) -> u64 {
        ((self.warmup + self.seconds) * self.rate).round() as u64
    }

    pub fn request(&self, class: u8) -> &[u8] {
        &self.requests[usize::from(class & 1)]
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value:?} is not a number"))
}
