//! `/admin/name/https-only`: whether browsers are told to come over trusted HTTPS alone (RFC 6797).

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::json;

use super::{
    changes::update_https_only,
    live::{FieldError, HttpsOnly},
    routes::Live,
    views::HttpsOnlyPage,
};
use crate::{
    app::{
        layout::{FieldErrors, Notice},
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::Result,
};

/// How long it can be promised: what the form has, seconds, and words.
pub const AGES: [(&str, u32, &str); 4] = [
    ("off", 0, "Off"),
    ("day", 86_400, "One day, to try it"),
    ("half-year", 15_768_000, "Half a year"),
    ("year", 31_536_000, "One year"),
];

/// Adds the routes.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes.service(
        web::resource("/admin/name/https-only")
            .route(web::get().to(show))
            .route(web::post().to(save)),
    );
}

#[derive(serde::Deserialize)]
struct Done {
    done: Option<String>,
}

async fn show(
    visit: Visit,
    _owner: Owner,
    live: Live,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let notice = done
        .done
        .as_ref()
        .map(|_| Notice::good("It is saved, and counts from now on.", None));
    page(&visit, live.https_only(), notice, Vec::new())
}

/// The fields: `age`, `subdomains`, `host` (as often as there are hosts), `password`.
async fn save(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    form: web::Form<Vec<(String, String)>>,
) -> Result<HttpResponse> {
    let fields = form.into_inner();
    let value = |field: &str| {
        let found = fields.iter().find(|(name, _)| name == field);
        found.map_or("", |(_, value)| value.as_str())
    };
    let mut wanted = live.https_only();
    let age = AGES.iter().find(|(name, ..)| *name == value("age"));
    wanted.subdomains = !value("subdomains").is_empty();
    for host in &mut wanted.hosts {
        let is_named = |(name, value): &(String, String)| name == "host" && *value == host.name;
        host.is_on = fields.iter().any(is_named);
    }
    let mut errors: Vec<FieldError> = Vec::new();
    match age {
        None => errors.push(("age", "Choose one of the list.".to_owned())),
        Some((_, seconds, _)) => wanted.max_age_s = *seconds,
    }
    if wanted.max_age_s > 0 {
        if let Some(why) = wanted.reasons.first() {
            errors.push(("age", format!("It is not offered yet: {why}")));
        }
        if let (true, Some(why)) = (wanted.subdomains, &wanted.reason_below) {
            errors.push((
                "subdomains",
                format!("Not all names below can be promised: {why}"),
            ));
        }
        let mut hosts = wanted.hosts.iter().filter(|host| host.is_on);
        if let Some(why) = hosts.find_map(|host| host.reason.as_ref()) {
            errors.push(("host", why.clone()));
        }
    }
    if errors.is_empty()
        && let Some(problem) = visit
            .password_problem(&session, value("password").to_owned())
            .await?
    {
        errors.push(problem);
    }
    if !errors.is_empty() {
        return page(&visit, wanted, None, errors);
    }
    // What a host has promised before is taken back.
    let hosts: serde_json::Map<_, _> = wanted
        .hosts
        .iter()
        .filter(|host| host.is_on || host.was_on)
        .map(|host| (host.name.clone(), host.is_on.into()))
        .collect();
    let wish = json!({
        "max_age_s": wanted.max_age_s,
        "subdomains": wanted.subdomains,
        "hosts": hosts,
    });
    let change = update_https_only(&wish.to_string());
    visit.app.database.apply(change).await?;
    live.take_over().await?;
    Ok(see_other("/admin/name/https-only?done=saved"))
}

fn page(
    visit: &Visit,
    state: HttpsOnly,
    notice: Option<Notice>,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
    let is_wrong = !errors.is_empty();
    let mut shell = visit.private_shell("HTTPS only");
    shell.notice = notice;
    let mut response = visit.private_page(&HttpsOnlyPage {
        shell,
        state,
        errors: FieldErrors(errors),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}
