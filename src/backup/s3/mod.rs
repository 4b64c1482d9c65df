//! A repository in a bucket of a store that speaks S3.

mod answers;
mod settings;
mod sign;
mod wire;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use self::wire::Wire;
pub use self::{
    settings::{Endpoint, Region, S3Settings},
    wire::{Access, Courier, Unanswered},
};
use super::{
    lock::{self, Hold, Shelf},
    store::{Held, Store, Stored},
    uploads::Uploads,
};
use crate::base::{Result, Timestamp};
pub(super) use settings::{Bucket, SCHEME};

/// A repository in a bucket.
pub(super) struct S3Store {
    wire: Arc<Wire>,
    uploads: Mutex<Uploads>,
    hold: Mutex<Weak<Hold>>,
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl S3Store {
    /// In this bucket.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a setting is missing.
    pub(super) fn new(bucket: Bucket, access: Access) -> Result<Self> {
        Ok(Self {
            wire: Arc::new(Wire::new(bucket, access)?),
            uploads: Mutex::default(),
            hold: Mutex::default(),
        })
    }

    fn settle(&self) -> Result<()> {
        held(&self.uploads).all()
    }

    /// Who has lost the lock changes nothing that others may use.
    fn insist_on_lock(&self) -> Result<()> {
        match held(&self.hold).upgrade() {
            Some(hold) if hold.is_lost() => Err(self.wire.fault(lock::LOST_WORDS.into())),
            _ => Ok(()),
        }
    }
}

impl Drop for S3Store {
    fn drop(&mut self) {
        let _ = self.settle();
    }
}

impl Store for S3Store {
    fn place(&self) -> String {
        self.wire.bucket.to_string()
    }

    /// Is on its way when this returns; what becomes of it is told by whatever is asked next.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (wire, name, content) = (Arc::clone(&self.wire), name.to_owned(), bytes.to_vec());
        held(&self.uploads).add(bytes.len(), move || wire.put(&name, &content))
    }

    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.settle()?;
        self.insist_on_lock()?;
        self.wire.put(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.settle()?;
        let found = self.wire.get(name, max_bytes)?;
        Ok(found.map(Into::into))
    }

    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.settle()?;
        let mut stored = Vec::new();
        self.wire
            .list_all(&format!("{folder}/"), |name, bytes, _| {
                stored.push(Stored { name, bytes });
            })?;
        Ok(stored)
    }

    fn remove(&self, name: &str) -> Result<()> {
        // What failed on its way need not be removed; it is told by whatever is asked next.
        held(&self.uploads).wait();
        if lock::guards(name) {
            self.insist_on_lock()?;
        }
        self.wire.remove(name)
    }

    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        let wire: Arc<dyn Shelf> = Arc::clone(&self.wire) as _;
        let (lock, hold) = lock::take(&wire, to_change)?;
        // The lock's own thread keeps it for as long as the lock is there.
        *held(&self.hold) = Arc::downgrade(&hold);
        Ok(lock)
    }

    fn sweep(&self) {} // a file that was not written whole is not there

    fn scratch(&self) -> Option<&Path> {
        None
    }
}

impl Shelf for Wire {
    fn place(&self) -> String {
        self.bucket.to_string()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.get(name, max_bytes)?.map(Into::into))
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.remove(name)
    }

    fn locks(&self) -> Result<Vec<(String, Option<Timestamp>)>> {
        let mut locks = Vec::new();
        self.list_all(lock::FOLDER, |name, _, written_at| {
            locks.push((name, written_at.map(Timestamp::from)));
        })?;
        Ok(locks)
    }
}
