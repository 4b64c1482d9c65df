//! The editor's page, and the preview.

use actix_web::{HttpResponse, http::StatusCode, http::header, web};
use serde::Deserialize;

use super::{
    form::{Input, view_of},
    views::{Conflict, EditForm, EditPage, MediaRow},
};
use crate::{
    app::{
        layout::{FieldErrors, Notice, Shell},
        media::queries::{Medium, list_newest},
        posts::{
            post::{Kind, Post},
            queries::{find_post, old_addresses_of},
        },
        tags::queries::list_tags,
        visit::{PRIVATE, Visit},
    },
    auth::{guards::SignedIn, users::User},
    base::{Error, Id, Result},
    text::markdown::{Options, render},
};

/// Files that the editor offers.
const OFFERED_MEDIA: usize = 24;

#[derive(Deserialize)]
pub(super) struct NewQuery {
    kind: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

/// What an editor's page shows beside the form.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) errors: FieldErrors,
    pub(super) conflict: Option<Conflict>,
    pub(super) preview_html: Option<String>,
    pub(super) notice: Option<Notice>,
    pub(super) kept: bool,
}

pub(super) async fn new(
    visit: Visit,
    SignedIn(session): SignedIn,
    query: web::Query<NewQuery>,
) -> Result<HttpResponse> {
    let kind = Kind::from_name(query.kind.as_deref().unwrap_or("post"));
    let form = EditForm {
        new_id: Id::new().to_string(),
        kind: kind.as_str().to_owned(),
        authors: if kind == Kind::Post {
            session.user.display_name.clone()
        } else {
            String::new()
        },
        ..EditForm::default()
    };
    page(&visit, &session.user, form, None, Extras::default()).await
}

pub(super) async fn edit(
    visit: Visit,
    SignedIn(session): SignedIn,
    id: web::Path<String>,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let post = stored(&visit, parse_id(&id)?).await?;
    if post.trashed_at.is_some() {
        return Err(Error::Gone);
    }
    let text = match done.done.as_deref() {
        Some("saved") => "Saved.",
        Some("published") => "Published: visitors can see it now.",
        Some("unpublished") => "It is a draft again; visitors no longer see it.",
        _ => "",
    };
    let notice = (!text.is_empty()).then(|| Notice::good(text, None));
    let form = view_of(&post, &visit.site.zone);
    page(
        &visit,
        &session.user,
        form,
        Some(&post),
        Extras {
            notice,
            ..Extras::default()
        },
    )
    .await
}

/// The HTML of a text, for the live preview.
pub(super) async fn preview(_editor: SignedIn, body: String) -> Result<HttpResponse> {
    let input = Input::parse(&body)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, PRIVATE))
        .body(rendered(input.markdown).await?))
}

/// Renders off the async threads: highlighting takes a while on a Pi.
pub(super) async fn rendered(markdown: String) -> Result<String> {
    tokio::task::spawn_blocking(move || render(&markdown, &Options::default()).html)
        .await
        .map_err(Error::internal)
}

pub(super) fn parse_id(text: &str) -> Result<Id> {
    text.parse().map_err(|_| Error::NotFound)
}

pub(super) async fn stored(visit: &Visit, id: Id) -> Result<Post> {
    visit
        .app
        .database
        .read(move |connection| find_post(connection, id))
        .await
}

/// The editor with a form; `before` is the post as it is stored.
pub(super) async fn page(
    visit: &Visit,
    user: &User,
    form: EditForm,
    before: Option<&Post>,
    extras: Extras,
) -> Result<HttpResponse> {
    let id = before.map(|post| post.id);
    let (media, tags, old_addresses) = visit
        .app
        .database
        .read(move |connection| {
            let old = id.map_or_else(|| Ok(vec![]), |id| old_addresses_of(connection, id))?;
            Ok((
                list_newest(connection, OFFERED_MEDIA)?,
                list_tags(connection)?,
                old,
            ))
        })
        .await?;
    let status = if extras.conflict.is_some() {
        StatusCode::CONFLICT
    } else if extras.errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let mut shell = private_shell(visit, user, &form);
    shell.notice = extras.notice;
    let is_published = before.is_some_and(|post| post.content.published_at.is_some());
    let mut response = visit.private_page(&EditPage {
        shell,
        form,
        errors: extras.errors,
        conflict: extras.conflict,
        preview_html: extras.preview_html,
        state: match before {
            None => "new",
            Some(_) if is_published => "published",
            Some(_) => "draft",
        },
        view_href: before.map(|post| post.content.address.href()),
        old_addresses,
        tag_suggestions: tags.into_iter().map(|tag| tag.name).collect(),
        kept: extras.kept,
        media: media.iter().map(media_row).collect(),
    })?;
    *response.status_mut() = status;
    Ok(response)
}

/// The frame; the visitor may have signed in only with this request.
fn private_shell(visit: &Visit, user: &User, form: &EditForm) -> Shell {
    let title = match (&form.id, form.kind.as_str()) {
        (Some(_), "page") => "Edit page",
        (Some(_), _) => "Edit post",
        (None, "page") => "New page",
        (None, _) => "New post",
    };
    let mut shell = visit.private_shell(title);
    shell.reader = Some(crate::app::layout::Reader {
        display_name: user.display_name.clone(),
        is_owner: user.role == crate::auth::users::Role::Owner,
    });
    shell
}

fn media_row(medium: &Medium) -> MediaRow {
    let href = medium.href();
    let is_image = medium.content_type.starts_with("image/");
    let label = medium.name.replace(['[', ']', '\\'], "");
    MediaRow {
        markdown: format!("{}[{label}]({href})", if is_image { "!" } else { "" }),
        name: medium.name.clone(),
        href,
    }
}
