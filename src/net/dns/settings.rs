//! `[dns]` of `webstead.toml`: where the owner may change names.

use std::net::{IpAddr, SocketAddr};

use domain::tsig::Algorithm;
use serde::{Deserialize, Serialize};

use crate::net::names::DomainName;

/// Section `[dns]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Settings {
    /// Names are not changed.
    #[default]
    #[serde(skip)]
    None,
    /// A DNS server that takes changes (RFC 2136), signed with a shared secret (RFC 8945).
    Rfc2136(Server),
}

/// A DNS server that takes changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Its address, with a port if that is not 53.
    #[serde(rename = "server")]
    pub address: ServerAddress,
    /// The zone that is changed, such as `example.org`.
    pub zone: DomainName,
    /// The name of the secret there.
    pub key: DomainName,
    /// How it signs.
    #[serde(default)]
    pub algorithm: Signature,
}

/// An address with a port: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerAddress(pub SocketAddr);

impl TryFrom<String> for ServerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        let address = bare.or_else(|_| text.parse::<SocketAddr>());
        address.map(Self).map_err(|_| {
            format!(
                "server = {text:?} is no address; write one such as \"192.0.2.1\" or \"192.0.2.1:5353\""
            )
        })
    }
}

impl From<ServerAddress> for String {
    fn from(address: ServerAddress) -> Self {
        address.0.to_string()
    }
}

/// How a change is signed (RFC 8945 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// What servers suggest.
    #[default]
    #[serde(rename = "hmac-sha256")]
    Sha256,
    /// Longer.
    #[serde(rename = "hmac-sha384")]
    Sha384,
    /// The longest.
    #[serde(rename = "hmac-sha512")]
    Sha512,
}

impl From<Signature> for Algorithm {
    fn from(signature: Signature) -> Self {
        match signature {
            Signature::Sha256 => Self::Sha256,
            Signature::Sha384 => Self::Sha384,
            Signature::Sha512 => Self::Sha512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn a_server_is_read_and_mistakes_are_named() {
        let good = "provider = \"rfc2136\"\nserver = \"192.0.2.1\"\nzone = \"Example.org\"\nkey = \"home\"";
        let Settings::Rfc2136(server) = toml::from_str(good).unwrap() else {
            panic!("it is one");
        };
        assert_eq!(server.address.0.to_string(), "192.0.2.1:53");
        assert_eq!(server.zone.as_str(), "example.org");
        for (bad, word) in [
            ("provider = \"godaddy\"", "rfc2136"),
            ("server = \"192.0.2.1\"", "provider"),
            ("provider = \"rfc2136\"", "server"),
            (&good.replace("192.0.2.1", "ns.example"), "no address"),
            (&good.replace("\"home\"", "\"a b\""), "DNS"),
            (&format!("{good}\nalgorithm = \"hmac-md5\""), "hmac-sha256"),
            (&format!("{good}\nsecret = \"x\""), "secret"),
        ] {
            let message = toml::from_str::<Settings>(bad).unwrap_err().to_string();
            assert!(message.contains(word), "{bad:?} gave {message}");
        }
    }
}
