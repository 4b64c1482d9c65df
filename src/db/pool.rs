//! Opening a site's database for work: a few connections that read, one that writes.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, RwLock},
    time::Duration,
};

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use scheduled_thread_pool::{OnPoolDropBehavior, ScheduledThreadPool};

use super::{
    before,
    door::{self, Purpose, cannot_open, cannot_write, full},
    folder::DataFolder,
    health::Health,
    log_keeper::{LogKeeper, frames_of},
    migrations,
    pace::Pace,
    page_sums::{PageSums, SUMS},
    patience::Patience,
    wal::{frame_bytes, log_of},
    wal_verdict::look_at_log_unopened,
};
use crate::base::{
    Error, Id, Result, Timestamp, Verdict,
    files::{self, beside},
    written,
};

/// Connections for reading; `None` for the moment in which they are exchanged.
pub(super) type Readers = Arc<RwLock<Option<r2d2::Pool<SqliteConnectionManager>>>>;

/// One of them, until it is dropped.
pub(super) type Reader = r2d2::PooledConnection<SqliteConnectionManager>;

/// Readers at once.
const MAX_READERS: u32 = 4;

/// For whom a database is opened.
#[derive(Clone, Copy)]
pub(super) enum For<'a> {
    /// The server that holds the folder's lock, or has it from the one before; it migrates at some pace.
    Server(Pace<'a>),
    /// A command, which leaves the form of a database alone that another process serves.
    Command,
}

/// Opens the connection that writes, durable, checked, migrated, and what keeps its log.
pub(super) fn open_writer(
    file: &Path,
    health: &Arc<Health>,
    patience: &Patience,
    whom: For<'_>,
) -> Result<(Connection, LogKeeper)> {
    keep_private(file);
    put_damaged_log_aside(file, health)?;
    let sums = PageSums::open(file).map_err(|e| match e.kind() {
        ErrorKind::StorageFull => full(file),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => cannot_write(file),
        _ => Error::io("opening", beside(file, SUMS), e),
    })?;
    let mut connection = door::open(file, Purpose::Write)?;
    let before = frames_of(&connection).unwrap_or_default();
    let prepared = bring_up_to_date(&mut connection, file, whom);
    let after = frames_of(&connection).unwrap_or_default();
    written::count(
        "site.db-wal",
        after.since(before) * frame_bytes(sums.page_bytes()),
    );
    match prepared {
        Err(Error::Database(e)) => return Err(cannot_open(file, &e)),
        Err(e) => return Err(e),
        Ok(()) if connection.is_readonly("main")? => return Err(cannot_write(file)),
        Ok(()) => {}
    }
    let keeper = door::open(file, Purpose::KeepLog)?;
    let log = LogKeeper::new(
        keeper,
        file.to_path_buf(),
        sums,
        Arc::clone(health),
        patience.clone(),
    );
    Ok((connection, log))
}

/// Looks whether the log has lost what was saved. `SQLite` would go on from there without a word, and write
/// over the rest; so the log is put aside before.
fn put_damaged_log_aside(file: &Path, health: &Health) -> Result<()> {
    let verdict = look_at_log_unopened(file);
    let Verdict::Damaged(what) = verdict else {
        return verdict.insist();
    };
    let log = log_of(file);
    let aside = beside(file, &format!("-wal.damaged-{}", Timestamp::now().0));
    std::fs::copy(&log, &aside).map_err(|e| Error::io("copying the damaged log to", &aside, e))?;
    health.note_damage(&format!("{what}; it was copied to {}", aside.display()));
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

fn bring_up_to_date(connection: &mut Connection, file: &Path, whom: For<'_>) -> Result<()> {
    if !migrations::would_change(connection)? {
        return migrations::migrate(connection);
    }
    let pace = match whom {
        For::Server(pace) => pace,
        For::Command => {
            refuse_beside_server(file)?;
            Pace::unwatched()
        }
    };
    let interrupt = connection.get_interrupt_handle();
    pace.keep(&interrupt, || {
        before::keep(connection, file)?;
        migrations::migrate(connection)
    })
}

/// Refuses to change the form of a database under the hands of an older program that serves it: nobody has looked
/// whether that can work with it.
fn refuse_beside_server(file: &Path) -> Result<()> {
    let folder = DataFolder::at(file.parent().unwrap_or(Path::new(".")));
    match folder.running_server()? {
        Some(server) if server.process != std::process::id() => Err(Error::Invalid(format!(
            "an older version of Webstead serves this site (process {}), and this version would change the form of its \
             database, so nothing was done. Let this version take over first (`webstead upgrade FILE`; for a package, \
             `webstead reload`), or say the command with the program that serves",
            server.process
        ))),
        _ => Ok(()),
    }
}

/// The id of the last change that was applied.
pub(super) fn last_change(connection: &Connection) -> Result<Id> {
    let last: Option<i64> =
        connection.query_row("SELECT max(id) FROM applied_changes", [], |row| row.get(0))?;
    Ok(Id(last.unwrap_or(0)))
}

/// Opens the pool of connections that cannot write.
pub(super) fn open_readers(file: &Path) -> Result<r2d2::Pool<SqliteConnectionManager>> {
    pool_of(door::readers(file))
}

/// [`open_readers`] of a database beside which nothing can be written. Its form must be that of this program.
pub(super) fn open_readers_of_read_only(
    file: &Path,
) -> Result<r2d2::Pool<SqliteConnectionManager>> {
    if migrations::would_change(&door::open_to_look(file)?)? {
        return Err(Error::CannotSave(format!(
            "{} has the form of an older version, which this one would have to change, and the disk is read-only",
            file.display()
        )));
    }
    pool_of(door::readers_to_look(file))
}

fn pool_of(manager: SqliteConnectionManager) -> Result<r2d2::Pool<SqliteConnectionManager>> {
    // One thread opens and closes connections, and ends with the pool. By default there are three, which stay until the
    // next round of theirs, up to half a minute later.
    let keeper = ScheduledThreadPool::builder()
        .num_threads(1)
        .on_drop_behavior(OnPoolDropBehavior::DiscardPendingScheduled)
        .thread_name_pattern("readers")
        .build();
    r2d2::Pool::builder()
        .max_size(MAX_READERS)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(5))
        .test_on_check_out(false) // a local file does not hang up
        .thread_pool(Arc::new(keeper))
        .build(manager)
        .map_err(Error::internal)
}
