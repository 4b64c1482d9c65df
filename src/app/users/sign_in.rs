//! Signing in and out.

use actix_web::{HttpRequest, HttpResponse, cookie::Cookie, http::StatusCode, http::header, web};
use serde::Deserialize;

use super::views::SignInPage;
use crate::{
    app::{
        editor,
        visit::{Visit, see_other},
    },
    auth::{
        sessions::{Token, delete_session, insert_session, removal_cookie},
        unsaved,
        users::{PASSWORD_UNCHANGED, find_user},
    },
    base::{Error, Id, LimitKind, Limited, Result, Timestamp},
};

#[derive(Deserialize)]
pub(super) struct Query {
    return_to: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Form {
    name: String,
    password: String,
    #[serde(default)]
    return_to: String,
    /// What the person was writing.
    #[serde(default, rename = "kept_form")]
    kept: String,
}

pub(super) async fn show(visit: Visit, query: web::Query<Query>) -> Result<HttpResponse> {
    let return_to = safe_target(query.return_to.as_deref().unwrap_or(""));
    if visit.session.is_some() {
        return Ok(see_other(return_to));
    }
    visit.private_page(&SignInPage {
        shell: visit.private_shell("Sign in"),
        name: String::new(),
        error: None,
        kept_form: None,
        return_to,
    })
}

pub(super) async fn sign_in(
    request: HttpRequest,
    visit: Visit,
    limited: web::Data<Limited>,
    form: web::Form<Form>,
) -> Result<HttpResponse> {
    let form = form.into_inner();
    let name = form.name.trim().to_lowercase();
    let address = request.peer_addr().map(|peer| peer.ip());
    if let Err(Error::TooMany { retry_after_s }) = visit.app.throttle.try_once(&name, address) {
        limited.note(address, LimitKind::Guesses, Timestamp::now());
        let text = format!("Too many tries. Wait {retry_after_s} seconds, and then try again.");
        return refused(
            &visit,
            form,
            StatusCode::TOO_MANY_REQUESTS,
            text,
            Some(retry_after_s),
        );
    }
    let looked_up = name.clone();
    let found = visit
        .app
        .database
        .read(move |connection| find_user(connection, &looked_up))
        .await?;
    let stored = found.as_ref().map(|(_, hash)| hash.clone());
    let fits = visit
        .app
        .passwords
        .verify(form.password.clone(), stored)
        .await?;
    let Some((user, hash)) = found.filter(|_| fits) else {
        return refused(
            &visit,
            form,
            StatusCode::UNPROCESSABLE_ENTITY,
            wrong(),
            None,
        );
    };
    visit.app.throttle.succeeded(&name, address);
    let cookie = match start_session(&visit, &request, user.id, &hash).await {
        // The password was changed while this one was being checked.
        Err(Error::Conflict(guard)) if guard == PASSWORD_UNCHANGED => {
            return refused(
                &visit,
                form,
                StatusCode::UNPROCESSABLE_ENTITY,
                wrong(),
                None,
            );
        }
        outcome => outcome?,
    };
    let return_to = safe_target(&form.return_to);
    let mut response = if form.kept.is_empty() {
        see_other(return_to)
    } else {
        editor::kept::give_back(&visit, &user, &return_to, &form.kept).await?
    };
    response.add_cookie(&cookie).map_err(Error::internal)?;
    Ok(response)
}

pub(super) async fn sign_out(visit: Visit) -> Result<HttpResponse> {
    if let Some(session) = &visit.session
        && !unsaved::end(session.id)
    {
        visit
            .app
            .database
            .apply(delete_session(session.id, session.user.id))
            .await?;
    }
    let mut response = see_other("/");
    response
        .add_cookie(&removal_cookie())
        .map_err(Error::internal)?;
    Ok(response)
}

fn wrong() -> String {
    "The name or the password is wrong.".to_owned()
}

/// Starts a session of a user with this password in the database and gives its cookie.
pub(super) async fn start_session(
    visit: &Visit,
    request: &HttpRequest,
    user: Id,
    password_hash: &str,
) -> Result<Cookie<'static>> {
    let token = Token::new()?;
    let user_agent = request
        .headers()
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("a program without a name");
    let change = insert_session(&token, user, password_hash, user_agent, Timestamp::now());
    match visit.app.database.apply(change).await {
        // Whoever is to see to the disk must get in.
        Err(Error::CannotSave(why)) => {
            log::warn!("a session is kept in memory, for an hour at most: {why}");
            unsaved::begin(&token, user, password_hash);
        }
        outcome => outcome?,
    }
    Ok(token.into_cookie())
}

fn refused(
    visit: &Visit,
    form: Form,
    status: StatusCode,
    text: String,
    retry_after_s: Option<u64>,
) -> Result<HttpResponse> {
    let mut response = visit.private_page(&SignInPage {
        shell: visit.private_shell("Sign in"),
        name: form.name,
        error: Some(text),
        kept_form: Some(form.kept).filter(|kept| !kept.is_empty()),
        return_to: safe_target(&form.return_to),
    })?;
    *response.status_mut() = status;
    if let Some(seconds) = retry_after_s {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// A path of this site to go on to; anything else becomes the list of everything.
fn safe_target(target: &str) -> String {
    let is_ours = target.starts_with('/')
        && !target.starts_with("//")
        && !target.contains(['\\', '\r', '\n', '\t', '\0'])
        && target.len() < 2000
        && target.is_ascii();
    if is_ours {
        target.to_owned()
    } else {
        "/admin".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::safe_target;

    #[test]
    fn signing_in_never_leads_to_another_site() {
        for target in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nSet-Cookie: x",
            "javascript:x",
        ] {
            assert_eq!(safe_target(target), "/admin", "{target}");
        }
        assert_eq!(safe_target("/admin/posts/1?x=y"), "/admin/posts/1?x=y");
    }
}
