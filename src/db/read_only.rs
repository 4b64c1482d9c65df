//! A database beside which nothing can be written: whether it is one, and how it is looked into.

use std::path::Path;

use rusqlite::Connection;
use rustix::{fs::Access, io::Errno};

use super::wal::log_of;
use crate::base::files::beside;

/// How a database is looked into by who may write nothing beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Without a log nobody has the file open. To say so keeps `SQLite` from making a log to look into.
    AtRest,
    /// Somebody may have it open, and says in `site.db-shm` what is in the log.
    Shared,
    /// There is a log of somebody who has ended, and nothing can be written beside it: what is in it is found out by
    /// each connection, in memory. `SQLite` does that for who has the file alone, which cannot be had without writing;
    /// so it is not asked for locks (<https://www.sqlite.org/vfs.html>, "unix-none").
    Alone,
}

impl Way {
    /// The one into this file, as it is now.
    pub(super) fn into(file: &Path) -> Self {
        match (log_of(file).exists(), beside(file, "-shm").exists()) {
            (false, _) => Self::AtRest,
            (true, false) if is_on_read_only_disk(file) => Self::Alone,
            (true, _) => Self::Shared,
        }
    }

    /// What `SQLite` is told to open.
    pub(super) fn address(self, file: &Path) -> String {
        let path = file.to_string_lossy();
        let path = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
        let manner = match self {
            Self::AtRest => "immutable=1",
            Self::Shared => "immutable=0",
            Self::Alone => "vfs=unix-none",
        };
        format!("file:{path}?{manner}")
    }

    /// Before anything is read on a connection.
    pub(super) fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        if self == Self::Alone {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        Ok(())
    }
}

/// Whether a file lies on a disk that is mounted read-only, which no permission helps against.
pub(super) fn is_on_read_only_disk(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(Path::new("."));
    rustix::fs::access(folder, Access::WRITE_OK) == Err(Errno::ROFS)
}

/// Whether this user may write to a database and beside it.
pub(super) fn may_write(file: &Path) -> bool {
    let folder = file.parent().unwrap_or(Path::new("."));
    let may = |path: &Path| {
        let found = rustix::fs::access(path, Access::WRITE_OK);
        matches!(found, Ok(()) | Err(Errno::NOENT))
    };
    may(folder) && may(file)
}
