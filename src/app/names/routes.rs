//! `/admin/name`: the site's name and its certificate.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, http::header, web};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    changes::{NAMES_UNCHANGED, update_names},
    form::NameForm,
    live::{CertificateState, FieldError, Lead, LiveNames},
    queries::{StoredNames, list_names},
    views::{NamePage, ProgressPage},
};
use crate::{
    app::{
        layout::{FieldErrors, Notice, Undo},
        visit::{Visit, see_other},
    },
    auth::{csrf::host_of, guards::Owner},
    base::{Error, Names, Result, Timestamp},
};

/// Characters of a field; names are far shorter.
const MAX_FIELD_CHARS: usize = 10_000;
/// Seconds in which what was before can come back.
const UNDO_S: i64 = 24 * 3600;
/// Seconds after which the page of what is under way is loaded again.
const REFRESH_S: &str = "3";

/// The names of the running server, as a handler takes them.
pub(super) type Live = web::Data<dyn LiveNames>;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    super::https_only::configure(routes);
    super::dns::configure(routes);
    super::router::configure(routes);
    routes
        .service(
            web::resource("/admin/name")
                .route(web::get().to(show))
                .route(web::post().to(save)),
        )
        .route("/admin/name/progress", web::get().to(progress))
        .route("/admin/name/undo", web::post().to(undo))
        .route("/admin/name/switch", web::post().to(switch))
        .route("/admin/name/renew", web::post().to(renew));
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

#[derive(Deserialize)]
struct Which {
    name: String,
}

/// What was there before, and when it went.
#[derive(Deserialize)]
struct Before {
    names: String,
    at: i64,
}

async fn show(visit: Visit, _owner: Owner, live: Live) -> Result<HttpResponse> {
    let stored = visit.app.database.read(list_names).await?;
    let mut form = NameForm::of(stored.names.as_deref().unwrap_or_default());
    if stored.names.is_none() {
        "bare".clone_into(&mut form.www);
    }
    form.seen = digest(&stored);
    page(&visit, &live, form, Vec::new(), None)
}

async fn progress(
    visit: Visit,
    _owner: Owner,
    live: Live,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let stored = visit.app.database.read(list_names).await?;
    let certificates = live.certificates();
    let now = live.now();
    let is_under_way = certificates.iter().any(|one| one.is_under_way);
    let mut shell = visit.private_shell("How it goes on");
    shell.notice = notice(&done, &stored);
    let mut home = None;
    if let Some(domain) = now.domain.as_ref().filter(|_| now.next.is_none()) {
        let is_good = |one: &CertificateState| one.name == *domain && one.of.is_some();
        let port = visit
            .base_url
            .trim_start_matches("https://")
            .split_once(':');
        let port = port.map_or(String::new(), |(_, port)| format!(":{port}"));
        home = (certificates.iter().any(is_good)).then(|| format!("https://{domain}{port}/"));
    }
    let mut response = visit.private_page(&ProgressPage {
        shell,
        is_under_way,
        waiting: waiting(now),
        certificates,
        files_trouble: live.files_trouble(),
        home,
    })?;
    if is_under_way {
        // As a header, browsers do it without JavaScript; there is nothing to type on this page.
        let refresh = header::HeaderName::from_static("refresh");
        let soon = header::HeaderValue::from_static(REFRESH_S);
        response.headers_mut().insert(refresh, soon);
    }
    Ok(response)
}

fn waiting(now: Names) -> Option<(String, String)> {
    Some((now.domain?, now.next?))
}

fn notice(done: &Done, stored: &StoredNames) -> Option<Notice> {
    let can_undo = before_of(stored).is_some();
    let undo = can_undo.then(|| Undo {
        action: "/admin/name/undo".to_owned(),
        label: "Undo".to_owned(),
    });
    let (text, undo) = match done.done.as_deref()? {
        "saved" => ("It is saved, and counts from now on.", undo),
        "undone" => ("It is as it was before.", None),
        "switched" => ("The new domain has taken its place.", None),
        "asked" => ("The authority is being asked.", None),
        _ => return None,
    };
    Some(Notice::good(text, undo))
}

async fn save(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    request: HttpRequest,
    form: web::Form<NameForm>,
) -> Result<HttpResponse> {
    let mut form = form.into_inner();
    let password = std::mem::take(&mut form.password);
    let stored = visit.app.database.read(list_names).await?;
    let keys = match checked(&live, &form) {
        Ok(keys) => keys,
        // It costs no try of the password.
        Err(errors) => return page(&visit, &live, form, errors, None),
    };
    let here = here(&request);
    let now = live.now();
    let domain = domain_in(&keys);
    let old = now.next.as_ref().or(now.domain.as_ref());
    let is_of_file = live.of_file().iter().any(|(field, _)| *field == "domain");
    let is_other = domain.as_ref() != old && !is_of_file;
    if is_other && domain.is_none() && old.is_some_and(|old| *old == here) {
        let text = format!(
            "You see this page under {here}. Open it under another address first, such as one that ends with .local, \
             so that you are not locked out."
        );
        return page(&visit, &live, form, vec![("domain", text)], None);
    }
    if form.action == "look" {
        let leads = live.look(names_in(&keys)).await;
        form.looked = domain.unwrap_or_default();
        return page(&visit, &live, form, Vec::new(), Some((leads, &keys, &here)));
    }
    // Known to be bad before it is so: the owner is shown it once, and decides.
    let has_seen = domain.as_ref().is_none_or(|domain| *domain == form.looked);
    if is_other && !has_seen {
        let leads = live.look(names_in(&keys)).await;
        if leads.iter().any(|lead| !lead.is_fine) {
            form.looked = domain.unwrap_or_default();
            return page(&visit, &live, form, Vec::new(), Some((leads, &keys, &here)));
        }
    }
    if let Some(problem) = visit.password_problem(&session, password).await? {
        return page(&visit, &live, form, vec![problem], None);
    }
    if form.seen != digest(&stored) {
        return page(&visit, &live, form, vec![changed_elsewhere()], None);
    }
    let keys = with_former(&keys, &now, &here);
    if !put(&visit, &live, &stored, &keys, true).await? {
        return page(&visit, &live, form, vec![changed_elsewhere()], None);
    }
    Ok(see_other("/admin/name/progress?done=saved"))
}

fn changed_elsewhere() -> FieldError {
    let text =
        "This was changed elsewhere since you opened it. Open the page again to see how it is now.";
    ("domain", text.to_owned())
}

/// Stores and takes over; `false` if somebody else was faster.
async fn put(
    visit: &Visit,
    live: &Live,
    stored: &StoredNames,
    keys: &str,
    can_undo: bool,
) -> Result<bool> {
    let names = stored.names.clone().unwrap_or_default();
    let before = json!({ "names": names, "at": Timestamp::now().0 }).to_string();
    let before = can_undo.then_some(before.as_str());
    let change = update_names(stored.names.as_deref(), keys, before);
    match visit.app.database.apply(change).await {
        Ok(()) => live.take_over().await.map(|()| true),
        Err(Error::Conflict(guard)) if guard == NAMES_UNCHANGED => Ok(false),
        Err(e) => Err(e),
    }
}

/// The keys of what was typed, or the fields that are wrong and why.
fn checked(live: &Live, form: &NameForm) -> std::result::Result<String, Vec<FieldError>> {
    let fields = [
        ("domain", &form.domain),
        ("also", &form.also),
        ("contact", &form.contact),
        ("authority", &form.authority),
        ("challenge", &form.challenge),
        ("profile", &form.profile),
        ("key", &form.key),
        ("more_names", &form.more_names),
    ];
    for (field, text) in fields {
        if text.chars().count() > MAX_FIELD_CHARS {
            return Err(vec![(field, "This is too long.".to_owned())]);
        }
        if text
            .chars()
            .any(|c| c.is_control() && !"\r\n\t".contains(c))
        {
            let text = "There is a character in it that cannot be seen; type it anew.";
            return Err(vec![(field, text.to_owned())]);
        }
    }
    let mut form = form.clone();
    // What the file sets is not taken from the browser; it would count if it went from the file.
    for (field, _) in live.of_file() {
        form.overlay(&[(field, String::new())]);
        if field == "domain" {
            form.www = String::new();
        }
    }
    live.check(&form.keys())
}

/// The domain of these keys, and the names that lead to it.
fn names_in(keys: &str) -> Vec<String> {
    let table: Value = serde_json::from_str(keys).unwrap_or_default();
    let also = table["also"].as_array().into_iter().flatten();
    let all = table.get("domain").into_iter().chain(also);
    all.filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// The domain of these keys.
fn domain_in(keys: &str) -> Option<String> {
    let table: Value = serde_json::from_str(keys).unwrap_or_default();
    table["domain"].as_str().map(str::to_owned)
}

/// The name under which the owner sees the page.
fn here(request: &HttpRequest) -> String {
    let host = host_of(request.head()).unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The keys, with the name that stays the domain until the new one has answered: nobody who is at home under it is
/// sent where nothing is yet.
fn with_former(keys: &str, now: &Names, here: &str) -> String {
    let mut table: Value = serde_json::from_str(keys).unwrap_or_default();
    let Some(domain) = table["domain"].as_str().map(str::to_owned) else {
        return keys.to_owned();
    };
    let names = Names {
        domain: Some(domain.clone()),
        also: names_in(keys),
        next: None,
    };
    let former = match &now.domain {
        Some(old) => Some(old.clone()).filter(|old| *old != domain),
        None => names.leads_from(here).map(|_| here.to_owned()),
    };
    if let Some(former) = former {
        // Whoever was promised HTTPS under it, with `www.` or without, must find a certificate there as long as that
        // lasts.
        if let Some(beside) = now.beside(&former).filter(|name| *name != domain)
            && let Some(also) = table["also"].as_array_mut()
            && !also.iter().any(|name| name == beside)
        {
            also.push(beside.into());
        }
        table["former"] = former.into();
    }
    table.to_string()
}

async fn undo(
    visit: Visit,
    _owner: Owner,
    live: Live,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let stored = visit.app.database.read(list_names).await?;
    let before = before_of(&stored).ok_or(Error::NotFound)?;
    let keys = with_former(&before, &live.now(), &here(&request));
    put(&visit, &live, &stored, &keys, false).await?;
    Ok(see_other("/admin/name/progress?done=undone"))
}

/// What was there before, if it went today: nobody who has got hold of an open browser finds what was long ago.
fn before_of(stored: &StoredNames) -> Option<String> {
    let before: Before = serde_json::from_str(stored.before.as_deref()?).ok()?;
    let age = Timestamp::now().0 - before.at;
    (0..UNDO_S).contains(&age).then_some(before.names)
}

async fn switch(_owner: Owner, live: Live) -> Result<HttpResponse> {
    match live.switch().await {
        Err(Error::Conflict(_)) => {}
        done => done?,
    }
    Ok(see_other("/admin/name/progress?done=switched"))
}

async fn renew(_owner: Owner, live: Live, which: web::Form<Which>) -> Result<HttpResponse> {
    live.renew(&which.name)?;
    Ok(see_other("/admin/name/progress?done=asked"))
}

/// What the form was made for.
fn digest(stored: &StoredNames) -> String {
    let text = stored.names.as_deref().unwrap_or_default();
    HEXLOWER.encode(&Sha256::digest(text)[..8])
}

/// What will be, beside where the names lead.
fn outlook(now: &Names, keys: &str, here: &str) -> Vec<String> {
    let table: Value = serde_json::from_str(&with_former(keys, now, here)).unwrap_or_default();
    let mut all = Vec::new();
    let Some(domain) = domain_in(keys) else {
        all.push(
            "The site has no name of its own any more; it is there under its addresses.".to_owned(),
        );
        return all;
    };
    if let Some(former) = table["former"].as_str() {
        let both = match now.beside(former) {
            Some(beside) if beside != domain => format!("{former} and {beside} lead"),
            _ => format!("{former} leads"),
        };
        all.push(format!(
            "{former} goes on working as it does, until {domain} has a certificate, which proves that it leads \
             here. From then on {both} to {domain}."
        ));
    } else if here != domain {
        all.push(format!("{here}, where you see this page, goes on working."));
    }
    if table["certificate"]["agree_to_terms"].as_bool() != Some(true) {
        all.push(format!(
            "There will be no trusted certificate for {domain} before you agree to the authority's terms."
        ));
    }
    all.push(format!(
        "Under {domain} you sign in once more: browsers keep a sign-in for the name that it was made under."
    ));
    all
}

fn page(
    visit: &Visit,
    live: &Live,
    mut form: NameForm,
    errors: Vec<FieldError>,
    looked: Option<(Vec<Lead>, &str, &str)>,
) -> Result<HttpResponse> {
    let is_wrong = !errors.is_empty();
    let of_file = live.of_file();
    form.overlay(&of_file);
    let is_of_file = of_file.iter().any(|(field, _)| *field == "domain");
    let now = live.now();
    let (leads, outlook) = match looked {
        Some((leads, _, _)) if is_of_file => {
            let text = "The domain is set in webstead.toml, and stays what it is there.";
            (leads, vec![text.to_owned()])
        }
        Some((leads, keys, here)) => {
            let mut outlook = outlook(&now, keys, here);
            let unproved = live.unproved(keys).into_iter();
            outlook.extend(unproved.map(|why| format!("No certificate: {why}.")));
            (leads, outlook)
        }
        None => (Vec::new(), Vec::new()),
    };
    let mut response = visit.private_page(&NamePage {
        shell: visit.private_shell("Name and certificate"),
        form,
        errors: FieldErrors(errors),
        of_file,
        leads,
        outlook,
        has_domain: now.domain.is_some(),
        waiting: waiting(now),
        certificates: live.certificates(),
        files_trouble: live.files_trouble(),
        following: live.following(),
        is_router_asked: live.is_router_asked(),
        https_only: live.https_only(),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_domain_leads_to_the_new_one_with_its_www_or_without() {
        for (domain, also, keys, expected) in [
            (
                "a.example",
                &["www.a.example", "c.example"][..],
                r#"{"domain":"b.example","also":["www.b.example"]}"#,
                &["www.b.example", "www.a.example"][..],
            ),
            (
                "www.a.example",
                &["a.example"],
                r#"{"domain":"b.example","also":[]}"#,
                &["a.example"],
            ),
            // One changes places with the other.
            (
                "a.example",
                &["www.a.example"],
                r#"{"domain":"www.a.example","also":["a.example"]}"#,
                &["a.example"],
            ),
            (
                "a.example",
                &["www.a.example"],
                r#"{"domain":"b.example","also":["www.a.example"]}"#,
                &["www.a.example"],
            ),
            // The owner does without it.
            (
                "a.example",
                &["www.a.example"],
                r#"{"domain":"a.example","also":[]}"#,
                &[],
            ),
            ("a.example", &[], r#"{"domain":"b.example","also":[]}"#, &[]),
        ] {
            let now = Names {
                domain: Some(domain.to_owned()),
                also: also.iter().map(ToString::to_string).collect(),
                next: None,
            };
            let kept: Value = serde_json::from_str(&with_former(keys, &now, domain)).unwrap();
            let also = kept["also"].as_array().unwrap().iter();
            let also: Vec<&str> = also.filter_map(Value::as_str).collect();
            assert_eq!(also, expected, "{domain} {keys}");
            let is_other = !keys.contains(&format!("\"domain\":\"{domain}\""));
            assert_eq!(kept["former"] == domain, is_other, "{domain} {keys}");
        }
    }
}
