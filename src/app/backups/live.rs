//! The backups of a running server.

use std::pin::Pin;

use super::form::Kind;
use crate::base::{Result, Timestamp};

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
    /// The number by its file, if that is known, also where it cannot be read.
    pub of_file: Option<u64>,
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
#[allow(clippy::struct_excessive_bools)] // each is a sentence of the page, and any of them may go with any other
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
    /// Whether one was broken off when the program ended, and is made again soon.
    pub is_broken_off: bool,
    /// Whether it failed because somebody has to say first that the backups there are gone on with.
    pub asks: bool,
    /// Those that there are, the last one first.
    pub backups: Vec<Backup>,
    /// Since when the site can be brought back to any moment; nothing if only to those of the backups.
    pub reach: Option<Timestamp>,
    /// Why they cannot be listed.
    pub unlisted: Option<String>,
    /// For how many seconds the place has not answered, if it does not: then the backups are those that were there when it
    /// last did, at this moment.
    pub silent: Option<(u64, Option<Timestamp>)>,
    /// Whether `webstead.toml` says where they go.
    pub is_of_file: bool,
}

pub use crate::app::layout::FieldError;

/// What was found at a place.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Whether backups can go there, as far as that can be seen without writing.
    pub is_fine: bool,
    /// What was found, and what to do, in sentences.
    pub texts: Vec<String>,
    /// The key that another machine shows, if it is not known yet.
    pub shown_key: Option<String>,
}

/// What makes backups while the server runs.
pub trait LiveBackups: Send + Sync {
    /// How things are.
    fn seen(&self) -> Soon<'_, Seen>;

    /// What the owner is to know, wherever they are: that there is no good backup, or that it is too old.
    fn warning(&self) -> Option<String>;

    /// Whether `webstead.toml` says where they go: that cannot be changed in the browser.
    fn is_of_file(&self) -> bool;

    /// Whether these keys, as JSON, are a place for backups.
    ///
    /// # Errors
    /// The fields that are wrong, each with what to write.
    fn check_place(&self, keys: &str) -> std::result::Result<(), Vec<FieldError>>;

    /// Goes to the place of these keys, for some seconds, and says what is there. Changes nothing that is
    /// stored, though the key of this site is made if it has none. Without a secret it is the one that is kept, if that is
    /// for this place.
    fn look_at(&self, keys: &str, secret: Option<String>) -> Soon<'_, Found>;

    /// The line with which another machine lets this site in.
    ///
    /// # Errors
    /// [`Error::Io`](crate::base::Error::Io) if the key cannot be made.
    fn own_key(&self) -> Result<String>;

    /// Whether there is a secret for such a place.
    fn has_secret(&self, kind: Kind) -> bool;

    /// Keeps another secret for the place of these keys, and puts the one before aside.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::base::Error::Invalid) if it is none.
    fn keep_secret(&self, kind: Kind, keys: &str, secret: &str) -> Result<()>;

    /// Brings back the secret that was put aside, if one was.
    fn put_secret_back(&self, kind: Kind) -> Result<()>;

    /// Lets what is stored count from now on.
    ///
    /// # Errors
    /// If it cannot be read.
    fn take_over(&self) -> Soon<'_, Result<()>>;

    /// Begins one now; does nothing if one is being made, or if no place is set. `takes_over` says that the backups that
    /// are in the place are gone on with, where that is asked.
    fn begin(&self, takes_over: bool);
}
