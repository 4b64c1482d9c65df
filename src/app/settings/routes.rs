//! `GET /admin/settings`, `POST /admin/settings`

use actix_web::{HttpResponse, web};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{
    queries::{MAX_SITE_TITLE_CHARS, update_settings},
    views::SettingsPage,
};
use crate::{
    app::{
        layout::{FieldErrors, Notice},
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::Result,
    text::line::one_line,
};

/// Characters of the site's name and tagline.
const MAX_POSTS_PER_PAGE: usize = 100;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes.service(
        web::resource("/admin/settings")
            .route(web::get().to(show))
            .route(web::post().to(save)),
    );
}

#[derive(Deserialize)]
struct Form {
    title: String,
    tagline: String,
    language: String,
    time_zone: String,
    posts_per_page: String,
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

async fn show(visit: Visit, _owner: Owner, done: web::Query<Done>) -> Result<HttpResponse> {
    let form = Form {
        title: visit.site.title.clone(),
        tagline: visit.site.tagline.clone(),
        language: visit.site.language.clone(),
        time_zone: visit.site.zone.iana_name().unwrap_or("UTC").to_owned(),
        posts_per_page: visit.site.posts_per_page.to_string(),
    };
    let mut shell = visit.private_shell("Settings");
    if done.done.is_some() {
        shell.notice = Some(Notice::good("The settings are saved.", None));
    }
    visit.private_page(&page(shell, form, FieldErrors::default()))
}

async fn save(visit: Visit, _owner: Owner, form: web::Form<Form>) -> Result<HttpResponse> {
    let form = form.into_inner();
    let errors = problems(&form);
    if !errors.is_empty() {
        let mut response =
            visit.private_page(&page(visit.private_shell("Settings"), form, errors))?;
        *response.status_mut() = actix_web::http::StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(response);
    }
    let change = update_settings(&[
        ("title", one_line(&form.title)),
        ("tagline", one_line(&form.tagline)),
        ("language", form.language.trim().to_owned()),
        ("time_zone", form.time_zone.trim().to_owned()),
        ("posts_per_page", form.posts_per_page.trim().to_owned()),
    ]);
    visit.app.database.apply(change).await?;
    Ok(see_other("/admin/settings?done=saved"))
}

fn problems(form: &Form) -> FieldErrors {
    let mut problems = Vec::new();
    if let Some(problem) = title_problem(&form.title) {
        problems.push(("title", problem));
    }
    if form.tagline.chars().count() > MAX_SITE_TITLE_CHARS {
        problems.push((
            "tagline",
            format!("Shorten the tagline to {MAX_SITE_TITLE_CHARS} characters."),
        ));
    }
    if !is_language_tag(form.language.trim()) {
        problems.push((
            "language",
            "Give the language as a short code, such as en, de or pt-BR.".to_owned(),
        ));
    }
    if TimeZone::get(form.time_zone.trim()).is_err() {
        problems.push((
            "time_zone",
            "This time zone is not known here; give one such as UTC or Europe/Zurich.".to_owned(),
        ));
    }
    let posts = form.posts_per_page.trim().parse::<usize>().unwrap_or(0);
    if !(1..=MAX_POSTS_PER_PAGE).contains(&posts) {
        problems.push((
            "posts_per_page",
            format!("Give a whole number from 1 to {MAX_POSTS_PER_PAGE}."),
        ));
    }
    FieldErrors(problems)
}

/// What is wrong with the name of a site, if anything.
pub fn title_problem(title: &str) -> Option<String> {
    let chars = one_line(title).chars().count();
    match chars {
        0 => Some("Give the site a name.".to_owned()),
        _ if chars > MAX_SITE_TITLE_CHARS => Some(format!(
            "The name has {chars} characters; shorten it to {MAX_SITE_TITLE_CHARS}."
        )),
        _ => None,
    }
}

/// The form of a BCP 47 tag (RFC 5646 section 2.1), not whether the language exists.
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    parts
        .next()
        .is_some_and(|p| (2..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphabetic()))
        && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
        && tag.len() <= 35
}

fn page(shell: crate::app::layout::Shell, form: Form, errors: FieldErrors) -> SettingsPage {
    SettingsPage {
        shell,
        title: form.title,
        tagline: form.tagline,
        language: form.language,
        time_zone: form.time_zone,
        posts_per_page: form.posts_per_page,
        errors,
    }
}
