//! Asks a site for its first page over HTTPS, as a visitor of this machine would.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{certificates::LocalAuthority, proxy_protocol, tls, trust::TrustedProxies};
use crate::base::{Error, Result};

/// How long a site may take for each step of an answer, where nobody waits who wants to know now.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the site that listens on `address` for `/` and returns the status of its answer, such as 200.
///
/// Its certificate must come from the machine's own authority in this data folder. `is_announced`: whether the
/// site expects a PROXY header from here ([`is_announced`]). `patience` is for each step.
///
/// # Errors
/// [`Error::Internal`] with what failed: the connection, the certificate, or the answer.
pub fn first_page(
    data_dir: &Path,
    address: SocketAddr,
    is_announced: bool,
    patience: Duration,
) -> Result<u16> {
    let failed = |step: &str, e: &dyn std::fmt::Display| {
        Error::Internal(format!("the site at {address}: {step}: {e}"))
    };
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(LocalAuthority::roots_of(data_dir)?)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").map_err(Error::internal)?;
    let tls = ClientConnection::new(Arc::new(config), name).map_err(Error::internal)?;
    let mut socket = TcpStream::connect_timeout(&reachable(address), patience)
        .map_err(|e| failed("nobody answers", &e))?;
    socket
        .set_read_timeout(Some(patience))
        .and_then(|()| socket.set_write_timeout(Some(patience)))
        .map_err(Error::internal)?;
    if is_announced {
        socket
            .write_all(proxy_protocol::OF_ONESELF)
            .map_err(|e| failed("it takes nothing", &e))?;
    }
    let mut stream = StreamOwned::new(tls, socket);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
        address.port()
    )
    .map_err(|e| failed("HTTPS does not work", &e))?;
    let mut status = String::new();
    match BufReader::new(stream).read_line(&mut status) {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return Err(failed("no answer", &"it took too long"));
        }
        Err(e) => return Err(failed("no answer", &e)),
    }
    // RFC 9112 section 4: HTTP-version SP status-code SP reason.
    status
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| failed("a strange answer", &status.trim_end()))
}

/// Whether a site that listens on `address` and trusts these proxies expects a PROXY header from this machine.
pub fn is_announced(address: SocketAddr, trusted: &TrustedProxies) -> bool {
    // A connection to an address of the machine itself comes from that address.
    trusted.announce(reachable(address).ip())
}

/// Where this machine itself reaches what listens on all of its addresses.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
