//! Every way to change a post, as a replayable change with its guards.

use super::post::{Content, Rendered, tag_slug};
use crate::{
    base::{Id, Timestamp, time::ClockSet},
    db::{Change, Value},
};

/// Guard: the post is as the editor last saw it.
pub const POST_UNCHANGED: &str = "post-unchanged";
/// Guard: no other post has, or had, the address.
pub const ADDRESS_FREE: &str = "address-free";
/// Guard: there is no post with this id yet.
pub const POST_IS_NEW: &str = "post-is-new";
/// Guard: the post is in the trash.
pub const POST_IN_TRASH: &str = "post-in-trash";

/// Makes a post.
pub fn insert_post(id: Id, content: &Content, rendered: &Rendered, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.guard(
        POST_IS_NEW,
        "UPDATE guard SET ok = NOT EXISTS (SELECT 1 FROM posts WHERE id = ?1)",
        vec![id.into()],
    );
    change.push(
        "INSERT INTO posts (id, kind, title, description, excerpt, words, published_at, created_at, \
         updated_at, trashed_at, revision, extra, renderer, markdown, html, draft_at, packed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, NULL, 1, '{}', ?9, ?10, ?11, ?12, ?13)",
        columns(id, content, rendered, now),
    );
    put_details(&mut change, id, content);
    change
}

/// Saves a post that the editor saw at `revision`.
pub fn update_post(
    id: Id,
    revision: i64,
    content: &Content,
    rendered: &Rendered,
    now: Timestamp,
) -> Change {
    let mut change = Change::new();
    guard_revision(&mut change, id, revision);
    change.push(
        "UPDATE posts SET kind = ?2, title = ?3, description = ?4, excerpt = ?5, words = ?6, \
         published_at = ?7, updated_at = ?8, revision = revision + 1, renderer = ?9, markdown = ?10, \
         html = ?11, draft_at = ?12, packed = ?13 WHERE id = ?1",
        columns(id, content, rendered, now),
    );
    put_details(&mut change, id, content);
    sweep_tags(&mut change);
    change
}

/// Puts a post into the trash: nobody sees it, its addresses stay its own, and it can come back.
pub fn trash_post(id: Id, now: Timestamp) -> Change {
    let mut change = Change::new();
    change.push(
        "UPDATE posts SET trashed_at = ?2, revision = revision + 1 WHERE id = ?1 AND trashed_at IS NULL",
        vec![id.into(), now.into()],
    );
    change.push(
        "UPDATE post_tags SET listed_at = NULL WHERE post_id = ?1",
        vec![id.into()],
    );
    change
}

/// Takes a post out of the trash, as it was.
pub fn restore_post(id: Id) -> Change {
    let mut change = Change::new();
    change.push(
        "UPDATE posts SET trashed_at = NULL, revision = revision + 1 \
         WHERE id = ?1 AND trashed_at IS NOT NULL",
        vec![id.into()],
    );
    change.push(
        "UPDATE post_tags SET listed_at = (SELECT published_at FROM posts WHERE id = ?1) \
         WHERE post_id = ?1 AND (SELECT kind FROM posts WHERE id = ?1) = 'post'",
        vec![id.into()],
    );
    change
}

/// Deletes a post from the trash for ever, with its addresses.
pub fn delete_post(id: Id) -> Change {
    let mut change = Change::new();
    change.guard(
        POST_IN_TRASH,
        "UPDATE guard SET ok = EXISTS (SELECT 1 FROM posts WHERE id = ?1 AND trashed_at IS NOT NULL)",
        vec![id.into()],
    );
    change.push("DELETE FROM posts WHERE id = ?1", vec![id.into()]);
    sweep_tags(&mut change);
    change
}

/// Moves the dates of what was saved before the clock was ever set to when that really was.
pub fn follow_clock(set: &ClockSet) -> Change {
    let mut change = Change::new();
    if !set.is_first {
        return change;
    }
    for sql in [
        "UPDATE posts SET published_at = published_at + ?3 \
         WHERE published_at BETWEEN ?1 AND ?2 AND updated_at BETWEEN ?1 AND ?2",
        "UPDATE post_tags SET listed_at = listed_at + ?3 \
         WHERE listed_at BETWEEN ?1 AND ?2 \
         AND post_id IN (SELECT id FROM posts WHERE updated_at BETWEEN ?1 AND ?2)",
        "UPDATE posts SET trashed_at = trashed_at + ?3 WHERE trashed_at BETWEEN ?1 AND ?2",
        "UPDATE posts SET created_at = created_at + ?3 WHERE created_at BETWEEN ?1 AND ?2",
        "UPDATE posts SET updated_at = updated_at + ?3 WHERE updated_at BETWEEN ?1 AND ?2",
    ] {
        change.push(
            sql,
            vec![set.began.into(), set.ended.into(), set.by_s.into()],
        );
    }
    change
}

/// The values of a post's row: ?1 its id, ?2 to ?6 what lists show, ?7 published, ?8 now, ?9 to ?11 the text,
/// ?12 the date of a draft, ?13 the text if it is packed.
fn columns(id: Id, content: &Content, rendered: &Rendered, now: Timestamp) -> Vec<Value> {
    let (markdown, html) = match &rendered.packed {
        Some(_) => ("", None),
        None => (content.markdown.as_str(), rendered.html.as_deref()),
    };
    vec![
        id.into(),
        content.kind.as_str().into(),
        (&content.title).into(),
        (&content.description).into(),
        (&rendered.excerpt).into(),
        words(rendered),
        content.published_at.into(),
        now.into(),
        rendered.renderer.into(),
        markdown.into(),
        html.into(),
        content.draft_at.into(),
        rendered.packed.clone().into(),
    ]
}

fn guard_revision(change: &mut Change, id: Id, revision: i64) {
    change.guard(
        POST_UNCHANGED,
        "UPDATE guard SET ok = EXISTS \
         (SELECT 1 FROM posts WHERE id = ?1 AND revision = ?2 AND trashed_at IS NULL)",
        vec![id.into(), revision.into()],
    );
}

/// Address, authors and tags: the same for a new post and a changed one.
fn put_details(change: &mut Change, id: Id, content: &Content) {
    let path = content.address.as_str();
    change.push(
        "UPDATE addresses SET is_current = 0 WHERE post_id = ?1 AND path <> ?2",
        vec![id.into(), path.into()],
    );
    change.push(
        "INSERT INTO addresses (id, path, post_id, is_current) VALUES (?1, ?2, ?3, 1) \
         ON CONFLICT (path) DO UPDATE SET is_current = 1 WHERE post_id = excluded.post_id AND is_current = 0",
        vec![Id::new().into(), path.into(), id.into()],
    );
    change.guard(
        ADDRESS_FREE,
        "UPDATE guard SET ok = EXISTS \
         (SELECT 1 FROM addresses WHERE path = ?1 AND post_id = ?2 AND is_current = 1)",
        vec![path.into(), id.into()],
    );

    // What stays as it is is not written: a page of an index costs as much as the text.
    let authors = i64::try_from(content.authors.len()).unwrap_or(i64::MAX);
    change.push(
        "DELETE FROM post_authors WHERE post_id = ?1 AND position >= ?2",
        vec![id.into(), authors.into()],
    );
    for (position, name) in (0i64..).zip(&content.authors) {
        change.push(
            "INSERT INTO post_authors (id, post_id, position, name) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (post_id, position) DO UPDATE SET name = excluded.name",
            vec![Id::new().into(), id.into(), position.into(), name.into()],
        );
    }

    let slugs: Vec<String> = content.tags.iter().map(|name| tag_slug(name)).collect();
    change.push(
        "DELETE FROM post_tags WHERE post_id = ?1 AND tag_id NOT IN \
         (SELECT id FROM tags WHERE slug IN (SELECT value FROM json_each(?2)))",
        vec![
            id.into(),
            serde_json::Value::from(slugs.clone()).to_string().into(),
        ],
    );
    for ((position, name), slug) in (0i64..).zip(&content.tags).zip(slugs) {
        change.push(
            "INSERT INTO tags (id, slug, name) VALUES (?1, ?2, ?3) \
             ON CONFLICT (slug) DO UPDATE SET name = excluded.name",
            vec![Id::new().into(), (&slug).into(), name.into()],
        );
        change.push(
            "INSERT INTO post_tags (id, post_id, tag_id, position, listed_at) \
             SELECT ?1, ?2, tags.id, ?3, \
             (SELECT published_at FROM posts WHERE id = ?2 AND trashed_at IS NULL AND kind = 'post') \
             FROM tags WHERE tags.slug = ?4 ON CONFLICT (post_id, tag_id) \
             DO UPDATE SET position = excluded.position, listed_at = excluded.listed_at \
             WHERE position <> excluded.position OR listed_at IS NOT excluded.listed_at",
            vec![Id::new().into(), id.into(), position.into(), slug.into()],
        );
    }
}

/// Tags that no post has any more.
fn sweep_tags(change: &mut Change) {
    change.push(
        "DELETE FROM tags WHERE NOT EXISTS (SELECT 1 FROM post_tags WHERE tag_id = tags.id)",
        vec![],
    );
}

fn words(rendered: &Rendered) -> Value {
    i64::try_from(rendered.words).unwrap_or(i64::MAX).into()
}
