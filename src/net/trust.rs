//! Proxies and tunnels in front of the site: whose word about the visitor's address counts.

use std::{
    net::IpAddr,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Section `[trusted_proxies]` of `webstead.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Addresses and networks, such as `127.0.0.1` and `10.0.0.0/8`.
    #[serde(deserialize_with = "networks")]
    pub addresses: Vec<IpNet>,
    /// Whether every connection of theirs begins with the visitor's address (`HAProxy`'s PROXY protocol, 1 and 2).
    pub proxy_protocol: bool,
    /// The list in which they say who asks. The other one they may pass on as the visitor wrote it, so it does not
    /// count.
    pub header: List,
}

/// A header in which each proxy adds from whom it has a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum List {
    /// The custom of nearly all proxies.
    #[default]
    #[serde(rename = "x-forwarded-for")]
    XForwardedFor,
    /// RFC 7239.
    #[serde(rename = "forwarded")]
    Forwarded,
}

impl List {
    /// The header's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The proxies that are believed; one for all threads.
#[derive(Debug, Default)]
pub struct TrustedProxies(RwLock<Settings>);

impl TrustedProxies {
    /// Those of the settings, and nobody else.
    pub fn new(settings: Settings) -> Self {
        Self(RwLock::new(settings))
    }

    /// Believes others from now on.
    pub fn replace(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Whether there are some, which answer visitors themselves and ask on their behalf.
    pub fn are_in_front(&self) -> bool {
        let settings = self.settings();
        !settings.addresses.is_empty() && !settings.proxy_protocol
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let settings = self.settings();
        let mut networks = settings.addresses.iter();
        networks.any(|network| network.contains(&address))
    }

    /// Whether connections from an address begin with a PROXY header.
    pub fn announce(&self, address: IpAddr) -> bool {
        self.settings().proxy_protocol && self.contains(address)
    }

    /// The list in which they say who asks.
    pub fn list(&self) -> List {
        self.settings().header
    }

    fn settings(&self) -> RwLockReadGuard<'_, Settings> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Vec::<String>::deserialize(from)?
        .iter()
        .map(|text| {
            let network = text.parse::<IpNet>();
            network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                D::Error::custom(format!(
                    "{text:?} is neither an address such as 192.168.1.2 nor a network such as 10.0.0.0/8"
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Settings, TrustedProxies};

    #[test]
    fn an_address_a_network_and_nothing_else_is_believed() {
        let text = r#"addresses = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]"#;
        let trusted = TrustedProxies::new(toml::from_str::<Settings>(text).unwrap());
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("fd00::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(
                trusted.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        for bad in ["home", "10.0.0.0/33", "", "1.2.3"] {
            let text = format!("addresses = [{bad:?}]");
            let message = toml::from_str::<Settings>(&text).unwrap_err().to_string();
            assert!(message.contains("neither an address"), "{message}");
        }
    }
}
