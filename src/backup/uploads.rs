//! Files on their way to a place on the network: a few at once, because each waits for an answer mostly.

use std::{
    collections::VecDeque,
    thread::{self, JoinHandle},
};

use crate::base::{Error, Result};

/// Files that are on their way at the same time.
const MOST: usize = 6;
/// Their bytes, more or less: a small board has little memory.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What is on its way, the oldest first, with its bytes.
#[derive(Default)]
pub(super) struct Uploads {
    under_way: VecDeque<(usize, JoinHandle<Result<()>>)>,
    bytes: usize,
}

impl Uploads {
    /// Begins with one more, once there is room for it. What becomes of it is told by whatever is asked next.
    ///
    /// # Errors
    /// Of an older one.
    pub(super) fn add(
        &mut self,
        bytes: usize,
        upload: impl FnOnce() -> Result<()> + Send + 'static,
    ) -> Result<()> {
        while self.under_way.len() >= MOST || (self.bytes > 0 && self.bytes + bytes > MOST_BYTES) {
            self.one()?;
        }
        let begun = thread::Builder::new().name("upload".into()).spawn(upload);
        let thread = begun.map_err(|e| Error::io("starting", "a thread", e))?;
        self.bytes += bytes;
        self.under_way.push_back((bytes, thread));
        Ok(())
    }

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
    pub(super) fn all(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while !self.under_way.is_empty() {
            outcome = outcome.and(self.one());
        }
        outcome
    }
}
