//! What an authority asks this server to show, to prove that a name leads here (RFC 8555 section 8).

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, SanType};
use rustls::{
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};

use super::tls;
use crate::base::{Error, Result};

/// The protocol by which an authority asks (RFC 8737 section 6.2).
pub const ACME_TLS: &[u8] = b"acme-tls/1";
/// Where it asks over plain HTTP (RFC 8555 section 8.3).
pub(super) const PREFIX: &str = "/.well-known/acme-challenge/";

/// The answers that are to be shown now; one for all threads.
#[derive(Debug, Default)]
pub struct Challenges {
    texts: RwLock<HashMap<String, String>>,
    certificates: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

/// An answer that is shown until this is dropped.
pub struct Presented {
    challenges: Arc<Challenges>,
    what: What,
}

enum What {
    Text(String),
    Certificate(String),
}

impl Challenges {
    /// The answer for this path of a request over plain HTTP, if there is one.
    pub fn text(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PREFIX)?;
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        texts.get(token).cloned()
    }

    /// The certificate for this server name of a handshake, if there is one.
    pub(super) fn certificate(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        let certificates = self.certificates.read();
        let certificates = certificates.unwrap_or_else(PoisonError::into_inner);
        certificates.get(server_name).cloned()
    }

    /// Answers `text` to who asks for `token` (http-01).
    pub fn present_text(self: &Arc<Self>, token: &str, text: &str) -> Presented {
        insert(&self.texts, token.to_owned(), text.to_owned());
        self.presented(What::Text(token.to_owned()))
    }

    /// Shows a certificate with the SHA-256 of the key authorization (tls-alpn-01, RFC 8737 section 3).
    ///
    /// # Errors
    /// If the name is none that a certificate can have.
    pub fn present_certificate(self: &Arc<Self>, name: &str, digest: &[u8]) -> Result<Presented> {
        let address = name.parse::<IpAddr>().ok();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![match address {
            Some(address) => SanType::IpAddress(address),
            None => SanType::DnsName(name.to_owned().try_into().map_err(Error::internal)?),
        }];
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate().map_err(Error::internal)?;
        let certificate = params.self_signed(&key).map_err(Error::internal)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // Not checked against the certificate, whose extension only authorities know.
        let key = tls::provider().key_provider.load_private_key(key);
        let key = key.map_err(Error::internal)?;
        let shown = CertifiedKey::new(vec![certificate.der().clone()], key);
        let asked = address.map_or_else(|| name.to_owned(), reverse_name);
        insert(&self.certificates, asked.clone(), Arc::new(shown));
        Ok(self.presented(What::Certificate(asked)))
    }

    fn presented(self: &Arc<Self>, what: What) -> Presented {
        Presented {
            challenges: Arc::clone(self),
            what,
        }
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        match &self.what {
            What::Text(token) => remove(&self.challenges.texts, token),
            What::Certificate(name) => remove(&self.challenges.certificates, name),
        }
    }
}

fn insert<K: Eq + Hash, V>(map: &RwLock<HashMap<K, V>>, key: K, value: V) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    map.insert(key, value);
}

fn remove<V>(map: &RwLock<HashMap<String, V>>, key: &str) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    map.remove(key);
}

/// What an authority asks for in place of an address (RFC 8738 section 6): `7.113.0.203.in-addr.arpa`.
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev();
            let labels = nibbles.map(|byte| format!("{:x}.{:x}.", byte & 0xf, byte >> 4));
            format!("{}ip6.arpa", labels.collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Challenges, reverse_name};

    #[test]
    fn an_answer_is_shown_while_it_is_presented_and_no_longer() {
        let challenges = Arc::new(Challenges::default());
        let path = "/.well-known/acme-challenge/token";
        assert_eq!(challenges.text(path), None);
        let presented = challenges.present_text("token", "token.thumb");
        assert_eq!(challenges.text(path).as_deref(), Some("token.thumb"));
        for other in [
            "/token",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/other",
        ] {
            assert_eq!(challenges.text(other), None, "{other}");
        }
        drop(presented);
        assert_eq!(challenges.text(path), None);

        let presented = challenges
            .present_certificate("a.example", &[1; 32])
            .unwrap();
        assert!(challenges.certificate("a.example").is_some());
        assert!(challenges.certificate("b.example").is_none());
        drop(presented);
        assert!(challenges.certificate("a.example").is_none());
        let presented = challenges
            .present_certificate("203.0.113.7", &[1; 32])
            .unwrap();
        assert!(challenges.certificate("7.113.0.203.in-addr.arpa").is_some());
        drop(presented);
    }

    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        // The example of RFC 3596 section 2.5.
        let address = "4321:0:1:2:3:4:567:89ab".parse().unwrap();
        assert_eq!(
            reverse_name(address),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
        assert_eq!(
            reverse_name("192.0.2.1".parse().unwrap()),
            "1.2.0.192.in-addr.arpa"
        );
    }
}
