//! `[backup.sftp]` in `webstead.toml`, and places on another machine as people write them.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::{Host, Url};

use crate::base::paths;

/// How the address of a place on another machine begins.
pub(in crate::backup) const SCHEME: &str = "sftp://";
/// The port of SSH.
const USUAL_PORT: u16 = 22;
/// Digits of a SHA-256 in base64 without padding.
const DIGEST_CHARS: usize = 43;

/// The machine that has the backups, and who we are there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct SftpSettings {
    /// The key by which it is known.
    pub host_key: Option<HostKey>,
    /// A file with a key of one's own, instead of the one that Webstead makes.
    #[serde(deserialize_with = "paths::written_or_none")]
    pub key_file: Option<PathBuf>,
}

impl SftpSettings {
    /// These, and what they leave open from others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            host_key: self.host_key.or(others.host_key),
            key_file: self.key_file.or(others.key_file),
        }
    }

    /// The file with the key, seen from the data folder.
    #[must_use]
    pub fn key_file_from(&self, data: &Path) -> Option<PathBuf> {
        self.key_file.as_ref().map(|file| data.join(file))
    }
}

/// The key by which a machine is known: `SHA256:` and its digest in base64.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct HostKey(String);

impl HostKey {
    /// As `ssh-keygen -l` shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostKey {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for HostKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // `ssh-keygen -l` shows more in the line.
        let mut words = text.split_whitespace();
        let found = words.find_map(|word| word.strip_prefix("SHA256:"));
        let digest = found.map(|digest| digest.trim_end_matches('='));
        let is_digest = |digest: &&str| {
            let is_of_it = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
            digest.len() == DIGEST_CHARS && digest.bytes().all(is_of_it)
        };
        match digest.filter(is_digest) {
            Some(digest) => Ok(Self(format!("SHA256:{digest}"))),
            None => Err(format!(
                "{text:?} is not the fingerprint of a key; it begins with SHA256: and goes on with 43 letters and \
                 digits, as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows it on that machine"
            )),
        }
    }
}

/// A folder on another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The machine: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our name there.
    pub user: String,
    /// The folder: from the root, or, without a slash at its beginning, from where we are at home there.
    pub(super) folder: String,
    /// As it is shown.
    text: String,
}

impl Place {
    /// The machine as its key is remembered.
    pub fn machine(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// A file of the repository, as the machine knows it.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not a place for backups: {why}; write one such as \"sftp://ada@nas.example/backups/site\", \
                 or with ~ for what is below your own folder there, \"sftp://ada@nas.example/~/site\""
            )
        };
        let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
        if url.password().is_some() {
            return Err(format!(
                "a password does not belong into the address of the backups: {:?} is enough, and `webstead secret set \
                 sftp` keeps the password",
                without_password(&url)
            ));
        }
        if url.scheme() != "sftp" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("there is something in it that an address has not"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => decoded(name)?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err(wrong("it names no machine")),
        };
        let user = decoded(url.username())?;
        if user.is_empty() {
            return Err(wrong("it does not say who we are there"));
        }
        let path = decoded(url.path())?;
        let path = path.trim_end_matches('/');
        let folder = match path.strip_prefix("/~/") {
            Some(below) => below,
            None => path,
        };
        if folder.is_empty() || folder == "/~" {
            return Err(wrong("it names no folder"));
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(USUAL_PORT),
            user,
            folder: folder.to_owned(),
            text: url.as_str().trim_end_matches('/').to_owned(),
        })
    }
}

fn without_password(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_password(None);
    url.into()
}

/// What an address writes with percent signs.
fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| format!("{text:?} is no text"))?;
    if decoded.chars().any(char::is_control) {
        return Err(format!("{text:?} has a character that cannot be seen"));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_place_is_read_as_people_write_it() {
        for (text, host, port, folder) in [
            ("sftp://ada@nas.example/a/b", "nas.example", 22, "/a/b"),
            ("sftp://ada@nas.example:2222/a/", "nas.example", 2222, "/a"),
            ("sftp://ada@192.0.2.1/~/a/b", "192.0.2.1", 22, "a/b"),
            (
                "sftp://ada@[2001:db8::1]:23/a%20b",
                "2001:db8::1",
                23,
                "/a b",
            ),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!((&*place.host, place.port), (host, port), "{text}");
            assert_eq!((&*place.folder, &*place.user), (folder, "ada"), "{text}");
            assert_eq!(place.to_string(), text.trim_end_matches('/'));
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for (text, word) in [
            ("sftp://nas.example/a", "who we are"),
            ("sftp://ada@/a", "host"),
            ("sftp://ada@nas.example", "no folder"),
            ("sftp://ada@nas.example/", "no folder"),
            ("sftp://ada@nas.example/~/", "no folder"),
            ("sftp://ada:secret@nas.example/a", "webstead secret set"),
            ("sftp://ada@nas.example:99999/a", "port"),
            ("sftp://ada@nas.example/a%00b", "cannot be seen"),
            ("sftp://ada@nas.example/a?b", "has not"),
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains(":secret@"), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_is_taken_from_the_line_that_has_it() {
        let digest = "Ab+/".repeat(10) + "xyz";
        let key: HostKey = format!("256 SHA256:{digest} root@nas (ED25519)")
            .parse()
            .unwrap();
        assert_eq!(key.as_str(), format!("SHA256:{digest}"));
        let short = format!("SHA256:{}", &digest[1..]);
        for text in ["", "MD5:aa:bb", "SHA256:", &short] {
            let error = text.parse::<HostKey>().unwrap_err();
            assert!(error.contains("ssh-keygen -lf"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_path_of_a_repository_leaves_its_folder(text in "sftp://a@b/[a-z./%0-9~]{0,20}") {
            if let Ok(place) = text.parse::<Place>() {
                let path = place.path("objects/ab");
                prop_assert!(!path.split('/').any(|part| part == ".."), "{}", path);
            }
        }
    }
}
