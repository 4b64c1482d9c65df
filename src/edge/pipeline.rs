//! The way of a request through the edge, in order.

use std::{path::PathBuf, sync::Arc};

use actix_web::{
    HttpResponse,
    body::{self, BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderValue},
    },
    middleware::Next,
    web::{Bytes, Data},
};

use tokio::sync::Semaphore;

use super::{
    compression::{self, Accepted, Encoding},
    compressor::Compressor,
    files, headers,
    in_flight::{self, InFlight},
    page_cache::{self, Kept, KeyRef, MAX_BODY_BYTES, Page, PageCache, Place},
    tidy::tidy_location,
};
use crate::{
    auth::{csrf::host_of, sessions},
    base,
    db::Database,
    net::redirect,
};

/// Requests that the application answers at once; more are told to come again. One HTTP/2 connection may
/// ask for any number of things at the same time.
const MAX_ANSWERING: usize = 1024;

/// What the edge needs; one for all threads.
pub struct Edge {
    database: Database,
    pages: PageCache,
    compressor: Compressor,
    answering: Semaphore,
    in_flight: InFlight,
    /// Plain files beside the application.
    public: PathBuf,
    /// Port of the HTTPS listener, for the redirect of plain HTTP.
    https_port: u16,
}

impl Edge {
    /// The edge of a site, with the folder of plain files beside it; that need not be there.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::base::Error::Internal) if the system gives us no thread.
    pub fn new(
        database: Database,
        settings: page_cache::Settings,
        public: PathBuf,
        https_port: u16,
    ) -> base::Result<Self> {
        Ok(Self {
            database,
            pages: PageCache::new(settings),
            compressor: Compressor::start()?,
            answering: Semaphore::new(MAX_ANSWERING),
            in_flight: InFlight::default(),
            public,
            https_port,
        })
    }

    /// Returns when no request has been in flight for a moment.
    pub async fn quiet(&self) {
        self.in_flight.quiet().await;
    }
}

/// Middleware: everything that happens to a request outside of the application.
pub async fn pipeline(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(edge) = request.app_data::<Data<Edge>>().cloned() else {
        return Err(
            base::Error::Internal("the server was put together without its edge".into()).into(),
        );
    };
    if !request.app_config().secure() {
        let response = to_https(&request, edge.https_port);
        return Ok(request.into_response(response));
    }
    let entered = edge.in_flight.enter();
    // The answer to HEAD is that to GET without its body (RFC 9110 section 9.3.2); the protocol below
    // remembers that it was HEAD and leaves the body out.
    if request.method() == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    let response = match answer_early(&edge, &request).await {
        Some(mut response) => {
            headers::add(response.headers_mut());
            request.into_response(response)
        }
        None => answer(&edge, request, next).await.map_err(with_headers)?,
    };
    Ok(in_flight::until_sent(entered, response))
}

/// The answer to what needs no application: a plain file, or an address that is written in another way.
async fn answer_early(edge: &Edge, request: &ServiceRequest) -> Option<HttpResponse> {
    // Forms are never redirected: they would be lost.
    if request.method() != Method::GET {
        return None;
    }
    if let Some(file) = files::answer(&edge.public, request).await {
        return Some(file);
    }
    let location = tidy_location(request.path(), request.uri().query())?;
    let moved = HttpResponse::MovedPermanently()
        .insert_header((header::LOCATION, location))
        .finish();
    Some(moved)
}

/// An error that took its request with it (a panic) is answered with the security headers too.
fn with_headers(error: actix_web::Error) -> actix_web::Error {
    let mut response = error.error_response();
    headers::add(response.headers_mut());
    InternalError::from_response(error, response).into()
}

/// Answers from the page cache where that may be, else lets the application answer.
async fn answer(
    edge: &Edge,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() != Method::GET || is_personal(&request) {
        return ask(edge, request, next).await;
    }
    let key = key_of(&request);
    // Asked for before anything is read: what is rendered is at least as new.
    let version = edge.database.version();
    let kept = match edge.pages.get(key, version) {
        Some(kept) => kept,
        None => match edge.pages.get_or_place(&key.to_key(), version).await {
            Ok(kept) => kept,
            Err(place) => return render(edge, request, next, version, place).await,
        },
    };
    match kept {
        Kept::Page(page) => {
            let response = send(edge, &page, request.headers()).await;
            Ok(request.into_response(response))
        }
        Kept::Pass(_) => ask(edge, request, next).await,
    }
}

/// Lets the application answer, unless it has its hands full.
async fn ask(
    edge: &Edge,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = if let Ok(_turn) = edge.answering.try_acquire() {
        next.call(request).await?
    } else {
        let response = HttpResponse::ServiceUnavailable()
            .insert_header((header::RETRY_AFTER, 2))
            .content_type("text/plain; charset=utf-8")
            .body("The site is busy. Please try again in a few seconds.\n");
        request.into_response(response)
    };
    headers::add(response.headers_mut());
    Ok(response)
}

/// What the request is for, as the cache knows it.
fn key_of(request: &ServiceRequest) -> KeyRef<'_> {
    KeyRef {
        host: host_of(request.head()).unwrap_or(""),
        target: request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str()),
    }
}

/// Lets the application render a page and keeps it, if it may be kept.
async fn render(
    edge: &Edge,
    request: ServiceRequest,
    next: Next<BoxBody>,
    version: u64,
    place: Place<'_>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = ask(edge, request, next).await?;
    if !may_be_kept(&response) {
        if !response.status().is_server_error() {
            place.pass(version);
        }
        return Ok(response);
    }
    let (http, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let Ok(body) = body::to_bytes(body).await else {
        let response = HttpResponse::InternalServerError().finish();
        return Ok(ServiceResponse::new(http, response));
    };
    let vary = HeaderValue::from_static("Accept-Encoding, Cookie");
    let kept = response
        .headers()
        .iter()
        .filter(|(name, _)| !is_made_anew(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .chain([(header::VARY, vary)])
        .collect();
    let page = Arc::new(Page::new(version, kept, body));
    place.put(&page);
    let response = send(edge, &page, http.headers()).await;
    Ok(ServiceResponse::new(http, response))
}

/// A public page of moderate size that was answered in full.
fn may_be_kept(response: &ServiceResponse<BoxBody>) -> bool {
    let is_public = response
        .headers()
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("public"));
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| compression::is_worth_it(kind, MAX_BODY_BYTES));
    let is_small = matches!(response.response().body().size(), BodySize::Sized(bytes) if bytes <= MAX_BODY_BYTES as u64);
    // A cookie is for one visitor (RFC 9111 section 7.3).
    let is_for_all = !response.headers().contains_key(header::SET_COOKIE);
    response.status() == StatusCode::OK && is_public && is_text && is_small && is_for_all
}

/// Headers that are not kept from the application's answer.
fn is_made_anew(name: &header::HeaderName) -> bool {
    [
        header::CONTENT_LENGTH,
        header::CONTENT_ENCODING,
        header::ETAG,
        header::ACCEPT_RANGES,
        header::DATE,
        header::VARY,
    ]
    .contains(name)
}

/// Answers with a kept page, or with 304 if the visitor has it (RFC 9110 section 13.1.2).
async fn send(edge: &Edge, page: &Arc<Page>, request: &HeaderMap) -> HttpResponse {
    let has_it = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tags| matches_etag(tags, &page.etag));
    let status = if has_it {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let (encoding, body) = if has_it {
        (Encoding::Identity, Bytes::new())
    } else {
        let encoding = Accepted::of(request).best();
        edge.compressor.body(page, encoding).await
    };
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    let headers = response.headers_mut();
    for (name, value) in &page.headers {
        headers.append(name.clone(), value.clone());
    }
    headers.append(header::ETAG, page.etag.clone());
    if let Some(name) = encoding.name() {
        headers.append(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Weak comparison (RFC 9110 section 8.8.3.2) against a list of tags or `*`.
fn matches_etag(given: &HeaderValue, ours: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    match (given.to_str(), ours.to_str()) {
        (Ok(given), Ok(ours)) => {
            given.trim() == "*" || given.split(',').any(|tag| opaque(tag) == opaque(ours))
        }
        _ => false,
    }
}

/// Whether the request carries a session: then nothing is taken from or put into the cache.
fn is_personal(request: &ServiceRequest) -> bool {
    sessions::token_of(request.headers()).is_some()
}

/// The only answer to plain HTTP.
fn to_https(request: &ServiceRequest, https_port: u16) -> HttpResponse {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match redirect::to_https(host_of(request.head()), target, https_port) {
        // 308 keeps the method; not to be remembered, because a home's ports change.
        Some(location) => HttpResponse::PermanentRedirect()
            .insert_header((header::LOCATION, location))
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .finish(),
        None => HttpResponse::BadRequest()
            .content_type("text/plain; charset=utf-8")
            .body("This site is served over HTTPS, and the request named no host to go to.\n"),
    }
}
