//! Where a repository is: the few operations that everything else is made of.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use crate::base::{Error, Result};

/// A file that a store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Its name from the root of the repository, with slashes.
    pub(super) name: String,
    /// Its size.
    pub(super) bytes: u64,
}

/// Keeps others out for as long as it is there; the system ends it when the process does.
pub(super) trait Held: Send {}

/// A place for files with names such as `objects/ab/abcd`.
pub(super) trait Store: Send + Sync {
    /// What people call the place.
    fn place(&self) -> String;

    /// Writes a file, whole or not at all. After a power cut it may be gone or torn, until
    /// [`Store::publish`] has returned for a later one.
    ///
    /// # Errors
    /// [`CannotSave`](crate::base::Error::CannotSave) with the place and the reason.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// Writes a file, whole or not at all, once everything that was written before is there for good.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn publish(&self, name: &str, bytes: &[u8]) -> Result<()>;

    /// A file's content, if there is one; no more than `max_bytes` are read.
    ///
    /// # Errors
    /// [`Damaged`](crate::base::Error::Damaged) if it is larger, and what the place says.
    fn get(&self, name: &str, max_bytes: usize) -> Result<Option<Vec<u8>>>;

    /// The files below a folder.
    fn list(&self, folder: &str) -> Result<Vec<Stored>>;

    /// Removes a file, if it is there.
    fn remove(&self, name: &str) -> Result<()>;

    /// Takes the repository for one who changes it, or for any number of those who only read.
    ///
    /// # Errors
    /// [`Invalid`](crate::base::Error::Invalid) if another has it.
    fn lock(&self, to_change: bool) -> Result<Box<dyn Held>>;

    /// The machine that has it, and the key by which that is known because a person said so, as a restored site is to
    /// remember it.
    fn met(&self) -> Option<(String, String)> {
        None
    }

    /// Removes what interrupted writes have left. Only with the lock for changing.
    fn sweep(&self);

    /// A folder on the same disk, if there is one, in which a backup can be tried.
    fn scratch(&self) -> Option<&Path>;
}

/// An error of a place, which says nothing about what is kept there.
pub(super) fn out_of_reach(place: String, why: &str) -> Error {
    Error::Io {
        what: place,
        source: io::Error::new(ErrorKind::NotConnected, why),
    }
}

/// The error of a place that has no room left.
pub(super) fn no_room(place: String, why: &str) -> Error {
    Error::Io {
        what: place,
        source: io::Error::new(ErrorKind::StorageFull, why),
    }
}

/// Whether it is room that was missing: with fewer backups it may go well.
pub(super) fn is_no_room(e: &Error) -> bool {
    matches!(e, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
}

/// What to do where there is no room for one more backup.
pub(super) const KEEP_FEWER: &str = "make room there, or keep fewer backups: lower keep_hours, keep_days, keep_weeks or \
    keep_months under [backup] in webstead.toml, and `webstead backup prune` removes those that they do not keep";

/// Whether an error says that a place does not answer, and nothing about what is kept there: then nothing is taken for
/// damaged or lost.
pub(super) fn is_out_of_reach(e: &Error) -> bool {
    matches!(e, Error::Io { source, .. } if source.kind() == ErrorKind::NotConnected)
}
