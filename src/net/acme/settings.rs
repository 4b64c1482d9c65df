//! `[certificate]` of `webstead.toml`: who is asked for certificates, and for which.

use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Challenge, KeyKind};
use crate::{
    base::{Error, Result as OrError, paths, secrets},
    net::{
        certificates::{OwnFiles, files},
        names::typed,
        web_client::WebClient,
    },
};

/// What the key of an account is called that the authority made beforehand: `webstead secret set external-account`.
pub const SECRET_NAME: &str = "external-account";
/// Where it is set whom to believe; said of a file that cannot be used.
pub(super) const OF_ROOTS: &str = "authority_roots in [certificate] of webstead.toml";

/// Section `[certificate]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether the owner agrees to the authority's terms of service; nobody is asked before (RFC 8555 section
    /// 7.3).
    pub agree_to_terms: bool,
    /// Where the authority tells of incidents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The authority's directory; Let's Encrypt if it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<Authority>,
    /// A file in PEM with whom to believe that the authority is who it says, beside whom this machine trusts.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "paths::written_or_none"
    )]
    pub authority_roots: Option<PathBuf>,
    /// How it is proved that a name leads here; if it is not set, what works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// The kind of certificate, such as `shortlived` (draft-ietf-acme-profiles).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The kind of the new key that each certificate is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyKind>,
    /// A file in PEM with the key that each certificate is for; if it is not set, each has a new one.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "paths::written_or_none"
    )]
    pub key_file: Option<PathBuf>,
    /// More names, such as `*.example.org`, or addresses.
    pub names: Vec<CertificateName>,
    /// Certificates of the owner's own, which something else renews; their names are not asked for.
    pub files: Vec<OwnFiles>,
    /// An account that the authority made beforehand (RFC 8555 section 7.3.4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account: Option<ExternalAccount>,
}

impl Settings {
    /// What is wrong with the files that are named here.
    pub fn problems(&self, data: &Path) -> Vec<String> {
        let roots = self.authority_roots.as_ref();
        let roots = roots.and_then(|file| WebClient::new(Some(&data.join(file))).err());
        let roots = roots.map(|e| format!("{OF_ROOTS}: {e}"));
        let key = self.own_key(data).err().map(|e| e.to_string());
        let external = self.external_account.as_ref();
        let external = external.and_then(|external| external.key_in(data).err());
        let both = (self.key.is_some() && self.key_file.is_some()).then(|| {
            "key and key_file are both set in [certificate]: the key of the file is used, so take key away".to_owned()
        });
        let external = external.map(|e| e.to_string());
        let all = roots.into_iter().chain(key).chain(external);
        all.chain(both).collect()
    }

    /// The owner's own key, if there is a file of one.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Io`] with the file and what is wrong with it.
    pub fn own_key(&self, data: &Path) -> OrError<Option<KeyPair>> {
        let Some(file) = &self.key_file else {
            return Ok(None);
        };
        let file = data.join(file);
        let wrong = |what: &str| {
            Error::Invalid(format!(
                "key_file in [certificate] of webstead.toml: {} {what}",
                file.display()
            ))
        };
        let text = files::read(&file)?.ok_or_else(|| wrong("is not there"))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            wrong("has no private key in it; it begins with -----BEGIN PRIVATE KEY-----")
        })?;
        if !matches!(key, PrivateKeyDer::Pkcs8(_)) {
            return Err(wrong(
                "is of an older kind; openssl pkcs8 -topk8 -nocrypt -in OLD.pem -out NEW.pem makes one that can be \
                 used",
            ));
        }
        let key = KeyPair::try_from(&key);
        key.map(Some).map_err(|_| {
            wrong(
                "has a key that cannot be used; it may be RSA of 2048 bits or more, or ECDSA with P-256 or P-384",
            )
        })
    }
}

/// `external_account = { id = "..." }`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccount {
    /// The key's identifier.
    pub id: String,
    /// The key, in base64url as the authority shows it; if it is not here, it is the secret `external-account`, which no
    /// copy of the settings takes along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl ExternalAccount {
    /// The key, from the settings or the secrets of this data folder.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the remedy if there is none.
    pub(super) fn key_in(&self, data: &Path) -> OrError<String> {
        if let Some(key) = &self.key {
            return Ok(key.clone());
        }
        secrets::read(data, SECRET_NAME)?.ok_or_else(|| {
            Error::Invalid(format!(
                "there is no key for external_account in [certificate]; set it with `webstead secret set {SECRET_NAME}`"
            ))
        })
    }
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalAccount")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An address of mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Contact(String);

impl Contact {
    /// As an authority wants it: `mailto:ada@example.org`.
    pub fn uri(&self) -> String {
        format!("mailto:{}", self.0)
    }
}

impl TryFrom<String> for Contact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.strip_prefix("mailto:").unwrap_or(&text);
        let is_plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b"<>,;?#".contains(&b))
        };
        match address.rsplit_once('@') {
            Some((user, host)) if is_plain(user) && is_plain(host) && host.contains('.') => {
                Ok(Self(address.to_owned()))
            }
            _ => Err(format!(
                "contact = {text:?} is no mail address; write one such as \"ada@example.org\""
            )),
        }
    }
}

impl From<Contact> for String {
    fn from(contact: Contact) -> Self {
        contact.0
    }
}

/// The address of an authority's directory (RFC 8555 section 7.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Authority(String);

impl Authority {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Authority {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Url::parse(&text) {
            Ok(url) if url.scheme() == "https" && url.has_host() => Ok(Self(text)),
            _ => Err(format!(
                "authority = {text:?} is not the address of an authority; write all of its directory, such as \
                 \"https://acme-v02.api.letsencrypt.org/directory\""
            )),
        }
    }
}

impl std::str::FromStr for Authority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl From<Authority> for String {
    fn from(authority: Authority) -> Self {
        authority.0
    }
}

/// A name, an address, or all names below one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateName(String);

impl CertificateName {
    /// In lower case, as certificates have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CertificateName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = text.trim_matches(['[', ']']);
        if let Ok(address) = address.parse::<std::net::IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let (star, name) = match text.strip_prefix("*.") {
            Some(rest) => ("*.", rest),
            None => ("", text.as_str()),
        };
        let name = typed(name)?;
        Ok(Self(format!("{star}{name}")))
    }
}

impl From<CertificateName> for String {
    fn from(name: CertificateName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::{CertificateName, Settings};

    #[test]
    fn settings_are_read_and_mistakes_are_named() {
        let good = "agree_to_terms = true\ncontact = \"ada@example.org\"\n\
                    authority = \"https://ca.example/dir\"\nchallenge = \"tls-alpn-01\"\nprofile = \"shortlived\"\n\
                    key_file = \"own.pem\"\nkey = \"rsa\"\n\
                    files = [{ certificate = \"a.pem\", key = \"b.pem\" }]\n\
                    names = [\"*.Example.org\", \"203.0.113.7\", \"[2001:db8::1]\", \"bücher.example\"]\n\
                    external_account = { id = \"a\", key = \"b\" }";
        let settings: Settings = toml::from_str(good).unwrap();
        let names: Vec<&str> = settings.names.iter().map(CertificateName::as_str).collect();
        assert_eq!(
            names,
            [
                "*.example.org",
                "203.0.113.7",
                "2001:db8::1",
                "xn--bcher-kva.example"
            ]
        );
        assert!(
            !format!("{settings:?}").contains("\"b\""),
            "no secret in a log"
        );
        for (bad, word) in [
            ("contact = \"ada\"", "mail address"),
            ("contact = \"a@b c.de\"", "mail address"),
            ("contact = \"a@b.de,c@d.de\"", "mail address"),
            ("authority = \"letsencrypt\"", "directory"),
            ("authority = \"http://ca.example/\"", "directory"),
            ("challenge = \"mail-01\"", "http-01"),
            ("key = \"dsa\"", "ecdsa"),
            ("names = [\"https://a.b\"]", "an address"),
            ("names = [\"*.*.b\"]", "DNS"),
            ("names = [\"*\"]", "DNS"),
            ("agree = true", "agree_to_terms"),
            ("files = [{ certificate = \"a.pem\" }]", "key"),
            ("authority_roots = \"~/ca.pem\"", "/home/ada/ca.pem"),
            ("key_file = \"~/own.pem\"", "/home/ada/own.pem"),
            (
                "files = [{ certificate = \"~/a.pem\", key = \"b.pem\" }]",
                "/home/ada/a.pem",
            ),
            ("external_account = { key = \"a\" }", "id"),
        ] {
            let message = toml::from_str::<Settings>(bad).unwrap_err().to_string();
            assert!(message.contains(word), "{bad:?} gave {message}");
        }
    }
}
