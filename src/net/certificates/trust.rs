//! Whether browsers know who has signed a certificate, as far as this machine can tell.

use std::time::Duration;

use rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};

use crate::{base::Timestamp, net::tls};

/// Whether the list of authorities that this machine has, which is most often that of a browser, knows who has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Known,
    /// It does not: an authority for tests, or one of one's own network.
    Unknown,
    /// The machine has no list.
    Untold,
}

impl Trust {
    /// Of a certificate with those that lead to its authority, at a moment within its life.
    pub(super) fn of(chain: &[CertificateDer<'_>], roots: &RootCertStore, at: Timestamp) -> Self {
        match roots.is_empty() {
            true => Self::Untold,
            false if is_signed_by(chain, roots, at) => Self::Known,
            false => Self::Unknown,
        }
    }
}

/// Whether a certificate leads to one of these authorities by those that come with it.
pub(in crate::net) fn is_signed_by(
    chain: &[CertificateDer<'_>],
    roots: &RootCertStore,
    at: Timestamp,
) -> bool {
    let [leaf, between @ ..] = chain else {
        return false;
    };
    let provider: &CryptoProvider = &tls::provider();
    let known = provider.signature_verification_algorithms.all;
    let seconds = u64::try_from(at.0).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    ParsedCertificate::try_from(leaf).is_ok_and(|leaf| {
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, between, at, known).is_ok()
    })
}
