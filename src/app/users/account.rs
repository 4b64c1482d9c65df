//! The account's own page: its sessions and its password.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::views::{AccountPage, SessionRow};
use crate::{
    app::{
        layout::{FieldErrors, Notice},
        visit::{Visit, see_other},
    },
    auth::{
        guards::SignedIn,
        password,
        sessions::{LastSeen, Session, delete_other_sessions, delete_session, list_sessions},
        users::change_password_from,
    },
    base::{Error, Id, Result, Timestamp},
};

#[derive(Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct PasswordForm {
    current: String,
    new: String,
}

pub(super) async fn show(
    visit: Visit,
    SignedIn(session): SignedIn,
    last_seen: web::Data<LastSeen>,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let text = match done.done.as_deref() {
        Some("password") => "The password is changed, and you are signed out everywhere else.",
        Some("revoked") => "That session has ended.",
        Some("others") => "You are signed out everywhere else.",
        _ => "",
    };
    let notice = (!text.is_empty()).then(|| Notice::good(text, None));
    page(&visit, &session, &last_seen, notice, FieldErrors::default()).await
}

pub(super) async fn change_password(
    visit: Visit,
    SignedIn(session): SignedIn,
    last_seen: web::Data<LastSeen>,
    form: web::Form<PasswordForm>,
) -> Result<HttpResponse> {
    let form = form.into_inner();
    let mut errors = Vec::new();
    let assumed = visit.confirm_password(&session, form.current).await?;
    if assumed.is_none() {
        errors.push(("current", "This is not your password of today.".to_owned()));
    }
    if let Some(problem) = password::problem(&form.new) {
        errors.push(("new", problem));
    }
    if !errors.is_empty() {
        let mut response = page(&visit, &session, &last_seen, None, FieldErrors(errors)).await?;
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    }
    let hash = visit.app.passwords.hash(form.new).await?;
    visit
        .app
        .database
        .apply(change_password_from(
            session.user.id,
            &assumed.unwrap_or_default(),
            &hash,
            Some(session.id),
        ))
        .await?;
    Ok(see_other("/admin/account?done=password"))
}

pub(super) async fn revoke(
    visit: Visit,
    SignedIn(session): SignedIn,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let id: Id = id.parse().map_err(|_| Error::NotFound)?;
    visit
        .app
        .database
        .apply(delete_session(id, session.user.id))
        .await?;
    Ok(see_other("/admin/account?done=revoked"))
}

pub(super) async fn revoke_others(
    visit: Visit,
    SignedIn(session): SignedIn,
) -> Result<HttpResponse> {
    visit
        .app
        .database
        .apply(delete_other_sessions(session.user.id, Some(session.id)))
        .await?;
    Ok(see_other("/admin/account?done=others"))
}

async fn page(
    visit: &Visit,
    session: &Session,
    last_seen: &LastSeen,
    notice: Option<Notice>,
    errors: FieldErrors,
) -> Result<HttpResponse> {
    let user = session.user.id;
    let mut listed = visit
        .app
        .database
        .read(move |connection| list_sessions(connection, user, Timestamp::now()))
        .await?;
    listed.sort_by_key(|other| (other.id != session.id, std::cmp::Reverse(other.id)));
    let sessions = listed
        .into_iter()
        .map(|other| SessionRow {
            id: other.id.to_string(),
            device: device(&other.user_agent),
            since: other.created_at,
            last_seen: last_seen.of(other.id),
            is_this: other.id == session.id,
        })
        .collect();
    let mut shell = visit.private_shell("Your account");
    shell.notice = notice;
    visit.private_page(&AccountPage {
        shell,
        sessions,
        errors,
    })
}

/// Browser and system of a `User-Agent`, in words; the header itself if it is of no known form.
fn device(user_agent: &str) -> String {
    let browsers = [
        ("Edg", "Edge"),
        ("OPR", "Opera"),
        ("Firefox", "Firefox"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ];
    let systems = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find = |known: &[(&str, &'static str)]| {
        known
            .iter()
            .find(|(mark, _)| user_agent.contains(mark))
            .map(|(_, name)| *name)
    };
    match (find(&browsers), find(&systems)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ => user_agent.chars().take(60).collect(),
    }
}
