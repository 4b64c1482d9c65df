//! Which post of the site a file is, if it came in before.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension};

use super::entry::Entry;
use crate::{
    app::posts::{
        post::Post,
        queries::{find_post, old_addresses_of},
    },
    base::{Id, Result},
};

/// A post of the site that a file may be.
#[derive(Clone, Debug)]
pub(super) struct Existing {
    /// Without its HTML.
    pub(super) post: Post,
    pub(super) old_addresses: Vec<String>,
    /// Front matter that is kept for an export, as JSON.
    pub(super) extra: String,
    /// The file that it came from.
    pub(super) origin: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) import_revision: Option<i64>,
}

/// A file, and the post that it may be.
pub(super) type Matched = (Option<Existing>, Entry);

/// Finds the post of each file: by the id of our own export, else by the file that it came from, else
/// by its address. A post is found for one file only.
pub(super) fn match_all(connection: &Connection, entries: Vec<Entry>) -> Result<Vec<Matched>> {
    let mut found: Vec<Option<Id>> = vec![None; entries.len()];
    let mut claimed = HashSet::new();
    for way in [by_id, by_origin, by_address] {
        for (entry, found) in entries.iter().zip(&mut found) {
            if found.is_none() {
                *found = way(connection, entry)?.filter(|id| claimed.insert(*id));
            }
        }
    }
    entries
        .into_iter()
        .zip(found)
        .map(|(entry, found)| {
            let existing = found.map(|id| load(connection, id)).transpose()?;
            Ok((existing, entry))
        })
        .collect()
}

fn by_id(connection: &Connection, entry: &Entry) -> Result<Option<Id>> {
    let Some(id) = entry.id else {
        return Ok(None);
    };
    find(connection, "SELECT id FROM posts WHERE id = ?1", id.0)
}

fn by_origin(connection: &Connection, entry: &Entry) -> Result<Option<Id>> {
    let sql = "SELECT id FROM posts WHERE import_key = ?1";
    find(connection, sql, &entry.origin)
}

fn by_address(connection: &Connection, entry: &Entry) -> Result<Option<Id>> {
    let sql = "SELECT post_id FROM addresses WHERE path = ?1 AND is_current = 1";
    find(connection, sql, entry.address.as_str())
}

/// The post that has or had an address.
pub(super) fn owner_of(connection: &Connection, path: &str) -> Result<Option<Id>> {
    let sql = "SELECT post_id FROM addresses WHERE path = ?1";
    find(connection, sql, path)
}

fn find(connection: &Connection, sql: &str, value: impl rusqlite::ToSql) -> Result<Option<Id>> {
    let id = connection
        .prepare_cached(sql)?
        .query_row([value], |row| row.get(0))
        .optional()?;
    Ok(id.map(Id))
}

/// Whether media with this hash are known.
pub(super) fn has_medium(connection: &Connection, hash: &str) -> Result<bool> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM media WHERE hash = ?1)")?
        .query_row([hash], |row| row.get(0))?)
}

fn load(connection: &Connection, id: Id) -> Result<Existing> {
    let mut post = find_post(connection, id)?;
    post.rendered.html = None;
    let sql = "SELECT extra, import_key, import_digest, import_revision FROM posts WHERE id = ?1";
    let existing = connection.prepare_cached(sql)?.query_row([id.0], |row| {
        Ok(Existing {
            post,
            old_addresses: Vec::new(),
            extra: row.get(0)?,
            origin: row.get(1)?,
            digest: row.get(2)?,
            import_revision: row.get(3)?,
        })
    })?;
    Ok(Existing {
        old_addresses: old_addresses_of(connection, id)?,
        ..existing
    })
}
