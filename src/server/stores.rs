//! The way to places for backups on the network: joins `backup`, which knows what to ask, and `net`, which knows how.

mod bucket;
mod machine;
mod password;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

pub use self::password::bound;
use crate::{
    backup::{
        Network, Settings, State, Target, s3,
        s3::S3Settings,
        sftp::{self, HostKey, Place, Refused, SftpSettings},
    },
    base::{Error, Result, secrets},
    db::DataFolder,
    net::ssh::{Login, Proof, keys},
};

/// The secret half of the key that a store gave out, among the secrets of the machine.
pub const STORE_SECRET: &str = "s3";
/// The password on another machine, if there is one, with the machine that it is for.
pub const PASSWORD_SECRET: &str = "sftp";
/// The secret half of the key with which this machine shows itself to another.
pub const KEY_SECRET: &str = "sftp-key";
/// How often a request is tried that nobody waits for: for half a minute, beside the time for each.
pub const TRIES: u32 = 7;
/// How often one is tried that a person waits for.
pub(super) const FEW_TRIES: u32 = 2;

/// A person who can be asked.
#[derive(Clone, Copy)]
pub struct Person {
    /// For the secret half of the key of a store.
    pub store_secret: fn() -> Result<String>,
    /// For a password: whose.
    pub password: fn(&str) -> Result<String>,
    /// Whether the key that a machine shows is its own: the machine, the key.
    pub is_its_key: fn(&str, &str) -> Result<bool>,
}

/// What is known of the ways to places on the network.
#[derive(Clone)]
pub struct Ways {
    /// `[backup.s3]`.
    pub s3: S3Settings,
    /// `[backup.sftp]`.
    pub sftp: SftpSettings,
    /// The key of another machine that a person has given just now: it is remembered.
    pub given_host_key: Option<HostKey>,
    /// The secret that a person has given just now, for a store or as a password: it is not kept.
    pub given_secret: Option<String>,
    /// The data folder, which need not be there.
    pub data: PathBuf,
    /// How often something is tried.
    pub tries: u32,
    /// Who can be asked.
    pub person: Option<Person>,
    /// Set when what is asked there has to end.
    pub stop: Arc<AtomicBool>,
}

impl Ways {
    /// As the settings have them, for who is not there to be asked.
    pub(super) fn of(settings: &Settings, data: &Path, tries: u32) -> Self {
        Self {
            s3: settings.s3.clone(),
            sftp: settings.sftp.clone(),
            given_host_key: None,
            given_secret: None,
            data: data.to_path_buf(),
            tries,
            person: None,
            stop: Arc::default(),
        }
    }

    /// The same place with a way to it, if it is on the network.
    pub fn to(self, target: Target) -> Target {
        target.reached_by(Arc::new(Found {
            ways: self,
            bucket: Mutex::default(),
            machine: Mutex::default(),
        }))
    }

    /// The key by which a machine is known, if it is.
    fn host_key(&self, place: &Place) -> Option<String> {
        let said = self.given_host_key.as_ref().or(self.sftp.host_key.as_ref());
        let said = said.map(|key| key.as_str().to_owned());
        said.or_else(|| self.remembered_key(place))
    }

    /// The key by which a machine is known since a person said that it is right.
    fn remembered_key(&self, place: &Place) -> Option<String> {
        let mut state = State::load(&self.data);
        state.host_keys.remove(&place.machine())
    }

    /// How we show who we are there, and what to do if that is not enough.
    fn proofs(&self, place: &Place) -> Result<(Vec<Proof>, String)> {
        let line = |key: &keys::PrivateKey, or: &str| {
            let (user, host, line) = (&place.user, &place.host, keys::public_line(key));
            format!(
                "put this line into the file ~/.ssh/authorized_keys of {user} on {host}{or}:\n{line}"
            )
        };
        if let Some(key) = self.key_of_file()? {
            let words = line(&key, "");
            return Ok((vec![Proof::Key(Arc::new(key))], words));
        }
        let password = match &self.given_secret {
            Some(given) => Some(given.clone()),
            // One for another place is not sent to this one.
            None => password::kept_for(&self.data, place)?,
        };
        let own = match secrets::read(&self.data, KEY_SECRET)? {
            None if password.is_none() && self.may_keep_a_key() => Some(own_key(&self.data)?),
            None => None,
            Some(text) => Some(read_own(&text)?),
        };
        let password = match (password, &own, self.person) {
            (None, None, Some(person)) => {
                let whose = format!("{} on {}", place.user, place.host);
                Some((person.password)(&whose)?)
            }
            (password, _, _) => password,
        };
        let words = match (&own, &password) {
            (Some(key), None) => line(
                key,
                ", or let `webstead secret set sftp` keep the password for this machine (one for another is not sent)",
            ),
            (Some(key), Some(_)) => {
                line(key, " (neither it nor the password that is kept was taken)")
            }
            (None, _) => {
                "is the password the right one? (`webstead secret set sftp` keeps another; \
                          --ssh-key takes a key instead)"
                    .to_owned()
            }
        };
        let mut proofs: Vec<Proof> = own
            .map(|key| Proof::Key(Arc::new(key)))
            .into_iter()
            .collect();
        let password = password.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        proofs.extend(password.map(Proof::Password));
        Ok((proofs, words))
    }

    /// Whether there is a data folder that takes a new key.
    fn may_keep_a_key(&self) -> bool {
        self.data.is_dir() && !DataFolder::at(&self.data).is_on_read_only_disk()
    }

    /// The key of a file, if one is set.
    fn key_of_file(&self) -> Result<Option<keys::PrivateKey>> {
        let Some(file) = self.sftp.key_file_from(&self.data) else {
            return Ok(None);
        };
        let text = fs::read_to_string(&file).map_err(|e| Error::io("reading", &file, e))?;
        let key = keys::read_key(&text);
        key.map(Some)
            .map_err(|why| Error::Invalid(format!("{} {why}", file.display())))
    }

    /// What is needed to go to a bucket.
    fn bucket(&self) -> Result<s3::Access> {
        let known = match &self.given_secret {
            Some(given) => Some(given.clone()),
            None => secrets::read(&self.data, STORE_SECRET)?,
        };
        let secret = match (known, self.person) {
            (Some(secret), _) => secret,
            (None, Some(person)) => (person.store_secret)()?,
            (None, None) => {
                return Err(Error::Invalid(
                    "the secret half of the store's key is not set; `webstead secret set s3` asks for it".into(),
                ));
            }
        };
        let roots = self.s3.roots_from(&self.data);
        let access = s3::Access {
            settings: self.s3.clone(),
            secret,
            courier: Arc::new(bucket::Messenger::new(roots.as_deref())?),
            tries: self.tries,
            stop: Arc::clone(&self.stop),
        };
        access.settings.check()?;
        Ok(access)
    }

    /// The key that a machine shows, if it is not known yet. Nothing is sent to it.
    pub(super) fn shown_key(&self, place: &Place) -> Result<Option<String>> {
        if self.host_key(place).is_some() {
            return Ok(None);
        }
        let messenger = self.messenger(place, Vec::new())?;
        Ok(match messenger.greet() {
            Err(Refused::UnknownHost(key)) => Some(key),
            _ => None,
        })
    }

    fn messenger(&self, place: &Place, proofs: Vec<Proof>) -> Result<machine::Messenger> {
        machine::Messenger::new(Login {
            host: place.host.clone(),
            port: place.port,
            user: place.user.clone(),
            host_key: self.host_key(place),
            proofs,
        })
    }

    /// Goes to a machine.
    fn machine(&self, place: &Place) -> Result<sftp::Access> {
        let (proofs, shown) = self.proofs(place)?;
        let messenger = self.messenger(place, proofs)?;
        let met = match self.person {
            Some(person) => self.meet(place, &messenger, person)?,
            None => None,
        };
        Ok(sftp::Access {
            remote: Arc::new(messenger),
            tries: self.tries,
            shown,
            met: met.or_else(|| self.remembered_key(place)),
            stop: Arc::clone(&self.stop),
        })
    }

    /// Lets a person say whether a machine that was never met is the right one. Whatever else is wrong is told by what
    /// is asked of it first. Gives the key that a person let count just now.
    fn meet(
        &self,
        place: &Place,
        messenger: &machine::Messenger,
        person: Person,
    ) -> Result<Option<String>> {
        let machine = place.machine();
        let key = match messenger.greet() {
            Err(Refused::UnknownHost(key)) if (person.is_its_key)(&machine, &key)? => {
                messenger.trust(&key);
                Some(key)
            }
            Ok(()) | Err(Refused::NotLetIn) => {
                let given = self.given_host_key.as_ref();
                given.map(|key| key.as_str().to_owned())
            }
            Err(_) => None,
        };
        if let Some(key) = &key {
            remember(&self.data, &machine, key);
        }
        Ok(key)
    }
}

/// What of the settings of backups cannot work, each with the remedy. Goes nowhere, and writes nothing.
pub fn problems(settings: &Settings, data: &Path) -> Vec<String> {
    let mut problems = settings.problems(data);
    let Some(to) = &settings.to else {
        return problems;
    };
    let ways = Ways::of(settings, data, 1);
    let missing = match to.on_machine() {
        Some(_) if settings.sftp.key_file.is_some() => ways.key_of_file().err(),
        None if to.is_bucket() => ways.bucket().err(),
        _ => None,
    };
    problems.extend(missing.map(|e| format!("[backup]: {e}")));
    problems
}

/// The key with which this machine shows itself; a new one if there is none.
///
/// # Errors
/// [`Error::Invalid`] if what is there is none; [`Error::Io`].
fn own_key(data: &Path) -> Result<keys::PrivateKey> {
    if let Some(text) = secrets::read(data, KEY_SECRET)? {
        return read_own(&text);
    }
    let text = keys::new_key()?;
    secrets::write(data, KEY_SECRET, &text)?;
    read_own(&text)
}

/// The line with which another machine lets this site in.
///
/// # Errors
/// [`Error::Invalid`] if the key that is there is none; [`Error::Io`].
pub fn own_key_line(data: &Path) -> Result<String> {
    Ok(keys::public_line(&own_key(data)?))
}

fn read_own(text: &str) -> Result<keys::PrivateKey> {
    // It is kept without the end of its last line.
    let key = keys::read_key(&format!("{}\n", text.trim()));
    key.map_err(|why| Error::Invalid(format!("the secret {KEY_SECRET} {why}")))
}

/// From now on a machine is known by this key. Without a data folder there is nobody to remember it.
fn remember(data: &Path, machine: &str, key: &str) {
    if !data.is_dir() {
        return;
    }
    let noted = State::update(data, |state| {
        state.host_keys.insert(machine.to_owned(), key.to_owned());
    });
    if let Err(e) = noted {
        log::warn!("the key of {machine} is not remembered: {e}");
    }
}

/// Ways that were found, each once: nobody is asked twice.
struct Found {
    ways: Ways,
    bucket: Mutex<Option<s3::Access>>,
    machine: Mutex<Option<sftp::Access>>,
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network for Found {
    fn to_bucket(&self) -> Result<s3::Access> {
        let mut found = held(&self.bucket);
        if let Some(access) = &*found {
            return Ok(access.clone());
        }
        Ok(found.insert(self.ways.bucket()?).clone())
    }

    fn to_machine(&self, place: &Place) -> Result<sftp::Access> {
        let mut found = held(&self.machine);
        if let Some(access) = &*found {
            return Ok(access.clone());
        }
        let access = self.ways.machine(place)?;
        Ok(found.insert(access).clone())
    }
}
