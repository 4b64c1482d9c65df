//! A repository on another machine, which is reached by SFTP.

mod settings;
mod shelf;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use self::shelf::Shelf;
pub use self::{
    settings::{HostKey, Place, SftpSettings},
    shelf::{Access, Entry, Refused, Remote},
};
use super::{
    lock::{self, Hold},
    store::{Held, Store, Stored},
    uploads::Uploads,
};
use crate::base::Result;
pub(super) use settings::SCHEME;

/// Levels of folders below the one that is listed: `objects/ab/abcd` has one.
const MOST_LEVELS: usize = 2;
/// Files that a list has at most; a repository has far fewer.
const MOST_FILES: usize = 4_000_000;
/// Folders that are looked through at the same time.
const MOST_LISTS: usize = 6;

/// A repository on another machine.
pub(super) struct SftpStore {
    shelf: Arc<Shelf>,
    uploads: Mutex<Uploads>,
    hold: Mutex<Weak<Hold>>,
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SftpStore {
    /// In this place.
    pub(super) fn new(place: Place, access: Access) -> Self {
        Self {
            shelf: Arc::new(Shelf::new(place, access)),
            uploads: Mutex::default(),
            hold: Mutex::default(),
        }
    }

    fn settle(&self) -> Result<()> {
        held(&self.uploads).all()
    }

    /// Who has lost the lock changes nothing that others may use.
    fn insist_on_lock(&self) -> Result<()> {
        match held(&self.hold).upgrade() {
            Some(hold) if hold.is_lost() => Err(self.shelf.fault(lock::LOST_WORDS)),
            _ => Ok(()),
        }
    }
}

impl Drop for SftpStore {
    fn drop(&mut self) {
        let _ = self.settle();
    }
}

impl Store for SftpStore {
    fn place(&self) -> String {
        self.shelf.place.to_string()
    }

    /// Is on its way when this returns; what becomes of it is told by whatever is asked next.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (of_thread, name, content) = (Arc::clone(&self.shelf), name.to_owned(), bytes.to_vec());
        held(&self.uploads).add(bytes.len(), move || of_thread.put_whole(&name, &content))
    }

    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.settle()?;
        self.insist_on_lock()?;
        self.shelf.put_whole(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.settle()?;
        self.shelf.read(name, max_bytes)
    }

    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.settle()?;
        let mut stored = Vec::new();
        let mut folders = vec![folder.to_owned()];
        // A level at a time. Names with a dot at their beginning are nobody's. What is deeper is not ours.
        for _ in 0..MOST_LEVELS {
            let mut below = Vec::new();
            for (folder, entries) in self.look_through(&folders)? {
                for entry in entries {
                    let name = format!("{folder}/{}", entry.name);
                    let is_plain = |c: char| c != '/' && !c.is_control();
                    let is_named = !entry.name.starts_with('.') && entry.name.chars().all(is_plain);
                    if is_named && entry.is_folder {
                        below.push(name);
                    } else if is_named && entry.is_file {
                        let bytes = entry.bytes;
                        stored.push(Stored { name, bytes });
                    }
                }
            }
            folders = below;
            if stored.len() + folders.len() > MOST_FILES {
                return Err(self.shelf.fault("it has more in it than a repository"));
            }
        }
        Ok(stored)
    }

    fn remove(&self, name: &str) -> Result<()> {
        // What failed on its way need not be removed; it is told by whatever is asked next.
        held(&self.uploads).wait();
        if lock::guards(name) {
            self.insist_on_lock()?;
        }
        self.shelf.remove(name)
    }

    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        let of_locks: Arc<dyn lock::Shelf> = Arc::clone(&self.shelf) as _;
        let (lock, hold) = lock::take(&of_locks, to_change)?;
        // The lock's own thread keeps it for as long as the lock is there.
        *held(&self.hold) = Arc::downgrade(&hold);
        Ok(lock)
    }

    fn sweep(&self) {
        // What cannot be looked through is swept another time.
        let left = self.shelf.list(shelf::MEANTIME).unwrap_or_default();
        for entry in left.iter().filter(|entry| entry.is_file) {
            let _ = self
                .shelf
                .remove(&format!("{}/{}", shelf::MEANTIME, entry.name));
        }
    }

    fn scratch(&self) -> Option<&Path> {
        None
    }
}

impl SftpStore {
    /// What folders have, a few at the same time: each waits for the other machine mostly.
    fn look_through(&self, folders: &[String]) -> Result<Vec<(String, Vec<Entry>)>> {
        let share = folders.len().div_ceil(MOST_LISTS).max(1);
        thread::scope(|scope| {
            let looking: Vec<_> = folders
                .chunks(share)
                .map(|folders| {
                    scope.spawn(|| {
                        let list = |folder: &String| {
                            let entries = self.shelf.list(folder)?;
                            Ok((folder.clone(), entries))
                        };
                        folders.iter().map(list).collect::<Result<Vec<_>>>()
                    })
                })
                .collect();
            let mut all = Vec::new();
            for thread in looking {
                let looked = thread.join();
                all.extend(looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(all)
        })
    }
}
