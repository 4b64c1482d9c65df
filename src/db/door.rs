//! The one door to a database file: who opens it, for what, with which rights and which settings.
//!
//! Nothing else in the program makes a connection; `tests/architecture.rs` looks. What a change needs beside `SQLite`'s
//! own lock stands with each purpose.

use std::{path::Path, time::Duration};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::{migrations, read_only::Way, sector, wal::NEW_PAGE_BYTES};
use crate::base::{Error, Result, verdict::look_surely};

/// How long to wait for the lock of another process (an import, a backup).
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Changes, durably, of the site's database, which is made if it is not there. One for each process; that of an
    /// import works beside that of the server, each change under `SQLite`'s lock for writing.
    Write,
    /// Writing the log back into that database, while the connection that writes holds that lock.
    KeepLog,
    /// Queries. Four for each process.
    Read,
    /// Looking whether another process has written.
    Watch,
    /// A read transaction that lasts. It may write, because only so is the log tidied up when this is the last
    /// connection to close the file, but is told not to.
    Snapshot,
    /// Looking at any database file, also without the right to write. Makes nothing, changes nothing.
    Look,
    /// A file that only its maker knows yet. What takes the place of the site's database later does so under the
    /// lock of the server.
    Build,
    /// A database that was put together, and on which changes are replayed: nobody else knows it, it is synced as a whole
    /// afterwards, and what is replayed may come from anywhere.
    Replay,
    /// The copy of a damaged database, where nothing is believed.
    Damaged,
}

/// What is set for [`Purpose::Write`]; each connection of a file that others read must leave the log alone.
const WRITE: &str = "
    PRAGMA journal_mode = WAL;              -- readers never wait for the writer
    PRAGMA synchronous = FULL;              -- a commit is on the disk before it is answered
    PRAGMA foreign_keys = ON;
    PRAGMA cache_size = -1024;              -- KiB
    PRAGMA temp_store = MEMORY;             -- what would undo a savepoint goes to no file
    PRAGMA journal_size_limit = 8388608;    -- bytes that are kept of the log after it was written back
    PRAGMA wal_autocheckpoint = 0;          -- its keeper writes the log back
";
const KEEP_LOG: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA journal_size_limit = 8388608;
    PRAGMA wal_autocheckpoint = 0;
";
/// KiB for each reader. A Pi has one to four cores and the pages come from memory; more only costs memory.
const READ: &str = "PRAGMA cache_size = -512; PRAGMA query_only = ON;";
const BUILD: &str = "PRAGMA foreign_keys = OFF; PRAGMA synchronous = FULL;";
const REPLAY: &str =
    "PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;";
const DAMAGED: &str = "PRAGMA cell_size_check = ON; PRAGMA query_only = ON;";

impl Purpose {
    fn flags(self) -> OpenFlags {
        let rights = match self {
            Self::Write | Self::Build => {
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
            Self::KeepLog | Self::Snapshot | Self::Replay | Self::Damaged => {
                OpenFlags::SQLITE_OPEN_READ_WRITE
            }
            Self::Read | Self::Watch => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Self::Look => OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        };
        rights | OpenFlags::SQLITE_OPEN_NO_MUTEX
    }

    fn settings(self) -> &'static str {
        match self {
            Self::Write => WRITE,
            Self::KeepLog => KEEP_LOG,
            Self::Read => READ,
            Self::Watch => "",
            Self::Snapshot | Self::Look => "PRAGMA query_only = ON;",
            Self::Build => BUILD,
            Self::Replay => REPLAY,
            Self::Damaged => DAMAGED,
        }
    }

    /// Statements that a connection keeps prepared.
    fn kept_statements(self) -> usize {
        match self {
            Self::Write | Self::Replay => 128,
            Self::Read => 64,
            _ => 16,
        }
    }

    fn prepare(self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(self.kept_statements());
        if self == Self::Replay {
            // No statement reaches the pages of the file.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        }
        connection.execute_batch(self.settings())
    }
}

/// Opens a database file.
///
/// # Errors
/// [`Error::CannotSave`] if rights, room or a lock are missing, [`Error::Damaged`] if it is no database any more.
pub(super) fn open(file: &Path, purpose: Purpose) -> Result<Connection> {
    connect(file, purpose).map_err(|e| cannot_open(file, &e))
}

fn connect(file: &Path, purpose: Purpose) -> rusqlite::Result<Connection> {
    let connection = if purpose == Purpose::Look {
        let way = Way::into(file);
        let connection = Connection::open_with_flags(way.address(file), purpose.flags())?;
        way.prepare(&connection)?;
        connection
    } else {
        Connection::open_with_flags(file, purpose.flags())?
    };
    if purpose == Purpose::Write {
        sector::fill_up(&connection)?;
    }
    let is_new = || std::fs::metadata(file).map_or(true, |found| found.len() == 0);
    if purpose == Purpose::Write && is_new() {
        // Not for one that is there: `VACUUM INTO` would give its copy such pages, too.
        connection.pragma_update(None, "page_size", NEW_PAGE_BYTES as i64)?;
    }
    purpose.prepare(&connection)?;
    Ok(connection)
}

/// Opens a connection that only looks: it makes nothing, changes nothing, and needs no right to write.
///
/// # Errors
/// As [`Database::open`](super::Database::open), but for what a newer version has made.
pub fn open_to_look(file: &Path) -> Result<Connection> {
    look_surely(
        || try_to_look(file),
        |outcome| matches!(outcome, Err(Error::Damaged(_))),
    )
}

fn try_to_look(file: &Path) -> Result<Connection> {
    let connection = open(file, Purpose::Look)?;
    // Here the file is read for the first time.
    migrations::check_version(&connection).map_err(|e| match e {
        Error::Database(e) => cannot_open(file, &e),
        e => e,
    })?;
    Ok(connection)
}

/// What makes the connections of a pool, for [`Purpose::Read`].
pub(super) fn readers(file: &Path) -> SqliteConnectionManager {
    SqliteConnectionManager::file(file)
        .with_flags(Purpose::Read.flags())
        .with_init(|connection| Purpose::Read.prepare(connection))
}

/// [`readers`] of a file beside which nothing can be written.
pub(super) fn readers_to_look(file: &Path) -> SqliteConnectionManager {
    let way = Way::into(file);
    SqliteConnectionManager::file(way.address(file))
        .with_flags(Purpose::Look.flags())
        .with_init(move |connection| {
            way.prepare(connection)?;
            Purpose::Read.prepare(connection)
        })
}

/// What is said of a file that nobody may write to.
pub(super) fn cannot_write(file: &Path) -> Error {
    Error::CannotSave(format!(
        "{} cannot be written to; check its owner and permissions and whether the disk is mounted \
         read-only, or choose another data folder with --data DIR",
        file.display()
    ))
}

/// What is said of a file on a full disk.
pub(super) fn full(file: &Path) -> Error {
    Error::CannotSave(format!(
        "the disk that holds {} is full; make room on it and start again",
        file.display()
    ))
}

/// What is said of a file that `SQLite` does not open.
pub(super) fn cannot_open(file: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            cannot_write(file)
        }
        Some(ErrorCode::DiskFull) => full(file),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Damaged(format!(
            "{} is damaged or not a database ({error}); nothing was changed. `webstead repair` saves what \
             can be read, or restore a backup, or choose another data folder with --data DIR",
            file.display()
        )),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::CannotSave(format!(
            "{} is locked by another program; wait for it to end and start again",
            file.display()
        )),
        _ => Error::Internal(format!("opening {}: {error}", file.display())),
    }
}
