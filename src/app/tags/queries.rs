//! Reading tags.

use rusqlite::{Connection, OptionalExtension};

use crate::{
    app::posts::post::Tag,
    base::{Error, Id, Result},
};

/// Tags in the list of all; a site with more has no use for the list.
const MAX_LISTED: usize = 2000;

/// The tags that a visitor can find posts under, by name.
pub fn list_tags(connection: &Connection) -> Result<Vec<Tag>> {
    let tags = connection
        .prepare_cached(
            "SELECT name, slug FROM tags WHERE EXISTS \
             (SELECT 1 FROM post_tags WHERE tag_id = tags.id AND listed_at IS NOT NULL) \
             ORDER BY slug LIMIT ?1",
        )?
        .query_map([MAX_LISTED as i64], |row| {
            Ok(Tag {
                name: row.get(0)?,
                slug: row.get(1)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(tags)
}

/// A tag's id and name.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub fn find_tag(connection: &Connection, slug: &str) -> Result<(Id, String)> {
    connection
        .prepare_cached("SELECT id, name FROM tags WHERE slug = ?1")?
        .query_row([slug], |row| Ok((Id(row.get(0)?), row.get(1)?)))
        .optional()?
        .ok_or(Error::NotFound)
}
