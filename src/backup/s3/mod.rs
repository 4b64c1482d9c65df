//! A repository in a bucket of a store that speaks S3.

mod answers;
mod settings;
mod sign;
mod wire;

use self::wire::Wire;
pub use self::{
    settings::{Endpoint, Region, S3Settings},
    wire::{Access, Courier, Unanswered},
};
use super::{
    lock::{self, LockFiles},
    remote::{RemoteFiles, RemoteStore},
    store::{Store, Stored},
};
use crate::base::{Result, Timestamp};
pub(super) use settings::{Bucket, SCHEME};

/// A repository in a bucket.
///
/// # Errors
/// As [`Wire::new`].
pub(super) fn store(bucket: Bucket, access: Access) -> Result<Box<dyn Store>> {
    Ok(Box::new(RemoteStore::new(Wire::new(bucket, access)?)))
}

/// A file that was not written whole is not there, so there is nothing to sweep.
impl RemoteFiles for Wire {
    fn put_whole(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, bytes)
    }

    fn files_below(&self, folder: &str) -> Result<Vec<Stored>> {
        let mut stored = Vec::new();
        self.list_all(&format!("{folder}/"), |name, bytes, _| {
            stored.push(Stored { name, bytes });
        })?;
        Ok(stored)
    }
}

impl LockFiles for Wire {
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
