//! The site's own certificate, signed by the local authority and kept while it is good.

use std::{
    io::ErrorKind,
    path::Path,
    time::{Duration, SystemTime},
};

use data_encoding::HEXLOWER;
use rcgen::{
    Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};

use super::{
    authority::{AUTHORITY_FILES, LocalAuthority},
    clock, constraints, decayed, files,
};
use crate::{
    base::{Error, Result},
    net::{
        acme,
        names::{Name, host_name},
        tls,
    },
};

/// The certificate. It is written after its key: if that is where the plug is pulled, the two do not fit,
/// and both are made anew.
pub(super) const CERT_FILE: &str = "local-cert.pem";
/// Its key.
pub(super) const KEY_FILE: &str = "local-key.pem";
/// How long it is valid. Browsers take no more than 398 days (CA/Browser Forum Baseline Requirements
/// section 6.3.2, as Apple applies it to every authority).
pub(super) const LIFE: Duration = Duration::from_hours(397 * 24);

/// Begins the line that repeats the names. RFC 7468 section 2 allows text before the PEM.
const NAMES: &str = "Names:";
/// Begins the line that repeats the moment it was made, in seconds since 1970.
const MADE: &str = "Made:";
/// Begins the line with a sum of all the rest and of the key. Those of programs before have none.
const SUM: &str = "Sum:";

/// The certificate for these names: the one in `data_dir/tls` while it is good, else a new one, which is
/// kept there.
///
/// Good is what has all these names, is signed by this folder's authority and has more than a third of its
/// life left. Names that the authority may not speak for (public addresses, a name that the machine got
/// later) are left out. [`Renewal`](super::Renewal) asks again when it is time.
///
/// # Errors
/// As [`LocalAuthority::open_or_create`], and when the new certificate cannot be written. A damaged
/// certificate is no error: nobody trusts it by itself, so it is told, kept aside, and made anew.
pub fn local_certificate(data_dir: &Path, names: &[ServerName<'_>]) -> Result<CertifiedKey> {
    let authority = LocalAuthority::open_or_create(data_dir)?;
    local_certificate_at(
        data_dir,
        &authority,
        names,
        (SystemTime::now(), clock::now()),
    )
}

/// [`local_certificate`] at a moment that a test chooses: what the clock says, and what is believed, since 1970.
fn local_certificate_at(
    data_dir: &Path,
    authority: &LocalAuthority,
    names: &[ServerName<'_>],
    (clock, believed): (SystemTime, Duration),
) -> Result<CertifiedKey> {
    let folder = files::folder(data_dir);
    let (cert_path, key_path) = (folder.join(CERT_FILE), folder.join(KEY_FILE));
    let kept = match (files::read(&cert_path)?, files::read_secret(&key_path)?) {
        (Some(cert), Some(key)) if is_whole(&cert, &key) => Leaf::parse(cert, key),
        (Some(_), Some(_)) => {
            decayed::put_aside(&folder);
            None
        }
        _ => None,
    };
    let recorded = kept.as_ref().map_or(&[][..], |leaf| &leaf.names);
    // Asking the authority costs a signature, so we do not ask about what it has signed.
    let permitted: Vec<Name> = names
        .iter()
        .map(ServerName::to_owned)
        .filter(|name| recorded.contains(name) || permits_or_says(authority, name))
        .collect();
    if let Some(leaf) = kept
        && leaf.is_good(authority, &permitted, clock)
        && let Ok(key) = leaf.certified_key()
    {
        return Ok(key);
    }
    // What was recorded may have been signed by another authority, so now all are asked about.
    let permitted: Vec<Name> = permitted
        .into_iter()
        .filter(|name| authority.permits(name))
        .collect();
    let leaf = Leaf::issue(authority, &permitted, believed)?;
    let kept = files::write(&key_path, &leaf.key_pem, files::SECRET)
        .and_then(|()| files::write(&cert_path, &leaf.cert_pem, files::PUBLIC));
    match kept {
        // It is as good as one that is kept, until the program ends.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::ReadOnlyFilesystem => {
            log::warn!("the disk is read-only: the new local certificate is not kept");
        }
        kept => kept?,
    }
    leaf.certified_key()
}

/// Whether the authority may speak for the name; the log says what a person can do if not.
fn permits_or_says(authority: &LocalAuthority, name: &Name) -> bool {
    let permits = authority.permits(name);
    match name {
        _ if permits => {}
        ServerName::DnsName(dns) => match unpermitted(&host_name(), dns.as_ref()) {
            Some(why) => log::warn!("{why}"),
            None => log::debug!(
                "the local certificate will not have the name {}, which is a public one",
                dns.as_ref()
            ),
        },
        _ => log::debug!(
            "the local certificate will not have the address {}, which is a public one",
            name.to_str()
        ),
    }
    permits
}

/// Whether a certificate and its key are what was written.
pub(super) fn is_whole(cert_pem: &str, key_pem: &str) -> bool {
    let is_sum = |line: &&str| line.starts_with(SUM);
    let Some(said) = cert_pem.lines().find(is_sum) else {
        // Of a program before, which has two lines before the certificate.
        let is_former = cert_pem
            .lines()
            .nth(2)
            .is_some_and(|line| line.starts_with("-----BEGIN"));
        let leaf = Leaf::parse(cert_pem.to_owned(), key_pem.to_owned());
        return is_former && leaf.is_some_and(|leaf| leaf.certified_key().is_ok());
    };
    let rest: String = cert_pem
        .split_inclusive('\n')
        .filter(|line| !is_sum(line))
        .collect();
    said[SUM.len()..].trim() == sum_of(&rest, key_pem)
}

fn sum_of(certificate: &str, key: &str) -> String {
    let digest = Sha256::new().chain_update(certificate).chain_update(key);
    HEXLOWER.encode(&digest.finalize())
}

/// What a person can do about a name that the authority may not speak for; `None` if that is as it should be, because
/// it is a public authority's.
fn unpermitted(host: &str, name: &str) -> Option<String> {
    if constraints::would_permit(host, name) {
        return Some(format!(
            "the local certificate will not have the name {name}: the machine's own authority was made when the machine \
             had another name. To get a new one, move {AUTHORITY_FILES} away from the folder tls/, nothing else, and \
             start again; devices that trusted the one before must then be told of the new one (/trust)"
        ));
    }
    let is_public = acme::is_public(name, &acme::Settings::default());
    (!is_public).then(|| {
        format!(
            "the local certificate will not have the name {name}: the machine's own authority speaks for the names of \
             this machine and for those that end with .local alone. Unless an authority of your network or your own \
             files certify it, browsers warn there; a name that ends with .local is certified by itself"
        )
    })
}

/// A certificate for the site, with its key, as it is kept.
pub(super) struct Leaf {
    /// The lines [`NAMES`] and [`MADE`], then the certificate.
    cert_pem: String,
    key_pem: String,
    names: Vec<Name>,
    /// Since 1970.
    made: Duration,
}

impl Leaf {
    /// A new key and a certificate for it that begins a day before `now` (since 1970).
    ///
    /// # Errors
    /// When there are no names.
    pub(super) fn issue(authority: &LocalAuthority, names: &[Name], now: Duration) -> Result<Self> {
        if names.is_empty() {
            return Err(Error::Invalid(
                "the local certificate authority may not speak for any of these names: it signs for \
                 localhost, the machine's own name and private addresses"
                    .to_owned(),
            ));
        }
        let key = KeyPair::generate().map_err(Error::internal)?;
        let certificate = sign(authority, names, now, &key)?;
        let shown: Vec<_> = names.iter().map(Name::to_str).collect();
        let said = format!("{NAMES} {}\n{MADE} {}\n", shown.join(" "), now.as_secs());
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        let sum = sum_of(&format!("{said}{pem}"), &key_pem);
        Ok(Self {
            cert_pem: format!("{said}{SUM} {sum}\n{pem}"),
            key_pem,
            names: names.to_vec(),
            made: now,
        })
    }

    /// What was kept; `None` if it is not as we write it.
    fn parse(cert_pem: String, key_pem: String) -> Option<Self> {
        let line = |label: &str| cert_pem.lines().find_map(|line| line.strip_prefix(label));
        let names = line(NAMES)?
            .split_whitespace()
            .map(|name| Name::try_from(name.to_owned()).ok())
            .collect::<Option<Vec<_>>>()?;
        let made = Duration::from_secs(line(MADE)?.trim().parse().ok()?);
        Some(Self {
            cert_pem,
            key_pem,
            names,
            made,
        })
    }

    /// Whether it has all these names, is signed by this authority and has more than a third of its life left.
    fn is_good(&self, authority: &LocalAuthority, names: &[Name], clock: SystemTime) -> bool {
        let Ok(certificate) = self.certificate() else {
            return false;
        };
        // A clock that was not set must not have a good certificate replaced by one that ended long ago.
        let (now, later) = if clock::is_believable(clock) {
            let now = clock::believable(clock);
            (now, now + LIFE / 3)
        } else {
            (self.made, self.made)
        };
        let is_accepted = |name, at| authority.verify(&certificate, name, at).is_ok();
        !names.is_empty()
            // One name too many harms nobody; one that is missing is an address that does not open.
            && names.iter().all(|name| self.names.contains(name))
            && names
                .iter()
                .all(|name| is_accepted(name, now) && is_accepted(name, later))
    }

    /// As rustls wants it.
    ///
    /// # Errors
    /// When it is damaged, or the key is not the certificate's.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey> {
        let key =
            PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).map_err(Error::internal)?;
        CertifiedKey::from_der(vec![self.certificate()?], key, &tls::provider())
            .map_err(Error::internal)
    }

    fn certificate(&self) -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).map_err(Error::internal)
    }
}

/// Signs a certificate for these names and this key.
pub(super) fn sign(
    authority: &LocalAuthority,
    names: &[ServerName<'_>],
    now: Duration,
    key: &KeyPair,
) -> Result<Certificate> {
    params(names, now)?
        .signed_by(key, authority.issuer())
        .map_err(Error::internal)
}

/// What is written into a certificate for these names that begins a day before `now` (since 1970).
fn params(names: &[ServerName<'_>], now: Duration) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    // For people who look at it; programs read the alternative names (RFC 9525 section 2).
    subject.push(DnType::CommonName, "Webstead");
    params.distinguished_name = subject;
    params.subject_alt_names = names.iter().map(alternative_name).collect::<Result<_>>()?;
    (params.not_before, params.not_after) = clock::validity(now, LIFE);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(random_serial()?);
    Ok(params)
}

fn alternative_name(name: &ServerName<'_>) -> Result<SanType> {
    match name {
        ServerName::DnsName(dns) => Ok(SanType::DnsName(
            dns.as_ref()
                .to_owned()
                .try_into()
                .map_err(Error::internal)?,
        )),
        ServerName::IpAddress(ip) => Ok(SanType::IpAddress((*ip).into())),
        _ => Err(Error::Internal(format!(
            "a certificate cannot have the name {}",
            name.to_str()
        ))),
    }
}

/// Never the same twice: browsers refuse two certificates of one authority with one number.
fn random_serial() -> Result<SerialNumber> {
    let mut serial = [0u8; 16];
    getrandom::fill(&mut serial).map_err(Error::internal)?;
    serial[0] = serial[0] & 0x7f | 0x40; // positive and of full length (RFC 5280 section 4.1.2.2)
    Ok(SerialNumber::from_slice(&serial))
}

#[cfg(test)]
#[path = "leaf_tests.rs"]
mod tests;
