//! The machine's own certificate authority: it signs the site's certificate until a public one can be had.
//!
//! A person may tell the browser to trust it. So that nothing is risked by that, its name constraints
//! (RFC 5280 section 4.2.1.10) let it speak only for this machine and for private addresses.

use std::{
    path::{Path, PathBuf},
    slice,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use rustls::{
    CertificateError, RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use x509_parser::x509::X509Name;

use super::{
    clock, constraints, files,
    leaf::{self, Leaf},
};
use crate::{
    base::{Error, Result},
    net::names,
};

/// How long the authority is valid: ten years.
const LIFE: Duration = Duration::from_hours(3652 * 24);
/// What is moved away to get a new authority: the rest of the folder belongs to others, such as a public one.
pub(super) const AUTHORITY_FILES: &str = "authority-cert.pem and authority-key.pem";
/// The longest common name (RFC 5280 appendix A.1, `ub-common-name`).
const MAX_COMMON_NAME_CHARS: usize = 64;

/// What its name begins with.
const OURS: &str = "Webstead authority of";

/// A certificate authority with its key, kept in `data_dir/tls`.
pub struct LocalAuthority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl LocalAuthority {
    /// The authority of this data folder; the first time, a new one is made.
    ///
    /// Its files are `tls/authority-cert.pem`, which people may import, and `tls/authority-key.pem`,
    /// which only the owner can read. `data_dir` must exist.
    ///
    /// # Errors
    /// When a file cannot be read or written, is damaged, or does not fit the other one. The message names
    /// the file and says how to get a new authority.
    pub fn open_or_create(data_dir: &Path) -> Result<Self> {
        Self::open_or_create_for(data_dir, &names::host_name())
    }

    /// Whether the authority of this data folder is sound; one that is not there yet is.
    ///
    /// # Errors
    /// As [`Self::open_or_create`].
    pub fn check(data_dir: &Path) -> Result<()> {
        let paths = Paths::of(data_dir);
        match (files::read_secret(&paths.key)?, files::read(&paths.cert)?) {
            (Some(key), Some(cert)) => {
                let authority = paths.load(&key, &cert)?;
                if !is_signed_by_itself(&authority.certificate) {
                    return Err(
                        paths.damaged(&paths.cert, "is not what was signed: it has decayed")
                    );
                }
                Ok(())
            }
            (Some(key), None) => paths.parse_key(&key).map(drop),
            (None, Some(_)) => Err(paths.key_is_missing()),
            (None, None) => Ok(()),
        }
    }

    /// What trusts the authority of this data folder, and nothing else.
    ///
    /// # Errors
    /// When there is no certificate, or it is damaged.
    pub fn roots_of(data_dir: &Path) -> Result<RootCertStore> {
        let paths = Paths::of(data_dir);
        let pem = files::read(&paths.cert)?.unwrap_or_default();
        let mut roots = RootCertStore::empty();
        CertificateDer::from_pem_slice(pem.as_bytes())
            .ok()
            .and_then(|certificate| roots.add(certificate).ok())
            .ok_or_else(|| paths.damaged(&paths.cert, "does not hold a certificate (PEM)"))?;
        Ok(roots)
    }

    /// [`Self::open_or_create`] on a machine with this host name.
    pub(super) fn open_or_create_for(data_dir: &Path, host: &str) -> Result<Self> {
        let paths = Paths::of(data_dir);
        match (files::read_secret(&paths.key)?, files::read(&paths.cert)?) {
            (Some(key), Some(cert)) => paths.load(&key, &cert),
            (None, Some(_)) => Err(paths.key_is_missing()),
            // The key is written first: without a certificate we were interrupted there, and go on from it.
            (Some(key), None) => paths.certify(paths.parse_key(&key)?, host),
            (None, None) => {
                files::create_folder(data_dir)?;
                let key = KeyPair::generate().map_err(Error::internal)?;
                files::write(&paths.key, &key.serialize_pem(), files::SECRET)?;
                paths.certify(key, host)
            }
        }
    }

    /// A certificate of this moment for the names that the authority may speak for; the others are left out.
    ///
    /// # Errors
    /// When no name is left.
    pub fn certificate_for(&self, names: &[ServerName<'_>]) -> Result<CertifiedKey> {
        let permitted: Vec<_> = names
            .iter()
            .map(ServerName::to_owned)
            .filter(|n| self.permits(n))
            .collect();
        Leaf::issue(self, &permitted, clock::now())?.certified_key()
    }

    /// The certificate of the authority in PEM, as a person imports it into a browser.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Whether a certificate for this name would be accepted under the authority's name constraints.
    ///
    /// We ask the verifier itself with a certificate that nobody gets to see: what it says is what counts,
    /// also for an authority that somebody put here, or that was made when the machine had another name.
    pub(super) fn permits(&self, name: &ServerName<'_>) -> bool {
        let at = clock::EARLIEST;
        leaf::sign(self, slice::from_ref(name), at, self.issuer.key())
            .is_ok_and(|certificate| self.verify(certificate.der(), name, at).is_ok())
    }

    /// Whether a client that trusts this authority accepts the certificate for `name` at `at` (since 1970).
    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        at: Duration,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = ring::default_provider()
            .signature_verification_algorithms
            .all;
        let at = UnixTime::since_unix_epoch(at);
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, &[], at, algorithms)?;
        verify_server_name(&parsed, name)
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Whether the authority is still valid at `at` (since 1970).
    fn is_valid_at(&self, at: Duration) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(&self.certificate) else {
            return false;
        };
        let algorithms = ring::default_provider()
            .signature_verification_algorithms
            .all;
        let at = UnixTime::since_unix_epoch(at);
        // The verifier refuses an authority as a site's certificate, but looks at the dates before that.
        !matches!(
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, &[], at, algorithms),
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            ))
        )
    }
}

/// Where the authority's certificate is, in PEM.
pub(super) fn certificate_path(data_dir: &Path) -> PathBuf {
    Paths::of(data_dir).cert
}

/// Where the authority is kept.
struct Paths {
    folder: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Paths {
    fn of(data_dir: &Path) -> Self {
        let folder = files::folder(data_dir);
        Self {
            cert: folder.join("authority-cert.pem"),
            key: folder.join("authority-key.pem"),
            folder,
        }
    }

    fn key_is_missing(&self) -> Error {
        self.damaged(&self.key, "is missing, but the certificate is there")
    }

    fn parse_key(&self, pem: &str) -> Result<KeyPair> {
        KeyPair::from_pem(pem)
            .map_err(|_| self.damaged(&self.key, "does not hold a private key (PKCS #8 in PEM)"))
    }

    /// Makes the certificate of a key and keeps it.
    fn certify(&self, key: KeyPair, host: &str) -> Result<LocalAuthority> {
        let params = params(host, clock::now());
        let certificate = params.self_signed(&key).map_err(Error::internal)?;
        files::write(&self.cert, &certificate.pem(), files::PUBLIC)?;
        self.assemble(key, certificate.der().clone(), certificate.pem())
    }

    fn load(&self, key_pem: &str, cert_pem: &str) -> Result<LocalAuthority> {
        let key = self.parse_key(key_pem)?;
        let certificate = CertificateDer::from_pem_slice(cert_pem.as_bytes())
            .map_err(|_| self.damaged(&self.cert, "does not hold a certificate (PEM)"))?;
        let of_certificate = ParsedCertificate::try_from(&certificate)
            .map_err(|_| self.damaged(&self.cert, "does not hold a certificate that can be read"))?
            .subject_public_key_info();
        if of_certificate.as_ref() != key.subject_public_key_info() {
            return Err(self.damaged(&self.key, "is not the key of the certificate beside it"));
        }
        let authority = self.assemble(key, certificate, cert_pem.to_owned())?;
        if !authority.is_valid_at(clock::now() + leaf::LIFE) {
            log::warn!(
                "the certificate authority in {} ends within {} days; to get a new one, move {AUTHORITY_FILES} away \
                 from {} and restart (browsers that trusted the old one must be told of the new one)",
                self.cert.display(),
                leaf::LIFE.as_secs() / clock::DAY.as_secs(),
                self.folder.display()
            );
        }
        Ok(authority)
    }

    fn assemble(
        &self,
        key: KeyPair,
        certificate: CertificateDer<'static>,
        pem: String,
    ) -> Result<LocalAuthority> {
        let unusable = || self.damaged(&self.cert, "does not hold the certificate of an authority");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).map_err(|_| unusable())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| unusable())?;
        Ok(LocalAuthority {
            issuer,
            roots,
            certificate,
            pem,
        })
    }

    fn damaged(&self, file: &Path, what: &str) -> Error {
        Error::Invalid(format!(
            "{} {what}. Put the file back from a backup; or, to get a new certificate authority, move \
             {AUTHORITY_FILES} away from {} and start again (browsers that trusted the old one must be told of the new one)",
            file.display(),
            self.folder.display()
        ))
    }
}

/// What is written into the authority of a machine with this host name, made at `now` (since 1970).
fn params(host: &str, now: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    let common_name = format!("{OURS} {host}");
    name.push(
        DnType::CommonName,
        common_name
            .chars()
            .take(MAX_COMMON_NAME_CHARS)
            .collect::<String>(),
    );
    params.distinguished_name = name;
    (params.not_before, params.not_after) = clock::validity(now, LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Without this it could sign mail and programs, which name constraints say nothing about.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(constraints::for_host(host));
    params
}

/// Whether the signature of a certificate fits what it says. One that another authority has signed, which somebody may
/// have put here, proves nothing of that by itself.
fn is_signed_by_itself(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, read)) = x509_parser::parse_x509_certificate(certificate) else {
        return false;
    };
    let is_ours = |name: &X509Name<'_>| name.to_string().contains(OURS);
    let is_of_another = read.issuer() != read.subject();
    // Of ours, one of the two names may have decayed.
    if is_of_another && !is_ours(read.issuer()) && !is_ours(read.subject()) {
        return true;
    }
    let key = read.public_key().subject_public_key.data.as_ref();
    let (said, signature) = (
        read.tbs_certificate.as_ref(),
        read.signature_value.data.as_ref(),
    );
    let algorithms = ring::default_provider()
        .signature_verification_algorithms
        .all;
    read.signature_algorithm == read.tbs_certificate.signature
        && algorithms
            .iter()
            .any(|algorithm| algorithm.verify_signature(key, said, signature).is_ok())
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
