//! Files on their way to a place on the network: a few at once, because each waits for an answer mostly.

use std::{
    collections::VecDeque,
    thread::{self, JoinHandle},
};

use crate::base::{Error, Result};

/// Files that are on their way at the same time.
const MOST: usize = 6;
/// Their bytes at most, unless one alone has more, beside what is on the wire: a small board has little memory.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// What is on its way, the oldest first, with its bytes.
#[derive(Default)]
pub(super) struct Uploads {
    under_way: VecDeque<(usize, JoinHandle<Result<()>>)>,
    bytes: usize,
    /// The first error that nobody was told of.
    failed: Option<Error>,
}

impl Uploads {
    /// Begins with one more, once there is room for it. What becomes of it is told by one of the next.
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

    /// Waits for all. An error is told by the next [`Uploads::all`].
    pub(super) fn wait(&mut self) {
        while !self.under_way.is_empty() {
            if let Err(e) = self.one() {
                self.failed.get_or_insert(e);
            }
        }
    }

    /// Waits for all, and gives the first error that was not told.
    pub(super) fn all(&mut self) -> Result<()> {
        self.wait();
        self.failed.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_once_also_after_somebody_only_waited() {
        let mut uploads = Uploads::default();
        for n in 0..4 {
            let failed = || Err(Error::CannotSave("no room".into()));
            let upload = move || if n == 1 { failed() } else { Ok(()) };
            uploads.add(10, upload).unwrap();
        }
        uploads.wait();
        assert!(uploads.all().unwrap_err().to_string().contains("no room"));
        assert!(uploads.all().is_ok());
    }
}
