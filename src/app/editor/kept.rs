//! Gives back what somebody was writing when their session ended.

use actix_web::HttpResponse;

use super::{
    form::Input,
    pages::{Extras, page, parse_id, stored},
};
use crate::{
    app::visit::{Visit, see_other},
    auth::users::User,
    base::Result,
};

/// The editor, filled in with a kept form, for somebody who has just signed in again.
///
/// `return_to` is where the form was going: `/admin/posts` or `/admin/posts/{id}`.
pub async fn give_back(
    visit: &Visit,
    user: &User,
    return_to: &str,
    kept_form: &str,
) -> Result<HttpResponse> {
    let Ok(input) = Input::parse(kept_form) else {
        return Ok(see_other(return_to));
    };
    let before = match return_to.strip_prefix("/admin/posts/").map(parse_id) {
        Some(Ok(id)) => stored(visit, id).await.ok(),
        _ => None,
    };
    let form = input.to_view(before.as_ref().map(|post| post.id), input.revision);
    page(
        visit,
        user,
        form,
        before.as_ref(),
        Extras {
            kept: true,
            ..Extras::default()
        },
    )
    .await
}
