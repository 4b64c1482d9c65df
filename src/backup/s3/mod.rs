//! A repository in a bucket of a store that speaks S3.

mod answers;
mod lock;
mod settings;
mod sign;
mod wire;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
};

use self::{lock::Hold, wire::Wire};
pub use self::{
    settings::{Endpoint, Region, S3Settings},
    wire::{Access, Courier, Unanswered},
};
use super::store::{Held, Store, Stored};
use crate::base::{Error, Result};
pub(super) use settings::{Bucket, SCHEME};

/// Files that are on their way at the same time: each waits for the store mostly.
const MOST_UPLOADS: usize = 6;
/// Their bytes, more or less: a small board has little memory.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A repository in a bucket.
pub(super) struct S3Store {
    wire: Arc<Wire>,
    uploads: Mutex<Uploads>,
    hold: Mutex<Weak<Hold>>,
}

/// What is on its way, the oldest first, with its bytes.
#[derive(Default)]
struct Uploads {
    under_way: VecDeque<(usize, JoinHandle<Result<()>>)>,
    bytes: usize,
}

impl Uploads {
    /// Waits for the oldest.
    fn one(&mut self) -> Result<()> {
        let Some((bytes, thread)) = self.under_way.pop_front() else {
            return Ok(());
        };
        self.bytes -= bytes;
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(Error::Internal("an upload ended with a panic".into())))
    }

    /// Waits for all, and gives the first error.
    fn all(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while !self.under_way.is_empty() {
            outcome = outcome.and(self.one());
        }
        outcome
    }
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
        let mut uploads = held(&self.uploads);
        while uploads.under_way.len() >= MOST_UPLOADS
            || (uploads.bytes > 0 && uploads.bytes + bytes.len() > MOST_BYTES)
        {
            uploads.one()?;
        }
        let (wire, name, content) = (Arc::clone(&self.wire), name.to_owned(), bytes.to_vec());
        let begun = thread::Builder::new()
            .name("upload".into())
            .spawn(move || wire.put(&name, &content));
        let thread = begun.map_err(|e| Error::io("starting", "a thread", e))?;
        uploads.bytes += bytes.len();
        uploads.under_way.push_back((bytes.len(), thread));
        Ok(())
    }

    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.settle()?;
        if held(&self.hold)
            .upgrade()
            .is_some_and(|hold| hold.is_lost())
        {
            return Err(self.wire.fault(
                "it was out of reach for minutes, and somebody else may have changed the backups meanwhile; the next \
                 backup goes on from here"
                    .into(),
            ));
        }
        self.wire.put(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.settle()?;
        let found = self.wire.get(name, max_bytes)?;
        Ok(found.map(Into::into))
    }

    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.settle()?;
        let start = format!("{folder}/");
        let (mut stored, mut next) = (Vec::new(), None);
        loop {
            let (listed, _) = self.wire.list(&start, next.as_deref())?;
            stored.extend(listed.found.into_iter().filter_map(|found| {
                let name = found.key.strip_prefix(&self.wire.bucket.prefix)?;
                // Some stores show a folder as an empty file.
                let is_file = name.starts_with(&start) && !name.ends_with('/');
                is_file.then(|| Stored {
                    name: name.to_owned(),
                    bytes: found.bytes,
                })
            }));
            next = listed.next;
            if next.is_none() {
                return Ok(stored);
            }
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        // What failed on its way need not be removed.
        let _ = self.settle();
        self.wire.remove(name)
    }

    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        let (lock, hold) = lock::take(&self.wire, to_change)?;
        // The lock's own thread keeps it for as long as the lock is there.
        *held(&self.hold) = Arc::downgrade(&hold);
        Ok(lock)
    }

    fn sweep(&self) {} // a file that was not written whole is not there

    fn scratch(&self) -> Option<&Path> {
        None
    }
}
