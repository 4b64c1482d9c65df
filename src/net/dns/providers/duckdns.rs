//! `DuckDNS` (<https://www.duckdns.org/spec.jsp>): each domain there has one address of each kind and one text, which
//! all names below it share.

use std::net::{IpAddr, SocketAddr};

use hyper::{Method, StatusCode};

use super::{
    api::{Answer, Api},
    records::Owner,
};
use crate::net::dns::{Addresses, Soon, Zone, failure::Failure, lookup, visible};

/// Where its interface is.
pub(super) const API: &str = "https://www.duckdns.org";
/// A proof for an authority: base64url of a SHA-256 (RFC 8555 section 8.4).
const PROOF_BYTES: usize = 43;

/// A zone there.
pub(super) struct DuckDns {
    pub(super) api: Api,
    pub(super) token: String,
    pub(super) check_at: Vec<SocketAddr>,
}

impl DuckDns {
    /// The domain that a name is of: `home` of `_acme-challenge.home.duckdns.org`.
    fn domain_of<'a>(&self, name: &'a str) -> Result<&'a str, Failure> {
        let owner = Owner::new(name, &self.api.zone)?;
        let domain = owner.relative.rsplit('.').next().unwrap_or_default();
        if domain.is_empty() {
            let zone = &self.api.zone;
            return Err(Failure::setup(format!("{name} is no domain below {zone}")));
        }
        Ok(domain)
    }

    /// Asks for a change of a domain, and reads whether it was made.
    async fn update(&self, domain: &str, more: &str) -> Result<(), Failure> {
        let token = &self.token;
        if !token
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return Err(Failure::setup(
                "the secret for [dns] is no token of DuckDNS; set it again with `webstead secret set dns`",
            ));
        }
        let path = format!("/update?domains={domain}&token={token}{more}&verbose=true");
        let answer = self.api.send(Method::GET, &path, &[], None).await?;
        is_done(&answer).then_some(()).ok_or_else(|| {
            if answer.status == StatusCode::NOT_FOUND {
                return Failure::trouble("there is no DuckDNS where it was asked for");
            }
            // It says no more than KO.
            let zone = &self.api.zone;
            Failure::refused(format!(
                "DuckDNS does not change {domain}.{zone}: the token is wrong, or the domain is not in its account"
            ))
            .untouched()
        })
    }

    /// There is room for one text: somebody else's is not written over.
    async fn add(&self, name: &str, text: &str) -> Result<(), Failure> {
        let domain = self.domain_of(name)?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !text.bytes().all(is_plain) {
            return Err(Failure::setup(
                "DuckDNS gets texts of letters and digits only",
            ));
        }
        if let Ok(texts) = lookup::texts(name, &self.check_at).await {
            let is_proof = |text: &String| text.len() == PROOF_BYTES && text.bytes().all(is_plain);
            let other = texts
                .iter()
                .find(|text| !text.is_empty() && !is_proof(text));
            if other.is_some() {
                return Err(Failure::refused(format!(
                    "DuckDNS has room for one text, and {domain} has one that is not Webstead's; remove it there \
                     if nobody needs it"
                )));
            }
        }
        self.update(domain, &format!("&txt={text}")).await
    }

    async fn remove(&self, name: &str, text: &str) -> Result<(), Failure> {
        self.update(self.domain_of(name)?, &format!("&txt={text}&clear=true"))
            .await
    }

    async fn set(&self, name: &str, wanted: Addresses) -> Result<(), Failure> {
        let more = match (wanted.v4, wanted.v6) {
            (Some(v4), Some(v6)) => format!("&ip={v4}&ipv6={v6}"),
            (Some(v4), None) => format!("&ip={v4}"),
            (None, Some(v6)) => format!("&ipv6={v6}"),
            (None, None) => return Ok(()),
        };
        self.update(self.domain_of(name)?, &more).await
    }

    /// Both addresses go at once; the other one comes back.
    async fn take_away(&self, name: &str, address: IpAddr) -> Result<(), Failure> {
        let has = lookup::addresses(name, &self.check_at).await?;
        if !has.contains(&address) {
            return Ok(());
        }
        let domain = self.domain_of(name)?;
        self.update(domain, "&clear=true").await?;
        let rest: Vec<IpAddr> = has.into_iter().filter(|other| *other != address).collect();
        self.set(name, Addresses::of(&rest)).await
    }
}

/// `OK` in the first line, and nothing else on it.
fn is_done(answer: &Answer) -> bool {
    let first = answer
        .body
        .split(|b| *b == b'\n')
        .next()
        .unwrap_or_default();
    answer.status.is_success() && first.trim_ascii() == b"OK"
}

impl Zone for DuckDns {
    fn add_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.add(name, text))
    }

    fn remove_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        Box::pin(self.remove(name, text))
    }

    fn await_text<'a>(&'a self, name: &'a str, text: &'a str) -> Soon<'a> {
        let asked = (None, &*self.check_at);
        Box::pin(visible::everywhere(&self.api.zone, asked, name, text))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Soon<'a, Vec<IpAddr>> {
        Box::pin(lookup::addresses(name, &self.check_at))
    }

    fn set_addresses<'a>(&'a self, name: &'a str, wanted: Addresses) -> Soon<'a> {
        Box::pin(self.set(name, wanted))
    }

    fn remove_address<'a>(&'a self, name: &'a str, address: IpAddr) -> Soon<'a> {
        Box::pin(self.take_away(name, address))
    }
}
