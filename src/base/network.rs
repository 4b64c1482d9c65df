//! Who is at the other end, as limits count them.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address itself; of an IPv6 address its /64, which one home has to itself.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX))),
        },
    }
}

/// A network of [`network_of`] as people write it: `192.0.2.7`, `2001:db8::/64`.
pub fn network_name(network: IpAddr) -> String {
    match network {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/64"),
    }
}
