//! The backups of a running server.

use std::pin::Pin;

use crate::base::Timestamp;

/// An answer that takes a moment.
pub type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Whether a backup can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It was restored for a try, and all was well.
    Proven,
    /// It was never tried.
    Untried,
    /// It was tried, and this is wrong with it.
    Bad(String),
}

/// One backup.
#[derive(Clone, Debug)]
pub struct Backup {
    /// 1, 2, 3 …; 0 if it cannot be read.
    pub number: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Posts and pages.
    pub posts: u64,
    /// Files beside the database.
    pub files: u64,
    /// Bytes of the site.
    pub bytes: u64,
    /// Bytes that the backup has added.
    pub new_bytes: u64,
    /// What the site had lost already.
    pub warnings: Vec<String>,
    /// Whether it can be relied on.
    pub trust: Trust,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Where backups go; nothing if that is not set.
    pub place: Option<String>,
    /// When they are made, in words.
    pub when: String,
    /// Whether they go to the disk of the site itself.
    pub is_on_same_disk: bool,
    /// What is being done at this moment, and how much of it is done.
    pub doing: Option<(String, usize, usize)>,
    /// When the last one was made that is known to be sound.
    pub last_proven: Option<Timestamp>,
    /// When one last failed, and why; nothing once another succeeded.
    pub failed: Option<(Timestamp, String)>,
    /// Those that there are, the last one first.
    pub backups: Vec<Backup>,
    /// Since when the site can be brought back to any moment; nothing if only to those of the backups.
    pub reach: Option<Timestamp>,
    /// Why they cannot be listed.
    pub unlisted: Option<String>,
}

/// What makes backups while the server runs.
pub trait LiveBackups: Send + Sync {
    /// How things are.
    fn seen(&self) -> Soon<'_, Seen>;

    /// What the owner is to know, wherever they are: that there is no good backup, or that it is too old.
    fn warning(&self) -> Option<String>;

    /// Begins one now; does nothing if one is being made, or if no place is set.
    fn begin(&self);
}
