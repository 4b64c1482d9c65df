//! `/admin/name/dns`: where names can be changed, and the token for it.

use std::collections::HashMap;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::Value;

use super::{
    changes::{delete_dns, update_dns},
    live::FieldError,
    providers::{PROVIDERS, Provider},
    queries::list_names,
    routes::{Live, refused},
    views::{DnsField, DnsPage},
};
use crate::{
    app::{
        layout::{FieldErrors, Notice, NoticeKind},
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::Result,
};

/// Characters of a field; no name or address is longer.
const MAX_FIELD_CHARS: usize = 1000;

/// Adds the routes.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(
            web::resource("/admin/name/dns")
                .route(web::get().to(show))
                .route(web::post().to(save)),
        )
        .route("/admin/name/dns/remove", web::post().to(remove));
}

#[derive(Deserialize)]
struct Asked {
    provider: Option<String>,
    done: Option<String>,
}

/// Fields by their names.
type Typed = HashMap<String, String>;

async fn show(
    visit: Visit,
    _owner: Owner,
    live: Live,
    asked: web::Query<Asked>,
) -> Result<HttpResponse> {
    let stored = visit.app.database.read(list_names).await?.dns;
    let stored: Typed = stored.map_or_else(Typed::new, |text| read(&text));
    let kept = stored.get("provider").cloned();
    let wanted = asked.provider.clone().or(kept.clone());
    let typed = if wanted == kept { stored } else { Typed::new() };
    let notice = asked.done.as_deref().map(|done| Notice {
        kind: NoticeKind::Good,
        text: match done {
            "removed" => "Names are not changed any more, and the token is gone.",
            _ => "It is saved, and counts from now on.",
        }
        .to_owned(),
        undo: None,
    });
    let provider = wanted.as_deref().and_then(Provider::find);
    page(&visit, &live, provider, kept, &typed, notice, Vec::new())
}

fn read(text: &str) -> Typed {
    let table: Value = serde_json::from_str(text).unwrap_or_default();
    let all = table.as_object().into_iter().flatten();
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    all.filter_map(text).collect()
}

async fn save(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    form: web::Form<Typed>,
) -> Result<HttpResponse> {
    let mut typed = form.into_inner();
    let mut take = |field: &str| typed.remove(field).unwrap_or_default();
    let (password, token) = (take("password"), take("token"));
    let stored = visit.app.database.read(list_names).await?.dns;
    let before: Typed = stored.as_deref().map_or_else(Typed::new, read);
    let kept = before.get("provider").cloned();
    let named = typed.get("provider").map_or("", String::as_str);
    let provider = Provider::find(named).filter(|_| !live.is_dns_of_file());
    let mut keys = None;
    let mut errors = Vec::new();
    if let Some(provider) = provider {
        errors = problems(&live, provider, &typed);
        let value = |field: &super::providers::Field| text(&typed, field.key);
        let wanted = provider.keys(value);
        // What was given to one is not sent to another.
        let is_other = read(&wanted) != before;
        if token.trim().is_empty() && (is_other || !live.has_dns_token()) {
            let why = "Give it once more: what it opens is another place now.";
            let first = "Without it, names cannot be changed.";
            let why = if live.has_dns_token() { why } else { first };
            errors.push(("token", why.to_owned()));
        }
        keys = Some(wanted);
    } else if !live.is_dns_of_file() {
        errors.push(("provider", "Choose one of the list.".to_owned()));
    } else if token.trim().is_empty() {
        errors.push(("token", "Type the new one.".to_owned()));
    }
    if errors.is_empty()
        && let Some(problem) = refused(&visit, &session, password).await?
    {
        errors.push(problem);
    }
    if errors.is_empty()
        && !token.trim().is_empty()
        && let Err(why) = live.set_dns_token(keys.as_deref(), &token)
    {
        errors.push(("token", why));
    }
    if !errors.is_empty() {
        return page(&visit, &live, provider, kept, &typed, None, errors);
    }
    if let Some(keys) = keys {
        visit.app.database.apply(update_dns(&keys)).await?;
        live.take_over().await?;
    }
    live.try_again();
    Ok(see_other("/admin/name/dns?done=saved"))
}

fn text(typed: &Typed, key: &str) -> String {
    typed
        .get(key)
        .map_or_else(String::new, |text| text.trim().to_owned())
}

/// The fields that are wrong: each is looked at with the others as they could be.
fn problems(live: &Live, provider: &Provider, typed: &Typed) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in provider.fields {
        let value = text(typed, field.key);
        let why = if value.is_empty() {
            Some("Fill this in.".to_owned())
        } else if value.chars().count() > MAX_FIELD_CHARS || value.chars().any(char::is_control) {
            Some("This is too long, or there is a character in it that cannot be seen.".to_owned())
        } else {
            live.check_dns(&provider.example(Some((field.key, &value))))
                .err()
        };
        errors.extend(why.map(|why| (field.key, why)));
    }
    errors
}

async fn remove(visit: Visit, _owner: Owner, live: Live) -> Result<HttpResponse> {
    visit.app.database.apply(delete_dns()).await?;
    live.take_over().await?;
    live.remove_dns_token()?;
    Ok(see_other("/admin/name/dns?done=removed"))
}

fn page(
    visit: &Visit,
    live: &Live,
    provider: Option<&'static Provider>,
    kept: Option<String>,
    typed: &Typed,
    notice: Option<Notice>,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
    let is_wrong = !errors.is_empty();
    let mut shell = visit.private_shell("DNS provider");
    shell.notice = notice;
    let offered = PROVIDERS.iter();
    let offered = offered.filter(|provider| live.check_dns(&provider.example(None)).is_ok());
    let fields = provider.into_iter().flat_map(|provider| provider.fields);
    let fields = fields.map(|field| DnsField {
        field,
        value: text(typed, field.key),
    });
    let mut response = visit.private_page(&DnsPage {
        shell,
        offered: offered.collect(),
        is_of_file: live.is_dns_of_file(),
        has_token: live.has_dns_token(),
        provider: provider.filter(|_| !live.is_dns_of_file()),
        is_kept: kept.is_some(),
        fields: fields.collect(),
        errors: FieldErrors(errors),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}
