//! Asks another machine, again where that may help, and says in words what is wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::settings::Place;
use crate::{
    backup::{
        lock,
        remote::rest,
        store::{KEEP_FEWER, no_room, out_of_reach},
    },
    base::{Error, Id, Result, Timestamp},
};

/// The wait before the second try; before each further one it is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Where files are until all of them is there.
pub(super) const MEANTIME: &str = ".meantime";
/// A disk with less room than this is full, where a machine says only that it failed.
const FULL_BYTES: u64 = 1024 * 1024;

/// What a folder on another machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a file.
    pub is_file: bool,
    /// Its size.
    pub bytes: u64,
    /// Seconds since 1970 of when it was written, by the clock there.
    pub written_at_s: Option<u32>,
}

/// Why another machine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody answers, or not in time, or the connection was lost; in words.
    Unreachable(String),
    /// It was never met: the key that it shows.
    UnknownHost(String),
    /// It shows another key than it should: this one.
    OtherHost(String),
    /// It does not let us in.
    NotLetIn,
    /// It lets us in, but has no files for us; in its words.
    NoFiles(String),
    /// There is no such file or folder.
    NotThere,
    /// We may not.
    NoRights,
    /// There is more than was wanted.
    TooLarge,
    /// Something else, in its words.
    Other(String),
}

/// Another machine with files, which several threads may ask at once.
pub trait Remote: Send + Sync {
    /// Writes a file as it lies there.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Refused>;

    /// Writes a file under a name for the meantime, and gives it its own once all of it is on the disk.
    fn write_whole(&self, meantime: &str, path: &str, bytes: &[u8]) -> Result<(), Refused>;

    /// A file's content, of at most so many bytes.
    fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, Refused>;

    /// What a folder has.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Refused>;

    /// Removes a file, if it is there.
    fn remove(&self, path: &str) -> Result<(), Refused>;

    /// Makes a folder.
    fn make_folder(&self, path: &str) -> Result<(), Refused>;

    /// Bytes that are free on the disk of a folder, if that can be known.
    fn free_bytes(&self, path: &str) -> Option<u64>;
}

/// What is needed to get at another machine.
#[derive(Clone)]
pub struct Access {
    /// The way there.
    pub remote: Arc<dyn Remote>,
    /// How often something is tried.
    pub tries: u32,
    /// How we show who we are, in words for who is not let in.
    pub shown: String,
    /// The key by which the machine is known because a person said so.
    pub met: Option<String>,
    /// Set when whoever asks has to end: what takes long ends then, and nothing is tried again.
    pub stop: Arc<AtomicBool>,
}

/// A place on another machine, and how to ask for what is in it.
pub(super) struct Shelf {
    pub(super) place: Place,
    pub(super) access: Access,
}

impl Shelf {
    pub(super) fn new(place: Place, access: Access) -> Self {
        Self { place, access }
    }

    /// Writes a file, whole or not at all.
    pub(super) fn put_whole(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.place.path(name);
        let put = |remote: &dyn Remote| {
            let meantime = self.place.path(&format!("{MEANTIME}/{}", Id::new()));
            remote.write_whole(&meantime, &path, bytes)
        };
        self.write(name, put)
    }

    /// Writes, and makes the folders for it if they are not there.
    fn write(&self, name: &str, put: impl Fn(&dyn Remote) -> Result<(), Refused>) -> Result<()> {
        let done = self.ask(|remote| {
            match put(remote) {
                Err(Refused::NotThere) => {}
                done => return done.map(|()| true),
            }
            self.make_folders(remote, name)?;
            match put(remote) {
                // The folder of all backups itself is not where it could be made.
                Err(Refused::NotThere) => Ok(false),
                done => done.map(|()| true),
            }
        });
        match done {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.told(&Refused::NotThere, true)),
            Err(refused) => Err(self.told(&refused, true)),
        }
    }

    /// The folders that a file needs. That for all backups is made if the one above it is there.
    fn make_folders(&self, remote: &dyn Remote, name: &str) -> Result<(), Refused> {
        let mut folders = vec![self.place.folder.clone(), self.place.path(MEANTIME)];
        let slashes = name.match_indices('/');
        folders.extend(slashes.map(|(at, _)| self.place.path(&name[..at])));
        for folder in folders {
            match remote.make_folder(&folder) {
                // It is there already, and others say so in many ways; whether it is will be seen.
                Ok(()) | Err(Refused::Other(_) | Refused::NotThere) => {}
                Err(Refused::NoRights) if folder == self.place.folder => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// A file's content, if there is one.
    pub(super) fn read(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>> {
        let path = self.place.path(name);
        match self.ask(|remote| remote.read(&path, most)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refused::NotThere) => Ok(None),
            Err(Refused::TooLarge) => Err(Error::Damaged(format!(
                "{name} in {} is larger than it can be",
                self.place
            ))),
            Err(refused) => Err(self.told(&refused, false)),
        }
    }

    /// Whether whoever asks has to end.
    fn is_stopped(&self) -> bool {
        self.access.stop.load(Ordering::Relaxed)
    }

    /// For what asks again and again.
    ///
    /// # Errors
    /// [`Error::Busy`] if whoever asks has to end.
    pub(super) fn insist_on_going_on(&self) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::Busy("it was stopped"));
        }
        Ok(())
    }

    /// What a folder has; nothing if it is not there.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let path = self.place.path(folder);
        match self.ask(|remote| remote.list(&path)) {
            Ok(entries) => Ok(entries),
            Err(Refused::NotThere) => Ok(Vec::new()),
            Err(refused) => Err(self.told(&refused, false)),
        }
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.place.path(name);
        self.ask(|remote| remote.remove(&path))
            .map_err(|refused| self.told(&refused, true))
    }

    /// Asks, and once more where the connection may have been the reason.
    fn ask<T>(&self, what: impl Fn(&dyn Remote) -> Result<T, Refused>) -> Result<T, Refused> {
        let mut pause = PAUSE;
        let mut tried = 0;
        loop {
            tried += 1;
            match what(&*self.access.remote) {
                Err(Refused::Unreachable(why))
                    if tried < self.access.tries && !self.is_stopped() =>
                {
                    log::debug!("{}: {why}; it is tried again", self.place);
                }
                done => return done,
            }
            rest(pause.min(LONGEST_PAUSE), &self.access.stop);
            pause *= 2;
        }
    }

    /// An error of the place, which says nothing about what is kept there: see
    /// [`is_out_of_reach`](crate::backup::store::is_out_of_reach).
    pub(super) fn fault(&self, why: &str) -> Error {
        out_of_reach(self.place.to_string(), why)
    }

    /// A refusal for people, with the remedy.
    fn told(&self, refused: &Refused, to_write: bool) -> Error {
        let Place {
            host, user, folder, ..
        } = &self.place;
        let shown = &self.access.shown;
        let why = match refused {
            Refused::Unreachable(why) => why.clone(),
            Refused::UnknownHost(key) => format!(
                "{host} was never met, and it shows the key {key}. Nothing was sent. Compare it (on {host}: ssh-keygen \
                 -lf /etc/ssh/ssh_host_ed25519_key.pub), and if it is the same, let it count: with --host-key {key} by \
                 hand, once, or as `host_key` under [backup.sftp]"
            ),
            Refused::OtherHost(key) => format!(
                "{host} shows another key than it should: {key}. Nothing was sent. Either it was set up anew, or \
                 somebody is in between. If you know that the key is its own (on {host}: ssh-keygen -lf \
                 /etc/ssh/ssh_host_ed25519_key.pub), let it count: with --host-key {key} by hand, once, or as \
                 `host_key` under [backup.sftp] if it is there"
            ),
            Refused::NotLetIn => format!("{host} does not let {user} in; {shown}"),
            Refused::NoFiles(why) => format!(
                "{host} lets {user} in, but gives no files: {why}; is SFTP allowed there (`Subsystem sftp` in \
                 sshd_config)?"
            ),
            Refused::NotThere => format!(
                "{host} has no folder {folder}, and nothing in which it could be made; make it there, or name another \
                 (what begins with ~ is below the own folder of {user})"
            ),
            Refused::NoRights => format!(
                "{host} does not let {user} {} in {folder}; give the folder to {user} there",
                if to_write { "write" } else { "read" }
            ),
            Refused::TooLarge => format!("{folder} has more in it than a repository"),
            Refused::Other(why) => {
                let free = self.access.remote.free_bytes(folder);
                if to_write && free.is_some_and(|free| free < FULL_BYTES) {
                    let why = format!("the disk of {host} with {folder} is full; {KEEP_FEWER}");
                    return no_room(self.place.to_string(), &why);
                } else if to_write {
                    format!(
                        "{host} did not do it, and says only: {why}; has {user} used up what they may have there, or is \
                         its disk broken?"
                    )
                } else {
                    format!("{host} did not do it: {why}")
                }
            }
        };
        self.fault(&why)
    }
}

impl lock::LockFiles for Shelf {
    fn place(&self) -> String {
        self.place.to_string()
    }

    /// As it lies there: it is small, says little, and has a name of its own.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.place.path(name);
        self.write(name, |remote| remote.write(&path, bytes))
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.read(name, max_bytes)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.remove(name)
    }

    fn locks(&self) -> Result<Vec<(String, Option<Timestamp>)>> {
        let entries = self.list(lock::FOLDER.trim_end_matches('/'))?;
        let named = |entry: Entry| {
            let written_at = entry.written_at_s.map(|s| Timestamp(i64::from(s)));
            (format!("{}{}", lock::FOLDER, entry.name), written_at)
        };
        Ok(entries.into_iter().map(named).collect())
    }
}
