//! When somebody else saved in between: what they saved beside what this person wrote.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use similar::{
    ChangeTag,
    algorithms::{Capture, Replace, myers},
};

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
const COMPARE_FOR: Duration = Duration::from_millis(300);

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
    let (old, new): (Vec<&str>, Vec<&str>) = (
        theirs.split_inclusive('\n').collect(),
        yours.split_inclusive('\n').collect(),
    );
    // By name, because a choice at run time would bring half a megabyte of other ways to compare.
    let mut found = Replace::new(Capture::new());
    let Ok(()) = myers::diff_deadline(
        &mut found,
        old.as_slice(),
        0..old.len(),
        new.as_slice(),
        0..new.len(),
        Some(Instant::now() + COMPARE_FOR),
    );
    let mut lines = Vec::new();
    for group in found.into_inner().into_grouped_ops(CONTEXT_LINES) {
        if !lines.is_empty() {
            lines.push(DiffLine {
                kind: "same",
                text: "…".to_owned(),
            });
        }
        let changes = group
            .iter()
            .flat_map(|op| op.iter_changes(old.as_slice(), new.as_slice()));
        for change in changes {
            lines.push(DiffLine {
                kind: match change.tag() {
                    ChangeTag::Equal => "same",
                    ChangeTag::Delete => "theirs",
                    ChangeTag::Insert => "yours",
                },
                text: change.value().trim_end_matches('\n').to_owned(),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::compare;

    fn shown(theirs: &str, yours: &str) -> Vec<String> {
        compare(theirs, yours)
            .iter()
            .map(|line| format!("{} {}", line.kind, line.text))
            .collect()
    }

    fn lines_of(prefix: &str, count: usize) -> String {
        let lines: Vec<String> = (0..count).map(|n| format!("{prefix}{n}\n")).collect();
        lines.concat()
    }

    #[test]
    fn what_differs_is_shown_with_three_lines_around_it() {
        assert_eq!(
            shown("one\ntwo\nthree", "one\n2\nthree"),
            ["same one", "theirs two", "yours 2", "same three"]
        );
        assert_eq!(shown("a\n", "a\nb"), ["same a", "yours b"]);
        assert_eq!(shown("", "new"), ["yours new"]);
        assert!(shown("same\n", "same\n").is_empty());
        let long = lines_of("", 30);
        let changed = long.replace("5\n", "five\n");
        let lines = shown(&long, &changed);
        assert_eq!(lines[0], "same 2");
        assert!(lines.contains(&"same …".to_owned()));
        assert!(!lines.contains(&"same 20".to_owned()));
    }

    #[test]
    fn two_long_texts_without_a_common_line_are_compared_in_bounded_time() {
        let (theirs, yours) = (lines_of("t", 50_000), lines_of("y", 50_000));
        assert_eq!(compare(&theirs, &yours).len(), 100_000);
    }
}
