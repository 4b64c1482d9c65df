//! What the owner does by hand with certificates and the account, beside a running server or without one.

use std::path::Path;

use instant_acme::{RevocationReason, RevocationRequest};

use super::{
    Failure, FailureKind, Record, Settings, account,
    keeper::Wanted,
    kept::{self, Kept},
    lasting::Lasting,
    names::{all_names, is_public},
    persist::Standing,
    report::{Report, report_of},
    rollover,
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

/// Whether there is a certificate for a name that could be revoked.
///
/// # Errors
/// If there is one that cannot be read.
pub fn has_certificate(data: &Path, name: &str) -> Result<bool> {
    kept::read_chain(data, name).map(|chain| chain.is_some())
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
    let revoked = account::despite_nonces(async || Ok(account.revoke(&request).await?)).await;
    revoked.map_err(in_words)?;
    kept::remove(data, name)?;
    kept::ask_to_renew(data, name)
}

/// Gives the account at the authority a new key (RFC 8555 section 7.3.5).
///
/// # Errors
/// [`Error::Invalid`] with the authority's words.
pub async fn change_account_key(data: &Path, settings: &Settings) -> Result<()> {
    let (account, wire) = account::connect(data, settings).await.map_err(in_words)?;
    let changed = rollover::change_key(data, settings, &account, &wire).await;
    changed.map_err(in_words)
}

/// The record in the DNS that proves a name and stays there (`dns-persist-01`).
#[derive(Clone, Debug)]
pub struct NameRecord {
    /// The name.
    pub name: String,
    /// The record as its owner makes it.
    pub record: Record,
    /// Whether it is there, and good for now.
    pub is_right: bool,
    /// How it stands, in words.
    pub says: String,
}

/// Looks for the records of all these names. Opens the account if there is none yet, because they name it; orders
/// nothing.
///
/// # Errors
/// [`Error::Invalid`] with the authority's words, or because it does not say how it calls itself.
pub async fn name_records(data: &Path, site: &Wanted) -> Result<Vec<NameRecord>> {
    let settings = &site.settings;
    let (account, wire) = account::connect(data, settings).await.map_err(in_words)?;
    let lasting = Lasting::new(&account, &wire, account::known(data, settings)?, site);
    let mut records: Vec<NameRecord> = Vec::new();
    for name in all_names(site) {
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        if is_address || !is_public(&name, settings) {
            continue;
        }
        let (record, standing, says) = match lasting.look(&name, None).await {
            Ok(Some(seen)) => (seen.wanted.record.clone(), Some(seen.standing.clone()), seen.in_words()),
            Ok(None) => return Err(Error::Invalid(
                "this authority does not say beforehand how it calls itself, so the record is not known yet; set \
                 challenge = \"dns-persist-01\", and once it was asked, `webstead certificate list` has the record"
                    .into(),
            )),
            Err(failure) => match lasting.record(&name) {
                Some(record) => (record, None, failure.text),
                None => return Err(in_words(failure)),
            },
        };
        records.push(NameRecord {
            name,
            record,
            is_right: matches!(standing, Some(Standing::Right(_))),
            says,
        });
    }
    Ok(records)
}

/// What happened, and what to do: nobody tries again by itself what was asked for by hand.
fn in_words(failure: Failure) -> Error {
    Error::Invalid(match failure.kind {
        FailureKind::Unreachable if failure.is_of_trouble() => {
            format!("{}; do it once more later", failure.text)
        }
        FailureKind::Unreachable => format!(
            "the authority did not do it: {}; look whether this machine reaches the internet, and whether authority in \
             [certificate] is the address of its directory, and do it once more",
            failure.text
        ),
        _ => failure.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_with_trouble_of_its_own_is_not_laid_to_this_machines_internet() {
        for (failure, is_here) in [
            (Failure::unreachable("there was no answer in time"), true),
            (Failure::of_trouble("it answered 503"), false),
        ] {
            let words = in_words(failure).to_string();
            assert_eq!(words.contains("reaches the internet"), is_here, "{words}");
            assert!(words.contains("once more"), "{words}");
        }
    }
}
