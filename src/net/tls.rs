//! TLS: the server's configuration.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ResolvesServerCert, ServerSessionMemoryCache},
    version::{TLS12, TLS13},
};

use crate::base::{Error, Result};

/// TLS 1.2 sessions that are remembered for clients without tickets: under 1 KiB each.
const REMEMBERED_SESSIONS: usize = 256;

/// The server's side of TLS 1.2 and 1.3 with whatever certificate is shown.
///
/// ALPN is left empty: [`Door::https`](super::accept::Door::https) fills it in. Early data is off, because it can be replayed
/// (RFC 8446 section 8), and nothing is sent before the client has proved that it finished the handshake.
///
/// # Errors
/// When the system gives no randomness for the key of the session tickets.
pub fn server_config(shown: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.ticketer = ring::Ticketer::new().map_err(Error::internal)?;
    config.session_storage = ServerSessionMemoryCache::new(REMEMBERED_SESSIONS);
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    Ok(config)
}

/// The one implementation of cryptography that we use; it is named everywhere and never the process's default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
