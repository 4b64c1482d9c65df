//! The sockets: where to listen, what to do when a port is taken, and which addresses to show.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use serde::Deserialize;
use socket2::{Domain, Protocol, Socket, Type};

use super::{address::Address, inherited, names::Name};
use crate::base::{Error, Result};

/// Connections that the system keeps for us until we accept them. The kernel caps it at `somaxconn`.
const BACKLOG: i32 = 1024;

/// Section `[listen]` of `webstead.toml`.
///
/// What is not set is port 443 and port 80 of every address, or where the system forbids those, 8443 and 8080.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where the site is served (`--https`).
    pub https: Option<Address>,
    /// Where plain HTTP is answered with a redirect to HTTPS (`--http`).
    pub http: Option<Address>,
}

impl Settings {
    /// Why both sockets cannot be open at once, on whatever machine, in words that name the remedy.
    pub fn problem(&self) -> Option<String> {
        let of = |role: &Role, setting: Option<Address>| {
            setting.unwrap_or(Address::Port(role.usual_port))
        };
        let (https, http) = (of(&HTTPS, self.https), of(&HTTP, self.http));
        let taken = ErrorKind::AddrInUse.into();
        https
            .overlaps(http)
            .then(|| explain(&HTTP, http, &taken, Some(https.port())).to_string())
    }
}

/// The open sockets and the addresses that they really have.
#[derive(Debug)]
pub struct Listeners {
    /// For TLS; non-blocking.
    pub https: TcpListener,
    /// For the redirect; non-blocking.
    pub http: TcpListener,
    /// Where `https` listens, with the real port.
    pub https_address: SocketAddr,
    /// Where `http` listens, with the real port.
    pub http_address: SocketAddr,
}

/// One of the two sockets, and what is said about it.
struct Role {
    key: &'static str,
    option: &'static str,
    usual_port: u16,
    /// For those who may not open `usual_port`.
    high_port: u16,
}

const HTTPS: Role = Role {
    key: "listen.https",
    option: "--https",
    usual_port: 443,
    high_port: 8443,
};
const HTTP: Role = Role {
    key: "listen.http",
    option: "--http",
    usual_port: 80,
    high_port: 8080,
};

/// Opens both sockets, or takes those that the service manager has opened.
///
/// # Errors
/// When an address is in use, is not one of this machine's, or is not permitted. The message names
/// the setting, the address and the remedy. What is not set falls back only where permission is denied:
/// a port in use may be another copy of this site, and that should be seen.
pub fn bind(settings: &Settings) -> Result<Listeners> {
    let Some((https, http)) = inherited::take()? else {
        return bind_with(settings, open);
    };
    if *settings != Settings::default() {
        log::warn!(
            "the sockets come from the service manager, so [listen], --https and --http have no effect; \
             change ListenStream= in webstead.socket instead"
        );
    }
    Listeners::of(https, http)
}

/// [`bind`] with a stand-in for the system, so that tests can refuse ports.
fn bind_with(
    settings: &Settings,
    open: impl Fn(SocketAddr) -> io::Result<TcpListener>,
) -> Result<Listeners> {
    let secure = bind_one(&HTTPS, settings.https, &open, None)?;
    let plain = bind_one(
        &HTTP,
        settings.http,
        &open,
        Some(local_address(&secure)?.port()),
    )?;
    Listeners::of(secure, plain)
}

impl Listeners {
    /// Those that another process of this program has opened.
    ///
    /// # Errors
    /// [`Error::Io`] if they are none.
    pub fn of(https: TcpListener, http: TcpListener) -> Result<Self> {
        let listeners = Self {
            https_address: local_address(&https)?,
            http_address: local_address(&http)?,
            https,
            http,
        };
        log::info!(
            "listening on {} for HTTPS, and on {} for plain HTTP, which is sent on to HTTPS",
            listeners.https_address,
            listeners.http_address
        );
        Ok(listeners)
    }

    /// The same sockets once more, for HTTPS and for plain HTTP, to give them to another process.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no descriptor left.
    pub fn copies(&self) -> Result<(TcpListener, TcpListener)> {
        let copy = |socket: &TcpListener| socket.try_clone().map_err(Error::internal);
        Ok((copy(&self.https)?, copy(&self.http)?))
    }
}

/// Opens one of the sockets. `taken_port` is the port that we hold ourselves already.
fn bind_one(
    role: &Role,
    setting: Option<Address>,
    open: &impl Fn(SocketAddr) -> io::Result<TcpListener>,
    taken_port: Option<u16>,
) -> Result<TcpListener> {
    let wanted = setting.unwrap_or(Address::Port(role.usual_port));
    match open_first(wanted, open) {
        Ok(listener) => Ok(listener),
        Err(e) if setting.is_none() && e.kind() == ErrorKind::PermissionDenied => {
            log::warn!(
                "port {} needs a permission that this program does not have ({e}): listening on {} instead",
                role.usual_port,
                role.high_port
            );
            let high = Address::Port(role.high_port);
            open_first(high, open).map_err(|e| explain(role, high, &e, taken_port))
        }
        Err(e) => Err(explain(role, wanted, &e, taken_port)),
    }
}

/// Opens the first candidate that the machine can: one without IPv6 gets IPv4.
fn open_first(
    address: Address,
    open: &impl Fn(SocketAddr) -> io::Result<TcpListener>,
) -> io::Result<TcpListener> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for candidate in address.candidates() {
        match open(candidate) {
            Ok(listener) => return Ok(listener),
            // Both would say the same of IPv4, and half of a site is worse than a clear error.
            Err(e) if matches!(e.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
                return Err(e);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Opens a listening socket; `[::]` takes IPv4 too.
fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // The system's default for this differs, so we say it.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restarted server need not wait for its old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it (Linux). Without it, answers wait 40 ms for the other side's delayed ACK
    // (RFC 1122 section 4.2.3.4).
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket that only this machine reaches, for a process that proves itself before it takes the others.
///
/// # Errors
/// [`Error::Io`] if the system has no port left.
pub fn private() -> Result<TcpListener> {
    open((Ipv4Addr::LOCALHOST, 0).into())
        .or_else(|_| open((Ipv6Addr::LOCALHOST, 0).into()))
        .map_err(|source| Error::Io {
            what: "opening a socket on this machine itself".into(),
            source,
        })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(|source| Error::Io {
        what: "asking for the socket's address".into(),
        source,
    })
}

/// What is wrong with an address, in words that name the setting and the remedy.
fn explain(role: &Role, wanted: Address, e: &io::Error, taken_port: Option<u16>) -> Error {
    let Role {
        key,
        option,
        high_port,
        ..
    } = role;
    let port = wanted.port();
    let cause = match e.kind() {
        ErrorKind::AddrInUse if taken_port == Some(port) => format!(
            "port {port} is already taken by listen.https (or --https) of this same site; give each its own \
             port, for example {option} {high_port}"
        ),
        ErrorKind::AddrInUse => format!(
            "port {port} is used by another program (`ss -ltnp 'sport = :{port}'` shows which); stop it, or \
             choose another port with {option} {}",
            other_port(role, port)
        ),
        ErrorKind::PermissionDenied => format!(
            "the system does not let this program open port {port}; allow it (`setcap cap_net_bind_service=+ep` on \
             the program, or AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit), or choose a port \
             above 1023 with {option} {high_port}"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine has no such address ({e}; `ip address` shows those it has); use one of them, or \
             {option} {port} for all of them"
        ),
        _ => format!("the system cannot listen there ({e}); use {option} {port} for all addresses"),
    };
    Error::Invalid(format!(
        "cannot listen on {wanted} ({key} or {option}): {cause}"
    ))
}

/// A port to suggest: the role's high one, or the next if that is the busy one.
fn other_port(role: &Role, busy: u16) -> u16 {
    if busy == role.high_port {
        role.high_port + 1
    } else {
        role.high_port
    }
}

/// The addresses that a person can type to reach the site, best first: `https://localhost:8443`,
/// `https://pi.local:8443`, `https://192.168.1.20:8443`.
///
/// `https_address` is what [`bind`] returned and `names` what [`super::names::local_names`] did.
/// Port 443 is left out. IPv6 addresses are shown only where there is no IPv4 one: nobody likes to type them.
pub fn shown_addresses(https_address: SocketAddr, names: &[Name]) -> Vec<String> {
    let port = match https_address.port() {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let url = |host: &str| format!("https://{host}{port}");
    let bound = https_address.ip().to_canonical();
    if bound.is_loopback() {
        return vec![url("localhost")];
    }
    if !bound.is_unspecified() {
        return vec![url(&host_of(bound))];
    }
    let mut shown = vec![url("localhost")];
    let mut dns = names.iter().filter_map(|name| match name {
        Name::DnsName(dns) => Some(dns.as_ref()),
        _ => None,
    });
    // The first is the one that is announced.
    shown.extend(
        dns.find(|dns| dns.strip_suffix(".local").is_some())
            .map(url),
    );
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = names
        .iter()
        .filter_map(|name| match name {
            Name::IpAddress(ip) => Some(IpAddr::from(*ip)),
            _ => None,
        })
        .filter(|ip| !ip.is_loopback())
        .partition(IpAddr::is_ipv4);
    let reachable = if v4.is_empty() && https_address.is_ipv6() {
        v6
    } else {
        v4
    };
    shown.extend(reachable.into_iter().map(|ip| url(&host_of(ip))));
    shown
}

/// An IP address as the host of a URL (RFC 3986 section 3.2.2: IPv6 in brackets).
fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
