//! A certificate that somebody else signed, with its chain and its key, and what it says of itself.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use super::trust::Trust;
use crate::{
    base::{Error, Result, Timestamp},
    net::tls,
};

/// A certificate with its chain and its key, which fit each other.
#[derive(Debug)]
pub struct Chain {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    issuer: String,
    trust: OnceLock<Trust>,
}

impl Chain {
    /// Reads a certificate with those that lead to its authority, and its key, all in PEM.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong: no certificate, no key, or a key of another certificate.
    pub fn parse(certificates: &str, key: &str) -> Result<Self> {
        let wrong = |what: String| Error::Invalid(what);
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificates.as_bytes())
                .collect::<std::result::Result<_, _>>()
                .map_err(|e| wrong(format!("the certificate is not PEM: {e}")))?;
        let first = chain.first().ok_or_else(|| {
            wrong(
                "there is no certificate in it; it begins with -----BEGIN CERTIFICATE-----".into(),
            )
        })?;
        let said = Said::by(first)?;
        let key = key_in(key)?;
        let key = CertifiedKey::from_der(chain, key, &tls::provider()).map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => {
                wrong("the key is not the one of the certificate".into())
            }
            e => wrong(format!("the certificate and its key cannot be used: {e}")),
        })?;
        Ok(Self {
            key: Arc::new(key),
            names: said.names,
            not_before: said.not_before,
            not_after: said.not_after,
            issuer: said.issuer,
            trust: OnceLock::new(),
        })
    }

    /// Whether browsers know who has signed it, once that was looked at.
    pub fn trust(&self) -> Option<Trust> {
        self.trust.get().copied()
    }

    /// Looks whether browsers know who has signed it, by a list of authorities.
    pub fn note_trust(&self, roots: &RootCertStore) {
        // Dates are judged apart from who signed.
        self.trust
            .get_or_init(|| Trust::of(&self.key.cert, roots, self.not_before));
    }

    /// Whether it may be shown for all of these names at `now`: its names, its dates and, where it comes with
    /// others, who signed it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong.
    pub fn check(&self, names: &[String], now: Timestamp) -> Result<()> {
        let wrong = |what: String| Err(Error::Invalid(what));
        if let Some(missing) = names.iter().find(|name| !self.covers(name)) {
            return wrong(format!(
                "the certificate is for {}, not for {missing}",
                self.names.join(", ")
            ));
        }
        if now < self.not_before {
            let date = self.not_before.rfc3339();
            return wrong(format!(
                "the certificate begins at {date}, and that is not yet"
            ));
        }
        if now >= self.not_after {
            let date = self.not_after.rfc3339();
            return wrong(format!("the certificate ended at {date}"));
        }
        self.check_signatures(now)
    }

    /// Whether each certificate is signed by the next one.
    fn check_signatures(&self, now: Timestamp) -> Result<()> {
        let [leaf, between @ .., last] = &self.key.cert[..] else {
            return Ok(());
        };
        let refused = |e: rustls::Error| {
            Error::Invalid(format!("the certificate does not fit those with it: {e}"))
        };
        let mut roots = RootCertStore::empty();
        roots.add(last.clone()).map_err(refused)?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(refused)?;
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(now.0).unwrap_or_default(),
        ));
        let known = ring::default_provider()
            .signature_verification_algorithms
            .all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, now, known)
            .map_err(refused)
    }

    /// Whether it is for this name in lower case, or for all names like it (RFC 9525 section 6.3).
    pub fn covers(&self, name: &str) -> bool {
        covers(&self.names, name)
    }

    /// What connections are shown.
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The names and addresses that it is for, in lower case; `*.example.org` is every name below.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// From when on it holds.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when it holds.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Who signed it, as it says: `Let's Encrypt E7`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The certificate itself.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }
}

/// The private key in a text in PEM.
///
/// # Errors
/// [`Error::Invalid`] if there is none.
pub(super) fn key_in(text: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        let what = "there is no private key in it; it begins with -----BEGIN PRIVATE KEY-----";
        Error::Invalid(what.into())
    })
}

/// Whether a certificate of these names is for this name in lower case, or for all names like it.
pub(in crate::net) fn covers(names: &[String], name: &str) -> bool {
    let is_address = name.parse::<IpAddr>().is_ok();
    let wildcard = match name.split_once('.') {
        Some((_, rest)) if !is_address => Some(format!("*.{rest}")),
        _ => None,
    };
    names
        .iter()
        .any(|of_mine| of_mine == name || Some(of_mine) == wildcard.as_ref())
}

/// What a certificate says.
pub(in crate::net) struct Said {
    pub(in crate::net) names: Vec<String>,
    pub(in crate::net) not_before: Timestamp,
    pub(in crate::net) not_after: Timestamp,
    pub(in crate::net) issuer: String,
}

impl Said {
    /// # Errors
    /// [`Error::Invalid`] if it is damaged or for no name.
    pub(in crate::net) fn by(certificate: &CertificateDer<'_>) -> Result<Self> {
        let damaged = || Error::Invalid("the certificate is damaged".into());
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| damaged())?;
        let alternative = parsed.subject_alternative_name().map_err(|_| damaged())?;
        let names = alternative.map_or_else(Vec::new, |names| {
            let of_each = names.value.general_names.iter();
            of_each.filter_map(name_of).collect()
        });
        if names.is_empty() {
            let what = "the certificate is for no name; browsers read its alternative names";
            return Err(Error::Invalid(what.into()));
        }
        let of_issuer = |found: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
            found
                .and_then(|value| value.as_str().ok())
                .map(str::to_owned)
        };
        let issuer = parsed.issuer();
        let parts = [
            of_issuer(issuer.iter_organization().next()),
            of_issuer(issuer.iter_common_name().next()),
        ];
        Ok(Self {
            names,
            not_before: Timestamp(parsed.validity().not_before.timestamp()),
            not_after: Timestamp(parsed.validity().not_after.timestamp()),
            issuer: parts.into_iter().flatten().collect::<Vec<_>>().join(" "),
        })
    }
}

/// A name or an address; what else a certificate may have is of no use here.
fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes)
                .ok()
                .map(|b| IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|b| IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
