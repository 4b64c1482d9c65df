//! The machine's own certificate authority: trusted by nobody until its owner does, and then only for
//! names and addresses of a home.

use std::{net::IpAddr, path::Path};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{files, life};
use crate::{
    base::{Error, Result},
    net::names::{Name, host_name},
};

const CERTIFICATE_FILE: &str = "authority-cert.pem";
const KEY_FILE: &str = "authority-key.pem";
/// Days that the authority is valid: ten years.
const LIFE_DAYS: i64 = 3652;

/// Networks whose addresses never belong to anybody else: loopback, RFC 1918, RFC 3927, RFC 6598.
const NETWORKS_V4: [([u8; 4], u8); 6] = [
    ([127, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([169, 254, 0, 0], 16),
    ([100, 64, 0, 0], 10),
];
/// The same of IPv6: loopback, unique local (RFC 4193), link-local (RFC 4291).
const NETWORKS_V6: [(&str, u8); 3] = [("::1", 128), ("fc00::", 7), ("fe80::", 10)];

/// A certificate authority of this machine's own, kept in `tls/` of the data folder.
pub struct LocalAuthority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl LocalAuthority {
    /// Opens the authority of a data folder; makes it, with its key readable by nobody else, if there
    /// is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if its files are damaged or do not belong together; they are left alone.
    pub fn open_or_create(data_dir: &Path) -> Result<Self> {
        let folder = files::create_folder(data_dir)?;
        let (certificate_path, key_path) = (folder.join(CERTIFICATE_FILE), folder.join(KEY_FILE));
        let key = files::read_secret(&key_path)?;
        let certificate = files::read(&certificate_path)?;
        match (key, certificate) {
            (Some(key), Some(certificate)) => Self::from_pem(&key, &certificate).map_err(|problem| {
                Error::Invalid(format!(
                    "the certificate authority in {} cannot be used: {problem}. To get a new one, move \
                     that folder away and start again; devices that trust the old one must trust the new one",
                    folder.display()
                ))
            }),
            // A key without a certificate is what a pulled plug leaves of a first start: nobody has
            // seen the certificate, so nobody trusts it.
            (_, None) => {
                let key = KeyPair::generate().map_err(Error::internal)?;
                let certificate = params().self_signed(&key).map_err(Error::internal)?;
                files::write(&key_path, &key.serialize_pem(), files::SECRET)?;
                files::write(&certificate_path, &certificate.pem(), files::PUBLIC)?;
                Self::new(key, certificate.der().clone()).map_err(Error::Internal)
            }
            (None, Some(_)) => Err(Error::Invalid(format!(
                "{} is missing, but its certificate is there; restore it from a backup, or move {} away \
                 to get a new authority",
                key_path.display(),
                folder.display()
            ))),
        }
    }

    fn from_pem(key: &str, certificate: &str) -> Result<Self, String> {
        let key = KeyPair::from_pem(key).map_err(|e| format!("{KEY_FILE} is not a key ({e})"))?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|e| format!("{CERTIFICATE_FILE} is not a certificate ({e})"))?;
        Self::new(key, certificate)
    }

    fn new(key: KeyPair, certificate: CertificateDer<'static>) -> Result<Self, String> {
        let public_key = key.subject_public_key_info();
        let belongs = certificate
            .windows(public_key.len())
            .any(|part| part == public_key);
        if !belongs {
            return Err(format!("{KEY_FILE} does not belong to {CERTIFICATE_FILE}"));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|e| format!("{CERTIFICATE_FILE} is damaged ({e})"))?;
        Ok(Self {
            certificate,
            issuer,
        })
    }

    /// The authority's certificate, which a device is told to trust.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Signs a certificate for a server of these names. Names that the authority may not sign for
    /// (public addresses) are left out.
    pub(super) fn sign(&self, names: &[Name], key: &KeyPair, days: i64) -> Result<Certificate> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, "Webstead");
        params.subject_alt_names = names.iter().filter_map(alternative_name).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(random_serial()?);
        (params.not_before, params.not_after) = life::validity(days);
        params.signed_by(key, &self.issuer).map_err(Error::internal)
    }
}

fn params() -> CertificateParams {
    let host = host_name();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Webstead authority of {host}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted(&host),
        excluded_subtrees: vec![],
    });
    (params.not_before, params.not_after) = life::validity(LIFE_DAYS);
    params
}

/// What the authority may sign for, so that trusting it risks nothing else (RFC 5280 section 4.2.1.10).
fn permitted(host: &str) -> Vec<GeneralSubtree> {
    let mut subtrees = vec![
        GeneralSubtree::DnsName("localhost".into()),
        GeneralSubtree::DnsName("local".into()),
    ];
    if !host.is_empty() && host.is_ascii() {
        subtrees.push(GeneralSubtree::DnsName(host.to_owned()));
    }
    subtrees.extend(NETWORKS_V4.iter().map(|(network, bits)| {
        GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(*network, *bits))
    }));
    subtrees.extend(NETWORKS_V6.iter().filter_map(|(network, bits)| {
        Some(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
            network.parse().ok()?,
            *bits,
        )))
    }));
    subtrees
}

fn alternative_name(name: &Name) -> Option<SanType> {
    match name {
        Name::DnsName(name) => Some(SanType::DnsName(name.as_ref().to_owned().try_into().ok()?)),
        Name::IpAddress(ip) => {
            let ip = IpAddr::from(*ip);
            is_permitted(ip).then_some(SanType::IpAddress(ip))
        }
        _ => None,
    }
}

fn is_permitted(ip: IpAddr) -> bool {
    let bits_of = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => u128::from(ip),
    };
    let is_in = |network: IpAddr, bits: u8| {
        (bits_of(ip) ^ bits_of(network)) >> (128 - u32::from(bits)) == 0
    };
    match ip {
        IpAddr::V4(_) => NETWORKS_V4
            .iter()
            .any(|(network, bits)| is_in((*network).into(), *bits)),
        IpAddr::V6(_) => NETWORKS_V6
            .iter()
            .any(|(network, bits)| network.parse().is_ok_and(|network| is_in(network, *bits))),
    }
}

fn random_serial() -> Result<SerialNumber> {
    let mut serial = [0u8; 16];
    getrandom::fill(&mut serial).map_err(Error::internal)?;
    serial[0] &= 0x7f; // positive (RFC 5280 section 4.1.2.2)
    Ok(SerialNumber::from_slice(&serial))
}

#[cfg(test)]
mod tests {
    use super::is_permitted;

    #[test]
    fn only_addresses_of_a_home_are_signed_for() {
        for (ip, expected) in [
            ("127.0.0.1", true),
            ("192.168.1.7", true),
            ("172.31.255.1", true),
            ("172.32.0.1", false),
            ("100.127.0.1", true),
            ("8.8.8.8", false),
            ("::1", true),
            ("fd00::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_permitted(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
