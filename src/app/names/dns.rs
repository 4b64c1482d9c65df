//! `/admin/name/dns`: where names can be changed, and the token for it.

use std::collections::HashMap;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    changes::{delete_dns, update_dns},
    live::FieldError,
    providers::{PROVIDERS, Provider},
    queries::list_names,
    routes::Live,
    views::{DnsField, DnsPage},
};
use crate::{
    app::{
        layout::{FieldErrors, Notice},
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::Result,
};

/// Characters of a field; no name or address is longer.
const MAX_FIELD_CHARS: usize = 1000;

/// Keys that count for every provider; others that no form has belong to the one that is stored.
const OF_EVERY_PROVIDER: [&str; 2] = ["addresses_from", "check_at"];

/// Adds the routes.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(
            web::resource("/admin/name/dns")
                .route(web::get().to(show))
                .route(web::post().to(save)),
        )
        .route("/admin/name/dns/compare", web::post().to(compare))
        .route("/admin/name/dns/remove", web::post().to(remove));
}

#[derive(Deserialize)]
struct Asked {
    provider: Option<String>,
    done: Option<String>,
}

/// Fields by their names.
type Typed = HashMap<String, String>;

/// What is stored, or is to be: `[dns]` of `webstead.toml`.
type Keys = Map<String, Value>;

async fn show(
    visit: Visit,
    _owner: Owner,
    live: Live,
    asked: web::Query<Asked>,
) -> Result<HttpResponse> {
    let stored = keys_of(visit.app.database.read(list_names).await?.dns);
    let typed = as_typed(&stored);
    let kept = typed.get("provider").cloned();
    let wanted = asked.provider.clone().or(kept.clone());
    let typed = if wanted == kept { typed } else { Typed::new() };
    let notice = asked.done.as_deref().map(|done| {
        let text = match done {
            "removed" => "Names are not changed any more, and the secret is gone.",
            "compared" => "All names are compared now; look again in a few seconds.",
            _ => "It is saved, and counts from now on.",
        };
        Notice::good(text, None)
    });
    let provider = wanted.as_deref().and_then(Provider::find);
    page(&visit, &live, provider, kept, &typed, notice, Vec::new())
}

fn keys_of(stored: Option<String>) -> Keys {
    let read = stored.and_then(|text| serde_json::from_str(&text).ok());
    read.unwrap_or_default()
}

/// The fields that stand for these keys.
fn as_typed(keys: &Keys) -> Typed {
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    let mut typed: Typed = keys.iter().filter_map(text).collect();
    if keys.get("follow").is_some_and(follows) {
        typed.insert("follow".to_owned(), "on".to_owned());
    }
    typed
}

/// Whether any name follows: `true`, or a list of names.
fn follows(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_array().is_some_and(|names| !names.is_empty())
}

/// Whether what was typed is the place that is stored.
fn is_same(provider: &Provider, typed: &Typed, stored: &Keys) -> bool {
    let stored = as_typed(stored);
    let mut fields = provider.fields.iter();
    text(&stored, "provider") == provider.id
        && fields.all(|field| text(typed, field.key) == text(&stored, field.key))
}

/// The keys of what was typed, and those that are stored and that no form has.
fn together(provider: &Provider, typed: &Typed, stored: &Keys) -> Keys {
    let of_form = provider.keys(|field| text(typed, field.key));
    let mut keys = keys_of(Some(of_form));
    let is_same = is_same(provider, typed, stored);
    for (key, value) in stored {
        if is_same || OF_EVERY_PROVIDER.contains(&key.as_str()) {
            keys.entry(key).or_insert_with(|| value.clone());
        }
    }
    if typed.contains_key("follow") {
        // A list of names stays what it is.
        if !keys.get("follow").is_some_and(follows) {
            keys.insert("follow".to_owned(), true.into());
        }
    } else {
        keys.shift_remove("follow");
    }
    keys
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
    let stored = keys_of(visit.app.database.read(list_names).await?.dns);
    let kept = as_typed(&stored).remove("provider");
    let named = typed.get("provider").map_or("", String::as_str);
    let provider = Provider::find(named).filter(|_| !live.is_dns_of_file());
    let mut keys = None;
    let mut errors = Vec::new();
    if let Some(provider) = provider {
        errors = problems(&live, provider, &typed);
        let wanted = Value::Object(together(provider, &typed, &stored)).to_string();
        if errors.is_empty()
            && let Err(why) = live.check_dns(&wanted)
        {
            errors.push(("follow", why));
        }
        if errors.is_empty()
            && let Some(why) = live.zone_problem(&wanted)
        {
            errors.push(("zone", why));
        }
        // What was given to one is not sent to another.
        let is_other = !is_same(provider, &typed, &stored);
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
        && let Some(problem) = visit.password_problem(&session, password).await?
    {
        errors.push(problem);
    }
    let mut token_before = None;
    if errors.is_empty() && !token.trim().is_empty() {
        match live.set_dns_token(keys.as_deref(), &token) {
            Ok(before) => token_before = Some(before),
            Err(why) => errors.push(("token", why)),
        }
    }
    if !errors.is_empty() {
        return page(&visit, &live, provider, kept, &typed, None, errors);
    }
    if let Some(keys) = keys
        && let Err(e) = store(&visit, &live, &keys).await
    {
        // It is for another place than the one that still counts.
        if let Some(Err(e)) = token_before.map(|before| live.put_dns_token_back(before)) {
            log::error!("the token for changing names that there was before is lost: {e}");
        }
        return Err(e);
    }
    live.try_again();
    Ok(see_other("/admin/name/dns?done=saved"))
}

/// Compares all names that follow now.
async fn compare(_owner: Owner, live: Live) -> Result<HttpResponse> {
    live.compare()?;
    Ok(see_other("/admin/name/dns?done=compared"))
}

/// Stores where names are changed, and lets it count; if that cannot be, what was stored before is stored again.
async fn store(visit: &Visit, live: &Live, keys: &str) -> Result<()> {
    let database = &visit.app.database;
    let before = database.read(list_names).await?.dns;
    database.apply(update_dns(keys)).await?;
    let taken_over = live.take_over().await;
    if taken_over.is_err() {
        let back = before.map_or_else(delete_dns, |before| update_dns(&before));
        database.apply(back).await?;
    }
    taken_over
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

async fn remove(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    form: web::Form<Typed>,
) -> Result<HttpResponse> {
    let password = form.into_inner().remove("password").unwrap_or_default();
    if let Some(problem) = visit.password_problem(&session, password).await? {
        let stored = keys_of(visit.app.database.read(list_names).await?.dns);
        let typed = as_typed(&stored);
        let kept = typed.get("provider").cloned();
        let provider = kept.as_deref().and_then(Provider::find);
        return page(&visit, &live, provider, kept, &typed, None, vec![problem]);
    }
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
        secret_of: match live.dns_of_file() {
            Some(id) => Provider::find(id),
            None => provider,
        },
        provider: provider.filter(|_| !live.is_dns_of_file()),
        is_kept: kept.is_some(),
        fields: fields.collect(),
        is_followed: typed.contains_key("follow"),
        following: live.following(),
        errors: FieldErrors(errors),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(keys: &Value) -> Keys {
        keys_of(Some(keys.to_string()))
    }

    #[test]
    fn what_no_form_has_stays_with_its_provider_and_a_tick_lets_names_follow() {
        let before = stored(&json!({
            "provider": "cloudflare", "zone": "a.example", "api": "https://b.example", "follow": ["a.example"],
            "addresses_from": ["router"], "check_at": ["192.0.2.1"],
        }));
        let cloudflare = Provider::find("cloudflare").unwrap();
        let mut typed = as_typed(&before);
        assert!(typed.contains_key("follow"));
        assert_eq!(together(cloudflare, &typed, &before), before);
        typed.remove("follow");
        let mut without = before.clone();
        without.shift_remove("follow");
        assert_eq!(together(cloudflare, &typed, &before), without);

        // Another zone: its address and the list of names were the other one's.
        let typed: Typed = [("zone", "c.example"), ("follow", "on")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let other = stored(&json!({
            "provider": "gandi", "zone": "c.example", "addresses_from": ["router"], "check_at": ["192.0.2.1"],
            "follow": true,
        }));
        let gandi = Provider::find("gandi").unwrap();
        assert_eq!(together(gandi, &typed, &before), other);
        assert_eq!(together(gandi, &Typed::new(), &Keys::new()).len(), 2);
    }
}
