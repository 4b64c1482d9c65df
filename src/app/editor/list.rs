//! The list of everything.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{
    queries::{Entry, Filter, count_trash, list_entries},
    views::{EntryRow, ListPage},
};
use crate::{
    app::{
        layout::{Notice, Undo},
        lists::{Cursor, cut, format_place},
        posts::queries::Place,
        visit::Visit,
    },
    auth::guards::SignedIn,
    base::{Id, Result},
};

/// Entries on one screen.
const ON_SCREEN: usize = 50;
/// Characters that a search looks for; more are never in a title.
const MAX_QUERY_CHARS: usize = 300;

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    q: String,
    #[serde(default)]
    show: String,
    /// What was just done, and to which post.
    done: Option<String>,
    id: Option<String>,
}

pub(super) async fn show(
    visit: Visit,
    _editor: SignedIn,
    query: web::Query<Query>,
    cursor: web::Query<Cursor>,
) -> Result<HttpResponse> {
    let filter = Filter::from_name(&query.show);
    let text: String = query
        .q
        .trim()
        .chars()
        .filter(|c| *c != '\0')
        .take(MAX_QUERY_CHARS)
        .collect();
    let (from, direction) = cursor.parse()?;
    let searched = text.clone();
    let (mut entries, trash_count) = visit
        .app
        .database
        .read(move |connection| {
            let entries = list_entries(
                connection,
                filter,
                &searched,
                (from, direction),
                ON_SCREEN + 1,
            )?;
            Ok((entries, count_trash(connection)?))
        })
        .await?;
    let (has_newer, has_older) = cut(&mut entries, ON_SCREEN, direction, from == Place::TOP);
    let screen = |word: &str, entry: &Entry| {
        let place = format_place(Place {
            at: entry.updated_at.0,
            id: entry.id,
        });
        let fields = [
            ("q", text.as_str()),
            ("show", filter.as_str()),
            (word, &place),
        ];
        format!(
            "/admin?{}",
            serde_urlencoded::to_string(fields).unwrap_or_default()
        )
    };
    let newer = entries
        .first()
        .filter(|_| has_newer)
        .map(|entry| screen("after", entry));
    let older = entries
        .last()
        .filter(|_| has_older)
        .map(|entry| screen("before", entry));
    let mut shell = visit.private_shell("Everything");
    shell.notice = notice(&query);
    let is_owner = shell.reader.as_ref().is_some_and(|reader| reader.is_owner);
    visit.private_page(&ListPage {
        lacks_domain: is_owner && visit.app.names.now().domain.is_none(),
        shell,
        entries: entries.into_iter().map(row).collect(),
        query: text,
        filter: filter.as_str().to_owned(),
        newer,
        older,
        trash_count,
    })
}

fn row(entry: Entry) -> EntryRow {
    EntryRow {
        id: entry.id.to_string(),
        title: entry.title,
        kind: if entry.is_page { "page" } else { "post" },
        state: if entry.published_at.is_some() {
            "published"
        } else {
            "draft"
        },
        edit_href: format!("/admin/posts/{}", entry.id),
        view_href: entry.address.href(),
        updated: entry.updated_at,
        published: entry.published_at,
    }
}

fn notice(query: &Query) -> Option<Notice> {
    let id = query.id.as_deref().and_then(|id| id.parse::<Id>().ok());
    let (text, undo) = match (query.done.as_deref()?, id) {
        ("trashed", Some(id)) => (
            "It is in the trash, and visitors no longer see it.",
            Some(Undo {
                action: format!("/admin/posts/{id}/restore"),
                label: "Undo".into(),
            }),
        ),
        ("restored", _) => ("It is back, as it was.", None),
        ("deleted", _) => ("It is deleted for ever.", None),
        _ => return None,
    };
    Some(Notice::good(text, undo))
}
