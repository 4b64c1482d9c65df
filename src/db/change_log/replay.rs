//! Does again what a log has: a database as it was becomes what it was later.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use rusqlite::{Connection, params, params_from_iter};

use super::{KeptChanges, LogEntry, LogKind, LogPlace, end_of_log, read::Read};
use crate::{
    base::{Error, Result},
    db::{
        change::VERBS,
        door::{self, Purpose},
        migrations,
    },
};

/// Rows that are done in one transaction: fewer would be slower, more would take memory.
const ROWS_TOGETHER: usize = 1000;

/// How often it is looked whether one statement is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes that a database may always grow by.
const ROOM_BYTES: i64 = 64 * 1024 * 1024;
/// How many times larger than itself, and than the log, it may become: a log from elsewhere may want to fill the disk.
const MOST_TIMES: i64 = 8;

/// Replays the rows of a log up to a number on a database that is at an earlier place of the same log. Nobody else may
/// use the database; it is not synced.
///
/// # Errors
/// [`Error::Invalid`] if the log does not fit the database or has a gap, [`Error::Damaged`] if it is damaged,
/// [`Error::CannotSave`] if it would fill the disk; the database is of no use then.
/// [`Error::Busy`] if `stop` was set.
pub fn replay(
    log: &KeptChanges,
    database: &Path,
    up_to: i64,
    progress: &dyn Fn(usize, usize),
    stop: &AtomicBool,
) -> Result<()> {
    let mut connection = door::open(database, Purpose::Replay)?;
    let begins_at = end_of_log(&connection)?;
    let begins_at = begins_at.ok_or_else(|| does_not_fit("it has no beginning there"))?;
    if !log.has(begins_at)? {
        return Err(does_not_fit("it is of another site"));
    }
    let mut entries = log.after(begins_at.number)?;
    entries.retain(|entry| entry.number <= up_to);
    bound(&connection, log)?;
    let interrupt = connection.get_interrupt_handle();
    let replayed = thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if stop.load(Ordering::Relaxed) {
                    interrupt.interrupt();
                }
            }
        });
        let replayed = rows(log, &mut connection, (begins_at, &entries), progress, stop);
        drop(done);
        replayed
    });
    match replayed {
        Err(_) if stop.load(Ordering::Relaxed) => return Err(Error::Busy("it was stopped")),
        replayed => replayed?,
    }
    // The log of the file goes into it, and no other file is left beside.
    connection.close().map_err(|(_, e)| e)?;
    Ok(())
}

/// Lets a database become no larger than a log of this size can make it.
fn bound(connection: &Connection, log: &KeptChanges) -> Result<()> {
    let asked = |name: &str| -> rusqlite::Result<i64> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let (pages, page_bytes) = (asked("page_count")?, asked("page_size")?.max(512));
    let bytes = pages
        .saturating_mul(page_bytes)
        .saturating_add(log.bytes()?);
    let most = bytes.saturating_mul(MOST_TIMES).saturating_add(ROOM_BYTES);
    // Sets it, and gives it back.
    let most_pages = (most / page_bytes).min(i64::from(u32::MAX) - 1);
    connection.pragma_update_and_check(None, "max_page_count", most_pages, |_| Ok(()))?;
    Ok(())
}

/// Replays rows behind a place.
fn rows(
    log: &KeptChanges,
    connection: &mut Connection,
    (begins_at, entries): (LogPlace, &[LogEntry]),
    progress: &dyn Fn(usize, usize),
    stop: &AtomicBool,
) -> Result<()> {
    let mut last = begins_at.number;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for (done, entry) in entries.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Busy("it was stopped"));
        }
        if entry.number != last + 1 {
            return Err(does_not_fit("rows are missing"));
        }
        let is_migrated = migrations::version_of(connection)? >= entry.schema;
        if !is_migrated || (done + 1) % ROWS_TOGETHER == 0 {
            connection.execute_batch("COMMIT")?;
            progress(done, entries.len());
            if !is_migrated {
                migrations::migrate_to(connection, entry.schema)?;
            }
            connection.execute_batch("BEGIN IMMEDIATE")?;
        }
        one(log, connection, entry)?;
        last = entry.number;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

/// Does one row, and keeps it as it was kept then.
fn one(log: &KeptChanges, connection: &Connection, entry: &LogEntry) -> Result<()> {
    let row = log.row(entry.number)?;
    let statements = match entry.kind {
        LogKind::Change | LogKind::Upkeep => log.statements(&row.content)?,
        LogKind::Begin | LogKind::Restored(_) => Vec::new(),
        LogKind::Unknown => return Err(does_not_fit("a change is not known")),
    };
    let failed = |e: rusqlite::Error| {
        match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => {
            Error::CannotSave(
                "the disk is full, or the log would make more of the site than it can be; nothing was changed".into(),
            )
        }
        _ => does_not_fit(&format!("change {} fails: {e}", entry.number)),
    }
    };
    let texts = "INSERT INTO change_log_sql (id, sql) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
    // In the order in which the writer does it.
    if entry.kind == LogKind::Upkeep {
        all(connection, &statements).map_err(failed)?;
    }
    for Read { number, sql, .. } in &statements {
        let mut statement = connection.prepare_cached(texts)?;
        statement.execute(params![number, sql]).map_err(failed)?;
    }
    let keep = "INSERT INTO change_log (id, change_id, kind, at, schema, bytes_before, content) \
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection
        .prepare_cached(keep)?
        .execute(params![
            entry.number,
            entry.change,
            row.kind,
            entry.at.0,
            entry.schema,
            row.bytes_before,
            row.content
        ])
        .map_err(failed)?;
    if entry.kind == LogKind::Change {
        let sql = "INSERT INTO applied_changes (id) VALUES (?1)";
        let mut statement = connection.prepare_cached(sql)?;
        statement.execute([entry.change]).map_err(failed)?;
        all(connection, &statements).map_err(failed)?;
    }
    Ok(())
}

fn all(connection: &Connection, statements: &[Read]) -> rusqlite::Result<()> {
    for statement in statements {
        // A log may come from anywhere, and some statements write other files.
        if !VERBS.iter().any(|verb| statement.sql.starts_with(verb)) {
            return Err(rusqlite::Error::InvalidQuery);
        }
        let mut prepared = connection.prepare_cached(&statement.sql)?;
        let changed = prepared.execute(params_from_iter(&statement.values))?;
        if statement.is_guard && changed != 1 {
            return Err(rusqlite::Error::StatementChangedRows(changed));
        }
    }
    Ok(())
}

fn does_not_fit(why: &str) -> Error {
    Error::Invalid(format!(
        "the log of changes does not lead there from the backup ({why}); nothing was changed"
    ))
}
