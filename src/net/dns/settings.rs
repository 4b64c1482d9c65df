//! `[dns]` of `webstead.toml`: where the owner may change names, and which of them follow this machine.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use domain::tsig::Algorithm;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{follow::Source, keys::Keys};
use crate::net::names::{DomainName, is_in};

/// Section `[dns]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
pub struct Settings {
    /// Where names are changed; nowhere if it is `None`.
    pub provider: Option<Provider>,
    /// Which names follow the addresses of this machine.
    pub follow: Follow,
    /// How its addresses are found, best first.
    pub addresses_from: Vec<Source>,
    /// DNS servers that are asked what a name has, instead of those of its zone.
    pub check_at: Vec<SocketAddr>,
    /// A file in PEM with whom to believe that the interface, or who tells the address, is who it says, beside whom
    /// this machine trusts.
    pub api_roots: Option<PathBuf>,
}

/// Where names are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A DNS server that takes changes (RFC 2136), signed with a shared secret (RFC 8945).
    Rfc2136(Server),
    /// The interface of a provider.
    Web(Web),
}

/// A DNS server that takes changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    /// The zone that is changed, such as `example.org`.
    pub zone: DomainName,
    /// The name of the secret there.
    pub key: DomainName,
    /// How it signs.
    pub algorithm: Signature,
}

/// The interface of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Whose it is.
    pub kind: WebKind,
    /// The zone that is changed; `None` where there is none, with dyndns2.
    pub zone: Option<DomainName>,
    /// Where it is, if that is not the usual place.
    pub api: Option<ApiAddress>,
    /// The name of the account, with dyndns2.
    pub user: String,
}

/// Whose interface it is, or which language it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum WebKind {
    Cloudflare,
    Desec,
    DuckDns,
    Gandi,
    Hetzner,
    Ovh,
    DynDns2,
}

/// `follow`: which names follow the addresses of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// `false`: none.
    #[default]
    Nothing,
    /// `true`: the names of the site and its hosts that are in the zone.
    All,
    /// A list.
    Names(Vec<DomainName>),
}

impl Settings {
    /// Whether texts can be shown in the DNS, as a proof for an authority.
    pub fn has_texts(&self) -> bool {
        let is_dyndns2 = |provider: &Provider| matches!(provider, Provider::Web(web) if web.kind == WebKind::DynDns2);
        self.provider
            .as_ref()
            .is_some_and(|provider| !is_dyndns2(provider))
    }

    /// Whether there is room for a text that stays. `DuckDNS` has one for each domain, which proofs that come and go
    /// need.
    pub fn has_lasting_texts(&self) -> bool {
        let is_duckdns = |provider: &Provider| matches!(provider, Provider::Web(web) if web.kind == WebKind::DuckDns);
        self.has_texts() && !self.provider.as_ref().is_some_and(is_duckdns)
    }

    /// Whether the provider says itself what a name has. Others are compared with the DNS.
    pub(super) fn can_be_asked(&self) -> bool {
        match &self.provider {
            Some(Provider::Web(web)) => !matches!(web.kind, WebKind::DynDns2 | WebKind::DuckDns),
            _ => true,
        }
    }

    /// The provider as it is written: `cloudflare`.
    pub fn provider_name(&self) -> Option<&'static str> {
        Some(match self.provider.as_ref()? {
            Provider::Rfc2136(_) => "rfc2136",
            Provider::Web(web) => match web.kind {
                WebKind::Cloudflare => "cloudflare",
                WebKind::Desec => "desec",
                WebKind::DuckDns => "duckdns",
                WebKind::Gandi => "gandi",
                WebKind::Hetzner => "hetzner",
                WebKind::Ovh => "ovh",
                WebKind::DynDns2 => "dyndns2",
            },
        })
    }

    /// The zone that is changed, if there is only one.
    pub fn zone(&self) -> Option<&str> {
        let zone = self.provider.as_ref().and_then(Provider::zone);
        zone.map(DomainName::as_str)
    }

    /// [`Settings::api_roots`] as it is found from everywhere.
    pub(super) fn roots(&self, data: &Path) -> Option<PathBuf> {
        self.api_roots.as_ref().map(|file| data.join(file))
    }

    /// What the secret consists of, in this order, with spaces between.
    pub fn parts_of_secret(&self) -> &'static [&'static str] {
        match &self.provider {
            Some(Provider::Rfc2136(_)) => &["key in base64"],
            Some(Provider::Web(web)) => match web.kind {
                WebKind::Ovh => &["application key", "application secret", "consumer key"],
                WebKind::DynDns2 => &["password"],
                WebKind::Cloudflare | WebKind::Hetzner => &["API token"],
                WebKind::Gandi => &["personal access token"],
                WebKind::Desec | WebKind::DuckDns => &["token"],
            },
            None => &["secret"],
        }
    }

    /// Whether texts of a name can be changed, or of `*.` before one: it is in the zone, if there is only one.
    pub fn has_texts_for(&self, name: &str) -> bool {
        let zone = self.provider.as_ref().and_then(Provider::zone);
        self.has_texts() && zone.is_none_or(|zone| is_in(name, zone.as_str()))
    }

    /// That none of these names is in the zone where names are changed, in a sentence with the remedy. Of no names
    /// there is nothing to say.
    pub fn zone_problem<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<String> {
        let zone = self.provider.as_ref()?.zone()?.as_str();
        let first = names.next()?;
        if is_in(first, zone) || names.any(|name| is_in(name, zone)) {
            return None;
        }
        Some(format!(
            "zone = \"{zone}\" in [dns]: none of the site's names is in it ({first} is not), so nothing can be \
             changed there for them; write the zone that has them, as the DNS provider shows it"
        ))
    }

    /// The names of `all` that follow.
    pub fn followed(&self, all: &[String]) -> Vec<String> {
        let Some(provider) = &self.provider else {
            return Vec::new();
        };
        match &self.follow {
            Follow::Nothing => Vec::new(),
            Follow::Names(names) => names.iter().map(|name| name.as_str().to_owned()).collect(),
            Follow::All => {
                let zone = provider.zone();
                let follows = |name: &&String| match zone {
                    Some(zone) => is_in(name, zone.as_str()),
                    None => is_of_the_internet(name),
                };
                all.iter().filter(follows).cloned().collect()
            }
        }
    }
}

impl Provider {
    /// The zone that is changed, if there is only one.
    pub fn zone(&self) -> Option<&DomainName> {
        match self {
            Self::Rfc2136(server) => Some(&server.zone),
            Self::Web(web) => web.zone.as_ref(),
        }
    }
}

/// Whether a name is not only of this network, as far as one can see (RFC 6761, RFC 6762).
fn is_of_the_internet(name: &str) -> bool {
    let ends = ["local", "localhost", "internal", "home.arpa"];
    name.contains('.')
        && name.parse::<IpAddr>().is_err()
        && !ends.iter().any(|end| is_in(name, end))
}

/// `true`, `false` or a list.
impl<'de> Deserialize<'de> for Follow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Follow;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or a list of names")
            }

            fn visit_bool<E>(self, is_on: bool) -> Result<Follow, E> {
                Ok(if is_on { Follow::All } else { Follow::Nothing })
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Follow, A::Error> {
                let mut names: Vec<DomainName> = Vec::new();
                while let Some(name) = list.next_element()? {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                Ok(if names.is_empty() {
                    Follow::Nothing
                } else {
                    Follow::Names(names)
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Where an interface is: `https://api.example.org/v1`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ApiAddress(String);

impl ApiAddress {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ApiAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Url::parse(&text) {
            Ok(url)
                if url.scheme() == "https"
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.query().is_none()
                    && url.fragment().is_none() =>
            {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(format!(
                "api = {text:?} is not where an interface is; write it such as \"https://api.example.org/v1\""
            )),
        }
    }
}

/// How a change is signed (RFC 8945 section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
