//! `/admin/backups/place`: where backups go.

use actix_web::{HttpResponse, http::StatusCode, web};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    changes::{PLACE_UNCHANGED, update_place},
    form::{Kind, PlaceForm},
    live::{FieldError, Found},
    queries::{StoredPlace, find_place},
    routes::Live,
    views::PlacePage,
};
use crate::{
    app::{
        layout::{FieldErrors, Notice, Undo},
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::{Error, Result, Timestamp},
};

const PAGE: &str = "/admin/backups/place";
/// Characters of a field; no address or key is longer.
const MAX_FIELD_CHARS: usize = 1000;
/// Seconds in which what was before can come back.
const UNDO_S: i64 = 24 * 3600;

/// Adds the routes.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(
            web::resource(PAGE)
                .route(web::get().to(show))
                .route(web::post().to(save)),
        )
        .route("/admin/backups/place/remove", web::post().to(remove))
        .route("/admin/backups/place/undo", web::post().to(undo));
}

#[derive(Deserialize)]
struct Asked {
    kind: Option<String>,
    done: Option<String>,
}

/// What was there before, and when it went.
#[derive(Deserialize)]
struct Before {
    keys: Option<String>,
    at: i64,
    /// Whether a secret was put aside with it.
    #[serde(default)]
    with_secret: bool,
}

async fn show(
    visit: Visit,
    _owner: Owner,
    live: Live,
    asked: web::Query<Asked>,
) -> Result<HttpResponse> {
    let stored = visit.app.database.read(find_place).await?;
    let kept = PlaceForm::of(stored.keys.as_deref().unwrap_or_default());
    let wanted = asked.kind.as_deref().and_then(Kind::find);
    let mut form = match wanted {
        Some(kind) if Some(kind) != kept.kind() => PlaceForm {
            kind: kind.id().to_owned(),
            ..PlaceForm::default()
        },
        _ => kept,
    };
    form.seen = digest_of(&stored);
    let notice = notice(&asked, &stored);
    page(&visit, &live, form, Vec::new(), None, (&stored, notice))
}

fn notice(asked: &Asked, stored: &StoredPlace) -> Option<Notice> {
    let undo = before_of(stored).map(|_| Undo {
        action: "/admin/backups/place/undo".to_owned(),
        label: "Undo".to_owned(),
    });
    let (text, undo) = match asked.done.as_deref()? {
        "saved" => (
            "It is saved. The first backup to this place is made soon, or now if you press the button under Backups.",
            undo,
        ),
        "removed" => (
            "No backups are made any more. Those that are there stay, and so does the secret for the place.",
            undo,
        ),
        "undone" => ("It is as it was before.", None),
        _ => return None,
    };
    Some(Notice::good(text, undo))
}

async fn save(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    form: web::Form<PlaceForm>,
) -> Result<HttpResponse> {
    let mut form = form.into_inner();
    let password = std::mem::take(&mut form.password);
    let stored = visit.app.database.read(find_place).await?;
    let again = |form, errors, found| page(&visit, &live, form, errors, found, (&stored, None));
    let problems = problems(&live, &form);
    let secret = std::mem::take(&mut form.secret);
    let Some(kind) = form.kind().filter(|_| problems.is_empty()) else {
        return again(form, problems, None);
    };
    let keys = form.keys();
    let wants_look = form.action == "look";
    // Known to be bad before it is so: the owner is shown it once, and decides.
    if wants_look || form.looked != digest(&keys) {
        let given = Some(secret.trim().to_owned()).filter(|secret| !secret.is_empty());
        let found = live.look_at(&keys, given).await;
        if wants_look || !found.is_fine {
            form.looked = digest(&keys);
            if let Some(shown) = &found.shown_key {
                form.host_key.clone_from(shown);
            }
            return again(form, Vec::new(), Some(found));
        }
    }
    if let Some(problem) = visit.password_problem(&session, password).await? {
        return again(form, vec![problem], None);
    }
    if form.seen != digest_of(&stored) {
        return again(form, vec![changed_elsewhere()], None);
    }
    let is_given = !secret.trim().is_empty();
    if is_given && let Err(e) = live.keep_secret(kind, &keys, &secret) {
        return again(form, vec![("secret", e.to_string())], None);
    }
    let put = put(&visit, &live, &stored, Some(&keys), Some(is_given)).await;
    if is_given && !matches!(put, Ok(true)) {
        // It is for another place than the one that still counts.
        live.put_secret_back(kind)?;
    }
    if put? {
        Ok(see_other("/admin/backups/place?done=saved"))
    } else {
        again(form, vec![changed_elsewhere()], None)
    }
}

fn changed_elsewhere() -> FieldError {
    let text =
        "This was changed elsewhere since you opened it. Open the page again to see how it is now.";
    ("password", text.to_owned())
}

/// The fields that are wrong, and why.
fn problems(live: &Live, form: &PlaceForm) -> Vec<FieldError> {
    let Some(kind) = form.kind() else {
        return vec![("kind", "Choose one of the list.".to_owned())];
    };
    if live.is_of_file() {
        let text = "The place is set in webstead.toml, and can be changed there.";
        return vec![("kind", text.to_owned())];
    }
    let mut errors = Vec::new();
    for (field, text) in form.typed() {
        if text.chars().count() > MAX_FIELD_CHARS || text.trim().chars().any(char::is_control) {
            let why = "This is too long, or there is a character in it that cannot be seen.";
            errors.push((field, why.to_owned()));
        }
    }
    let needed: &[(&'static str, &str)] = match kind {
        Kind::Folder => &[("folder", &form.folder)],
        Kind::Bucket => &[("bucket", &form.bucket), ("key_id", &form.key_id)],
        Kind::Machine => &[
            ("host", &form.host),
            ("user", &form.user),
            ("folder", &form.folder),
        ],
    };
    for (field, text) in needed {
        if text.trim().is_empty() {
            errors.push((*field, "Fill this in.".to_owned()));
        }
    }
    if kind == Kind::Bucket && form.secret.trim().is_empty() && !live.has_secret(kind) {
        let text = "Without it, nothing can be sent there.";
        errors.push(("secret", text.to_owned()));
    }
    if errors.is_empty()
        && let Err(wrong) = live.check_place(&form.keys())
    {
        errors = wrong;
    }
    errors
}

/// Stores and takes over; `false` if somebody else was faster. Where it can be undone, it is said whether with a secret.
async fn put(
    visit: &Visit,
    live: &Live,
    stored: &StoredPlace,
    keys: Option<&str>,
    undo_with_secret: Option<bool>,
) -> Result<bool> {
    let before = undo_with_secret.map(|with_secret| {
        let at = Timestamp::now().0;
        json!({ "keys": stored.keys, "at": at, "with_secret": with_secret }).to_string()
    });
    let change = update_place(stored.keys.as_deref(), keys, before.as_deref());
    match visit.app.database.apply(change).await {
        Ok(()) => live.take_over().await.map(|()| true),
        Err(Error::Conflict(guard)) if guard == PLACE_UNCHANGED => Ok(false),
        Err(e) => Err(e),
    }
}

/// Needs no password: nothing becomes more open by it, and it can be undone.
async fn remove(visit: Visit, _owner: Owner, live: Live) -> Result<HttpResponse> {
    let stored = visit.app.database.read(find_place).await?;
    if stored.keys.is_some() {
        put(&visit, &live, &stored, None, Some(false)).await?;
    }
    Ok(see_other("/admin/backups/place?done=removed"))
}

async fn undo(visit: Visit, _owner: Owner, live: Live) -> Result<HttpResponse> {
    let stored = visit.app.database.read(find_place).await?;
    let before = before_of(&stored).ok_or(Error::NotFound)?;
    let is_back = put(&visit, &live, &stored, before.keys.as_deref(), None).await?;
    if is_back && before.with_secret {
        // The one that was put aside made way for that of the place that goes now.
        let kind = PlaceForm::of(stored.keys.as_deref().unwrap_or_default()).kind();
        if let Some(kind) = kind {
            live.put_secret_back(kind)?;
        }
    }
    Ok(see_other("/admin/backups/place?done=undone"))
}

/// What was there before, if it went today: nobody who has got hold of an open browser finds what was long ago.
fn before_of(stored: &StoredPlace) -> Option<Before> {
    let before: Before = serde_json::from_str(stored.before.as_deref()?).ok()?;
    let age = Timestamp::now().0 - before.at;
    (0..UNDO_S).contains(&age).then_some(before)
}

/// What the form was made for.
fn digest_of(stored: &StoredPlace) -> String {
    digest(stored.keys.as_deref().unwrap_or_default())
}

/// Keys, in short.
fn digest(keys: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(keys)[..8])
}

fn page(
    visit: &Visit,
    live: &Live,
    form: PlaceForm,
    errors: Vec<FieldError>,
    found: Option<Found>,
    (stored, notice): (&StoredPlace, Option<Notice>),
) -> Result<HttpResponse> {
    let is_wrong = !errors.is_empty();
    let mut shell = visit.private_shell("Where backups go");
    shell.notice = notice;
    let is_of_file = live.is_of_file();
    let kind = form.kind().filter(|_| !is_of_file);
    let own_key = match kind {
        Some(Kind::Machine) => live.own_key()?,
        _ => String::new(),
    };
    let mut response = visit.private_page(&PlacePage {
        shell,
        has_secret: kind.is_some_and(|kind| live.has_secret(kind)),
        form,
        kinds: Kind::ALL.map(|one| (one, kind == Some(one))).into(),
        kind,
        own_key,
        is_of_file,
        is_kept: stored.keys.is_some(),
        found,
        errors: FieldErrors(errors),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}
