//! What a snapshot says of a messaging entry and of a plugin on it, as nylon-messaging takes it.

use std::time::Duration;

use bytes::Bytes;
use nylon_messaging::{
    Auth, ConnectionOptions, TlsOptions,
    gateway::{Balance, MessagingOptions, PluginOptions},
};
use nylon_routing::{OnMessaging, Plugin, Snapshot, config};
use nylon_wire::Revision;

/// A stream in which nothing moves for so long is cut.
const STREAM_IDLE: Duration = Duration::from_secs(300);

/// How to connect.
pub(super) fn connection(entry: &config::Messaging) -> MessagingOptions {
    let auth = match &entry.auth {
        None => Auth::None,
        Some(config::Auth::Password { user, password }) => {
            Auth::User { user: user.clone(), password: password.clone() }
        }
        Some(config::Auth::Token { token }) => Auth::Token(token.clone()),
        Some(config::Auth::Nkey { nkey_seed }) => Auth::NkeySeed(nkey_seed.clone()),
        Some(config::Auth::File { creds_file }) => Auth::CredsFile(creds_file.clone()),
    };
    let tls = entry.tls.as_ref().map(|tls| TlsOptions {
        ca_file: tls.ca_file.clone(),
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
    });
    MessagingOptions {
        connection: ConnectionOptions {
            servers: entry.servers.clone(),
            auth,
            tls,
            ping_interval: Duration::from_millis(entry.ping_interval_ms),
            name: "nylon-gateway".to_owned(),
        },
        prefix: entry.prefix.clone(),
        accept_timeout: Duration::from_millis(entry.accept_timeout_ms),
    }
}

/// The plugin in its group.
pub(super) fn plugin(snapshot: &Snapshot, plugin: &Plugin, place: &OnMessaging) -> PluginOptions {
    PluginOptions {
        name: plugin.name.to_string(),
        group: place.group.to_string(),
        config: plugin.config.as_ref().map(|text| Bytes::copy_from_slice(text.as_bytes())),
        revision: Some(Revision {
            hash: Bytes::copy_from_slice(&place.config_hash),
            loaded_ms: snapshot.revision.loaded_at_ms,
        }),
        balance: match place.balance {
            config::Balance::Auto => Balance::Auto,
            config::Balance::Queue => Balance::Queue,
            config::Balance::LeastLoaded => Balance::LeastLoaded,
        },
        // The chain counts sessions against the same limit, with one answer for every transport.
        max_in_flight: usize::MAX,
        max_body_bytes: plugin.max_body,
        prefetch_body_bytes: place.prefetch_body,
        stream_idle: STREAM_IDLE,
    }
}

/// Everything that the configuration says of the entry: another text is another entry. Secrets are part of it, so it never
/// leaves this room.
pub(super) fn identity(entry: &config::Messaging) -> String {
    let secret = match &entry.auth {
        None => String::new(),
        Some(config::Auth::Password { user, password }) => format!("{user:?} {password:?}"),
        Some(config::Auth::Token { token }) => format!("{token:?}"),
        Some(config::Auth::Nkey { nkey_seed }) => format!("{nkey_seed:?}"),
        Some(config::Auth::File { creds_file }) => format!("{creds_file:?}"),
    };
    format!("{entry:?} {secret}")
}
