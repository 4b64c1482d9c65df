//! When somebody else saved in between: what they saved beside what this person wrote.

use actix_web::HttpResponse;

use super::{
    form::{Action, Input},
    pages::{Extras, page, stored},
    save::{in_trash, is_saved_already, saved},
    views::{Conflict, DiffLine, FieldDifference},
};
use crate::{
    app::{
        posts::post::{Content, Post},
        visit::Visit,
    },
    auth::users::User,
    base::{Error, Id, Result},
    text::date,
};

/// Lines around a difference that are shown with it.
const CONTEXT_LINES: usize = 3;
/// How long two texts are compared; then the rest is shown as all different.
const COMPARE_FOR: std::time::Duration = std::time::Duration::from_millis(300);

/// Shows what somebody saved in between beside what this person wrote. `before` is the post as it was
/// when this save began.
pub(super) async fn conflict(
    visit: &Visit,
    user: &User,
    input: &Input,
    before: Option<&Post>,
    id: Id,
) -> Result<HttpResponse> {
    let theirs = stored(visit, id).await?;
    if theirs.trashed_at.is_some() {
        return in_trash(visit, user, input, &theirs).await;
    }
    if is_saved_already(visit, input, &theirs) {
        return Ok(saved(input, id));
    }
    let zone = &visit.site.zone;
    // The button under the comparison saves, whatever was pressed first.
    let yours = input
        .meaning(Action::Save, Some(&theirs), zone)
        .or_else(|_| input.meaning(Action::Save, before, zone));
    let fields = yours.map_or_else(
        |_| Vec::new(),
        |yours| differing_fields(&theirs.content, &yours, zone),
    );
    let (text, their_text) = (input.markdown.clone(), theirs.content.markdown.clone());
    let diff = tokio::task::spawn_blocking(move || compare(&their_text, &text))
        .await
        .map_err(Error::internal)?;
    let conflict = Conflict {
        saved: theirs.updated_at,
        fields,
        diff,
        their_revision: theirs.revision,
    };
    // A plain save stays a conflict; "save mine over theirs" names the revision that was shown here.
    let form = input.to_view(Some(id), input.revision);
    page(
        visit,
        user,
        form,
        Some(&theirs),
        Extras {
            conflict: Some(conflict),
            ..Extras::default()
        },
    )
    .await
}

/// Every field but the text that a save of `yours` would change.
fn differing_fields(
    theirs: &Content,
    yours: &Content,
    zone: &jiff::tz::TimeZone,
) -> Vec<FieldDifference> {
    let shown = |content: &Content| {
        let date = content.date().map(|at| date::for_form(at, zone));
        [
            ("Title", content.title.clone()),
            ("Address", content.address.as_str().to_owned()),
            ("Tags", content.tags.join(", ")),
            ("Date", date.unwrap_or_default()),
            ("By", content.authors.join("; ")),
            ("Description", content.description.clone()),
            ("Kind", content.kind.as_str().to_owned()),
        ]
    };
    shown(theirs)
        .into_iter()
        .zip(shown(yours))
        .filter(|(theirs, yours)| theirs != yours)
        .map(|((name, theirs), (_, yours))| FieldDifference {
            name,
            theirs,
            yours,
        })
        .collect()
}

/// What differs, with a few lines around it.
fn compare(theirs: &str, yours: &str) -> Vec<DiffLine> {
    let diff = similar::TextDiff::configure()
        .timeout(COMPARE_FOR)
        .diff_lines(theirs, yours);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(CONTEXT_LINES) {
        if !lines.is_empty() {
            lines.push(DiffLine {
                kind: "same",
                text: "…".to_owned(),
            });
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            lines.push(DiffLine {
                kind: match change.tag() {
                    similar::ChangeTag::Equal => "same",
                    similar::ChangeTag::Delete => "theirs",
                    similar::ChangeTag::Insert => "yours",
                },
                text: change.value().trim_end_matches('\n').to_owned(),
            });
        }
    }
    lines
}
