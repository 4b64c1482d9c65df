//! Reading posts: one, a list, its neighbours.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::post::{Content, Kind, Post, Rendered, Tag};
use crate::{
    base::{Error, Id, Result, Timestamp},
    text::{address::Address, packed},
};

/// What an address leads to.
#[derive(Debug)]
pub struct AtAddress {
    /// The post.
    pub id: Id,
    /// `false`: it has moved on, redirect to [`AtAddress::current`].
    pub is_current: bool,
    /// The post's address of today.
    pub current: Address,
    /// It is no draft: visitors can see it, or could until it was put into the trash.
    pub is_published: bool,
    /// It is in the trash.
    pub is_trashed: bool,
}

/// Finds what an address (decoded, no slash at the end) leads to.
pub fn find_at_address(connection: &Connection, path: &str) -> Result<Option<AtAddress>> {
    let mut statement = connection.prepare_cached(
        "SELECT p.id, a.is_current, now.path, p.published_at IS NOT NULL, p.trashed_at IS NOT NULL \
         FROM addresses AS a JOIN posts AS p ON p.id = a.post_id \
         JOIN addresses AS now ON now.post_id = p.id AND now.is_current = 1 WHERE a.path = ?1",
    )?;
    let found = statement
        .query_row([path], |row| {
            Ok(AtAddress {
                id: Id(row.get(0)?),
                is_current: row.get(1)?,
                current: address(row, 2)?,
                is_published: row.get(3)?,
                is_trashed: row.get(4)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// A post, whole.
///
/// # Errors
/// [`Error::NotFound`] if there is none of this id, [`Error::Damaged`] if its text is not what was written.
pub fn find_post(connection: &Connection, id: Id) -> Result<Post> {
    let mut statement = connection.prepare_cached(
        "SELECT p.kind, p.title, p.description, p.excerpt, p.words, p.published_at, p.created_at, \
         p.updated_at, p.trashed_at, p.revision, p.renderer, p.markdown, p.html, a.path, p.draft_at, \
         p.packed \
         FROM posts AS p JOIN addresses AS a ON a.post_id = p.id AND a.is_current = 1 WHERE p.id = ?1",
    )?;
    let found = statement
        .query_row([id.0], |row| {
            let words: i64 = row.get(4)?;
            Ok(Post {
                id,
                created_at: Timestamp(row.get(6)?),
                updated_at: Timestamp(row.get(7)?),
                trashed_at: row.get::<_, Option<i64>>(8)?.map(Timestamp),
                revision: row.get(9)?,
                content: Content {
                    kind: Kind::from_name(row.get_ref(0)?.as_str()?),
                    title: row.get(1)?,
                    description: row.get(2)?,
                    markdown: row.get(11)?,
                    tags: tags_of(connection, id)?
                        .into_iter()
                        .map(|tag| tag.name)
                        .collect(),
                    authors: authors_of(connection, id)?,
                    address: address(row, 13)?,
                    published_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
                    draft_at: row.get::<_, Option<i64>>(14)?.map(Timestamp),
                },
                rendered: Rendered {
                    excerpt: row.get(3)?,
                    words: usize::try_from(words).unwrap_or(0),
                    renderer: row.get(10)?,
                    html: row.get(12)?,
                    packed: row.get(15)?,
                },
            })
        })
        .optional()?;
    let mut post = found.ok_or(Error::NotFound)?;
    if let Some(packed) = post.rendered.packed.take() {
        let (markdown, html) = packed::unpack(&packed).ok_or_else(|| {
            Error::Damaged(format!(
                "the text of post {id} is damaged; `webstead check` says how much is"
            ))
        })?;
        post.content.markdown = markdown;
        post.rendered.html = Some(html);
    }
    Ok(post)
}

/// The tags of a post, in its order.
pub fn tags_of(connection: &Connection, id: Id) -> rusqlite::Result<Vec<Tag>> {
    connection
        .prepare_cached(
            "SELECT t.name, t.slug FROM post_tags AS pt JOIN tags AS t ON t.id = pt.tag_id \
             WHERE pt.post_id = ?1 ORDER BY pt.position, t.id",
        )?
        .query_map([id.0], |row| {
            Ok(Tag {
                name: row.get(0)?,
                slug: row.get(1)?,
            })
        })?
        .collect()
}

/// The by-line of a post.
pub fn authors_of(connection: &Connection, id: Id) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT name FROM post_authors WHERE post_id = ?1 ORDER BY position, id")?
        .query_map([id.0], |row| row.get(0))?
        .collect()
}

/// Addresses that redirect to the post, oldest first.
pub fn old_addresses_of(connection: &Connection, id: Id) -> Result<Vec<String>> {
    let paths = connection
        .prepare_cached(
            "SELECT path FROM addresses WHERE post_id = ?1 AND is_current = 0 ORDER BY id",
        )?
        .query_map([id.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(paths)
}

/// A post in a list.
#[derive(Clone, Debug)]
pub struct ListedPost {
    /// Its id.
    pub id: Id,
    /// Its title.
    pub title: String,
    /// Its address.
    pub address: Address,
    /// Description or first words.
    pub summary: String,
    /// When it was published.
    pub published_at: Timestamp,
    /// When it was last saved.
    pub updated_at: Timestamp,
}

/// A place between posts in the order of the lists: newest first, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Published at.
    pub at: i64,
    /// The post.
    pub id: Id,
}

impl Place {
    /// Before all posts: where the first page begins.
    pub const TOP: Self = Self {
        at: i64::MAX,
        id: Id(i64::MAX),
    };
}

/// Which way a list goes on from its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To posts before the place in time.
    Older,
    /// To posts after it.
    Newer,
}

impl Direction {
    /// How SQL compares with the place, and in which order it reads on from there.
    pub fn as_sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Older => ("<", "DESC"),
            Self::Newer => (">", "ASC"),
        }
    }
}

/// Which posts a list is of.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// All that visitors can see.
    All,
    /// Those with a tag, by the tag's id.
    Tag(Id),
}

const LISTED: &str = "p.id, p.title, a.path, \
    CASE p.description WHEN '' THEN p.excerpt ELSE p.description END, p.published_at, p.updated_at";

/// Up to `limit` posts that visitors can see, from `from` on (not included); always newest first.
///
/// Costs the same however many posts there are: it reads one stretch of an index.
pub fn list_posts(
    connection: &Connection,
    of: Of,
    from: Place,
    direction: Direction,
    limit: usize,
) -> Result<Vec<ListedPost>> {
    let (compare, order) = direction.as_sql();
    let (source, filter, at, post_id, tag_id) = match of {
        Of::All => (
            "posts AS p JOIN addresses AS a ON a.post_id = p.id AND a.is_current = 1",
            "p.kind = 'post' AND p.published_at IS NOT NULL AND p.trashed_at IS NULL AND ?4 = 0",
            "p.published_at",
            "p.id",
            0,
        ),
        Of::Tag(id) => (
            "post_tags AS pt JOIN posts AS p ON p.id = pt.post_id \
             JOIN addresses AS a ON a.post_id = p.id AND a.is_current = 1",
            "pt.tag_id = ?4 AND pt.listed_at IS NOT NULL",
            "pt.listed_at",
            "pt.post_id",
            id.0,
        ),
    };
    let sql = format!(
        "SELECT {LISTED} FROM {source} WHERE {filter} AND ({at}, {post_id}) {compare} (?1, ?2) \
         ORDER BY {at} {order}, {post_id} {order} LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut posts = connection
        .prepare_cached(&sql)?
        .query_map(params![from.at, from.id.0, limit, tag_id], listed)?
        .collect::<Result<Vec<_>, _>>()?;
    if direction == Direction::Newer {
        posts.reverse();
    }
    Ok(posts)
}

/// A post by its title and date.
#[derive(Clone, Debug)]
pub struct DatedTitle {
    /// Its id.
    pub id: Id,
    /// Its title.
    pub title: String,
    /// Its address.
    pub address: Address,
    /// When it was published.
    pub published_at: Timestamp,
}

/// [`list_posts`] of all posts, with titles and dates only: read from two indexes, not from the posts.
pub fn list_titles(
    connection: &Connection,
    from: Place,
    direction: Direction,
    limit: usize,
) -> Result<Vec<DatedTitle>> {
    let (compare, order) = direction.as_sql();
    let sql = format!(
        "SELECT p.id, p.title, a.path, p.published_at FROM posts AS p \
         JOIN addresses AS a ON a.post_id = p.id AND a.is_current = 1 \
         WHERE p.kind = 'post' AND p.published_at IS NOT NULL AND p.trashed_at IS NULL \
         AND (p.published_at, p.id) {compare} (?1, ?2) \
         ORDER BY p.published_at {order}, p.id {order} LIMIT ?3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut titles = connection
        .prepare_cached(&sql)?
        .query_map([from.at, from.id.0, limit], |row| {
            Ok(DatedTitle {
                id: Id(row.get(0)?),
                title: row.get(1)?,
                address: address(row, 2)?,
                published_at: Timestamp(row.get(3)?),
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    if direction == Direction::Newer {
        titles.reverse();
    }
    Ok(titles)
}

/// The posts beside a post in time: (older, newer).
pub fn neighbours(
    connection: &Connection,
    place: Place,
) -> Result<(Option<ListedPost>, Option<ListedPost>)> {
    let older = list_posts(connection, Of::All, place, Direction::Older, 1)?.pop();
    let newer = list_posts(connection, Of::All, place, Direction::Newer, 1)?.pop();
    Ok((older, newer))
}

/// Pages that visitors can see, by title: the menu.
pub fn list_pages(connection: &Connection) -> Result<Vec<ListedPost>> {
    let sql = format!(
        "SELECT {LISTED} FROM posts AS p JOIN addresses AS a ON a.post_id = p.id AND a.is_current = 1 \
         WHERE p.kind = 'page' AND p.published_at IS NOT NULL AND p.trashed_at IS NULL \
         ORDER BY p.title, p.id LIMIT 1000"
    );
    let pages = connection
        .prepare_cached(&sql)?
        .query_map([], listed)?
        .collect::<Result<_, _>>()?;
    Ok(pages)
}

/// Ids of all posts and pages that are not in the trash, in the order of time, and how many are in it.
pub fn list_ids(connection: &Connection) -> Result<(Vec<Id>, usize)> {
    let ids = connection
        .prepare_cached("SELECT id FROM posts WHERE trashed_at IS NULL ORDER BY id")?
        .query_map([], |row| Ok(Id(row.get(0)?)))?
        .collect::<Result<_, _>>()?;
    let trashed: i64 = connection
        .prepare_cached("SELECT count(*) FROM posts WHERE trashed_at IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok((ids, usize::try_from(trashed).unwrap_or(0)))
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedPost> {
    Ok(ListedPost {
        id: Id(row.get(0)?),
        title: row.get(1)?,
        address: address(row, 2)?,
        summary: row.get(3)?,
        published_at: Timestamp(row.get(4)?),
        updated_at: Timestamp(row.get(5)?),
    })
}

/// An address that was checked when it was stored.
fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Address> {
    Ok(Address::from_stored(row.get(column)?))
}
