//! What the editors' lists read.

use rusqlite::{Connection, params};

use crate::{
    app::posts::queries::{Direction, Place},
    base::{Error, Id, Result, Timestamp},
    text::address::Address,
};

/// Which entries the list of everything shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Posts and pages.
    All,
    /// Posts only.
    Posts,
    /// Pages only.
    Pages,
    /// What is not published.
    Drafts,
}

impl Filter {
    /// From `?show=`.
    pub fn from_name(name: &str) -> Self {
        match name {
            "posts" => Self::Posts,
            "pages" => Self::Pages,
            "drafts" => Self::Drafts,
            _ => Self::All,
        }
    }

    /// As `?show=` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Posts => "posts",
            Self::Pages => "pages",
            Self::Drafts => "drafts",
        }
    }

    fn condition(self) -> &'static str {
        match self {
            Self::All => "1",
            Self::Posts => "p.kind = 'post'",
            Self::Pages => "p.kind = 'page'",
            Self::Drafts => "p.published_at IS NULL",
        }
    }
}

/// A post or page as editors list it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: Id,
    /// Its title.
    pub title: String,
    /// Whether it is a page.
    pub is_page: bool,
    /// Where it is, or will be.
    pub address: Address,
    /// Last saved.
    pub updated_at: Timestamp,
    /// Published, if it is.
    pub published_at: Option<Timestamp>,
}

/// Entries whose title contains `title`, last saved first, from a place (last saved, id) on.
///
/// Titles are compared here: `SQLite` knows capitals of ASCII only. Only what is found is kept in memory.
pub fn list_entries(
    connection: &Connection,
    filter: Filter,
    title: &str,
    (from, direction): (Place, Direction),
    limit: usize,
) -> Result<Vec<Entry>> {
    let (compare, order) = direction.as_sql();
    let sql = format!(
        "SELECT p.id, p.title, p.kind = 'page', a.path, p.updated_at, p.published_at FROM posts AS p \
         JOIN addresses AS a ON a.post_id = p.id AND a.is_current = 1 \
         WHERE p.trashed_at IS NULL AND {} AND (p.updated_at, p.id) {compare} (?1, ?2) \
         ORDER BY p.updated_at {order}, p.id {order}",
        filter.condition()
    );
    let wanted = title.to_lowercase();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![from.at, from.id.0])?;
    let mut entries = Vec::new();
    while entries.len() < limit
        && let Some(row) = rows.next()?
    {
        let title = row.get_ref(1)?.as_str().map_err(Error::internal)?;
        if !title.to_lowercase().contains(&wanted) {
            continue;
        }
        entries.push(Entry {
            id: Id(row.get(0)?),
            title: title.to_owned(),
            is_page: row.get(2)?,
            address: Address::from_stored(row.get(3)?),
            updated_at: Timestamp(row.get(4)?),
            published_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        });
    }
    if direction == Direction::Newer {
        entries.reverse();
    }
    Ok(entries)
}

/// What is in the trash, thrown away last first: id, title, whether a page, when.
pub fn list_trash(connection: &Connection) -> Result<Vec<(Id, String, bool, Timestamp)>> {
    let entries = connection
        .prepare_cached(
            "SELECT id, title, kind = 'page', trashed_at FROM posts \
             WHERE trashed_at IS NOT NULL ORDER BY trashed_at DESC, id DESC LIMIT 1000",
        )?
        .query_map([], |row| {
            Ok((
                Id(row.get(0)?),
                row.get(1)?,
                row.get(2)?,
                Timestamp(row.get(3)?),
            ))
        })?
        .collect::<Result<_, _>>()?;
    Ok(entries)
}

/// How many are in the trash.
pub fn count_trash(connection: &Connection) -> Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM posts WHERE trashed_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}
