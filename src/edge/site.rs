//! The site's own answers: a plain file, the page cache, or the application.

use std::{path::PathBuf, sync::Arc, time::Duration};

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
    web::Bytes,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    compression::{self, Accepted, Encoding},
    compressor::Compressor,
    files::{self, Folder},
    headers, health,
    observe::{Observer, metrics::Cached},
    page_cache::{self, Kept, KeyRef, MAX_BODY_BYTES, Missing, Page, PageCache, Place},
    plain_page,
    render_limit::{self, RenderLimit, Work},
    request_context::RequestContext,
    tidy::tidy_location,
};
use crate::{
    auth::{csrf::host_of, sessions},
    base::{self, LimitKind, Limited, SiteNames, Timestamp},
    db::Database,
};

/// Pages that the application makes at once: more than keep the processors of a small machine busy.
const MAX_MAKING: usize = 16;
/// Requests that wait for their turn; more are told to come again.
const MAX_WAITING: usize = 4096;
/// How long a request waits for its turn. Whoever is told to come again after that has not come back meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// Forms that the application answers at once, with those that are still on their way in; more are told to
/// come again.
const MAX_FORMS: usize = 1024;
/// Where files are that the application sends as they lie on the disk.
const FILES: [&str; 2] = ["/media/", "/assets/"];

/// What the site has between the wire and the application.
pub(super) struct Site {
    database: Database,
    names: Arc<SiteNames>,
    pages: PageCache,
    compressor: Compressor,
    making: Semaphore,
    forms: Semaphore,
    waiting: Semaphore,
    limit: RenderLimit,
    limited: Arc<Limited>,
    observer: Arc<Observer>,
    /// Plain files beside the application.
    public: Folder,
}

impl Site {
    /// A site with the folder of plain files beside it; that need not be there.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::base::Error::Internal) if the system gives us no thread.
    pub(super) fn new(
        database: Database,
        names: Arc<SiteNames>,
        cache: page_cache::Settings,
        limit: render_limit::Settings,
        limited: Arc<Limited>,
        public: PathBuf,
        observer: Arc<Observer>,
    ) -> base::Result<Self> {
        Ok(Self {
            database,
            names,
            pages: PageCache::new(cache),
            compressor: Compressor::start()?,
            making: Semaphore::new(MAX_MAKING),
            forms: Semaphore::new(MAX_FORMS),
            waiting: Semaphore::new(MAX_WAITING),
            limit: RenderLimit::new(limit),
            limited,
            observer,
            public: Folder::beside_the_site(public),
        })
    }

    /// The answer to a request; the answer to HEAD is made like that to GET (RFC 9110 section 9.3.2), and
    /// the protocol below leaves the body out.
    pub(super) async fn serve(
        &self,
        mut request: ServiceRequest,
        context: &RequestContext,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
        if request.method() == Method::HEAD {
            files::head_as_get(&mut request);
        }
        match answer_early(self, &request, context).await {
            Some(mut response) => {
                headers::add(response.headers_mut());
                Ok(request.into_response(response))
            }
            None => answer(self, request, context, next)
                .await
                .map_err(with_headers),
        }
    }

    /// Takes other settings from now on.
    pub(super) fn replace(&self, cache: page_cache::Settings, limit: render_limit::Settings) {
        self.pages.resize(cache);
        self.limit.replace(limit);
    }

    /// Pages that are kept, and the bytes that they are counted for.
    pub(super) fn kept_pages(&self) -> (usize, u64) {
        self.pages.size()
    }
}

/// The answer to what needs no application: a plain file, or an address that is written in another way.
async fn answer_early(
    site: &Site,
    request: &ServiceRequest,
    context: &RequestContext,
) -> Option<HttpResponse> {
    match *request.method() {
        Method::GET => {}
        // Forms are never redirected: they would be lost.
        Method::POST => return None,
        Method::OPTIONS => return Some(allowing(StatusCode::NO_CONTENT)),
        _ => return Some(allowing(StatusCode::METHOD_NOT_ALLOWED)),
    }
    if let Some(file) = files::answer(&site.public, request).await {
        return Some(file);
    }
    if let Some(answer) = health::answer(&site.database, &site.observer, request, context).await {
        return Some(answer);
    }
    let location = tidy_location(request.path(), request.uri().query())?;
    let moved = HttpResponse::MovedPermanently()
        .insert_header((header::LOCATION, location))
        .finish();
    Some(moved)
}

/// What the site can be asked (RFC 9110 section 10.2.1).
fn allowing(status: StatusCode) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::ALLOW, "GET, HEAD, POST, OPTIONS"))
        .finish()
}

/// An error that took its request with it (a panic) is answered with the security headers too.
fn with_headers(error: actix_web::Error) -> actix_web::Error {
    let mut response = error.error_response();
    headers::add(response.headers_mut());
    InternalError::from_response(error, response).into()
}

/// Answers from the page cache where that may be, else lets the application answer.
async fn answer(
    site: &Site,
    request: ServiceRequest,
    context: &RequestContext,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() != Method::GET || is_personal(&request) {
        return ask(site, request, context, next).await;
    }
    let key = key_of(&request);
    // Asked for before anything is read: what is rendered is at least as new. Pages have the site's address in them.
    let version = site.database.version() + site.names.version();
    let kept = if let Some(kept) = site.pages.get(key, version) {
        kept
    } else {
        match site.pages.get_or_place(&key.to_key(), version).await {
            Ok(kept) => kept,
            Err(Missing::Place(place)) => {
                site.observer.metrics.cached(Cached::Miss);
                return render(site, request, context, next, version, place).await;
            }
            Err(Missing::Crowded) => return Ok(request.into_response(busy(site, context))),
        }
    };
    match kept {
        Kept::Page(page) => {
            site.observer.metrics.cached(Cached::Hit);
            let response = send(site, &page, request.headers()).await;
            Ok(request.into_response(response))
        }
        Kept::Pass(_) => {
            site.observer.metrics.cached(Cached::Pass);
            ask(site, request, context, next).await
        }
    }
}

/// Lets the application answer, unless it has its hands full or the visitor has asked for too much.
async fn ask(
    site: &Site,
    request: ServiceRequest,
    context: &RequestContext,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // Who has asked for too much takes no turn from others.
    let wait_s = over_limit(site, &request, context);
    if let Some(wait_s) = wait_s
        && !is_personal(&request)
    {
        return Ok(request.into_response(slow_down(site, context, wait_s)));
    }
    let Some(_turn) = turn(site, request.method()).await else {
        return Ok(request.into_response(busy(site, context)));
    };
    if let Some(wait_s) = wait_s {
        // Looked up only now, and looked up at all: anybody can make up a cookie.
        let session = sessions::find_session_of(&site.database, request.headers()).await;
        if !matches!(session, Ok(Some(_))) {
            return Ok(request.into_response(slow_down(site, context, wait_s)));
        }
    }
    let mut response = next.call(request).await?;
    headers::add(response.headers_mut());
    Ok(response)
}

/// The turn of a request, if it comes soon.
async fn turn<'a>(site: &'a Site, method: &Method) -> Option<SemaphorePermit<'a>> {
    if *method != Method::GET {
        return site.forms.try_acquire().ok();
    }
    if let Ok(turn) = site.making.try_acquire() {
        return Some(turn);
    }
    let _waits = site.waiting.try_acquire().ok()?;
    timeout(PATIENCE, site.making.acquire()).await.ok()?.ok()
}

/// Counts what is asked for; the seconds that a visitor has to wait who has asked for too much.
fn over_limit(site: &Site, request: &ServiceRequest, context: &RequestContext) -> Option<u64> {
    if request.method() != Method::GET {
        return None;
    }
    let is_file = FILES.iter().any(|path| request.path().starts_with(path));
    let work = if is_file { Work::File } else { Work::Page };
    site.limit.count(context.visitor?, work).err()
}

fn slow_down(site: &Site, context: &RequestContext, wait_s: u64) -> HttpResponse {
    let now = Timestamp::now();
    site.limited.note(context.visitor, LimitKind::Pages, now);
    let text = "You have asked for very many pages in a short time. Wait a moment, and open the page again.";
    let id = context.id.to_string();
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut response = plain_page::error(status, "Too many at once", text, Some(&id));
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, wait_s.into());
    headers::add(response.headers_mut());
    response
}

/// There is more to do than the machine can.
fn busy(site: &Site, context: &RequestContext) -> HttpResponse {
    site.limited
        .note(context.visitor, LimitKind::Busy, Timestamp::now());
    let text = "Please try again in a few seconds.";
    let id = context.id.to_string();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = plain_page::error(status, "The site is busy", text, Some(&id));
    response.headers_mut().insert(header::RETRY_AFTER, 2.into());
    headers::add(response.headers_mut());
    response
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
    site: &Site,
    request: ServiceRequest,
    context: &RequestContext,
    next: Next<BoxBody>,
    version: u64,
    place: Place<'_>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = ask(site, request, context, next).await?;
    if !may_be_kept(&response) {
        if says_what_all_get(response.status()) {
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
    let response = send(site, &page, http.headers()).await;
    Ok(ServiceResponse::new(http, response))
}

/// Whether another visitor would be answered alike: not if a condition or a range was asked for, and not if
/// something broke.
fn says_what_all_get(status: StatusCode) -> bool {
    let is_partial = [
        StatusCode::NOT_MODIFIED,
        StatusCode::PARTIAL_CONTENT,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::RANGE_NOT_SATISFIABLE,
    ];
    let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
    !status.is_server_error() && !is_refused && !is_partial.contains(&status)
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
async fn send(site: &Site, page: &Arc<Page>, request: &HeaderMap) -> HttpResponse {
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
        site.compressor.body(page, encoding).await
    };
    // A length would be that of the page (RFC 9110 section 8.6).
    let body = if has_it {
        BoxBody::new(body::None::new())
    } else {
        BoxBody::new(body)
    };
    let mut response = HttpResponse::with_body(status, body);
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
