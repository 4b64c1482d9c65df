//! Reads the log of a database.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::{LogPlace, has_table, number_of_text, record};
use crate::{
    base::{Error, Result, Timestamp},
    db::open_to_look,
};

/// What a row of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// A change.
    Change,
    /// One that only forgets what has had its time.
    Upkeep,
    /// The log begins here.
    Begin,
    /// The database became the site here, and has nothing of what happened to the site since this moment.
    Restored(Timestamp),
    /// A change that was not kept: by a program that knows of no log.
    Unknown,
}

/// A row of the log, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number: 1, 2, 3 …
    pub number: i64,
    /// The id of the change.
    pub change: i64,
    /// When it was applied, by the clock of then.
    pub at: Timestamp,
    /// What it is.
    pub kind: LogKind,
    /// The schema that it was written for.
    pub schema: i64,
}

/// A statement of a change that was kept.
pub(super) struct Read {
    pub(super) number: i64,
    pub(super) sql: String,
    pub(super) is_guard: bool,
    pub(super) values: Vec<crate::db::Value>,
}

/// A row as it is.
pub(super) struct Row {
    pub(super) kind: String,
    pub(super) bytes_before: i64,
    pub(super) content: Vec<u8>,
}

/// The log of a database, as it is at one moment.
pub struct KeptChanges {
    connection: Connection,
}

impl KeptChanges {
    /// Opens it; `None` if the database keeps none.
    ///
    /// # Errors
    /// As [`open_to_look`].
    pub fn open(database: &Path) -> Result<Option<Self>> {
        let connection = open_to_look(database)?;
        if !has_table(&connection)? {
            return Ok(None);
        }
        connection.execute_batch("BEGIN")?;
        let this = Self { connection };
        Ok(this.first()?.is_some().then_some(this))
    }

    /// Its first row.
    ///
    /// # Errors
    /// [`Error::Database`] if it cannot be read, which is true of all of these.
    pub fn first(&self) -> Result<Option<LogEntry>> {
        let sql =
            "SELECT id, change_id, at, kind, schema, content FROM change_log ORDER BY id LIMIT 1";
        let first = self.connection.query_row(sql, [], entry_of);
        Ok(first.optional()?)
    }

    /// Bytes of the database that has it.
    pub(super) fn bytes(&self) -> Result<i64> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Whether a place is in it: the database is what became of the one that had this place at its end.
    pub fn has(&self, place: LogPlace) -> Result<bool> {
        let sql = "SELECT count(*) FROM change_log WHERE id = ?1 AND change_id = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows: i64 = statement.query_row([place.number, place.change], |row| row.get(0))?;
        Ok(rows > 0)
    }

    /// The rows after a number, in order.
    pub fn after(&self, number: i64) -> Result<Vec<LogEntry>> {
        // The contents of most rows are not read at all.
        let sql = "SELECT id, change_id, at, kind, schema, iif(kind = 'restored', content, x'') FROM change_log \
                   WHERE id > ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([number], entry_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The rows that are no change that could be replayed, in order.
    pub fn marks(&self) -> Result<Vec<LogEntry>> {
        let sql = "SELECT id, change_id, at, kind, schema, content FROM change_log \
                   WHERE kind NOT IN ('change', 'upkeep') ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([], entry_of)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What [`LogEntry`] does not say of a row.
    pub(super) fn row(&self, number: i64) -> Result<Row> {
        let sql = "SELECT kind, bytes_before, content FROM change_log WHERE id = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row([number], |row| {
            Ok(Row {
                kind: row.get(0)?,
                bytes_before: row.get(1)?,
                content: row.get(2)?,
            })
        });
        Ok(row?)
    }

    /// The statements of a content.
    pub(super) fn statements(&self, content: &[u8]) -> Result<Vec<Read>> {
        let mut statements = Vec::new();
        for kept in record::decode(content)? {
            statements.push(Read {
                number: kept.sql,
                sql: self.text(kept.sql)?,
                is_guard: kept.is_guard,
                values: kept.values,
            });
        }
        Ok(statements)
    }

    fn text(&self, number: i64) -> Result<String> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT sql FROM change_log_sql WHERE id = ?1")?;
        let text: Option<String> = statement.query_row([number], |row| row.get(0)).optional()?;
        let sound = text.filter(|text| number_of_text(text) == number);
        sound.ok_or_else(|| {
            Error::Damaged("the log of changes is damaged: a statement is missing".into())
        })
    }
}

fn entry_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<LogEntry> {
    let kind: String = row.get(3)?;
    Ok(LogEntry {
        number: row.get(0)?,
        change: row.get(1)?,
        at: Timestamp(row.get(2)?),
        kind: match &kind[..] {
            "change" => LogKind::Change,
            "upkeep" => LogKind::Upkeep,
            "begin" => LogKind::Begin,
            "restored" => {
                let content: Vec<u8> = row.get(5)?;
                // One that cannot be read says that nothing is known of any time.
                let as_of = <[u8; 8]>::try_from(&content[..]).map_or(i64::MIN, i64::from_le_bytes);
                LogKind::Restored(Timestamp(as_of))
            }
            _ => LogKind::Unknown,
        },
        schema: row.get(4)?,
    })
}
