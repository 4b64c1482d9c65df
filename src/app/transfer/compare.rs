//! Decides what happens with a file: new, the same, changed there, here, or on both sides.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{
    entry::Entry,
    matching::Existing,
    plan::{PlannedOrigin, PlannedPost},
    report::Report,
};
use crate::{
    app::posts::post::{Content, Rendered, tag_slug},
    base::Id,
    db::hash_of,
};

/// What happens with a file.
pub(super) enum Verdict {
    /// Its post is made or changed.
    Write(Box<PlannedPost>),
    /// Its post is the same, and did not know yet that it comes from this file.
    Remember(PlannedOrigin),
    /// Nothing.
    Nothing,
}

/// Decides what happens with a file whose post may be here already.
pub(super) fn compare(
    existing: Option<Existing>,
    entry: Entry,
    mut content: Content,
    rendered: Rendered,
    is_replacing: bool,
    report: &mut Report,
) -> Verdict {
    let digest = digest_of(&entry, &content);
    let Some(existing) = existing else {
        report.new += 1;
        return Verdict::Write(Box::new(PlannedPost {
            id: entry.id.unwrap_or_default(),
            revision: entry.revision.unwrap_or(1),
            entry,
            content,
            rendered,
            digest,
            expected_revision: None,
        }));
    };
    let post = &existing.post;
    if entry.is_date_of_file && content.published_at.is_some() {
        // It was published when it came in first, not when somebody last touched the file.
        content.published_at = post.content.published_at.or(content.published_at);
    }
    if post.trashed_at.is_some() {
        let text = "it is in the site's trash; take it out or delete it for ever there";
        report.left_out(&entry.key, None, text);
        return Verdict::Nothing;
    }
    let is_alike = is_alike(&existing, &entry, &content);
    if is_alike || existing.digest.as_deref() == Some(&digest) {
        report.unchanged += 1;
        let is_of_this_file = existing.origin.as_deref() == Some(&*entry.origin);
        let is_known = is_of_this_file && existing.import_revision == Some(post.revision);
        // A copy of the folder does not take the post away from a folder that is still there.
        let is_of_another_file = !is_of_this_file
            && existing
                .origin
                .as_ref()
                .is_some_and(|origin| Path::new(origin).exists());
        if is_alike && !is_known && !is_of_another_file {
            return Verdict::Remember(PlannedOrigin {
                id: post.id,
                revision: post.revision,
                origin: entry.origin,
                digest,
            });
        }
        return Verdict::Nothing;
    }
    if !is_replacing && let Some(why) = why_kept(&existing, &entry) {
        report.left_out(&entry.key, None, &why);
        return Verdict::Nothing;
    }
    report.updated += 1;
    let text = "its post was replaced by what the file says now";
    report.changed(&entry.key, None, text);
    Verdict::Write(Box::new(PlannedPost {
        id: post.id,
        revision: post.revision + 1,
        expected_revision: Some(post.revision),
        entry,
        content,
        rendered,
        digest,
    }))
}

/// Why a file does not replace the post, if it must not: the post is of another file, or somebody has
/// changed it here.
fn why_kept(existing: &Existing, entry: &Entry) -> Option<String> {
    let post = &existing.post;
    let is_of_this_file = existing.origin.as_deref() == Some(&*entry.origin);
    let is_exported_from = entry.id == Some(post.id);
    if !is_of_this_file && !is_exported_from {
        let from = existing.origin.as_ref().map_or(String::new(), |origin| {
            format!(", which came from {origin},")
        });
        return Some(format!(
            "the site's post “{}”{from} has its address, {}, and was kept; --replace takes the file",
            post.content.title,
            entry.address.as_str(),
        ));
    }
    let is_as_imported = is_of_this_file && existing.import_revision == Some(post.revision);
    let is_as_exported = is_exported_from && entry.revision == Some(post.revision);
    let text = "it was changed in the folder, and its post on the site too; the site's was kept, \
                and --replace takes the folder's";
    (!is_as_imported && !is_as_exported).then(|| text.to_owned())
}

/// Whether the post says already what the file says.
fn is_alike(existing: &Existing, entry: &Entry, content: &Content) -> bool {
    let post = &existing.post;
    let slugs = |content: &Content| -> Vec<String> {
        content.tags.iter().map(|tag| tag_slug(tag)).collect()
    };
    let extra = Json::Object(entry.extra.clone()).to_string();
    // A tag is written as its first post wrote it.
    let tags = post.content.tags.clone();
    let has_same_tags = slugs(&post.content) == slugs(content);
    let has_same_content = post.content
        == Content {
            tags,
            ..content.clone()
        };
    let has_alias = |path: &str| existing.old_addresses.iter().any(|known| known == path);
    has_same_tags
        && has_same_content
        && entry.updated_at.is_none_or(|at| at == post.updated_at)
        && entry
            .aliases
            .iter()
            .all(|(alias, _)| has_alias(alias.as_str()))
        && existing.extra == extra
}

/// SHA-256 of everything that an import sets: the same again means that nothing has changed.
fn digest_of(entry: &Entry, content: &Content) -> String {
    let aliases: Vec<&str> = entry
        .aliases
        .iter()
        .map(|(alias, _)| alias.as_str())
        .collect();
    let published_at = match content.published_at {
        Some(_) if entry.is_date_of_file => json!("file"),
        None => json!(content.draft_at),
        at => json!(at),
    };
    let all = json!([
        content.kind.as_str(),
        content.title,
        content.description,
        content.markdown,
        content.tags,
        content.authors,
        content.address.as_str(),
        content.published_at.is_some(),
        published_at,
        entry.updated_at,
        aliases,
        entry.extra,
    ]);
    hash_of(all.to_string().as_bytes())
}

/// Of two files with one id the first keeps it, and the other is a post of its own.
pub(super) fn claim_ids(entries: &mut [Entry], report: &mut Report) {
    let mut by_key: Vec<&mut Entry> = entries.iter_mut().collect();
    by_key.sort_by(|a, b| a.key.cmp(&b.key));
    let mut owners: std::collections::HashMap<Id, String> = std::collections::HashMap::new();
    for entry in by_key {
        let Some(id) = entry.id else { continue };
        if let Some(owner) = owners.get(&id) {
            let text = format!("{owner} has the same id, so this is a post of its own");
            report.changed(&entry.key, None, &text);
            (entry.id, entry.revision) = (None, None);
        } else {
            owners.insert(id, entry.key.clone());
        }
    }
}
