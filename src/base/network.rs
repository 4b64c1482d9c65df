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

/// Whether the internet leads to an address (IANA's registries of special-purpose addresses, RFC 6890).
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || is_shared(v4.into())
                || (a, b, c) == (192, 0, 0)
                || (a, b & 0xfe) == (198, 18))
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            // 2000::/3 is what is given out (RFC 4291 section 2.4), less documentation (RFC 3849, RFC 9637).
            first & 0xe000 == 0x2000
                && !(first == 0x2001 && v6.segments()[1] == 0x0db8)
                && first & 0xfff0 != 0x3ff0
        }
    }
}

/// Whether a provider shares an address among its customers (CGNAT, RFC 6598): `100.64.0.0/10`.
pub fn is_shared(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => (v4.octets()[0], v4.octets()[1] & 0xc0) == (100, 64),
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_global, is_shared};

    #[test]
    fn addresses_that_the_internet_does_not_lead_to_are_known() {
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "198.18.0.1",
            "192.0.0.8",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "::ffff:10.0.0.1",
            "64:ff9b::1",
        ] {
            assert!(!is_global(address.parse().unwrap()), "{address}");
        }
        for address in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_global(address.parse().unwrap()), "{address}");
        }
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
}
