//! Which names an authority can be asked about.

use std::net::IpAddr;

use super::Settings;

/// Names that no authority of the internet knows (RFC 6761, RFC 6762, RFC 7686, RFC 8375, and the list of ICANN's
/// special-use domains).
const NEVER: [&str; 5] = ["local", "localhost", "invalid", "onion", "alt"];
/// Names that an authority of one's own network may know.
const OWN_NETWORK: [&str; 5] = ["home.arpa", "internal", "test", "example", "lan"];

/// Whether the authority of these settings can be asked about this name, in lower case.
///
/// An authority that is not the usual one may be of one's own network and know names of it.
pub fn is_public(name: &str, settings: &Settings) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    if let Ok(address) = name.parse::<IpAddr>() {
        return settings.authority.is_some() || is_global(address);
    }
    let is_below = |end: &&str| {
        let above = name.strip_suffix(*end);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    };
    let is_own = settings.authority.is_none() && OWN_NETWORK.iter().any(is_below);
    name.contains('.') && !NEVER.iter().any(is_below) && !is_own
}

/// Whether the internet leads to an address (IANA's registries of special-purpose addresses, RFC 6890).
pub(super) fn is_global(address: IpAddr) -> bool {
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
                || (a, b & 0xc0) == (100, 64)
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

#[cfg(test)]
mod tests {
    use super::{Settings, is_global, is_public};

    #[test]
    fn only_names_that_the_internet_knows_are_asked_for() {
        let usual = Settings::default();
        let own = Settings {
            authority: Some("https://ca.home.arpa/directory".parse().unwrap()),
            ..Settings::default()
        };
        for (name, with_usual, with_own) in [
            ("example.org", true, true),
            ("*.example.org", true, true),
            ("xn--bcher-kva.de", true, true),
            ("pi.local", false, false),
            ("localhost", false, false),
            ("pi", false, false),
            ("a.onion", false, false),
            ("pi.home.arpa", false, true),
            ("a.internal", false, true),
            ("a.test", false, true),
            ("notlocal.org", true, true),
            ("8.8.8.8", true, true),
            ("192.168.1.5", false, true),
        ] {
            assert_eq!(is_public(name, &usual), with_usual, "{name}");
            assert_eq!(is_public(name, &own), with_own, "{name}");
        }
    }

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
}
