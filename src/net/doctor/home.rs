//! The machine's place in its network: its own addresses, and the way out.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, UdpSocket},
};

use super::facts::{Home, Router};
use crate::base::is_global;

/// The table of routes (proc(5)). `/proc/net` itself is hidden by `ProcSubset=pid` of the service.
const ROUTES: &str = "/proc/self/net/route";
/// A host of the internet that is nobody's (RFC 5737). A datagram socket that is connected to it has the address from
/// which it would send; nothing is sent.
const SOMEBODY: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);
/// `RTF_GATEWAY` (linux/route.h)
const THROUGH_GATEWAY: u32 = 2;

/// Looks at this machine.
pub(super) fn look() -> Home {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let interfaces = interfaces.into_iter().map(|interface| interface.ip());
    let is_link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let interfaces = interfaces.filter(|ip| !ip.is_loopback() && !is_link_local(ip));
    Home {
        interfaces: interfaces.collect(),
        outward: outward(),
        gateway: gateway_of(&fs::read_to_string(ROUTES).unwrap_or_default()).map(IpAddr::V4),
        router: Router::default(),
        follows: false,
    }
}

fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(SOMEBODY).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// The default gateway of a table of routes: addresses are in hexadecimal, in the machine's order of bytes.
fn gateway_of(table: &str) -> Option<Ipv4Addr> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let destination = u32::from_str_radix(fields.next()?, 16).ok()?;
        let gateway = u32::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u32::from_str_radix(fields.next()?, 16).ok()?;
        let is_default = destination == 0 && flags & THROUGH_GATEWAY != 0;
        is_default.then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

/// Whether an address is one of those that providers share among homes (RFC 6598).
pub(super) fn is_shared(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => (v4.octets()[0], v4.octets()[1] & 0xc0) == (100, 64),
        IpAddr::V6(_) => false,
    }
}

/// The address under which the internet finds this home over IPv4, as far as that is known.
pub(super) fn public_v4(home: &Home) -> Option<IpAddr> {
    let of_router = home.router.external.filter(|address| is_global(*address));
    of_router.or(home.outward.filter(|address| is_global(*address)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{gateway_of, is_shared};

    #[test]
    fn the_gateway_is_read_from_the_table_of_routes() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n";
        let expected = if cfg!(target_endian = "little") {
            "192.168.1.1"
        } else {
            "1.1.168.192"
        };
        assert_eq!(gateway_of(table).unwrap().to_string(), expected);
        assert_eq!(gateway_of(&table.replace("0003", "0001")), None);
        assert_eq!(gateway_of(""), None);
    }

    #[test]
    fn the_addresses_that_providers_share_are_known() {
        for (address, expected) in [
            ("100.64.0.1", true),
            ("100.127.255.255", true),
            ("::ffff:100.64.0.1", true),
            ("100.128.0.0", false),
            ("100.63.255.255", false),
            ("10.0.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_shared(address.parse().unwrap()), expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_table_of_garbage_has_no_gateway_and_no_panic(table in ".{0,200}") {
            let _ = gateway_of(&format!("\n{table}\n0 {table} 3\n"));
        }
    }
}
