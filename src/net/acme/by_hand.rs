//! What the owner does by hand with certificates and the account, beside a running server or without one.

use std::path::Path;

use instant_acme::{RevocationReason, RevocationRequest};

use super::{
    Failure, Settings, account,
    kept::{self, Kept},
    report::{Report, report_of},
};
use crate::base::{Error, Result};

/// Why a certificate is revoked (RFC 5280 section 5.3.1), as far as that is the owner's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No reason is given.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// There is another certificate in its place.
    Superseded,
    /// The name is not used any more.
    Cessation,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::Superseded => Self::Superseded,
            Reason::Cessation => Self::CessationOfOperation,
        }
    }
}

/// What is kept in this data folder for each name.
pub fn kept_certificates(data: &Path) -> Vec<Report> {
    let names = kept::names(data).into_iter();
    names
        .map(|name| report_of(&name, &Kept::load(data, &name)))
        .collect()
}

/// Has the authority revoke the certificate for a name, forgets it, and asks for another one.
///
/// # Errors
/// [`Error::NotFound`] if there is none; [`Error::Invalid`] with the authority's words.
pub async fn revoke(data: &Path, settings: &Settings, name: &str, reason: Reason) -> Result<()> {
    let chain = kept::read_chain(data, name)?.ok_or(Error::NotFound)?;
    let (account, _) = account::connect(data, settings).await.map_err(in_words)?;
    let request = RevocationRequest {
        certificate: chain.leaf(),
        reason: Some(reason.into()),
    };
    let revoked = account.revoke(&request).await;
    revoked.map_err(|e| in_words(Failure::from(e)))?;
    kept::remove(data, name)?;
    kept::ask_to_renew(data, name)
}

/// Gives the account at the authority a new key (RFC 8555 section 7.3.5).
///
/// # Errors
/// [`Error::Invalid`] with the authority's words.
pub async fn change_account_key(data: &Path, settings: &Settings) -> Result<()> {
    let (mut account, _) = account::connect(data, settings).await.map_err(in_words)?;
    let changed = account::change_key(data, settings, &mut account).await;
    changed.map_err(in_words)
}

fn in_words(failure: Failure) -> Error {
    Error::Invalid(failure.text)
}
