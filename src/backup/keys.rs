//! Who can read encrypted backups: the key of a repository, and where it is found.
//!
//! The machine has the key among its secrets, so that it can go on with its backups, and try them, by itself. For
//! the day on which the machine is gone, the key lies in the repository too, encrypted with age
//! (<https://age-encryption.org/v1>): to public keys whose other halves need not be on the machine, or with a
//! passphrase.

use std::{
    io::{Read as _, Write as _},
    iter,
    path::{Path, PathBuf},
    str::FromStr,
};

use age::{Decryptor, Encryptor, scrypt, secrecy::ExposeSecret as _, x25519};
use serde::Deserialize;

use super::{seal::Key, store::Store};
use crate::base::{Error, Result, secrets};

/// The key, encrypted to public keys.
const FILE: &str = "key.age";
/// The key, encrypted with a passphrase.
const PASSPHRASE_FILE: &str = "key-passphrase.age";
/// Both: without one of them nobody but this machine can open the backups.
pub(super) const FILES: [&str; 2] = [FILE, PASSPHRASE_FILE];
/// The most bytes of either.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// What the secrets that are keys of repositories begin with.
pub(super) const SECRET_START: &str = "backup-";
/// 2^16 rounds of scrypt take 64 MB of memory: what the smallest board has.
const WORK: u8 = 16;
/// What others may have asked for takes 1 GB, and no more.
const MOST_WORK: u8 = 20;

/// A public key of age: `age1…`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
pub struct Recipient(String);

impl TryFrom<String> for Recipient {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Recipient {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.parse::<x25519::Recipient>() {
            Ok(recipient) => Ok(Self(recipient.to_string())),
            Err(_) if text.starts_with("AGE-SECRET-KEY") => {
                Err("this is a secret key; give the public one, which begins with age1".into())
            }
            Err(e) => Err(format!(
                "this is not a public key of age, which begins with age1 ({e})"
            )),
        }
    }
}

/// How a new repository is encrypted; not at all without both.
#[derive(Clone, Debug, Default)]
pub struct Encryption {
    /// To whom.
    pub to: Vec<Recipient>,
    /// With what.
    pub passphrase: Option<String>,
}

impl Encryption {
    /// Whether it is encrypted.
    pub fn is_wanted(&self) -> bool {
        !self.to.is_empty() || self.passphrase.is_some()
    }

    /// A new key, which those who may have it find in the store.
    pub(super) fn new_key(&self, store: &dyn Store) -> Result<Option<Key>> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let key = Key::new()?;
        let mut recipients = Vec::new();
        for Recipient(text) in &self.to {
            let recipient: x25519::Recipient =
                text.parse().map_err(|e: &str| Error::Internal(e.into()))?;
            recipients.push(recipient);
        }
        if !recipients.is_empty() {
            let dynamic = recipients.iter().map(|one| one as &dyn age::Recipient);
            store.put(FILE, &locked(&key, dynamic)?)?;
        }
        if let Some(passphrase) = &self.passphrase {
            let mut recipient = scrypt::Recipient::new(passphrase.as_str().into());
            recipient.set_work_factor(WORK);
            let dynamic = iter::once(&recipient as &dyn age::Recipient);
            store.put(PASSPHRASE_FILE, &locked(&key, dynamic)?)?;
        }
        Ok(Some(key))
    }
}

fn locked<'a>(key: &Key, to: impl Iterator<Item = &'a dyn age::Recipient>) -> Result<Vec<u8>> {
    let encryptor = Encryptor::with_recipients(to).map_err(Error::internal)?;
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).map_err(Error::internal)?;
    writer
        .write_all(key.text().as_bytes())
        .map_err(Error::internal)?;
    writer.finish().map_err(Error::internal)?;
    Ok(file)
}

fn unlocked(file: &[u8], with: &dyn age::Identity) -> Option<Key> {
    let reader = Decryptor::new(file).ok()?.decrypt(iter::once(with)).ok()?;
    let mut text = String::new();
    reader
        .take(MOST_BYTES as u64)
        .read_to_string(&mut text)
        .ok()?;
    Key::parse(&text).ok()
}

/// Where the key of a repository may be found.
#[derive(Default)]
pub struct Keys<'a> {
    /// Among the secrets of this data folder.
    pub data: Option<&'a Path>,
    /// With the secret key of age in this file.
    pub identity: Option<PathBuf>,
    /// With the passphrase that this asks for.
    pub passphrase: Option<&'a dyn Fn() -> Result<String>>,
}

impl<'a> Keys<'a> {
    /// Only those that the machine has.
    pub fn of_machine(data: &'a Path) -> Self {
        Self {
            data: Some(data),
            ..Self::default()
        }
    }

    /// The key of a repository.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what opens it, if nothing of this does.
    pub(super) fn find(&self, store: &dyn Store, repository: &str) -> Result<Key> {
        if let Some(file) = &self.identity {
            return with_identity(store, file);
        }
        let kept = match self.data {
            Some(data) => secrets::read(data, &secret_name(repository))?,
            None => None,
        };
        if let Some(kept) = kept {
            return Key::parse(&kept);
        }
        let place = store.place();
        let locked = store.get(PASSPHRASE_FILE, MOST_BYTES)?;
        let (Some(locked), Some(ask)) = (&locked, self.passphrase) else {
            return Err(Error::Invalid(format!(
                "the backups in {place} are encrypted, and this machine does not have their key; open them with {}",
                match locked {
                    Some(_) => "their passphrase, which webstead restore asks for",
                    None => "the secret key of age that belongs to them: --key FILE",
                }
            )));
        };
        let mut identity = scrypt::Identity::new(ask()?.into());
        identity.set_max_work_factor(MOST_WORK);
        unlocked(locked, &identity).ok_or_else(|| {
            Error::Invalid(format!(
                "this is not the passphrase of the backups in {place}"
            ))
        })
    }
}

fn with_identity(store: &dyn Store, file: &Path) -> Result<Key> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::io("reading", file, e))?;
    let lines = text.lines().map(str::trim);
    let identities = lines.filter_map(|line| line.parse::<x25519::Identity>().ok());
    let (shown, place) = (file.display(), store.place());
    let locked = store.get(FILE, MOST_BYTES)?;
    let locked = locked.ok_or_else(|| {
        Error::Invalid(format!(
            "the backups in {place} are not encrypted to a key of age"
        ))
    })?;
    let mut found = false;
    for identity in identities {
        found = true;
        if let Some(key) = unlocked(&locked, &identity) {
            return Ok(key);
        }
    }
    Err(Error::Invalid(if found {
        format!("the secret key in {shown} does not open the backups in {place}")
    } else {
        format!(
            "there is no secret key of age in {shown}: a line that begins with AGE-SECRET-KEY-1"
        )
    }))
}

/// What the key of a repository is called among the secrets of a machine.
pub(super) fn secret_name(repository: &str) -> String {
    format!("{SECRET_START}{repository}")
}

/// A new pair of keys, as `age-keygen` writes it.
pub fn new_identity() -> String {
    let identity = x25519::Identity::generate();
    let secret = identity.to_string();
    format!(
        "# public key: {}\n{}\n",
        identity.to_public(),
        secret.expose_secret()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::folder::FolderStore;

    #[test]
    fn a_key_is_found_by_who_may_have_it_and_by_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = FolderStore::new(dir.path());
        let pair = new_identity();
        let public = pair.lines().next().unwrap().rsplit(' ').next().unwrap();
        let encryption = Encryption {
            to: vec![public.parse().unwrap()],
            passphrase: Some("correct horse".into()),
        };
        let key = encryption.new_key(&store).unwrap().unwrap();
        let file = dir.path().join("identity");
        let with_file = |text: &str| {
            std::fs::write(&file, text).unwrap();
            let keys = Keys {
                identity: Some(file.clone()),
                ..Keys::default()
            };
            keys.find(&store, "x")
                .map(|key| key.text())
                .map_err(|e| e.to_string())
        };
        assert_eq!(with_file(&pair).unwrap(), key.text());
        assert!(
            with_file(&new_identity())
                .unwrap_err()
                .contains("does not open")
        );
        assert!(with_file(public).unwrap_err().contains("no secret key"));
        let with_word = |word: &str| {
            let ask = || Ok(word.to_owned());
            let keys = Keys {
                passphrase: Some(&ask),
                ..Keys::default()
            };
            keys.find(&store, "x")
                .map(|key| key.text())
                .map_err(|e| e.to_string())
        };
        assert_eq!(with_word("correct horse").unwrap(), key.text());
        assert!(
            with_word("wrong horse")
                .unwrap_err()
                .contains("not the passphrase")
        );
        let machine = Keys::of_machine(dir.path());
        assert!(
            machine
                .find(&store, "x")
                .err()
                .unwrap()
                .to_string()
                .contains("passphrase")
        );
        secrets::write(dir.path(), &secret_name("0123456789abcdef"), &key.text()).unwrap();
        assert_eq!(
            machine.find(&store, "0123456789abcdef").unwrap().text(),
            key.text()
        );
        let secret = pair.lines().nth(1).unwrap();
        assert!(secret.parse::<Recipient>().unwrap_err().contains("secret"));
        assert!("age1x".parse::<Recipient>().is_err());
    }
}
