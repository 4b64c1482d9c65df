//! Where a telephone in the home network finds this machine over plain HTTP.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::net::{
    mdns,
    names::{LocalName, own_addresses_in_reach},
};

/// What this machine is on its own network.
pub struct AtHome {
    /// What it is called there.
    pub name: Arc<LocalName>,
    /// Whether the owner lets that be announced.
    pub announces: bool,
    /// Where HTTPS listens.
    pub https: SocketAddr,
    /// Where plain HTTP listens.
    pub http: SocketAddr,
}

impl AtHome {
    /// The origin of an address under which others on the network find this machine over plain HTTP, such as
    /// `http://pi.local:8080`; `None` if none does. `asked`: the host of a request that has reached it.
    pub(super) fn origin(&self, asked: &str) -> Option<String> {
        let is_announced = self.announces && mdns::is_possible(self.https.ip());
        let name = is_announced.then(|| self.name.now());
        origin(name.as_deref(), self.http, asked, &own_addresses_in_reach())
    }
}

/// The same of a machine with these addresses that is announced under this name, or not at all.
fn origin(name: Option<&str>, http: SocketAddr, asked: &str, own: &[IpAddr]) -> Option<String> {
    let listens = http.ip().to_canonical();
    let is_served = |ip: &IpAddr| match listens {
        IpAddr::V4(any) if any.is_unspecified() => ip.is_ipv4(),
        IpAddr::V6(any) if any.is_unspecified() => true,
        one => one == *ip,
    };
    // Other addresses are no address of a home, or say nothing without the number of an interface.
    let is_of_home = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    let good = || own.iter().filter(|ip| is_of_home(ip) && is_served(ip));
    let asked = asked.trim_matches(['[', ']']).parse().ok();
    let by_address = || {
        let same = good().find(|ip| Some(**ip) == asked);
        let first_v4 = good().find(|ip| ip.is_ipv4());
        same.or(first_v4).or_else(|| good().next())
    };
    let host = match name {
        Some(name) if !listens.is_loopback() => format!("{name}.local"),
        _ => match by_address()? {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        },
    };
    Some(match http.port() {
        80 => format!("http://{host}"),
        port => format!("http://{host}:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn a_telephone_is_shown_the_name_or_an_address_of_the_home_over_plain_http() {
        let home = ["192.168.1.20", "10.8.0.1", "fd00::5", "9.9.9.9", "fe80::1"];
        let (any, name) = ("[::]:8080", Some("pi"));
        for (name, http, asked, own, expected) in [
            (
                name,
                any,
                "localhost",
                &home[..],
                Some("http://pi.local:8080"),
            ),
            (
                name,
                "[::]:80",
                "9.9.9.9",
                &home[..],
                Some("http://pi.local"),
            ),
            (
                name,
                "192.168.1.20:80",
                "",
                &[][..],
                Some("http://pi.local"),
            ),
            (
                None,
                any,
                "localhost",
                &home[..],
                Some("http://192.168.1.20:8080"),
            ),
            (
                None,
                any,
                "10.8.0.1",
                &home[..],
                Some("http://10.8.0.1:8080"),
            ),
            (
                None,
                "[::]:80",
                "[fd00::5]",
                &home[..],
                Some("http://[fd00::5]"),
            ),
            (
                None,
                "0.0.0.0:80",
                "[fd00::5]",
                &home[..],
                Some("http://192.168.1.20"),
            ),
            (
                None,
                "10.8.0.1:8080",
                "x.lan",
                &home[..],
                Some("http://10.8.0.1:8080"),
            ),
            (
                None,
                any,
                "9.9.9.9",
                &home[2..],
                Some("http://[fd00::5]:8080"),
            ),
            (None, any, "9.9.9.9", &home[3..], None),
            (None, any, "[fe80::1]", &home[4..], None),
            // Nobody else gets there.
            (
                name,
                "127.0.0.1:8080",
                "192.0.2.7",
                &["192.0.2.7"][..],
                None,
            ),
            (None, "[::1]:8080", "192.168.1.20", &home[..], None),
        ] {
            let own: Vec<_> = own.iter().map(|ip| ip.parse().unwrap()).collect();
            let found = origin(name, http.parse().unwrap(), asked, &own);
            assert_eq!(
                found.as_deref(),
                expected,
                "{name:?} {http} {asked} {own:?}"
            );
        }
    }
}
