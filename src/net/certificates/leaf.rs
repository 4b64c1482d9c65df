//! The certificate that the server shows on the local network, signed by the machine's own authority.

use std::path::Path;

use rcgen::KeyPair;
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};

use super::{LocalAuthority, files, life::now_s};
use crate::{
    base::{Error, Result},
    db::hash_of,
    net::names::Name,
};

const FILE: &str = "local.pem";
/// Days that a certificate is valid: browsers refuse more than 398 (CA/Browser Forum Baseline
/// Requirements section 6.3.2, as Apple applies it).
const LIFE_DAYS: i64 = 397;

/// What the certificate in [`FILE`] was made for; its first line, before the PEM blocks.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct MadeFor {
    names: Vec<String>,
    authority: String,
    made_at: u64,
}

/// The certificate for this machine's names; the stored one while it fits, else a new one.
///
/// It fits while the names and the authority are the same and more than a third of its life is left.
///
/// # Errors
/// What [`LocalAuthority::open_or_create`] gives, or that the data folder cannot be written to.
pub fn local_certificate(data_dir: &Path, names: &[Name]) -> Result<CertifiedKey> {
    let authority = LocalAuthority::open_or_create(data_dir)?;
    let path = files::folder(data_dir).join(FILE);
    let wanted = MadeFor {
        names: names
            .iter()
            .map(|name| name.to_str().into_owned())
            .collect(),
        authority: hash_of(authority.certificate()),
        made_at: now_s(),
    };
    if let Some(kept) = files::read_secret(&path)?.and_then(|text| parse(&text, &wanted)) {
        return Ok(kept);
    }
    let key = KeyPair::generate().map_err(Error::internal)?;
    let certificate = authority.sign(names, &key, LIFE_DAYS)?;
    let note = serde_json::to_string(&wanted).map_err(Error::internal)?;
    let text = format!("{note}\n{}{}", certificate.pem(), key.serialize_pem());
    files::write(&path, &text, files::SECRET)?;
    parse(&text, &wanted).ok_or_else(|| Error::Internal("a new certificate cannot be read".into()))
}

/// The stored certificate, if it is whole and was made for what is wanted. A damaged one is made anew.
fn parse(text: &str, wanted: &MadeFor) -> Option<CertifiedKey> {
    let (note, pem) = text.split_once('\n')?;
    let made_for: MadeFor = serde_json::from_str(note).ok()?;
    let is_fresh = wanted.made_at.checked_sub(made_for.made_at)?
        < LIFE_DAYS.unsigned_abs() * 24 * 3600 * 2 / 3;
    if made_for.names != wanted.names || made_for.authority != wanted.authority || !is_fresh {
        return None;
    }
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    let key = any_supported_type(&key).ok()?;
    let certified = CertifiedKey::new(vec![certificate], key);
    certified.keys_match().ok()?;
    Some(certified)
}
