//! Throwing away, and taking back.

use actix_web::{HttpResponse, web};

use super::{
    queries::list_trash,
    views::{TrashPage, TrashRow},
};
use crate::{
    app::{
        posts::{
            changes::{POST_IN_TRASH, delete_post, restore_post, trash_post},
            queries::find_post,
        },
        visit::{Visit, see_other},
    },
    auth::guards::SignedIn,
    base::{Error, Id, Result, Timestamp},
};

pub(super) async fn list(visit: Visit, _editor: SignedIn) -> Result<HttpResponse> {
    let entries = visit.app.database.read(list_trash).await?;
    let entries = entries
        .into_iter()
        .map(|(id, title, is_page, trashed)| TrashRow {
            id: id.to_string(),
            title,
            kind: if is_page { "page" } else { "post" },
            trashed,
        })
        .collect();
    visit.private_page(&TrashPage {
        shell: visit.private_shell("Trash"),
        entries,
    })
}

pub(super) async fn trash(
    visit: Visit,
    _editor: SignedIn,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let id = existing(&visit, &id).await?;
    visit
        .app
        .database
        .apply(trash_post(id, Timestamp::now()))
        .await?;
    Ok(see_other(format!("/admin?done=trashed&id={id}")))
}

pub(super) async fn restore(
    visit: Visit,
    _editor: SignedIn,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let id = existing(&visit, &id).await?;
    visit.app.database.apply(restore_post(id)).await?;
    Ok(see_other("/admin?done=restored"))
}

pub(super) async fn delete(
    visit: Visit,
    _editor: SignedIn,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let id = existing(&visit, &id).await?;
    match visit.app.database.apply(delete_post(id)).await {
        Err(Error::Conflict(guard)) if guard == POST_IN_TRASH => Err(Error::Invalid(
            "Only what is in the trash can be deleted for ever; this has been taken out of it."
                .into(),
        )),
        outcome => outcome.map(|()| see_other("/admin?done=deleted")),
    }
}

async fn existing(visit: &Visit, id: &str) -> Result<Id> {
    let id: Id = id.parse().map_err(|_| Error::NotFound)?;
    visit
        .app
        .database
        .read(move |connection| find_post(connection, id))
        .await?;
    Ok(id)
}
