//! `/admin/hosts`: what else is served, and its forms.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;

use super::{
    changes::{HOST_UNCHANGED, NAME_FREE, insert_host, remove_host, restore_host, update_host},
    form::{HostForm, Kind, field_of, kind_of},
    live::LiveHosts,
    queries::{StoredHost, find_host, list_hosts},
    views::{HostPage, HostRow, HostsPage, RemovedRow},
};
use crate::{
    app::{
        layout::{FieldErrors, Notice, Undo},
        visit::{Visit, see_other},
    },
    auth::{guards::Owner, sessions::Session},
    base::{Error, Id, Result, Timestamp},
    db::Change,
};

/// Characters of a field; no address and no path is longer.
const MAX_FIELD_CHARS: usize = 10_000;
/// Seconds in which a host that was removed can come back.
const UNDO_S: i64 = 24 * 3600;

/// The hosts of the running server, as a handler takes them.
type Live = web::Data<dyn LiveHosts>;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/admin/hosts", web::get().to(list))
        .service(
            web::resource("/admin/hosts/new/{kind}")
                .route(web::get().to(new))
                .route(web::post().to(add)),
        )
        .service(
            web::resource("/admin/hosts/{id}")
                .route(web::get().to(edit))
                .route(web::post().to(save)),
        )
        .route("/admin/hosts/{id}/remove", web::post().to(remove))
        .route("/admin/hosts/{id}/restore", web::post().to(restore));
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
    id: Option<String>,
}

async fn list(
    visit: Visit,
    _owner: Owner,
    live: Live,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let stored = visit.app.database.read(list_hosts).await?;
    let served = live.list().await;
    let port = visit.base_url.rsplit_once(':').map_or("", |(_, port)| port);
    let port = port
        .parse::<u16>()
        .map_or(String::new(), |port| format!(":{port}"));
    let (wanted, removed): (Vec<_>, Vec<_>) = stored.into_iter().partition(StoredHost::is_wanted);
    let form_of = |host: &StoredHost| format!("/admin/hosts/{}", host.id);
    let of_browser = |name: &str| wanted.iter().find(|host| host.name == name);
    let mut hosts: Vec<HostRow> = served
        .iter()
        .map(|host| HostRow {
            href: format!("https://{}{port}/", host.name),
            edit: of_browser(&host.name)
                .filter(|_| !host.is_in_file)
                .map(form_of),
            kind: if host.is_folder { "folder" } else { "program" },
            serves: host.serves.clone(),
            problems: host.problems.clone(),
            name: host.name.clone(),
        })
        .collect();
    let is_served = |host: &&StoredHost| {
        let mut of_browser = served.iter().filter(|other| !other.is_in_file);
        of_browser.any(|other| other.name == host.name)
    };
    for host in wanted.iter().filter(|host| !is_served(host)) {
        let checked = match live.check_name(&host.name) {
            Ok(name) => live.check_keys(&name, &host.keys).await,
            Err(why) => Err(why),
        };
        let why = checked.err().unwrap_or_else(|| {
            "it could not be served when the server last looked; save it once more".to_owned()
        });
        hosts.push(HostRow {
            name: host.name.clone(),
            href: String::new(),
            edit: Some(form_of(host)),
            kind: "not served",
            serves: Vec::new(),
            problems: vec![why],
        });
    }
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    let removed = removed.iter().filter(|host| can_come_back(host));
    let removed = removed.map(|host| RemovedRow {
        id: host.id.to_string(),
        name: host.name.clone(),
    });
    let mut shell = visit.private_shell("Other hosts");
    shell.notice = notice(&done);
    visit.private_page(&HostsPage {
        shell,
        removed: removed.collect(),
        hosts,
    })
}

fn notice(done: &Done) -> Option<Notice> {
    let id: Option<Id> = done.id.as_ref().and_then(|id| id.parse().ok());
    let (text, undo) = match done.done.as_deref()? {
        "saved" => ("It is saved, and served from now on.", None),
        "restored" => ("It is served again.", None),
        "removed" => {
            let undo = id.map(|id| Undo {
                action: format!("/admin/hosts/{id}/restore"),
                label: "Undo".to_owned(),
            });
            ("It is not served any more.", undo)
        }
        _ => return None,
    };
    Some(Notice::good(text, undo))
}

/// Whether it was removed today: nobody who has got hold of an open browser finds what was served long ago.
fn can_come_back(host: &StoredHost) -> bool {
    let removed = host.removed_at.map(|at| Timestamp::now().0 - at.0);
    removed.is_some_and(|seconds| seconds < UNDO_S)
}

async fn new(visit: Visit, _owner: Owner, kind: web::Path<Kind>) -> Result<HttpResponse> {
    page(&visit, *kind, None, HostForm::default(), Vec::new())
}

async fn add(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    kind: web::Path<Kind>,
    form: web::Form<HostForm>,
) -> Result<HttpResponse> {
    put(&visit, &session, &live, *kind, None, form.into_inner()).await
}

async fn edit(visit: Visit, _owner: Owner, id: web::Path<String>) -> Result<HttpResponse> {
    let host = existing(&visit, &id).await?;
    let mut form = HostForm::of(&host.name, &host.keys);
    form.revision = host.revision.to_string();
    page(&visit, kind_of(&host.keys), Some(host.id), form, Vec::new())
}

async fn save(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    id: web::Path<String>,
    form: web::Form<HostForm>,
) -> Result<HttpResponse> {
    let host = existing(&visit, &id).await?;
    let kind = kind_of(&host.keys);
    put(
        &visit,
        &session,
        &live,
        kind,
        Some(host.id),
        form.into_inner(),
    )
    .await
}

/// Stores a host and serves it, or says what is wrong with it.
async fn put(
    visit: &Visit,
    session: &Session,
    live: &Live,
    kind: Kind,
    id: Option<Id>,
    mut form: HostForm,
) -> Result<HttpResponse> {
    let password = std::mem::take(&mut form.password);
    let (name, keys) = match checked(visit, live, kind, &form) {
        Ok(checked) => checked,
        // It costs no try of the password.
        Err(error) => return page(visit, kind, id, form, vec![error]),
    };
    let problem = match visit.password_problem(session, password).await? {
        Some(problem) => Some(problem),
        // Where things are on this machine is nothing for who does not know the password.
        None => live
            .check_keys(&name, &keys)
            .await
            .err()
            .map(|text| (field_of(kind, &text), text)),
    };
    if let Some(problem) = problem {
        return page(visit, kind, id, form, vec![problem]);
    }
    let now = Timestamp::now();
    let change = match id {
        None => insert_host(Id::new(), &name, &keys, now),
        Some(id) => update_host(id, form.revision.parse().unwrap_or(0), &name, &keys, now),
    };
    let errors = match visit.app.database.apply(change).await {
        Ok(()) => {
            live.take_over().await?;
            return Ok(see_other("/admin/hosts?done=saved"));
        }
        Err(Error::Conflict(guard)) if guard == NAME_FREE => {
            vec![("name", format!("{name} is another host already."))]
        }
        Err(Error::Conflict(guard)) if guard == HOST_UNCHANGED => {
            let text = "This host was changed or removed elsewhere since you opened it. Open it again from \
                        the list to see how it is now.";
            vec![("name", text.to_owned())]
        }
        Err(e) => return Err(e),
    };
    page(visit, kind, id, form, errors)
}

/// The name and the keys of what was typed, or the field that is wrong and why.
fn checked(
    visit: &Visit,
    live: &Live,
    kind: Kind,
    form: &HostForm,
) -> std::result::Result<(String, String), (&'static str, String)> {
    let fields = [
        ("name", &form.name),
        ("files", &form.files),
        ("proxy", &form.proxy),
        ("cache", &form.cache),
        ("health", &form.health),
        ("certificate", &form.certificate),
    ];
    for (field, text) in fields {
        if text.chars().count() > MAX_FIELD_CHARS {
            return Err((field, "This is too long.".to_owned()));
        }
        if text
            .chars()
            .any(|c| c.is_control() && !"\r\n\t".contains(c))
        {
            return Err((
                field,
                "There is a character in it that cannot be seen; type it anew.".to_owned(),
            ));
        }
    }
    let keys = form.keys(kind)?;
    let name = live.check_name(form.name.trim());
    let name = name.map_err(|text| ("name", text))?;
    let here = visit.base_url.trim_start_matches("https://");
    if here.split(':').next() == Some(&name) {
        let text = format!("{name} is the name under which you see this page; choose another one");
        return Err(("name", text));
    }
    Ok((name, keys))
}

async fn remove(
    visit: Visit,
    _owner: Owner,
    live: Live,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let id = existing(&visit, &id).await?.id;
    let to = format!("/admin/hosts?done=removed&id={id}");
    after(&visit, &live, remove_host(id, Timestamp::now()), &to).await
}

async fn restore(
    visit: Visit,
    _owner: Owner,
    live: Live,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let host = existing(&visit, &id).await?;
    if !can_come_back(&host) {
        return Err(Error::NotFound);
    }
    let to = "/admin/hosts?done=restored";
    after(&visit, &live, restore_host(host.id), to).await
}

async fn after(visit: &Visit, live: &Live, change: Change, to: &str) -> Result<HttpResponse> {
    visit.app.database.apply(change).await?;
    live.take_over().await?;
    Ok(see_other(to))
}

async fn existing(visit: &Visit, id: &str) -> Result<StoredHost> {
    let id: Id = id.parse().map_err(|_| Error::NotFound)?;
    visit
        .app
        .database
        .read(move |connection| find_host(connection, id))
        .await
}

fn page(
    visit: &Visit,
    kind: Kind,
    id: Option<Id>,
    form: HostForm,
    errors: Vec<(&'static str, String)>,
) -> Result<HttpResponse> {
    let title = match (id, kind) {
        (Some(_), _) => "A host",
        (None, Kind::Files) => "Serve a folder",
        (None, Kind::Proxy) => "Pass on to a program",
    };
    let action = match (id, kind) {
        (Some(id), _) => format!("/admin/hosts/{id}"),
        (None, Kind::Files) => "/admin/hosts/new/files".to_owned(),
        (None, Kind::Proxy) => "/admin/hosts/new/proxy".to_owned(),
    };
    let is_wrong = !errors.is_empty();
    let mut response = visit.private_page(&HostPage {
        shell: visit.private_shell(title),
        kind,
        action,
        is_there: id.is_some(),
        form,
        errors: FieldErrors(errors),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}
