//! Where to listen, as a person writes it: `0.0.0.0:443`, `[::]:443`, `:8443` or `8443`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected},
};

use crate::base::Error;

/// Where to listen: an address and a port, or a port of every address of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// One address, or `0.0.0.0` for all of IPv4, or `[::]` for all of IPv6 and IPv4.
    Socket(SocketAddr),
    /// This port of every address, IPv6 and IPv4. Port 0 lets the system choose one.
    Port(u16),
}

impl Address {
    /// The port that was asked for; 0 lets the system choose.
    pub fn port(self) -> u16 {
        match self {
            Self::Socket(address) => address.port(),
            Self::Port(port) => port,
        }
    }

    /// Whether a socket on one of them leaves no room for one on the other.
    pub(super) fn overlaps(self, other: Self) -> bool {
        let ip = |address: Self| match address {
            Self::Socket(address) => address.ip().to_canonical(),
            Self::Port(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        // [::] takes IPv4 too.
        let takes = |one: IpAddr, other: IpAddr| {
            one == other || (one.is_unspecified() && (one.is_ipv6() || other.is_ipv4()))
        };
        let (one, two) = (ip(self), ip(other));
        self.port() == other.port() && self.port() != 0 && (takes(one, two) || takes(two, one))
    }

    /// What to try to bind, best first: a mere port means IPv6 and IPv4 together, or else IPv4 alone.
    pub(super) fn candidates(self) -> Vec<SocketAddr> {
        match self {
            Self::Socket(address) => vec![address],
            Self::Port(port) => [
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ]
            .map(|ip| SocketAddr::new(ip, port))
            .to_vec(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Port(port) => port.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Socket(address));
        }
        let digits = text.strip_prefix(':').unwrap_or(text);
        // `u16::from_str` takes a plus sign; a person who writes one means something else.
        if !digits.starts_with('+')
            && let Ok(port) = digits.parse()
        {
            return Ok(Self::Port(port));
        }
        Err(Error::Invalid(format!(
            "{text:?} is not an address to listen on: write a port from 0 to 65535 (\"8443\"), or an IP \
             address with a port (\"0.0.0.0:443\", \"[::]:443\", \"127.0.0.1:8443\")"
        )))
    }
}

/// From a string as above, or from a number, which is the port.
impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a port from 0 to 65535 or an address with a port, such as \"0.0.0.0:443\"",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<Address, E> {
                u16::try_from(port)
                    .map(Address::Port)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(port), &self))
            }

            fn visit_i64<E: de::Error>(self, port: i64) -> Result<Address, E> {
                u16::try_from(port)
                    .map(Address::Port)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(port), &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, shown) in [
            ("0.0.0.0:443", "0.0.0.0:443"),
            ("[::]:443", "[::]:443"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            (":8443", "8443"),
            ("8443", "8443"),
            ("0", "0"),
        ] {
            assert_eq!(
                text.parse::<Address>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn two_addresses_overlap_where_one_socket_leaves_no_room_for_the_other() {
        for (one, other, expected) in [
            ("443", "443", true),
            ("443", "80", false),
            ("443", "127.0.0.1:443", true),
            ("[::]:443", "192.0.2.1:443", true),
            ("0.0.0.0:443", "[::]:443", true),
            ("0.0.0.0:443", "192.0.2.1:443", true),
            ("0.0.0.0:443", "[::1]:443", false),
            ("192.0.2.1:443", "192.0.2.2:443", false),
            ("192.0.2.1:443", "[::ffff:192.0.2.1]:443", true),
            ("0", "0", false),
        ] {
            let [first, second] = [one, other].map(|text| text.parse::<Address>().unwrap());
            assert_eq!(first.overlaps(second), expected, "{one} {other}");
            assert_eq!(second.overlaps(first), expected, "{other} {one}");
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_an_example() {
        for text in [
            "",
            ":",
            "65536",
            "-1",
            "+80",
            "localhost:443",
            "::1",
            "1.2.3.4",
            "::",
            "80 ",
            "é",
        ] {
            let message = text.parse::<Address>().unwrap_err().to_string();
            assert!(
                message.contains("0.0.0.0:443") && message.contains(&format!("{text:?}")),
                "{message}"
            );
        }
    }
}
