//! Which post of the site a file is, if it came in before.

use rusqlite::{Connection, OptionalExtension, Row};

use super::entry::Entry;
use crate::base::{Id, Result};

/// A post of the site that a file may be.
#[derive(Clone, Debug)]
pub(super) struct Existing {
    pub(super) id: Id,
    pub(super) title: String,
    pub(super) markdown: String,
    pub(super) revision: i64,
    pub(super) digest: Option<String>,
    pub(super) import_revision: Option<i64>,
    pub(super) is_trashed: bool,
    pub(super) import_key: Option<String>,
}

const COLUMNS: &str = "p.id, p.title, p.markdown, p.revision, p.import_digest, p.import_revision, \
                       p.trashed_at IS NOT NULL, p.import_key";

/// Finds the post by the id of our own export, else by the file that it came from, else by its address.
pub(super) fn find_existing(connection: &Connection, entry: &Entry) -> Result<Option<Existing>> {
    let by = |condition: &str, value: &dyn rusqlite::ToSql| -> Result<Option<Existing>> {
        let sql = format!("SELECT {COLUMNS} FROM posts AS p WHERE {condition}");
        Ok(connection
            .prepare_cached(&sql)?
            .query_row([value], existing)
            .optional()?)
    };
    if let Some(id) = entry.id
        && let Some(found) = by("p.id = ?1", &id.0)?
    {
        return Ok(Some(found));
    }
    if let Some(found) = by("p.import_key = ?1", &entry.key)? {
        return Ok(Some(found));
    }
    by(
        "p.id = (SELECT post_id FROM addresses WHERE path = ?1 AND is_current = 1)",
        &entry.address.as_str(),
    )
}

/// The post that has or had an address.
pub(super) fn owner_of(connection: &Connection, path: &str) -> Result<Option<Id>> {
    let id = connection
        .prepare_cached("SELECT post_id FROM addresses WHERE path = ?1")?
        .query_row([path], |row| row.get(0))
        .optional()?;
    Ok(id.map(Id))
}

/// Whether media with this hash are known.
pub(super) fn has_medium(connection: &Connection, hash: &str) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM media WHERE hash = ?1)")?
        .query_row([hash], |row| row.get(0))?)
}

fn existing(row: &Row<'_>) -> rusqlite::Result<Existing> {
    Ok(Existing {
        id: Id(row.get(0)?),
        title: row.get(1)?,
        markdown: row.get(2)?,
        revision: row.get(3)?,
        digest: row.get(4)?,
        import_revision: row.get(5)?,
        is_trashed: row.get(6)?,
        import_key: row.get(7)?,
    })
}
