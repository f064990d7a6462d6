//! Where a connection goes and how it proves who it is.

use std::{fmt, path::PathBuf, time::Duration};

use async_nats::ConnectOptions;
use nkeys::{KeyPair, KeyPairType};

use crate::bus;

/// How a client proves who it is.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A shared token.
    Token(String),
    /// An nkey seed (`SU…`); the server knows the public key.
    NkeySeed(String),
    /// A `.creds` file: JWT and seed. Read when the connection is made.
    CredsFile(PathBuf),
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets never reach a log.
        f.write_str(match self {
            Self::None => "None",
            Self::User { .. } => "User",
            Self::Token(_) => "Token",
            Self::NkeySeed(_) => "NkeySeed",
            Self::CredsFile(_) => "CredsFile",
        })
    }
}

/// TLS to the servers. Its presence makes TLS required.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate, for mutual TLS. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the client's private key.
    pub key_file: Option<PathBuf>,
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// URLs such as `nats://127.0.0.1:4222`; tried in random order, the least failing first. Or the one URL
    /// `memory:<name>`: the bus of that name in this process; there, everything else of these options means nothing.
    pub servers: Vec<String>,
    /// Who we are.
    pub auth: Auth,
    /// TLS; `None` uses it only if a server or its URL asks for it.
    pub tls: Option<TlsOptions>,
    /// How often an idle connection is pinged; two unanswered pings end it. Default 5 s.
    pub ping_interval: Duration,
    /// Name in the server's connection list.
    pub name: String,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            auth: Auth::None,
            tls: None,
            ping_interval: Duration::from_secs(5),
            name: "nylon".to_owned(),
        }
    }
}

impl ConnectionOptions {
    /// Finds what no retry can heal, without connecting.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub fn check(&self) -> Result<(), ConnectionError> {
        if self.servers.is_empty() {
            return Err(ConnectionError::NoServer);
        }
        let tls = self.tls.iter().flat_map(|tls| [&tls.ca_file, &tls.cert_file, &tls.key_file]);
        for path in tls.flatten() {
            std::fs::File::open(path).map_err(|cause| ConnectionError::Credentials { path: path.clone(), cause })?;
        }
        authenticated(self).map(drop)
    }

    /// Whether it is a bus of this process, not NATS.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        bus::bus_name(&self.servers).is_some()
    }
}

/// The client's options. Reads the file of credentials.
pub(super) fn authenticated(options: &ConnectionOptions) -> Result<ConnectOptions, ConnectionError> {
    let mut connect = match &options.auth {
        Auth::None => ConnectOptions::new(),
        Auth::User { user, password } => ConnectOptions::with_user_and_password(user.clone(), password.clone()),
        Auth::Token(token) => ConnectOptions::with_token(token.clone()),
        Auth::NkeySeed(seed) => {
            // The client would find out at each attempt, and try again for ever.
            match KeyPair::from_seed(seed).map(|pair| pair.key_pair_type()) {
                Ok(KeyPairType::User) => ConnectOptions::with_nkey(seed.clone()),
                Ok(other) => return Err(ConnectionError::Seed(format!("it is that of {other:?}"))),
                Err(cause) => return Err(ConnectionError::Seed(cause.to_string())),
            }
        }
        Auth::CredsFile(path) => {
            let wrap = |cause| ConnectionError::Credentials { path: path.clone(), cause };
            let text = std::fs::read_to_string(path).map_err(wrap)?;
            ConnectOptions::with_credentials(&text).map_err(wrap)?
        }
    };
    if let Some(tls) = &options.tls {
        connect = connect.require_tls(true);
        if let Some(ca) = &tls.ca_file {
            connect = connect.add_root_certificates(ca.clone());
        }
        connect = match (&tls.cert_file, &tls.key_file) {
            (Some(cert), Some(key)) => connect.add_client_certificate(cert.clone(), key.clone()),
            (None, None) => connect,
            _ => return Err(ConnectionError::HalfCertificate),
        };
    }
    Ok(connect)
}

/// Why a connection cannot even be tried. Everything that may heal by itself is retried instead.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No server is named.
    #[error("connecting to nats: no server is configured")]
    NoServer,
    /// A file cannot be read or used.
    #[error("reading nats credentials {path}: {cause}", path = path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What the system or the parser says.
        cause: std::io::Error,
    },
    /// The nkey seed is none of a user.
    #[error("configuring nats: the nkey seed is not that of a user (SU…): {0}")]
    Seed(String),
    /// A certificate comes without its key, or the other way round.
    #[error("configuring nats tls: cert_file and key_file belong together")]
    HalfCertificate,
    /// A server's URL is not understood.
    #[error("connecting to nats: {0}")]
    Connect(#[from] async_nats::ConnectError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_logs() {
        let options = ConnectionOptions { auth: Auth::Token("hush".into()), ..Default::default() };
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[test]
    fn a_seed_that_no_user_has_is_refused_at_once_and_not_repeated() {
        let authenticate = |seed: &str| {
            let auth = Auth::NkeySeed(seed.to_owned());
            authenticated(&ConnectionOptions { auth, ..Default::default() })
        };
        let account = KeyPair::new_account().seed().unwrap();
        for seed in ["", "hush", "SUhush", account.as_str()] {
            let text = authenticate(seed).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains("SU…") && !(seed.len() > 1 && text.contains(seed)), "{text}");
        }
        assert!(authenticate(&KeyPair::new_user().seed().unwrap()).is_ok());
    }

    #[test]
    fn half_a_certificate_is_refused() {
        let tls = TlsOptions { cert_file: Some("cert.pem".into()), ..Default::default() };
        let options = ConnectionOptions { tls: Some(tls), ..Default::default() };
        assert!(matches!(authenticated(&options), Err(ConnectionError::HalfCertificate)));
    }
}
