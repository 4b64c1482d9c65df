//! Decides what happens with a file: new, the same, changed there, here, or on both sides.

use super::{entry::Entry, matching::Existing, plan::PlannedPost, report::Report};
use crate::{
    app::posts::post::{Content, Rendered},
    db::hash_of,
};

/// Decides what happens with a file whose post may be here already.
pub(super) fn compare(
    existing: Option<Existing>,
    entry: Entry,
    content: Content,
    rendered: Rendered,
    report: &mut Report,
) -> Option<PlannedPost> {
    let digest = digest_of(&entry, &content);
    let Some(post) = existing else {
        report.new += 1;
        let id = entry.id.unwrap_or_default();
        return Some(PlannedPost {
            id,
            entry,
            content,
            rendered,
            digest,
            existing: None,
        });
    };
    let is_same = post.digest.as_deref() == Some(&digest)
        || (post.title == content.title
            && post.markdown == content.markdown
            && post.digest.is_none());
    if post.is_trashed {
        report.left_out(
            &entry.key,
            None,
            "it is in the site's trash; take it out or delete it for ever there",
        );
        return None;
    }
    if is_same {
        report.unchanged += 1;
        return None;
    }
    let is_ours =
        post.import_key.as_deref() == Some(entry.key.as_str()) || entry.id == Some(post.id);
    if !is_ours {
        let text = format!(
            "the site's post “{}” has its address, {}",
            post.title,
            entry.address.as_str()
        );
        report.left_out(&entry.key, None, &text);
        return None;
    }
    if post.import_revision != Some(post.revision) {
        let text =
            "it was changed in the folder, and its post on the site too; the site's was kept";
        report.left_out(&entry.key, None, text);
        return None;
    }
    report.updated += 1;
    Some(PlannedPost {
        id: post.id,
        entry,
        content,
        rendered,
        digest,
        existing: Some(post),
    })
}

/// SHA-256 of everything that an import sets: the same again means that nothing has changed.
fn digest_of(entry: &Entry, content: &Content) -> String {
    let aliases: Vec<&str> = entry
        .aliases
        .iter()
        .map(|(alias, _)| alias.as_str())
        .collect();
    let all = serde_json::json!([
        content.kind.as_str(),
        content.title,
        content.description,
        content.markdown,
        content.tags,
        content.authors,
        content.address.as_str(),
        content.published_at,
        entry.updated_at,
        aliases,
        entry.extra,
    ]);
    hash_of(all.to_string().as_bytes())
}
