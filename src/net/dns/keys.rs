//! The keys of `[dns]` as they are written, and what is wrong with them.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

use super::{
    follow::Source,
    settings::{ApiAddress, Follow, Provider, Server, Settings, Signature, Web, WebKind},
};
use crate::{
    base::paths,
    net::names::{DomainName, is_in},
};

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keys {
    provider: Option<ProviderName>,
    zone: Option<DomainName>,
    server: Option<ServerAddress>,
    key: Option<DomainName>,
    algorithm: Option<Signature>,
    user: Option<String>,
    api: Option<ApiAddress>,
    #[serde(deserialize_with = "paths::written_or_none")]
    api_roots: Option<PathBuf>,
    follow: Follow,
    addresses_from: Option<Vec<Source>>,
    check_at: Vec<ServerAddress>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProviderName {
    Rfc2136,
    Cloudflare,
    Desec,
    Duckdns,
    Gandi,
    Hetzner,
    Ovh,
    Dyndns2,
}

impl ProviderName {
    fn kind(self) -> Option<WebKind> {
        Some(match self {
            Self::Rfc2136 => return None,
            Self::Cloudflare => WebKind::Cloudflare,
            Self::Desec => WebKind::Desec,
            Self::Duckdns => WebKind::DuckDns,
            Self::Gandi => WebKind::Gandi,
            Self::Hetzner => WebKind::Hetzner,
            Self::Ovh => WebKind::Ovh,
            Self::Dyndns2 => WebKind::DynDns2,
        })
    }
}

impl Keys {
    /// Whether none is written that is about a provider.
    fn is_nothing(&self) -> bool {
        self.zone.is_none()
            && self.server.is_none()
            && self.key.is_none()
            && self.algorithm.is_none()
            && self.addresses_from.is_none()
            && self.user.is_none()
            && self.api.is_none()
            && self.api_roots.is_none()
            && self.follow == Follow::Nothing
    }
}

/// Where names of `DuckDNS` are.
const DUCKDNS_ZONE: &str = "duckdns.org";

impl TryFrom<Keys> for Settings {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Some(named) = keys.provider else {
            return if keys.is_nothing() {
                Ok(Self {
                    check_at: keys.check_at.into_iter().map(|server| server.0).collect(),
                    ..Self::default()
                })
            } else {
                Err("[dns] needs a provider, such as provider = \"cloudflare\"".into())
            };
        };
        let shown = format!("{named:?}").to_lowercase();
        let needs = |key: &str| format!("provider = \"{shown}\" needs the key {key}");
        let strange = [
            (
                "zone",
                keys.zone.is_some(),
                !matches!(named, ProviderName::Dyndns2),
            ),
            ("server", keys.server.is_some(), named.kind().is_none()),
            ("key", keys.key.is_some(), named.kind().is_none()),
            (
                "algorithm",
                keys.algorithm.is_some(),
                named.kind().is_none(),
            ),
            (
                "user",
                keys.user.is_some(),
                matches!(named, ProviderName::Dyndns2),
            ),
            ("api", keys.api.is_some(), named.kind().is_some()),
        ];
        if let Some((key, ..)) = strange
            .iter()
            .find(|(_, is_set, is_known)| *is_set && !is_known)
        {
            return Err(format!("provider = \"{shown}\" has no key {key}"));
        }
        let provider = match named.kind() {
            None => Provider::Rfc2136(Server {
                address: keys.server.ok_or_else(|| needs("server"))?.0,
                zone: keys.zone.ok_or_else(|| needs("zone"))?,
                key: keys.key.ok_or_else(|| needs("key"))?,
                algorithm: keys.algorithm.unwrap_or_default(),
            }),
            Some(kind) => {
                let zone = match kind {
                    WebKind::DynDns2 => None,
                    WebKind::DuckDns if keys.zone.is_none() => {
                        Some(DomainName::try_from(DUCKDNS_ZONE.to_owned())?)
                    }
                    _ => Some(keys.zone.ok_or_else(|| needs("zone"))?),
                };
                let user = match kind {
                    WebKind::DynDns2 => keys.user.ok_or_else(|| needs("user"))?,
                    _ => String::new(),
                };
                if user.contains(':') || user.chars().any(char::is_control) {
                    return Err(format!(
                        "user = {user:?} is no name of an account (RFC 7617)"
                    ));
                }
                if kind == WebKind::DynDns2 && keys.api.is_none() {
                    return Err(needs(
                        "api, such as \"https://members.dyndns.org/nic/update\"",
                    ));
                }
                Provider::Web(Web {
                    kind,
                    zone,
                    api: keys.api,
                    user,
                })
            }
        };
        if let (Follow::Names(names), Some(zone)) = (&keys.follow, provider.zone())
            && let Some(other) = names
                .iter()
                .find(|name| !is_in(name.as_str(), zone.as_str()))
        {
            let (other, zone) = (other.as_str(), zone.as_str());
            return Err(format!("follow: {other} is not in the zone {zone}"));
        }
        let addresses_from = keys.addresses_from.unwrap_or_else(Source::usual);
        if addresses_from.is_empty() && keys.follow != Follow::Nothing {
            return Err("addresses_from is empty, so no address can be found".into());
        }
        Ok(Self {
            provider: Some(provider),
            follow: keys.follow,
            addresses_from,
            check_at: keys.check_at.into_iter().map(|server| server.0).collect(),
            api_roots: keys.api_roots,
        })
    }
}

/// An address with a port: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct ServerAddress(SocketAddr);

impl TryFrom<String> for ServerAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        let address = bare.or_else(|_| text.parse::<SocketAddr>());
        address.map(Self).map_err(|_| {
            format!(
                "{text:?} is no address of a server; write one such as \"192.0.2.1\" or \"192.0.2.1:5353\""
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::net::dns::settings::{Provider, Settings};

    #[test]
    fn a_server_is_read_and_mistakes_are_named() {
        let good = "provider = \"rfc2136\"\nserver = \"192.0.2.1\"\nzone = \"Example.org\"\nkey = \"home\"";
        let settings: Settings = toml::from_str(good).unwrap();
        let Some(Provider::Rfc2136(server)) = settings.provider else {
            panic!("it is one");
        };
        assert_eq!(server.address.to_string(), "192.0.2.1:53");
        assert_eq!(server.zone.as_str(), "example.org");
        let web = "provider = \"cloudflare\"\nzone = \"example.org\"";
        assert!(toml::from_str::<Settings>(web).unwrap().has_texts());
        let user = "provider = \"dyndns2\"\nuser = \"ada\"\napi = \"https://a.example/nic/update\"";
        assert!(!toml::from_str::<Settings>(user).unwrap().has_texts());
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
        // Where names are only looked at.
        let asked: Settings = toml::from_str("check_at = [\"192.0.2.1\"]").unwrap();
        assert!(asked.provider.is_none() && asked.check_at.len() == 1);
        for (bad, word) in [
            ("provider = \"godaddy\"", "rfc2136"),
            ("server = \"192.0.2.1\"", "provider"),
            ("follow = true", "provider"),
            ("algorithm = \"hmac-sha256\"", "provider"),
            ("addresses_from = [\"interfaces\"]", "provider"),
            ("provider = \"rfc2136\"", "server"),
            ("provider = \"ovh\"", "zone"),
            ("provider = \"dyndns2\"\nuser = \"a\"", "members.dyndns.org"),
            (
                "provider = \"dyndns2\"\napi = \"https://a.example\"",
                "user",
            ),
            (&user.replace("ada", "a:b"), "RFC 7617"),
            (&user.replace("https", "http"), "not where an interface is"),
            (&format!("{user}\nzone = \"a.b\""), "has no key zone"),
            (&format!("{web}\nuser = \"a\""), "has no key user"),
            (
                &format!("{web}\nserver = \"192.0.2.1\""),
                "has no key server",
            ),
            (
                &format!("{web}\napi = \"https://a:b@c.example\""),
                "not where",
            ),
            (
                &format!("{web}\nfollow = [\"example.com\"]"),
                "not in the zone",
            ),
            (&format!("{web}\nfollow = [\"a b\"]"), "DNS"),
            (
                &format!("{web}\napi_roots = \"~/ca.pem\""),
                "/home/ada/ca.pem",
            ),
            (&format!("{web}\nfollow = 3"), "list of names"),
            (
                &format!("{web}\nfollow = true\naddresses_from = []"),
                "addresses_from",
            ),
            (
                &format!("{web}\naddresses_from = [\"the moon\"]"),
                "interfaces",
            ),
            (&format!("{web}\ncheck_at = [\"ns.example\"]"), "no address"),
            (&good.replace("192.0.2.1", "ns.example"), "no address"),
            (&good.replace("\"home\"", "\"a b\""), "DNS"),
            (&format!("{good}\nalgorithm = \"hmac-md5\""), "hmac-sha256"),
            (&format!("{good}\nsecret = \"x\""), "secret"),
        ] {
            let message = toml::from_str::<Settings>(bad).unwrap_err().to_string();
            assert!(message.contains(word), "{bad:?} gave {message}");
        }
    }

    #[test]
    fn a_zone_that_has_none_of_the_names_is_told() {
        let web = "provider = \"gandi\"\nzone = \"example.org\"";
        let user = "provider = \"dyndns2\"\nuser = \"ada\"\napi = \"https://a.example\"";
        for (text, names, is_told) in [
            (web, &["www.example.org"][..], false),
            (web, &["a.example", "*.example.org"], false),
            (web, &[], false),
            (web, &["example.com", "notexample.org"], true),
            (user, &["example.com"], false),
            ("", &["example.com"], false),
        ] {
            let settings: Settings = toml::from_str(text).unwrap();
            let said = settings.zone_problem(names.iter().copied());
            assert_eq!(said.is_some(), is_told, "{text} {names:?}: {said:?}");
            assert!(
                said.is_none_or(|said| said.contains("example.org") && said.contains(names[0]))
            );
        }
    }

    #[test]
    fn names_in_the_zone_follow() {
        let all = [
            "example.org",
            "www.example.org",
            "notexample.org",
            "pi.local",
        ]
        .map(String::from);
        let follows = |text: &str| toml::from_str::<Settings>(text).unwrap().followed(&all);
        let web = "provider = \"gandi\"\nzone = \"example.org\"";
        assert!(follows(web).is_empty());
        assert_eq!(follows(&format!("{web}\nfollow = true")), all[..2]);
        assert_eq!(
            follows(&format!("{web}\nfollow = [\"A.example.org\"]")),
            ["a.example.org"]
        );
        let user =
            "provider = \"dyndns2\"\nuser = \"ada\"\napi = \"https://a.example\"\nfollow = true";
        assert_eq!(follows(user), all[..3]);
    }
}
