//! Reading what is known of media files.

use rusqlite::{Connection, OptionalExtension};

use crate::base::{Error, Result};

/// Hex digits of a hash that an address carries: 128 bits.
pub const ADDRESS_HASH_CHARS: usize = 32;

/// A media file.
#[derive(Clone, Debug)]
pub struct Medium {
    /// SHA-256 of its content, 64 hex digits.
    pub hash: String,
    /// Its name, for people.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its length.
    pub size_bytes: i64,
}

impl Medium {
    /// Where it is: `/media/<half of its hash>/<name>`.
    pub fn href(&self) -> String {
        let path = format!("/media/{}/{}", &self.hash[..ADDRESS_HASH_CHARS], self.name);
        crate::text::address::Address::from_stored(path).href()
    }
}

/// Finds a file by the start of its hash that an address carries.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub fn find_medium(connection: &Connection, hash_start: &str) -> Result<Medium> {
    let is_hash = hash_start.len() == ADDRESS_HASH_CHARS
        && hash_start
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_hash {
        return Err(Error::NotFound);
    }
    connection
        .prepare_cached(
            "SELECT hash, name, content_type, size_bytes FROM media \
             WHERE hash >= ?1 AND hash < ?2 ORDER BY hash LIMIT 1",
        )?
        .query_row([hash_start.to_owned(), format!("{hash_start}g")], medium)
        .optional()?
        .ok_or(Error::NotFound)
}

/// The newest files, for putting them into a text.
pub fn list_newest(connection: &Connection, limit: usize) -> Result<Vec<Medium>> {
    let media = connection
        .prepare_cached(
            "SELECT hash, name, content_type, size_bytes FROM media ORDER BY id DESC LIMIT ?1",
        )?
        .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], medium)?
        .collect::<Result<_, _>>()?;
    Ok(media)
}

/// Every file, oldest first.
pub fn list_all(connection: &Connection) -> Result<Vec<Medium>> {
    let media = connection
        .prepare_cached("SELECT hash, name, content_type, size_bytes FROM media ORDER BY id")?
        .query_map([], medium)?
        .collect::<Result<_, _>>()?;
    Ok(media)
}

fn medium(row: &rusqlite::Row<'_>) -> rusqlite::Result<Medium> {
    Ok(Medium {
        hash: row.get(0)?,
        name: row.get(1)?,
        content_type: row.get(2)?,
        size_bytes: row.get(3)?,
    })
}
