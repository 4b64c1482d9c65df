//! What other programs ask the site: whether it lives, whether it is ready, how it fares.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{Method, StatusCode, header},
};
use tokio::time::timeout;

use super::{observe::Observer, request_context::RequestContext};
use crate::{auth::sessions, db::Database};

/// How long the database may take for one row before the site is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to `/healthz`, `/readyz` and `/metrics`; `None` for everything else.
pub(super) async fn answer(
    database: &Database,
    observer: &Observer,
    request: &ServiceRequest,
    context: &RequestContext,
) -> Option<HttpResponse> {
    if *request.method() != Method::GET {
        return None;
    }
    match request.path() {
        "/healthz" => Some(text(StatusCode::OK, "alive\n")),
        "/readyz" => Some(match timeout(PATIENCE, is_ready(database)).await {
            Ok(true) => text(StatusCode::OK, &ready(database)),
            _ => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer\n",
            ),
        }),
        "/metrics" => Some(if may_see_metrics(database, request, context).await {
            let shown = observer.metrics.text().unwrap_or_default();
            let mut response = text(StatusCode::OK, &shown);
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let kind = header::HeaderValue::from_static(kind);
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        } else {
            let why = "Only this machine itself, and who is signed in, may see the numbers.\n";
            text(StatusCode::FORBIDDEN, why)
        }),
        _ => None,
    }
}

/// Ready to show pages; what keeps it from saving is said.
fn ready(database: &Database) -> String {
    let troubles = database.health().troubles();
    let said = troubles
        .iter()
        .map(|trouble| format!("disk: {}\n", trouble.name()));
    std::iter::once("ready\n".to_owned()).chain(said).collect()
}

async fn is_ready(database: &Database) -> bool {
    let one = database.read(|connection| {
        Ok(connection.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0))?)
    });
    one.await.is_ok()
}

/// This machine itself and who is signed in. What a proxy on this machine passes on comes from elsewhere,
/// whatever is said in it.
async fn may_see_metrics(
    database: &Database,
    request: &ServiceRequest,
    context: &RequestContext,
) -> bool {
    let is_forwarded = ["x-forwarded-for", "forwarded", "via"]
        .iter()
        .any(|name| request.headers().contains_key(*name));
    let is_local = request
        .peer_addr()
        .is_some_and(|address| address.ip().to_canonical().is_loopback());
    if is_local && !is_forwarded && !context.is_visitor_said {
        return true;
    }
    let session = sessions::find_session_of(database, request.headers()).await;
    matches!(session, Ok(Some(_)))
}

fn text(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text.to_owned())
}
