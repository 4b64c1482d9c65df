//! A repository on the network: files are on their way a few at a time, and locks are files.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    lock::{self, Hold, LockFiles},
    store::{Held, Store, Stored, out_of_reach},
    uploads::Uploads,
};
use crate::base::Result;

/// Files in a place on the network, which several threads may ask for at once.
pub(super) trait RemoteFiles: LockFiles + 'static {
    /// Writes a file, whole or not at all.
    fn put_whole(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// The files below a folder.
    fn files_below(&self, folder: &str) -> Result<Vec<Stored>>;

    /// The machine that has them, and the key by which it is known because a person said so.
    fn met(&self) -> Option<(String, String)> {
        None
    }

    /// Removes what interrupted writes have left, where they leave something.
    fn sweep(&self) {}
}

/// Waits before something is tried again; not to the end if whoever asks has to end.
pub(super) fn rest(wait: Duration, stop: &AtomicBool) {
    const AT_ONCE: Duration = Duration::from_millis(100);
    let mut left = wait;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        thread::sleep(left.min(AT_ONCE));
        left = left.saturating_sub(AT_ONCE);
    }
}

/// A repository of such files.
pub(super) struct RemoteStore<F: RemoteFiles> {
    files: Arc<F>,
    uploads: Mutex<Uploads>,
    hold: Mutex<Weak<Hold>>,
}

fn held<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<F: RemoteFiles> RemoteStore<F> {
    /// Of these files.
    pub(super) fn new(files: F) -> Self {
        Self {
            files: Arc::new(files),
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
            Some(hold) if hold.is_lost() => Err(out_of_reach(self.files.place(), lock::LOST_WORDS)),
            _ => Ok(()),
        }
    }
}

impl<F: RemoteFiles> Drop for RemoteStore<F> {
    fn drop(&mut self) {
        let _ = self.settle();
    }
}

impl<F: RemoteFiles> Store for RemoteStore<F> {
    fn place(&self) -> String {
        self.files.place()
    }

    /// Is on its way when this returns; what becomes of it is told by whatever is asked next.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (files, name, content) = (Arc::clone(&self.files), name.to_owned(), bytes.to_vec());
        held(&self.uploads).add(bytes.len(), move || files.put_whole(&name, &content))
    }

    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.settle()?;
        self.insist_on_lock()?;
        self.files.put_whole(name, bytes)
    }

    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>> {
        self.settle()?;
        self.files.get(name, max_bytes)
    }

    fn list(&self, folder: &str) -> Result<Vec<Stored>> {
        self.settle()?;
        self.files.files_below(folder)
    }

    fn remove(&self, name: &str) -> Result<()> {
        // What failed on its way need not be removed; it is told by whatever is asked next.
        held(&self.uploads).wait();
        if lock::guards(name) {
            self.insist_on_lock()?;
        }
        self.files.remove(name)
    }

    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>> {
        let files: Arc<dyn LockFiles> = Arc::clone(&self.files) as _;
        let (lock, hold) = lock::take(&files, to_change)?;
        if to_change {
            // What failed on its way before was for another, who was told something else first.
            let _ = self.settle();
        }
        // The lock's own thread keeps it for as long as the lock is there.
        *held(&self.hold) = Arc::downgrade(&hold);
        Ok(lock)
    }

    fn met(&self) -> Option<(String, String)> {
        self.files.met()
    }

    fn sweep(&self) {
        self.files.sweep();
    }

    fn scratch(&self) -> Option<&Path> {
        None
    }
}
