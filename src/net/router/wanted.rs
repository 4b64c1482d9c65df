//! Which ports of the router and of this machine visitors need.

use std::net::SocketAddr;

use super::{Forward, HTTP, HTTPS, Settings};
use crate::net::listen::Listeners;

/// Which ports there are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether the owner wants them open.
    pub is_open: bool,
    /// Which; in words, why there are none.
    pub ports: Result<[Forward; 2], String>,
    /// Those of this machine to which visitors come over IPv6; in words, why they cannot.
    pub ports6: Result<Vec<u16>, String>,
}

impl Wanted {
    /// For a site that listens there.
    pub fn of(settings: Settings, listeners: &Listeners) -> Self {
        let (https, http) = (listeners.https_address, listeners.http_address);
        let is_hidden = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        let hidden = [https, http].into_iter().find(is_hidden);
        let ports = hidden.map_or_else(
            || Ok(Forward::to(https.port(), http.port())),
            |address| {
                Err(format!(
                    "the site listens on {address}, which no other machine reaches"
                ))
            },
        );
        Self {
            is_open: settings.is_open(),
            ports,
            ports6: ports6(https, http),
        }
    }
}

/// Over IPv6, nothing changes ports: visitors come to those that everybody uses, or to none.
///
/// # Errors
/// In words: they find nobody there.
fn ports6(https: SocketAddr, http: SocketAddr) -> Result<Vec<u16>, String> {
    let is_there = |address: &SocketAddr| {
        matches!(address, SocketAddr::V6(at) if at.ip().to_ipv4_mapped().is_none())
            && !address.ip().is_loopback()
    };
    if !is_there(&https) {
        return Err(format!(
            "the site listens on {https}, which is not reached over IPv6"
        ));
    }
    if https.port() != HTTPS {
        return Err(format!(
            "visitors come to port {} there, and the site listens on {}; as a service it may use that port \
             (`sudo webstead install`)",
            HTTPS,
            https.port()
        ));
    }
    let http = Some(http).filter(|http| is_there(http) && http.port() == HTTP);
    let both = [Some(https), http].into_iter().flatten();
    Ok(both.map(|address| address.port()).collect())
}

#[cfg(test)]
mod tests {
    use super::ports6;

    #[test]
    fn over_ipv6_only_the_ports_that_everybody_uses_are_opened() {
        for (https, http, ports) in [
            ("[::]:443", "[::]:80", Some(&[443, 80][..])),
            ("[::]:443", "[::]:8080", Some(&[443])),
            ("[::]:443", "0.0.0.0:80", Some(&[443])),
            ("[::]:8443", "[::]:80", None),
            ("0.0.0.0:443", "[::]:80", None),
            ("[::1]:443", "[::]:80", None),
        ] {
            let found = ports6(https.parse().unwrap(), http.parse().unwrap());
            assert_eq!(found.ok().as_deref(), ports, "{https} {http}");
        }
    }
}
