//! Which machine leads to the internet: the kernel's routes.

use std::{
    fmt, fs,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
};

/// The table of IPv4 (proc(5)). `/proc/net` itself is hidden by `ProcSubset=pid` of the service.
const ROUTES: &str = "/proc/self/net/route";
/// `RTF_UP` and `RTF_GATEWAY` of `linux/route.h`.
const UP_AND_GATEWAY: u32 = 0x3;

/// The router of this machine, and what this machine is called on its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The router.
    pub address: Ipv4Addr,
    /// This machine, as the router knows it.
    pub own: Ipv4Addr,
}

impl fmt::Display for Gateway {
    /// A sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, own } = self;
        write!(
            f,
            "The router is {address}, and this machine is {own} for it."
        )
    }
}

impl Gateway {
    /// Of this machine, now.
    ///
    /// # Errors
    /// In words: there is no router.
    pub fn find() -> Result<Self, String> {
        let routes = fs::read_to_string(ROUTES)
            .map_err(|e| format!("the routes of this machine cannot be read ({ROUTES}): {e}"))?;
        let address = default_route(&routes).ok_or(
            "this machine has no router for IPv4: it is not connected, or its connection is no home network",
        )?;
        // Nothing is sent: the kernel only chooses the address that it would send from.
        let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
            .and_then(|socket| {
                socket.connect(SocketAddrV4::new(address, super::PCP_PORT))?;
                socket.local_addr()
            })
            .map_err(|e| format!("the router {address} cannot be reached: {e}"))?;
        match own.ip() {
            std::net::IpAddr::V4(own) => Ok(Self { address, own }),
            std::net::IpAddr::V6(_) => Err(format!("the router {address} cannot be reached")),
        }
    }
}

/// The gateway of the default route with the lowest metric.
fn default_route(table: &str) -> Option<Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        // Iface Destination Gateway Flags RefCnt Use Metric Mask ...
        let fields: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
        let metric: u32 = fields.get(6)?.parse().ok()?;
        let is_default = address(fields.get(1)?)?.is_unspecified()
            && address(fields.get(7)?)?.is_unspecified()
            && flags & UP_AND_GATEWAY == UP_AND_GATEWAY;
        let gateway = address(fields.get(2)?)?;
        (is_default && !gateway.is_unspecified()).then_some((metric, gateway))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, at)| at)
}

/// An address as the kernel prints it: its four bytes as one number of this machine.
fn address(hex: &str) -> Option<Ipv4Addr> {
    (hex.len() == 8)
        .then(|| u32::from_str_radix(hex, 16).ok())
        .flatten()
        .map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::default_route;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn the_default_route_with_the_lowest_metric_leads_to_the_router() {
        for (routes, router) in [
            ("", None),
            (
                "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
                Some("192.168.1.1"),
            ),
            (
                "wlan0\t00000000\t0102A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                 eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                 eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n",
                Some("192.168.1.1"),
            ),
            // A tunnel without a gateway, and a network that is no default route.
            (
                "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n",
                None,
            ),
            (
                "eth0\t0000000A\t0101A8C0\t0003\t0\t0\t0\t000000FF\t0\t0\t0\n",
                None,
            ),
        ] {
            let found = default_route(&format!("{HEAD}{routes}"));
            assert_eq!(
                found.map(|at| at.to_string()).as_deref(),
                router,
                "{routes}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(table in "(\\PC|\t|\n){0,200}") {
            let _ = default_route(&format!("{HEAD}{table}"));
        }
    }
}
