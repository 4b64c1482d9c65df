//! The certificate of the machine's own authority, as people take it to their computers.

use std::path::Path;

use data_encoding::HEXUPPER;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{authority, files};
use crate::base::{Error, Result};

/// A certificate that everybody may have.
pub struct AuthorityCertificate {
    der: CertificateDer<'static>,
    name: String,
}

impl AuthorityCertificate {
    /// That of this data folder.
    ///
    /// # Errors
    /// If there is none yet, or it is damaged.
    pub fn of(data_dir: &Path) -> Result<Self> {
        let path = authority::certificate_path(data_dir);
        let wrong = || Error::Invalid(format!("{} does not hold a certificate", path.display()));
        let pem = files::read(&path)?.ok_or_else(wrong)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| wrong())?;
        let name = parsed.subject().iter_common_name().next();
        let name = name
            .and_then(|name| name.as_str().ok())
            .unwrap_or("this machine");
        Ok(Self {
            name: name.to_owned(),
            der,
        })
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What it is called: `Webstead authority of pi`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its SHA-256, as browsers show it: pairs of hexadecimal digits.
    pub fn fingerprint(&self) -> Vec<String> {
        let digest = HEXUPPER.encode(&Sha256::digest(&self.der));
        let pairs = digest.as_bytes().chunks(2);
        pairs
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect()
    }
}
