//! Opening connections: a few that read, one that writes.

use std::{
    fs::OpenOptions, io::ErrorKind, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc,
    time::Duration,
};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{
    before,
    health::Health,
    log_keeper::LogKeeper,
    migrations,
    page_sums::PageSums,
    wal::{beside, log_of, state_of_log},
};
use crate::base::{Error, Result, Timestamp, files};

/// Makes read-only connections for the pool.
pub(super) type ReadOnly = SqliteConnectionManager;

/// Readers at once. A Pi has one to four cores and the pages come from memory; more only costs memory.
const MAX_READERS: u32 = 4;
/// `SQLite`'s page cache for each reader, in KiB (negative: `SQLite`'s way to say KiB, not pages).
const READER_CACHE_KIB: i64 = -512;
const WRITER_CACHE_KIB: i64 = -1024;
/// What the log is cut back to after it was written back, in bytes.
const MAX_KEPT_LOG_BYTES: i64 = 4 * 1024 * 1024;
/// Statements that a connection keeps prepared.
const KEPT_STATEMENTS: usize = 64;
/// How long to wait for the lock of another process (an import, a backup).
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens the connection that writes, durable, checked, migrated, and what keeps its log.
pub(super) fn open_writer(file: &Path, health: &Arc<Health>) -> Result<(Connection, LogKeeper)> {
    keep_private(file);
    look_at_log(file, health)?;
    let sums = PageSums::open(file).map_err(|e| match e.kind() {
        ErrorKind::StorageFull => Error::CannotSave(full(file)),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => cannot_write(file),
        _ => Error::io("opening", beside(file, "-sums"), e),
    })?;
    let mut connection = Connection::open(file).map_err(|e| cannot_open(file, &e))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(2 * KEPT_STATEMENTS);
    let prepared = prepare_writer(&mut connection, file);
    match prepared {
        Err(Error::Database(e)) => return Err(cannot_open(file, &e)),
        Err(e) => return Err(e),
        Ok(()) if connection.is_readonly("main")? => return Err(cannot_write(file)),
        Ok(()) => {}
    }
    let open_keeper = || -> rusqlite::Result<Connection> {
        let keeper = Connection::open(file)?;
        keeper.pragma_update(None, "synchronous", "FULL")?;
        keeper.pragma_update(None, "wal_autocheckpoint", 0)?;
        keeper.pragma_update(None, "journal_size_limit", MAX_KEPT_LOG_BYTES)?;
        Ok(keeper)
    };
    let keeper = open_keeper().map_err(|e| cannot_open(file, &e))?;
    let log = LogKeeper::new(keeper, file.to_path_buf(), sums, Arc::clone(health));
    Ok((connection, log))
}

/// Looks whether the log has lost what was saved. `SQLite` would go on from there without a word, and write
/// over the rest; so the log is put aside before.
fn look_at_log(file: &Path, health: &Health) -> Result<()> {
    let log = log_of(file);
    let state = state_of_log(&log).map_err(|e| Error::io("reading", &log, e))?;
    if !state.has_lost {
        return Ok(());
    }
    let aside = beside(file, &format!("-wal.damaged-{}", Timestamp::now().0));
    std::fs::copy(&log, &aside).map_err(|e| Error::io("copying the damaged log to", &aside, e))?;
    health.note_damage(&format!(
        "the log of the last changes can be read up to page {} only, {} behind that cannot; it was copied to {}",
        state.committed,
        state.behind,
        aside.display()
    ));
    Ok(())
}

/// Makes the file if it is not there, so that only its owner reads it: it holds drafts and the hashes
/// of passwords. The log takes its mode from it. What is wrong is said when the database is opened.
fn keep_private(file: &Path) {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    if let (Ok(made), Some(folder)) = (&made, file.parent()) {
        let _ = files::give_to_owner_of(folder, made);
        let _ = files::sync_folder(folder);
    }
    if files::close_to_others(file).unwrap_or(false) {
        log::warn!(
            "{} could be read by other users of this machine; now only its owner can",
            file.display()
        );
    }
}

fn prepare_writer(connection: &mut Connection, file: &Path) -> Result<()> {
    // WAL: readers never wait for the writer. FULL: a commit is on the disk before it is answered.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE_KIB)?;
    // What would undo a savepoint goes to memory and not to a temporary file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", MAX_KEPT_LOG_BYTES)?;
    // The log is written back by its keeper.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    if migrations::would_change(connection)? {
        before::keep(connection, file)?;
    }
    migrations::migrate(connection)
}

/// Opens a connection that only looks: it makes nothing, changes nothing, and needs no right to write.
///
/// # Errors
/// As [`Database::open`](super::Database::open), but for what a newer version has made.
pub fn open_to_look(file: &Path) -> Result<Connection> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    // Without a log nobody has the file open. To say so keeps SQLite from making a log to look into.
    let is_at_rest = !Path::new(&log).exists();
    let path = file.to_string_lossy();
    let path = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
    let uri = format!("file:{path}?immutable={}", u8::from(is_at_rest));
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    let connection = open();
    let connection = connection.map_err(|e| cannot_open(file, &e))?;
    migrations::check_version(&connection)?;
    Ok(connection)
}

/// Opens the pool of connections that cannot write.
pub(super) fn open_readers(file: &Path) -> Result<r2d2::Pool<ReadOnly>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let manager = SqliteConnectionManager::file(file)
        .with_flags(flags)
        .with_init(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(KEPT_STATEMENTS);
            connection.pragma_update(None, "cache_size", READER_CACHE_KIB)?;
            connection.pragma_update(None, "query_only", true)
        });
    r2d2::Pool::builder()
        .max_size(MAX_READERS)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(5))
        .test_on_check_out(false) // a local file does not hang up
        .build(manager)
        .map_err(Error::internal)
}

fn cannot_write(file: &Path) -> Error {
    Error::CannotSave(format!(
        "{} cannot be written to; check its owner and permissions and whether the disk is mounted \
         read-only, or choose another data folder with --data DIR",
        file.display()
    ))
}

fn full(file: &Path) -> String {
    format!(
        "the disk that holds {} is full; make room on it and start again",
        file.display()
    )
}

fn cannot_open(file: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            cannot_write(file)
        }
        Some(ErrorCode::DiskFull) => Error::CannotSave(full(file)),
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Invalid(format!(
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
