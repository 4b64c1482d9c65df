//! The one-time link: makes the owner's account and names the site.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{sign_in::start_session, views::SetupPage};
use crate::{
    app::{
        layout::{FieldErrors, Shell},
        settings::{queries::update_settings, routes::title_problem},
        visit::{Visit, see_other},
    },
    auth::{
        password,
        users::{NO_USERS, Role, User, insert_first_user, parse_display_name, parse_name},
    },
    base::{Error, Id, Result, Timestamp},
    text::line::one_line,
};

#[derive(Deserialize)]
pub(super) struct Query {
    #[serde(default)]
    token: String,
}

#[derive(Deserialize)]
pub(super) struct Form {
    token: String,
    site_title: String,
    display_name: String,
    name: String,
    password: String,
}

pub(super) async fn show(visit: Visit, query: web::Query<Query>) -> Result<HttpResponse> {
    check_link(&visit, &query.token)?;
    visit.private_page(&SetupPage {
        shell: shell(&visit),
        token: query.into_inner().token,
        site_title: visit.site.title.clone(),
        display_name: String::new(),
        name: String::new(),
        errors: FieldErrors::default(),
    })
}

pub(super) async fn save(
    request: HttpRequest,
    visit: Visit,
    form: web::Form<Form>,
) -> Result<HttpResponse> {
    let form = form.into_inner();
    check_link(&visit, &form.token)?;
    let user = match check(&form) {
        Ok(user) => user,
        Err(errors) => {
            let mut response = visit.private_page(&SetupPage {
                shell: shell(&visit),
                token: form.token,
                site_title: form.site_title,
                display_name: form.display_name,
                name: form.name,
                errors,
            })?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(response);
        }
    };
    let hash = visit.app.passwords.hash(form.password).await?;
    let mut change = insert_first_user(&user, &hash, Timestamp::now());
    change.extend(update_settings(&[("title", one_line(&form.site_title))]));
    match visit.app.database.apply(change).await {
        Err(Error::Conflict(guard)) if guard == NO_USERS => {
            visit.app.setup.finish();
            return Err(used());
        }
        outcome => outcome?,
    }
    visit.app.setup.finish();
    let cookie = start_session(&visit, &request, user.id, &hash).await?;
    let mut response = see_other("/admin");
    response.add_cookie(&cookie).map_err(Error::internal)?;
    Ok(response)
}

fn shell(visit: &Visit) -> Shell {
    visit.private_shell("Set up your site")
}

fn check_link(visit: &Visit, token: &str) -> Result<()> {
    if visit.app.setup.fits(token) {
        Ok(())
    } else {
        Err(used())
    }
}

fn used() -> Error {
    Error::Forbidden(
        "This link does not hold: it was used already, or the server was started again since. \
         The link that holds is in what the server printed at its last start. \
         If the site has its owner, sign in instead."
            .into(),
    )
}

fn check(form: &Form) -> Result<User, FieldErrors> {
    let mut errors = Vec::new();
    if let Some(problem) = title_problem(&form.site_title) {
        errors.push(("site_title", problem));
    }
    let name = parse_name(&form.name).map_err(|e| errors.push(("name", e.to_string())));
    let display_name = parse_display_name(&form.display_name, form.name.trim())
        .map_err(|e| errors.push(("display_name", e.to_string())));
    if let Some(problem) = password::problem(&form.password) {
        errors.push(("password", problem));
    }
    match (name, display_name) {
        (Ok(name), Ok(display_name)) if errors.is_empty() => Ok(User {
            id: Id::new(),
            name,
            display_name,
            role: Role::Owner,
        }),
        _ => Err(FieldErrors(errors)),
    }
}
