//! Copies tables row by row, around what cannot be read.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};

use super::leaves::Leaves;
use crate::base::Result;

/// Rows of one table that are named when they are lost.
pub(super) const MAX_NAMED: usize = 20;

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Copies a table; gives how many rows were saved, and how many are known to be lost.
pub(super) fn copy_table(
    (from, leaves): (&Connection, &Leaves<'_>),
    into: &Connection,
    table: &str,
    notes: &mut Vec<String>,
) -> Result<(u64, u64)> {
    let theirs = columns(from, table)?;
    let ours: Vec<String> = columns(into, table)?
        .into_iter()
        .filter(|name| theirs.contains(name))
        .collect();
    if ours.is_empty() {
        return Ok((0, 0));
    }
    let names = ours.join(", ");
    let marks: Vec<String> = (1..=ours.len()).map(|n| format!("?{n}")).collect();
    let mut copy = Copy {
        from,
        into,
        read: format!(
            "SELECT {names} FROM {table} NOT INDEXED WHERE id BETWEEN ?1 AND ?2 ORDER BY id"
        ),
        write: format!(
            "INSERT OR IGNORE INTO {table} ({names}) VALUES ({})",
            marks.join(", ")
        ),
        columns: ours.len(),
        in_theirs: ours
            .iter()
            .filter_map(|name| theirs.iter().position(|other| other == name))
            .collect(),
        saved: 0,
        from_leaves: 0,
        refused: 0,
    };
    let (lost, are_all_known) = copy.all(table, leaves)?;
    let (saved, refused, from_leaves) = (copy.saved, copy.refused, copy.from_leaves);
    if from_leaves > 0 {
        notes.push(format!(
            "what leads to {from_leaves} rows of {table} is damaged; the rows themselves were found and are saved"
        ));
    }
    if refused > 0 {
        notes.push(format!(
            "{refused} rows of {table} have values that cannot be right, and were left out"
        ));
    }
    if !are_all_known && lost.is_empty() {
        notes.push(format!(
            "whether all rows of {table} were found is not known"
        ));
    }
    if !lost.is_empty() {
        let told: Vec<String> = lost.iter().take(MAX_NAMED).cloned().collect();
        let more = lost.len().saturating_sub(told.len());
        let more = if more > 0 {
            format!(", and {more} more")
        } else {
            String::new()
        };
        notes.push(format!(
            "{} rows of {table} are lost: {}{more}",
            lost.len(),
            told.join(", ")
        ));
    }
    Ok((saved, lost.len() as u64))
}

struct Copy<'a> {
    from: &'a Connection,
    into: &'a Connection,
    read: String,
    write: String,
    columns: usize,
    /// Where each of the columns is in a row of theirs.
    in_theirs: Vec<usize>,
    saved: u64,
    /// Those of them that no tree leads to.
    from_leaves: u64,
    refused: u64,
}

impl Copy<'_> {
    /// Copies all rows that can be read: from the first on until it fails, from the last back until it fails,
    /// what lies on leaves, and those of which an index knows. Gives what those are called that are lost, and whether
    /// it is known of all.
    fn all(&mut self, table: &str, leaves: &Leaves<'_>) -> Result<(BTreeSet<String>, bool)> {
        let is_whole = self.rows(false, i64::MIN, i64::MAX)?;
        if !is_whole {
            self.rows(true, i64::MIN, i64::MAX)?;
            leaves.rows(table, |_, row| self.row_of_a_leaf(row))?;
        }
        let into = self.into;
        let mut exists = into.prepare(&format!("SELECT 1 FROM {table} WHERE id = ?1"))?;
        let mut lost = BTreeSet::new();
        let (known, are_all) = known_ids(self.from, table);
        for id in known {
            if exists.exists([id])? {
                continue;
            }
            self.rows(false, id, id)?;
            if !exists.exists([id])? {
                lost.insert(called(self.from, table, id));
            }
        }
        Ok((lost, is_whole || are_all))
    }

    fn row_of_a_leaf(&mut self, row: Vec<Value>) -> Result<()> {
        let mut insert = self.into.prepare_cached(&self.write)?;
        let values = self.in_theirs.iter().filter_map(|column| row.get(*column));
        match insert.execute(params_from_iter(values)) {
            // One that was read before is there, and stays.
            Ok(count) => {
                self.saved += count as u64;
                self.from_leaves += count as u64;
            }
            Err(e) if is_of_the_row(&e) => self.refused += 1,
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    /// Copies the rows of a range until something cannot be read; says whether all of it could be.
    fn rows(&mut self, is_backward: bool, first: i64, last: i64) -> Result<bool> {
        let sql = format!("{}{}", self.read, if is_backward { " DESC" } else { "" });
        let Ok(mut statement) = self.from.prepare_cached(&sql) else {
            return Ok(false);
        };
        let Ok(mut rows) = statement.query([first, last]) else {
            return Ok(false);
        };
        let mut insert = self.into.prepare_cached(&self.write)?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                outcome => return Ok(outcome.is_ok()),
            };
            let values: rusqlite::Result<Vec<Value>> =
                (0..self.columns).map(|n| row.get(n)).collect();
            // Text that is none is of this row alone.
            let Ok(values) = values else {
                self.refused += 1;
                continue;
            };
            match insert.execute(params_from_iter(values)) {
                // Seen from the other side before.
                Ok(0) if is_backward => return Ok(true),
                Ok(count) => self.saved += count as u64,
                Err(e) if is_of_the_row(&e) => self.refused += 1,
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// Whether it is the row that is wrong, and not the disk.
fn is_of_the_row(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
    matches!(
        error.sqlite_error_code(),
        Some(ConstraintViolation | TypeMismatch | TooBig) | None
    )
}

/// Ids of a table that its indexes know, and whether one of them could be read to its end.
fn known_ids(from: &Connection, table: &str) -> (BTreeSet<i64>, bool) {
    let list = || -> rusqlite::Result<Vec<String>> {
        let mut indexes =
            from.prepare("SELECT name FROM pragma_index_list(?1) WHERE partial = 0")?;
        let names = indexes.query_map([table], |row| row.get(0))?;
        names.collect()
    };
    let (mut known, mut are_all) = (BTreeSet::new(), false);
    for index in list().unwrap_or_default() {
        let Ok(mut ids) = from.prepare(&format!("SELECT id FROM {table} INDEXED BY {index}"))
        else {
            continue;
        };
        let Ok(mut rows) = ids.query([]) else {
            continue;
        };
        loop {
            match rows.next() {
                Ok(Some(row)) => known.extend(row.get::<_, i64>(0)),
                Ok(None) => {
                    are_all = true;
                    break;
                }
                Err(_) => break,
            }
        }
    }
    (known, are_all)
}

/// What a row is called: a post by its address, which another table has too.
pub(super) fn called(from: &Connection, table: &str, id: i64) -> String {
    let sql = match table {
        "posts" => {
            "SELECT path FROM addresses INDEXED BY addresses_shown WHERE post_id = ?1 AND is_current = 1"
        }
        "media" => "SELECT hash FROM media INDEXED BY sqlite_autoindex_media_1 WHERE id = ?1",
        _ => return id.to_string(),
    };
    let name = from
        .query_row(sql, [id], |row| row.get::<_, String>(0))
        .optional();
    name.ok().flatten().unwrap_or_else(|| id.to_string())
}
