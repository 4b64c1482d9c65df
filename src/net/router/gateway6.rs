//! Which machine leads to the internet over IPv6, and which address of this machine visitors use there.

use std::{
    fmt, fs,
    net::{Ipv6Addr, SocketAddr, SocketAddrV6},
};

use crate::net::interfaces;

/// The table of IPv6 (proc(5)). `/proc/net` itself is hidden by `ProcSubset=pid` of the service.
const ROUTES: &str = "/proc/self/net/ipv6_route";
/// `RTF_UP` and `RTF_GATEWAY` of `linux/route.h`.
const UP_AND_GATEWAY: u32 = 0x3;

/// The router of this machine for IPv6, and the address of this machine that is to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway6 {
    /// The router. Mostly an address that holds on this line only (RFC 4861 section 4.2).
    pub address: Ipv6Addr,
    /// The number of the interface that leads there.
    pub(super) scope: u32,
    /// This machine, as the internet knows it.
    pub own: Ipv6Addr,
}

impl fmt::Display for Gateway6 {
    /// A sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, own, .. } = self;
        write!(
            f,
            "Over IPv6, the router is {address}, and visitors come to {own}, this machine itself."
        )
    }
}

impl Gateway6 {
    /// Of this machine, now. Of several addresses of its own, `published` counts, if it is one that stays.
    ///
    /// # Errors
    /// In words: there is no router, or no address to which the internet leads.
    pub fn find(published: Option<Ipv6Addr>) -> Result<Self, String> {
        // Without IPv6 there is no such file.
        let routes = fs::read_to_string(ROUTES).unwrap_or_default();
        let (address, interface) =
            default_route(&routes).ok_or("this machine has no router for IPv6")?;
        let (scope, all) = interfaces::v6_on(interface).unwrap_or_default();
        let same = published.filter(|published| all.contains(published));
        let own = same.or_else(|| all.first().copied());
        Ok(Self {
            address,
            scope,
            own: own.ok_or(
                "this machine has no IPv6 address to which the internet leads and that stays",
            )?,
        })
    }

    /// A port of the router.
    pub(super) fn at(&self, port: u16) -> SocketAddr {
        // The scope is of what holds on one line only (RFC 4007 section 6).
        let scope = if self.address.is_unicast_link_local() {
            self.scope
        } else {
            0
        };
        SocketAddrV6::new(self.address, port, 0, scope).into()
    }

    /// This machine, with any port.
    pub(super) fn own_end(&self) -> SocketAddr {
        (self.own, 0).into()
    }
}

/// The gateway of the default route with the lowest metric, and the interface that leads there.
fn default_route(table: &str) -> Option<(Ipv6Addr, &str)> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [
            to,
            "00",
            from,
            "00",
            gateway,
            metric,
            _,
            _,
            flags,
            interface,
        ] = fields[..]
        else {
            return None;
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let metric = u32::from_str_radix(metric, 16).ok()?;
        let gateway = interfaces::address(gateway)?;
        let is_default = interfaces::address(to)?.is_unspecified()
            && interfaces::address(from)?.is_unspecified()
            && flags & UP_AND_GATEWAY == UP_AND_GATEWAY
            && !gateway.is_unspecified();
        is_default.then_some((metric, gateway, interface))
    });
    let best = routes.min_by_key(|(metric, ..)| *metric);
    best.map(|(_, gateway, interface)| (gateway, interface))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::default_route;

    const NONE: &str = "00000000000000000000000000000000";

    fn route(to: &str, prefix: &str, gateway: &str, metric: &str, flags: &str, at: &str) -> String {
        format!("{to} {prefix} {NONE} 00 {gateway} {metric} 00000001 00000000 {flags} {at:>8}\n")
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_leads_to_the_router() {
        let (one, two) = (
            "fe80000000000000bc8a75fffed5a3c1",
            "fe800000000000000000000000000001",
        );
        let net = "2a0b0077000000000000000000000000";
        for (routes, found) in [
            (String::new(), None),
            (
                [
                    route(net, "40", NONE, "00000100", "00000001", "eth0"),
                    route(NONE, "00", two, "00000400", "00450003", "wlan0"),
                    route(NONE, "00", one, "00000064", "00450003", "eth0"),
                    route(NONE, "00", NONE, "ffffffff", "00200200", "lo"),
                ]
                .concat(),
                Some(("fe80::bc8a:75ff:fed5:a3c1", "eth0")),
            ),
            // A tunnel without a gateway, and a network that is no default route.
            (
                route(NONE, "00", NONE, "00000400", "00000001", "tun0"),
                None,
            ),
            (route(net, "40", one, "00000400", "00000003", "eth0"), None),
        ] {
            let read = default_route(&routes).map(|(at, name)| (at.to_string(), name));
            let read = read.as_ref().map(|(at, name)| (at.as_str(), *name));
            assert_eq!(read, found, "{routes}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(table in "(\\PC|[0-9a-f]{32}|00| |\n){0,60}") {
            let _ = default_route(&table);
        }
    }
}
