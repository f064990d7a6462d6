//! What is said about attempts to connect that failed.

use std::sync::Mutex;

use async_nats::{Server, ServerAddr};

use crate::lock::lock;

/// How often each server had failed when the round of attempts began; `None` while there is none.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Option<Vec<(ServerAddr, usize)>>>);

impl Attempts {
    /// The round was the last one for now.
    pub(super) fn connected(&self) {
        *lock(&self.0) = None;
    }

    /// A round begins. One text for each server that failed in the one before: what was tried, what was found, what to do.
    pub(super) fn failed(&self, servers: &[Server]) -> Vec<String> {
        let now = servers.iter().map(|server| (server.addr.clone(), server.failed_attempts)).collect();
        let Some(before) = lock(&self.0).replace(now) else { return Vec::new() };
        let known = |server: &&Server| before.iter().any(|(address, _)| *address == server.addr);
        let counted = |server: &Server| !before.contains(&(server.addr.clone(), server.failed_attempts));
        let found = |server: &Server| server.last_error.clone().filter(|_| counted(server));
        // Whoever refuses us ends the round: the others may not have been asked.
        let ended = servers.iter().filter_map(found).any(|error| says(&error, REFUSED));
        // The client does not count a name that has no address.
        let nameless = (!ended).then(|| "DNS error: the name has no address".to_owned());
        let text = |server: &Server| Some(describe(&server.addr, &found(server).or_else(|| nameless.clone())?));
        servers.iter().filter(known).filter_map(text).collect()
    }
}

const REFUSED: &[&str] = &["authorization", "nonce"];

fn says(error: &str, words: &[&str]) -> bool {
    let error = error.to_ascii_lowercase();
    words.iter().any(|word| error.contains(word))
}

fn describe(address: &ServerAddr, found: &str) -> String {
    // Not the whole URL: it may hold a password.
    let (scheme, host, port) = (address.scheme(), address.host(), address.port());
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let found = found.strip_prefix("IO error: ").unwrap_or(found);
    let advice = if says(found, REFUSED) {
        "do user, password, token, nkey or creds file belong to this server?"
    } else if says(found, &["dns"]) {
        "is the name right?"
    } else if says(found, &["tls", "certificate", "handshake"]) {
        "does ca_file hold the authority that signed its certificate, and does it take TLS?"
    } else {
        "is nats-server up, and can it be reached?"
    };
    format!("connecting to {scheme}://{host}:{port}: {found}; {advice} It is tried again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, failed_attempts: usize, last_error: &str) -> Server {
        let last_error = Some(last_error.to_owned()).filter(|error| !error.is_empty());
        Server { addr: url.parse().unwrap(), failed_attempts, did_connect: false, is_discovered: false, last_error }
    }

    #[test]
    fn each_kind_of_failure_has_its_advice() {
        let address = "nats://ann:hush@[::1]:4333".parse().unwrap();
        for (found, advice) in [
            ("IO error: Connection refused (os error 111)", "is nats-server up"),
            ("timed out", "is nats-server up"),
            ("authorization violation", "belong"),
            ("failed signing nonce", "belong"),
            ("IO error: invalid peer certificate: UnknownIssuer", "ca_file"),
            ("TLS error: no certificate", "ca_file"),
            ("DNS error: the name has no address", "name right"),
        ] {
            let text = describe(&address, found);
            assert!(text.starts_with("connecting to nats://[::1]:4333: ") && text.contains(advice), "{text}");
            assert!(!text.contains("hush") && !text.contains("IO error"), "{text}");
        }
    }

    #[test]
    fn what_failed_in_the_round_before_is_told_once() {
        let attempts = Attempts::default();
        let round = |a, b, error| attempts.failed(&[server("nats://a", a, error), server("nats://b", b, "timed out")]);
        assert_eq!(round(0, 0, "").len(), 0, "nothing was tried yet");
        let told = round(1, 1, "IO error: Connection refused");
        assert!(told[0].starts_with("connecting to nats://a:4222: Connection refused; "), "{told:?}");
        assert!(told[1].starts_with("connecting to nats://b:4222: timed out; "), "{told:?}");
        let told = round(2, 1, "IO error: Connection refused");
        assert!(told[1].starts_with("connecting to nats://b:4222: DNS error: "), "{told:?}");
        let told = round(3, 1, "authorization violation");
        assert_eq!(told.len(), 1, "the other one was not tried: {told:?}");
        attempts.connected();
        assert_eq!(round(0, 1, "").len(), 0, "lost, and not tried yet");
    }
}
