//! `/admin/name/router`: what the router at home does with visitors, and whether it is asked to pass them on.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    changes::{delete_router, update_router},
    live::{FieldError, LiveRouter, RouterState},
    routes::Live,
    views::RouterPage,
};
use crate::{
    app::{
        layout::{FieldErrors, Notice},
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::Result,
};

const PAGE: &str = "/admin/name/router";
/// Seconds after which the page is loaded again while the router is being asked.
const REFRESH_S: &str = "3";

type Router = web::Data<dyn LiveRouter>;

/// Adds the routes.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(
            web::resource(PAGE)
                .route(web::get().to(show))
                .route(web::post().to(open)),
        )
        .route("/admin/name/router/look", web::post().to(look))
        .route("/admin/name/router/close", web::post().to(close));
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

/// Never logged.
#[derive(Deserialize)]
struct Consent {
    password: String,
}

async fn show(
    visit: Visit,
    _owner: Owner,
    router: Router,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let text = match done.done.as_deref() {
        Some("open") => {
            Some("It is saved. The router is asked from now on, and renewed by itself.")
        }
        Some("closed") => Some(closing(&router.state())),
        _ => None,
    };
    let notice = text.map(|text| Notice::good(text, None));
    page(&visit, &router, notice, Vec::new())
}

/// What became of a wish to close.
fn closing(state: &RouterState) -> &'static str {
    if !state.is_asked && !state.is_under_way && state.granted.is_empty() {
        "It is saved. What the router was asked to open is closed."
    } else {
        "It is saved. The router is told to close what it was asked to open."
    }
}

/// Looks, which takes some seconds, and leads to what was seen.
async fn look(_owner: Owner, router: Router) -> HttpResponse {
    router.into_inner().look().await;
    see_other(PAGE)
}

async fn open(
    visit: Visit,
    Owner(session): Owner,
    live: Live,
    router: Router,
    form: web::Form<Consent>,
) -> Result<HttpResponse> {
    if router.state().is_of_file {
        return page(&visit, &router, None, vec![("password", of_file())]);
    }
    if let Some(problem) = visit
        .password_problem(&session, form.into_inner().password)
        .await?
    {
        return page(&visit, &router, None, vec![problem]);
    }
    let keys = json!({ "open_ports": true }).to_string();
    visit.app.database.apply(update_router(&keys)).await?;
    live.take_over().await?;
    Ok(see_other("/admin/name/router?done=open"))
}

fn of_file() -> String {
    "It is set in webstead.toml, and can be changed there.".to_owned()
}

/// Needs no password: nothing becomes more open by it.
async fn close(visit: Visit, _owner: Owner, live: Live) -> Result<HttpResponse> {
    visit.app.database.apply(delete_router()).await?;
    live.take_over().await?;
    Ok(see_other("/admin/name/router?done=closed"))
}

fn page(
    visit: &Visit,
    router: &Router,
    notice: Option<Notice>,
    errors: Vec<FieldError>,
) -> Result<HttpResponse> {
    let is_wrong = !errors.is_empty();
    let mut shell = visit.private_shell("The router");
    shell.notice = notice;
    let state = router.state();
    let is_under_way = state.is_under_way && !is_wrong;
    let mut response = visit.private_page(&RouterPage {
        shell,
        state,
        errors: FieldErrors(errors),
    })?;
    if is_wrong {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    if is_under_way {
        // As a header, browsers do it without JavaScript.
        let refresh = header::HeaderName::from_static("refresh");
        let soon = header::HeaderValue::from_static(REFRESH_S);
        response.headers_mut().insert(refresh, soon);
    }
    Ok(response)
}
