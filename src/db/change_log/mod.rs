//! The log of changes: what is written since the oldest backup that is kept, so that the site can be brought back to
//! any moment in between.
//!
//! A change gives the same result wherever it is replayed (ARCHITECTURE.md, "Rules for writes"), so that it is enough
//! to keep the change itself, in the transaction that applies it. Where there is no backup, nothing is kept: the first
//! backup begins the log ([`begin`]).

mod read;
mod record;
mod replay;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

pub use read::{KeptChanges, LogEntry, LogKind};
pub use replay::replay;

use super::{
    change::{Change, Statement},
    door::{self, Purpose},
    migrations,
};
use crate::base::{Error, Id, Result, Timestamp};

/// A place in the log: everything up to here is in the database that has it at its end.
///
/// Two sites that were one once have the same place only up to where they part, because the id of a change is never
/// made twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// The number of the row.
    pub number: i64,
    /// The id of its change.
    pub change: i64,
}

/// The end of a database's log; nothing if it keeps none.
///
/// # Errors
/// [`Error::Database`] if it cannot be read.
pub fn end_of_log(connection: &Connection) -> Result<Option<LogPlace>> {
    if !has_table(connection)? {
        return Ok(None);
    }
    let sql = "SELECT id, change_id FROM change_log ORDER BY id DESC LIMIT 1";
    let place = connection.query_row(sql, [], |row| {
        Ok(LogPlace {
            number: row.get(0)?,
            change: row.get(1)?,
        })
    });
    Ok(place.optional()?)
}

/// The number of the first row of a database's log.
pub(super) fn start_of_log(connection: &Connection) -> Result<Option<i64>> {
    if !has_table(connection)? {
        return Ok(None);
    }
    let first = "SELECT min(id) FROM change_log";
    Ok(connection.query_row(first, [], |row| row.get(0))?)
}

/// Whether a database is of a program that can keep changes.
fn has_table(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'change_log'";
    let tables: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(tables > 0)
}

/// The change that begins the log, if there is none: from now on everything is kept.
pub(super) fn insert_begin() -> Change {
    let mut change = Change::upkeep();
    let id = change.id();
    change.push(
        "INSERT INTO change_log (id, change_id, kind, at, schema, bytes_before, content) \
         SELECT 1, ?1, 'begin', ?2, ?3, 0, x'' WHERE NOT EXISTS (SELECT 1 FROM change_log)",
        vec![
            id.into(),
            Timestamp::now().into(),
            migrations::schema_version().into(),
        ],
    );
    change
}

/// The change that forgets what was kept before a row; the last row stays, so that their numbers go on rising.
pub(super) fn sweep_before(number: i64) -> Change {
    let mut change = Change::upkeep();
    change.push(
        "DELETE FROM change_log WHERE id < ?1 AND id < (SELECT max(id) FROM change_log)",
        vec![number.into()],
    );
    change
}

/// The change after which nothing is kept any more. The texts stay: they are the program's, and others count on them.
pub(super) fn sweep_all() -> Change {
    let mut change = Change::upkeep();
    change.push("DELETE FROM change_log", vec![]);
    change
}

/// Notes at the end of the log of a database that nobody uses that it becomes the site only now, and has nothing of what
/// happened to the site since `as_of`. Does nothing where no log is kept.
///
/// # Errors
/// [`Error::Database`] if it cannot be written.
pub fn note_restored(database: &Path, as_of: Timestamp) -> Result<()> {
    let connection = door::open(database, Purpose::Build)?;
    if !has_table(&connection)? {
        return Ok(());
    }
    let sql = "INSERT INTO change_log (id, change_id, kind, at, schema, bytes_before, content) \
               SELECT id + 1, ?1, 'restored', ?2, schema, bytes_before + length(content), ?3 \
               FROM change_log ORDER BY id DESC LIMIT 1";
    let content = as_of.0.to_le_bytes();
    connection.execute(sql, params![Id::new().0, Timestamp::now().0, &content[..]])?;
    connection.close().map_err(|(_, e)| Error::Database(e))
}

/// Rows that are forgotten at a change, at most, where the log has become too large.
const MOST_FORGOTTEN: i64 = 500;

/// Keeps the changes of one connection.
pub(super) struct Keeper {
    /// The most bytes of all rows together.
    most_bytes: Arc<AtomicU64>,
    /// The numbers of the texts.
    numbers: HashMap<&'static str, i64>,
    /// Those that the database has for certain.
    stored: HashSet<i64>,
    /// Whether the database has a log: before its migration it has none.
    has_table: bool,
}

impl Keeper {
    /// Of rows of this size together; it may change.
    pub(super) fn new(most_bytes: Arc<AtomicU64>) -> Self {
        Self {
            most_bytes,
            numbers: HashMap::new(),
            stored: HashSet::new(),
            has_table: false,
        }
    }

    /// What was written in this transaction may have been undone.
    pub(super) fn is_undone(&mut self) {
        self.stored.clear();
    }

    /// Whether changes are kept.
    pub(super) fn is_begun(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        self.has_table = self.has_table || has_table(connection)?;
        Ok(self.has_table
            && connection
                .prepare_cached("SELECT 1 FROM change_log LIMIT 1")?
                .exists([])?)
    }

    /// Keeps a change that is applied in the same transaction, if changes are kept.
    pub(super) fn insert(
        &mut self,
        connection: &Connection,
        change: &Change,
    ) -> rusqlite::Result<()> {
        self.has_table = self.has_table || has_table(connection)?;
        if !self.has_table {
            return Ok(());
        }
        let sql =
            "SELECT id, bytes_before + length(content) FROM change_log ORDER BY id DESC LIMIT 1";
        let last = connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((last, bytes)): Option<(i64, i64)> = last else {
            return Ok(());
        };
        for Statement { sql, .. } in change.statements() {
            self.store_text(connection, sql)?;
        }
        let statements = change.statements().iter().map(|statement| {
            let number = number_of(&mut self.numbers, statement.sql);
            (number, statement.guard.is_some(), &statement.values[..])
        });
        let content = record::encode(statements);
        let content = content.map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
        let schema: i64 = connection
            .prepare_cached("PRAGMA user_version")?
            .query_row([], |row| row.get(0))?;
        let kind = if change.is_upkeep() {
            "upkeep"
        } else {
            "change"
        };
        let sql = "INSERT INTO change_log (id, change_id, kind, at, schema, bytes_before, content) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        connection.prepare_cached(sql)?.execute(params![
            last + 1,
            change.id().0,
            kind,
            Timestamp::now().0,
            schema,
            bytes,
            content
        ])?;
        match self.cut(connection, last, bytes) {
            // A log that is too large, or damaged, keeps nothing from being saved.
            Err(e) if !connection.is_autocommit() => {
                log::warn!("the log of changes was not shortened: {e}");
                Ok(())
            }
            cut => cut,
        }
    }

    fn store_text(&mut self, connection: &Connection, text: &'static str) -> rusqlite::Result<()> {
        let number = number_of(&mut self.numbers, text);
        if self.stored.insert(number) {
            let sql =
                "INSERT INTO change_log_sql (id, sql) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
            connection
                .prepare_cached(sql)?
                .execute(params![number, text])?;
        }
        Ok(())
    }

    /// Forgets the oldest rows when all together have become too large: a sixteenth more than they need to, so that
    /// this does not happen at every change. Some hundred at a time: nobody waits for long for a save.
    fn cut(&self, connection: &Connection, last: i64, bytes: i64) -> rusqlite::Result<()> {
        let most = i64::try_from(self.most_bytes.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        let sql = "SELECT id, bytes_before FROM change_log ORDER BY id LIMIT 1";
        let (first, before): (i64, i64) = connection
            .prepare_cached(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if bytes - before <= most {
            return Ok(());
        }
        let from = bytes - (most - most / 16);
        // The first row that stays: the sums of rows rise. One that is missing is passed over.
        let (mut low, mut high) = (first, last);
        let sql = "SELECT bytes_before FROM change_log WHERE id >= ?1 ORDER BY id LIMIT 1";
        let mut sum_before = connection.prepare_cached(sql)?;
        while low < high {
            let middle = low + (high - low) / 2;
            let sum: i64 = sum_before.query_row([middle], |row| row.get(0))?;
            if sum < from {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let up_to = low.min(first + MOST_FORGOTTEN);
        connection.execute("DELETE FROM change_log WHERE id < ?1", [up_to])?;
        Ok(())
    }
}

/// The number of a text: it is the same on every machine.
fn number_of(numbers: &mut HashMap<&'static str, i64>, text: &'static str) -> i64 {
    *numbers.entry(text).or_insert_with(|| number_of_text(text))
}

fn number_of_text(text: &str) -> i64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_ref()[..8]);
    i64::from_le_bytes(first)
}
