//! Writes an import: in many changes that nobody sees, and one that makes them visible.
//!
//! What is to come in waits in `staged_rows` as JSON, one row for each row of a table. The last change
//! checks that the site is still as it was when the import was planned, and moves everything at once.
//! If it never comes, nothing has happened, and the next import sweeps the rest away.

use serde_json::{Value as Json, json};

use super::plan::{Plan, PlannedPost, Progress};
use crate::{
    app::posts::post::tag_slug,
    base::{Error, Id, Result, Timestamp},
    db::{Change, Database, MAX_CHANGE_BYTES},
};

/// Guard: the posts are as they were when the import was planned.
const POSTS_UNCHANGED: &str = "import-posts-unchanged";
/// Guard: no other post has taken an address in the meantime.
const ADDRESSES_FREE: &str = "import-addresses-free";
/// What staged parts of long texts are staged for.
const PARTS: &str = "parts";
/// Columns whose texts may be long.
const SPLIT_COLUMNS: [&str; 3] = ["markdown", "html", "extra"];
/// Bytes of a part: as JSON it is six times that at most.
const PART_BYTES: usize = 100_000;
/// Rows of imports that never ended are swept after this long.
const ABANDONED_AFTER_MS: i64 = 24 * 3600 * 1000;

/// Stages the plan and makes it visible.
pub(super) fn apply(plan: &Plan, database: &Database, progress: Progress<'_>) -> Result<()> {
    let now = Timestamp::now();
    database.apply_blocking(sweep(Id::first_at(now.0 * 1000 - ABANDONED_AFTER_MS)))?;
    let batch = Id::new();
    let outcome = stage_all(plan, database, batch, now, progress)
        .and_then(|()| database.apply_blocking(publish(batch)));
    if outcome.is_err() {
        // Best effort: what stays is swept by the next import.
        let _ = database.apply_blocking(discard(batch));
    }
    outcome.map_err(|e| match e {
        Error::Conflict(_) => Error::Invalid(
            "the site was changed while the import was running, so nothing came in; start it again"
                .into(),
        ),
        e => e,
    })
}

fn stage_all(
    plan: &Plan,
    database: &Database,
    batch: Id,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<()> {
    let mut stage = Stage {
        database,
        batch,
        waiting: Change::new(),
    };
    let total = plan.posts.len();
    for (done, post) in plan.posts.iter().enumerate() {
        progress("Saving", done, total);
        for (table, row) in rows_of(post, now) {
            stage.add(table, row)?;
        }
    }
    for origin in &plan.origins {
        let row = json!({
            "id": origin.id, "expected_revision": origin.revision,
            "import_key": origin.origin, "import_digest": origin.digest,
        });
        stage.add("origins", row)?;
    }
    for file in &plan.media {
        let (width, height) = file.size.unzip();
        let row = json!({
            "id": Id::new(), "hash": file.medium.hash, "name": file.medium.name,
            "content_type": file.medium.content_type, "size_bytes": file.medium.size_bytes,
            "width": width, "height": height, "import_key": file.key, "created_at": now,
        });
        stage.add("media", row)?;
    }
    for (name, value) in &plan.settings {
        let row = json!({ "id": Id::new(), "name": name, "value": value });
        stage.add("settings", row)?;
    }
    database.apply_blocking(stage.waiting)
}

/// Fills changes with staged rows, and applies each when it is full.
struct Stage<'a> {
    database: &'a Database,
    batch: Id,
    waiting: Change,
}

impl Stage<'_> {
    fn add(&mut self, table: &'static str, mut row: Json) -> Result<()> {
        let mut text = row.to_string();
        if !fits(text.len()) {
            self.take_texts_out(&mut row)?;
            text = row.to_string();
        }
        self.push(table, text)?;
        Ok(())
    }

    /// Stages the long texts of a row in parts: a control character is six bytes of JSON, so a text
    /// that fits into a change may not fit as JSON.
    fn take_texts_out(&mut self, row: &mut Json) -> Result<()> {
        for column in SPLIT_COLUMNS {
            let Some(text) = row[column].as_str().filter(|text| text.len() > PART_BYTES) else {
                continue;
            };
            let (mut ids, mut rest) = (Vec::new(), text);
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
                ids.push(self.push(PARTS, json!({ "text": part }).to_string())?);
                rest = after;
            }
            row[column] = json!({ "first": ids.first(), "last": ids.last() });
        }
        Ok(())
    }

    fn push(&mut self, table: &'static str, text: String) -> Result<Id> {
        if !fits(self.waiting.size_bytes() + text.len()) {
            self.database
                .apply_blocking(std::mem::take(&mut self.waiting))?;
        }
        let id = Id::new();
        self.waiting.push(
            "INSERT INTO staged_rows (id, batch_id, into_table, row) VALUES (?1, ?2, ?3, ?4)",
            vec![id.into(), self.batch.into(), table.into(), text.into()],
        );
        Ok(id)
    }
}

/// Whether a row of this length and what belongs to it fit into a change.
fn fits(bytes: usize) -> bool {
    bytes + 1000 <= MAX_CHANGE_BYTES
}

/// The rows that a post becomes.
fn rows_of(post: &PlannedPost, now: Timestamp) -> Vec<(&'static str, Json)> {
    let PlannedPost {
        id,
        entry,
        content,
        rendered,
        digest,
        revision,
        expected_revision,
    } = post;
    let updated_at = entry.updated_at.or(content.published_at).unwrap_or(now);
    // Not now: a post whose file says when it was updated is shown as updated since it was published.
    let created_at = content.published_at.unwrap_or(now).min(now);
    let row = json!({
        "id": id, "kind": content.kind.as_str(), "title": content.title,
        "description": content.description, "excerpt": rendered.excerpt, "words": rendered.words,
        "published_at": content.published_at, "draft_at": content.draft_at, "created_at": created_at, "updated_at": updated_at,
        "expected_revision": expected_revision, "revision": revision,
        "import_key": entry.origin, "import_digest": digest,
        "extra": Json::Object(entry.extra.clone()).to_string(),
        "renderer": rendered.renderer, "markdown": content.markdown, "html": rendered.html,
    });
    let mut rows = vec![("posts", row)];
    let current = (content.address.as_str(), 1);
    for (path, is_current) in
        std::iter::once(current).chain(entry.aliases.iter().map(|(alias, _)| (alias.as_str(), 0)))
    {
        rows.push((
            "addresses",
            json!({ "id": Id::new(), "path": path, "post_id": id, "is_current": is_current }),
        ));
    }
    for (position, name) in content.authors.iter().enumerate() {
        rows.push((
            "post_authors",
            json!({ "id": Id::new(), "post_id": id, "position": position, "name": name }),
        ));
    }
    for (position, name) in content.tags.iter().enumerate() {
        rows.push((
            "post_tags",
            json!({
                "id": Id::new(), "tag_id": Id::new(), "post_id": id, "position": position,
                "slug": tag_slug(name), "name": name,
            }),
        ));
    }
    rows
}

/// SQL that puts together the texts of a column that were staged in parts.
macro_rules! join_parts {
    ($column:literal) => {
        concat!(
            "UPDATE posts SET ",
            $column,
            " = (SELECT group_concat(json_extract(part.row, '$.text'), '' ORDER BY part.id) \
             FROM staged_rows AS part WHERE part.batch_id = ?1 AND part.into_table = 'parts' \
             AND part.id BETWEEN json_extract(s.row, '$.",
            $column,
            ".first') AND json_extract(s.row, '$.",
            $column,
            ".last')) FROM staged_rows AS s WHERE s.batch_id = ?1 AND s.into_table = 'posts' \
             AND json_type(s.row, '$.",
            $column,
            "') = 'object' AND posts.id = json_extract(s.row, '$.id')"
        )
    };
}

/// The change that makes a batch visible.
fn publish(batch: Id) -> Change {
    let mut change = Change::new();
    change.guard(
        POSTS_UNCHANGED,
        "UPDATE guard SET ok = NOT EXISTS (SELECT 1 FROM staged_rows AS s \
         LEFT JOIN posts AS p ON p.id = json_extract(s.row, '$.id') \
         WHERE s.batch_id = ?1 AND s.into_table IN ('posts', 'origins') \
         AND (p.revision IS NOT json_extract(s.row, '$.expected_revision') OR p.trashed_at IS NOT NULL))",
        vec![batch.into()],
    );
    change.guard(
        ADDRESSES_FREE,
        "UPDATE guard SET ok = NOT EXISTS (SELECT 1 FROM staged_rows AS s \
         JOIN addresses AS a ON a.path = json_extract(s.row, '$.path') \
         WHERE s.batch_id = ?1 AND s.into_table = 'addresses' \
         AND a.post_id <> json_extract(s.row, '$.post_id'))",
        vec![batch.into()],
    );
    for sql in MOVES {
        change.push(sql, vec![batch.into()]);
    }
    for sql in [
        join_parts!("markdown"),
        join_parts!("html"),
        join_parts!("extra"),
    ] {
        change.push(sql, vec![batch.into()]);
    }
    change.extend(discard(batch));
    change
}

/// Moves each table's rows from `staged_rows` to where they belong.
const MOVES: [&str; 13] = [
    "UPDATE posts SET import_key = NULL WHERE import_key IN (SELECT json_extract(row, '$.import_key') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table IN ('posts', 'origins'))",
    "UPDATE posts SET import_key = json_extract(s.row, '$.import_key'), \
     import_digest = json_extract(s.row, '$.import_digest'), import_revision = revision \
     FROM staged_rows AS s WHERE s.batch_id = ?1 AND s.into_table = 'origins' \
     AND posts.id = json_extract(s.row, '$.id')",
    "INSERT INTO posts (id, kind, title, description, excerpt, words, published_at, draft_at, \
     created_at, updated_at, trashed_at, revision, import_key, import_digest, import_revision, extra, renderer, \
     markdown, html) \
     SELECT json_extract(row, '$.id'), json_extract(row, '$.kind'), json_extract(row, '$.title'), \
     json_extract(row, '$.description'), json_extract(row, '$.excerpt'), json_extract(row, '$.words'), \
     json_extract(row, '$.published_at'), json_extract(row, '$.draft_at'), \
     json_extract(row, '$.created_at'), \
     json_extract(row, '$.updated_at'), NULL, json_extract(row, '$.revision'), \
     json_extract(row, '$.import_key'), json_extract(row, '$.import_digest'), \
     json_extract(row, '$.revision'), json_extract(row, '$.extra'), json_extract(row, '$.renderer'), \
     json_extract(row, '$.markdown'), json_extract(row, '$.html') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'posts' ORDER BY id \
     ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, title = excluded.title, \
     description = excluded.description, excerpt = excluded.excerpt, words = excluded.words, \
     published_at = excluded.published_at, draft_at = excluded.draft_at, \
     updated_at = excluded.updated_at, \
     revision = excluded.revision, import_key = excluded.import_key, \
     import_digest = excluded.import_digest, import_revision = excluded.import_revision, \
     extra = excluded.extra, renderer = excluded.renderer, markdown = excluded.markdown, \
     html = excluded.html, packed = NULL",
    "UPDATE addresses SET is_current = 0 WHERE post_id IN (SELECT json_extract(row, '$.id') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'posts')",
    "INSERT INTO addresses (id, path, post_id, is_current) SELECT json_extract(row, '$.id'), \
     json_extract(row, '$.path'), json_extract(row, '$.post_id'), json_extract(row, '$.is_current') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'addresses' ORDER BY id \
     ON CONFLICT (path) DO UPDATE SET is_current = excluded.is_current \
     WHERE post_id = excluded.post_id",
    "DELETE FROM post_authors WHERE post_id IN (SELECT json_extract(row, '$.id') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'posts')",
    "INSERT INTO post_authors (id, post_id, position, name) SELECT json_extract(row, '$.id'), \
     json_extract(row, '$.post_id'), json_extract(row, '$.position'), json_extract(row, '$.name') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'post_authors' ORDER BY id",
    "DELETE FROM post_tags WHERE post_id IN (SELECT json_extract(row, '$.id') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'posts')",
    "INSERT INTO tags (id, slug, name) SELECT json_extract(row, '$.tag_id'), \
     json_extract(row, '$.slug'), json_extract(row, '$.name') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'post_tags' ORDER BY id \
     ON CONFLICT (slug) DO NOTHING",
    "INSERT INTO post_tags (id, post_id, tag_id, position, listed_at) \
     SELECT json_extract(s.row, '$.id'), p.id, t.id, json_extract(s.row, '$.position'), \
     CASE p.kind WHEN 'post' THEN p.published_at END \
     FROM staged_rows AS s JOIN posts AS p ON p.id = json_extract(s.row, '$.post_id') \
     JOIN tags AS t ON t.slug = json_extract(s.row, '$.slug') \
     WHERE s.batch_id = ?1 AND s.into_table = 'post_tags' ORDER BY s.id",
    "DELETE FROM tags WHERE ?1 > 0 AND NOT EXISTS (SELECT 1 FROM post_tags WHERE tag_id = tags.id)",
    "INSERT INTO media (id, hash, name, content_type, size_bytes, width, height, import_key, created_at) \
     SELECT json_extract(row, '$.id'), json_extract(row, '$.hash'), json_extract(row, '$.name'), \
     json_extract(row, '$.content_type'), json_extract(row, '$.size_bytes'), \
     json_extract(row, '$.width'), json_extract(row, '$.height'), json_extract(row, '$.import_key'), \
     json_extract(row, '$.created_at') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'media' ORDER BY id \
     ON CONFLICT (hash) DO NOTHING",
    "INSERT INTO settings (id, name, value) SELECT json_extract(row, '$.id'), \
     json_extract(row, '$.name'), json_extract(row, '$.value') \
     FROM staged_rows WHERE batch_id = ?1 AND into_table = 'settings' ORDER BY id \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value = ''",
];

/// The change that forgets a batch.
fn discard(batch: Id) -> Change {
    let mut change = Change::new();
    change.push(
        "DELETE FROM staged_rows WHERE batch_id = ?1",
        vec![batch.into()],
    );
    change
}

/// The change that forgets batches older than an id.
fn sweep(before: Id) -> Change {
    let mut change = Change::new();
    change.push(
        "DELETE FROM staged_rows WHERE batch_id < ?1",
        vec![before.into()],
    );
    change
}
