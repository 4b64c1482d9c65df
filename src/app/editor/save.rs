//! Saving: a new post, a changed one, and what happens when two people save the same one.

use actix_web::{HttpResponse, web};

use super::{
    conflict::conflict,
    form::{Action, Input},
    pages::{Extras, page, parse_id, rendered, stored},
};
use crate::{
    app::{
        layout::FieldErrors,
        posts::{
            changes::{ADDRESS_FREE, POST_IS_NEW, POST_UNCHANGED, insert_post, update_post},
            post::{Content, FieldProblem, Post, Rendered},
            queries::{find_at_address, find_post},
        },
        visit::{Visit, see_other},
    },
    auth::{sessions::Session, users::User},
    base::{Error, Id, Result, Timestamp},
    db::Change,
    text::address::Address,
};

/// What a new post's revision is.
const FIRST_REVISION: i64 = 1;
/// Addresses `-2`, `-3` … that are tried when one made from a title is taken.
const MAX_ADDRESS_TRIES: u32 = 200;

pub(super) async fn create(visit: Visit, body: String) -> Result<HttpResponse> {
    let session = signed_in(&visit, &body)?;
    let mut input = Input::parse(&body)?;
    let id = input.new_id();
    match stored(&visit, id).await {
        // The form was sent before, and its answer may never have arrived: it goes on from that save.
        Ok(before) => {
            input.revision = FIRST_REVISION;
            if is_saved_already(&visit, &input, &before) {
                return Ok(saved(&input, id));
            }
            return save(&visit, &session.user, &input, before).await;
        }
        Err(Error::NotFound) => {}
        Err(e) => return Err(e),
    }
    let mut content = match ready(&visit, &session.user, &input, None).await? {
        Ready::Content(content) => content,
        Ready::Answer(response) => return Ok(response),
    };
    if input.wants_made_address(None) {
        content.address = free_address(&visit, content.address).await?;
    }
    let rendered = render(&visit, &content.markdown).await?;
    let change = insert_post(id, &content, &rendered, Timestamp::now());
    apply(&visit, &session.user, &input, None, id, change).await
}

pub(super) async fn update(
    visit: Visit,
    id: web::Path<String>,
    body: String,
) -> Result<HttpResponse> {
    let session = signed_in(&visit, &body)?;
    let input = Input::parse(&body)?;
    let before = stored(&visit, parse_id(&id)?).await?;
    save(&visit, &session.user, &input, before).await
}

async fn save(visit: &Visit, user: &User, input: &Input, before: Post) -> Result<HttpResponse> {
    if before.trashed_at.is_some() {
        return in_trash(visit, user, input, &before).await;
    }
    let content = match ready(visit, user, input, Some(&before)).await? {
        Ready::Content(content) => content,
        Ready::Answer(response) => return Ok(response),
    };
    let rendered = render(visit, &content.markdown).await?;
    let change = update_post(
        before.id,
        input.expected_revision(),
        &content,
        &rendered,
        Timestamp::now(),
    );
    apply(visit, user, input, Some(&before), before.id, change).await
}

/// Who saves. If nobody is signed in any more, what they sent comes back after they signed in.
fn signed_in(visit: &Visit, body: &str) -> Result<Session> {
    visit.session.clone().ok_or_else(|| Error::SignedOut {
        kept_form: Some(body.to_owned()),
    })
}

enum Ready {
    Content(Content),
    Answer(HttpResponse),
}

/// Checks the form; a preview and a form with problems are answered at once.
async fn ready(visit: &Visit, user: &User, input: &Input, before: Option<&Post>) -> Result<Ready> {
    let form = input.to_view(before.map(|post| post.id), input.revision);
    if input.action() == Action::Preview {
        let preview_html = Some(rendered(input.markdown.clone()).await?);
        let extras = Extras {
            preview_html,
            ..Extras::default()
        };
        return Ok(Ready::Answer(
            page(visit, user, form, before, extras).await?,
        ));
    }
    match input.to_content(before, &visit.site.zone) {
        Ok(content) => Ok(Ready::Content(content)),
        Err(errors) => {
            let extras = Extras {
                errors,
                ..Extras::default()
            };
            Ok(Ready::Answer(
                page(visit, user, form, before, extras).await?,
            ))
        }
    }
}

async fn render(visit: &Visit, markdown: &str) -> Result<Rendered> {
    let (markdown, is_packed) = (markdown.to_owned(), visit.app.database.takes_packed());
    let work = move || {
        let rendered = Rendered::from_markdown(&markdown);
        if is_packed {
            return rendered.packed_with(&markdown);
        }
        rendered
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Error::internal)
}

async fn apply(
    visit: &Visit,
    user: &User,
    input: &Input,
    before: Option<&Post>,
    id: Id,
    change: Change,
) -> Result<HttpResponse> {
    match visit.app.database.apply(change).await {
        Ok(()) => Ok(saved(input, id)),
        Err(Error::Conflict(guard)) if guard == POST_UNCHANGED || guard == POST_IS_NEW => {
            conflict(visit, user, input, before, id).await
        }
        Err(Error::Conflict(guard)) if guard == ADDRESS_FREE => {
            taken_address(visit, user, input, before).await
        }
        Err(Error::CannotSave(text) | Error::TooLarge(text)) => {
            // The text stays in the form: a full disk must not cost what was written.
            refused(visit, user, input, before, ("markdown", text)).await
        }
        Err(e) => Err(e),
    }
}

/// Whether the form asks for nothing but what is saved: it was sent twice, or two people wrote the same.
pub(super) fn is_saved_already(visit: &Visit, input: &Input, post: &Post) -> bool {
    post.trashed_at.is_none()
        && input.action() != Action::Preview
        && input
            .to_content(Some(post), &visit.site.zone)
            .is_ok_and(|wanted| wanted == post.content)
}

/// Sends the browser to the post that was saved.
pub(super) fn saved(input: &Input, id: Id) -> HttpResponse {
    let done = match input.action() {
        Action::Publish => "published",
        Action::Unpublish => "unpublished",
        Action::Save | Action::Preview => "saved",
    };
    see_other(format!("/admin/posts/{id}?done={done}"))
}

pub(super) async fn in_trash(
    visit: &Visit,
    user: &User,
    input: &Input,
    post: &Post,
) -> Result<HttpResponse> {
    let errors = FieldErrors(vec![(
        "title",
        "Somebody has put this into the trash, so it was not saved. Take it out of the trash in \
         another tab, and save again; what you wrote stays here."
            .to_owned(),
    )]);
    // If the trash is all that happened since, taking it out again is the only step before the next
    // save. If somebody saved before that, the next save must show what they wrote.
    let seen = input.expected_revision();
    let revision = if seen.checked_add(1) == Some(post.revision) {
        post.revision + 1
    } else {
        input.revision
    };
    let form = input.to_view(Some(post.id), revision);
    page(
        visit,
        user,
        form,
        Some(post),
        Extras {
            errors,
            ..Extras::default()
        },
    )
    .await
}

async fn taken_address(
    visit: &Visit,
    user: &User,
    input: &Input,
    before: Option<&Post>,
) -> Result<HttpResponse> {
    let wanted = input
        .to_content(before, &visit.site.zone)
        .map(|content| content.address);
    let owner = match wanted {
        Ok(address) => owner_of(visit, address).await?,
        Err(_) => None,
    };
    let text = match owner {
        Some((title, true)) => {
            format!(
                "“{title}” is in the trash and has this address. Delete it for ever, or choose another address."
            )
        }
        Some((title, false)) => {
            format!("“{title}” has or had this address; choose another.")
        }
        None => "This address is taken; choose another.".to_owned(),
    };
    refused(visit, user, input, before, ("address", text)).await
}

/// The form again, filled in, with what is wrong about one field.
async fn refused(
    visit: &Visit,
    user: &User,
    input: &Input,
    before: Option<&Post>,
    problem: FieldProblem,
) -> Result<HttpResponse> {
    let errors = FieldErrors(vec![problem]);
    let form = input.to_view(before.map(|post| post.id), input.revision);
    let extras = Extras {
        errors,
        ..Extras::default()
    };
    page(visit, user, form, before, extras).await
}

/// Title of the post that has an address, and whether it is in the trash.
async fn owner_of(visit: &Visit, address: Address) -> Result<Option<(String, bool)>> {
    visit
        .app
        .database
        .read(move |connection| {
            let Some(at) = find_at_address(connection, address.as_str())? else {
                return Ok(None);
            };
            let post = find_post(connection, at.id)?;
            Ok(Some((post.content.title, at.is_trashed)))
        })
        .await
}

/// The address itself, or with `-2`, `-3` … the first that is free.
async fn free_address(visit: &Visit, wanted: Address) -> Result<Address> {
    visit
        .app
        .database
        .read(move |connection| {
            let numbered = (2..MAX_ADDRESS_TRIES)
                .map(|number| Address::from_stored(format!("{}-{number}", wanted.as_str())));
            for address in std::iter::once(wanted.clone()).chain(numbered) {
                if find_at_address(connection, address.as_str())?.is_none() {
                    return Ok(address);
                }
            }
            Ok(Address::from_stored(format!(
                "{}-{}",
                wanted.as_str(),
                Id::new()
            )))
        })
        .await
}
