//! The way of a request through the edge, in order.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use actix_web::{
    HttpMessage as _, HttpResponse,
    body::{BodySize, BoxBody, MessageBody as _},
    dev::{ServiceRequest, ServiceResponse},
    http::{ConnectionType, Method, StatusCode, Version, header},
    middleware::Next,
    web::Data,
};

use super::{
    at_home::AtHome,
    files,
    hosts::{Host, Hosts, Misdirected, State, name_of_authority},
    in_flight::{self, InFlight},
    incoming::Asker,
    observe::{Kind, Observer, Watched, access_log},
    other_names, page_cache, plain_page, render_limit,
    request_context::RequestContext,
    site::Site,
    strict_transport::{Promise, Promises},
    trust_page::TrustPage,
};
use crate::{
    auth::csrf::host_of,
    base::{self, LimitKind, Limited, Names, RequestIds, SiteNames, Timestamp},
    db::Database,
    net::{
        Peer, admission,
        challenges::Challenges,
        doctor::{Seen, Testimony, Witness},
        front_door::FrontDoor,
        leaving::Leaving,
        redirect,
        router::HTTPS,
        trust::{self, TrustedProxies},
    },
};

/// How often programs behind are asked whether they are well.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The sections of `webstead.toml` that the edge has.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `[limits]`, as far as there is room for them
    pub limits: admission::Limits,
    /// `[cache]`
    pub cache: page_cache::Settings,
    /// `[pages]`
    pub pages: render_limit::Settings,
    /// `[log]`
    pub log: access_log::Settings,
}

/// What the edge shares with others, who may change it.
pub struct Shared {
    /// The names of the site.
    pub names: Arc<SiteNames>,
    /// What authorities want to see.
    pub challenges: Arc<Challenges>,
    /// Whose word about the visitor counts.
    pub trusted: Arc<TrustedProxies>,
    /// Who was limited.
    pub limited: Arc<Limited>,
    /// Whether this process takes its leave.
    pub leaving: Leaving,
}

/// What the edge needs; one for all threads.
pub struct Edge {
    site: Site,
    hosts: RwLock<Arc<Hosts>>,
    shared: Shared,
    witness: Witness,
    front_door: Arc<FrontDoor>,
    observer: Arc<Observer>,
    request_ids: RequestIds,
    in_flight: InFlight,
    trust_page: TrustPage,
    promises: Promises,
    /// The HTTPS listener, for the redirect of plain HTTP.
    https: SocketAddr,
}

impl Edge {
    /// The edge of the site in the folder `data`, with a folder of plain files beside it; that need not be there.
    ///
    /// # Errors
    /// [`Error::Internal`](crate::base::Error::Internal) if the system gives us no thread.
    pub fn new(
        database: Database,
        (data, public): (PathBuf, PathBuf),
        hosts: Hosts,
        shared: Shared,
        settings: Settings,
        at_home: AtHome,
    ) -> base::Result<Self> {
        let observer = Arc::new(Observer::new(settings.log));
        Ok(Self {
            site: Site::new(
                database,
                Arc::clone(&shared.names),
                settings.cache,
                settings.pages,
                Arc::clone(&shared.limited),
                public,
                Arc::clone(&observer),
            )?,
            observer,
            witness: Witness::new()?,
            front_door: Arc::default(),
            hosts: RwLock::new(Arc::new(hosts)),
            shared,
            request_ids: RequestIds::new(),
            in_flight: InFlight::new(settings.limits),
            https: at_home.https,
            trust_page: TrustPage::new(data, at_home),
            promises: Promises::default(),
        })
    }

    /// What is seen of the traffic.
    pub fn observer(&self) -> &Observer {
        &self.observer
    }

    /// What is served beside the site, and what is wrong with it.
    pub async fn host_states(&self) -> Vec<State> {
        self.hosts().states().await
    }

    /// The programs behind, with their hosts, and whether they are well.
    pub fn upstreams(&self) -> Vec<(String, String, Option<bool>)> {
        self.hosts().upstreams()
    }

    /// What proves that an answer is this site's.
    pub fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Where it is asked over HTTPS.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// Whose word about the visitor counts.
    pub fn trusted(&self) -> &TrustedProxies {
        &self.shared.trusted
    }

    /// What was seen from outside and of failures, as the doctor wants to know it.
    pub fn seen(&self) -> Seen {
        let hour = self.observer.last_hour();
        let down = self.upstreams().into_iter();
        Seen {
            answered: hour.iter().map(|minute| minute.well + minute.refused).sum(),
            failed: hour.iter().map(|minute| minute.failed).sum(),
            programs_down: down
                .filter(|(_, _, was_well)| *was_well == Some(false))
                .map(|(host, address, _)| (host, address))
                .collect(),
            closed_at: self.front_door.closed_at().map(|at| at.0),
            ..self.witness.seen()
        }
    }

    /// Requests that are being answered now.
    pub fn requests_under_way(&self) -> usize {
        self.in_flight.count()
    }

    /// Pages that are kept, and the bytes that they are counted for.
    pub fn kept_pages(&self) -> (usize, u64) {
        self.site.kept_pages()
    }

    /// Serves other hosts from the next request on.
    pub fn replace_hosts(&self, hosts: Hosts) {
        *self.hosts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(hosts);
    }

    /// Lets these names promise that they will be there over trusted HTTPS, and no others.
    pub fn replace_promises(&self, promises: &HashMap<String, Promise>) {
        self.promises.replace(promises);
    }

    /// Takes other settings from the next request on.
    pub fn replace_settings(&self, settings: Settings, trusted: trust::Settings) {
        self.shared.trusted.replace(trusted);
        self.in_flight.replace(settings.limits);
        self.site.replace(settings.cache, settings.pages);
        self.observer.log.replace(settings.log);
    }

    /// Looks whether the programs behind are well, for as long as it is not dropped.
    pub async fn watch_upstreams(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.hosts().check_upstreams().await;
        }
    }

    /// Whether visitors come in at port 443, for who finds that out.
    pub fn front_door(&self) -> &Arc<FrontDoor> {
        &self.front_door
    }

    /// The port to which a request over plain HTTP is sent on. Who asked at port 80 for a name that the internet knows
    /// came through the router, which passes port 443 on too; in the home network, that of this machine counts.
    fn port_of_https(&self, request: &ServiceRequest) -> u16 {
        let own = self.https.port();
        let Some(authority) = host_of(request.head()) else {
            return own;
        };
        if !redirect::is_of_port_80(authority) || !self.front_door.is_open() {
            return own;
        }
        let is_known = |name: &str| {
            let names = self.shared.names.now();
            names.all().any(|one| one == name)
                || names.leads_from(name).is_some()
                || self.hosts().has(name)
        };
        match name_of_authority(authority) {
            Some(name) if is_known(&name) => HTTPS,
            _ => own,
        }
    }

    /// Returns when no request has been in flight for a moment.
    pub async fn quiet(&self) {
        self.in_flight.quiet().await;
    }

    /// What is served beside the site now.
    pub fn hosts(&self) -> Arc<Hosts> {
        Arc::clone(&self.hosts.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Middleware: everything that happens to a request outside of the application.
pub async fn pipeline(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let missing = || base::Error::Internal("the server was put together without its edge".into());
    let edge = request
        .app_data::<Data<Edge>>()
        .cloned()
        .ok_or_else(missing)?;
    let peer = Peer::of(&request).ok_or_else(missing)?;
    peer.flow.asked();
    if !peer.is_tls {
        edge.witness.note_plain(peer.address.ip());
        let answer = edge.shared.challenges.text(request.path()).map(proof);
        let answer = answer.or_else(|| match edge.witness.asked(request.path()) {
            // What was seen is nobody's business on the way.
            Some(asked @ Testimony::Proof(_)) => Some(testimony(&edge, asked)),
            _ => None,
        });
        let answer = answer.or_else(|| edge.trust_page.answer(&request, peer.address.ip()));
        let response = answer.unwrap_or_else(|| to_https(&request, edge.port_of_https(&request)));
        return Ok(parted(
            request.into_response(response),
            &edge.shared.leaving,
        ));
    }
    let is_head = *request.method() == Method::HEAD;
    let context =
        RequestContext::enter(&mut request, &edge.shared.trusted, edge.request_ids.next());
    if let Some(visitor) = context.visitor {
        edge.witness.note(visitor);
    }
    let mut watched = Watched::begin(Arc::clone(&edge.observer), &request, &context);
    let Some(entered) = edge.in_flight.enter(&peer.flow, context.visitor) else {
        let refusal = too_many(&edge.shared.limited, &context);
        watched.answered(Kind::None, refusal.status());
        return Ok(parted(request.into_response(refusal), &edge.shared.leaving));
    };
    if let Some(refusal) = refused(&request, &context) {
        watched.answered(Kind::None, refusal.status());
        let response = parted(request.into_response(refusal), &edge.shared.leaving);
        return Ok(in_flight::until_sent(
            entered, &peer, is_head, watched, response,
        ));
    }
    let host = edge.hosts().find(host_of(request.head()), &peer);
    let promise = promised(&edge.promises, &request);
    let (kind, response) = match host {
        Ok(Host::Site) if let Some(asked) = edge.witness.asked(request.path()) => {
            (Kind::Site, request.into_response(testimony(&edge, asked)))
        }
        Ok(Host::Site) if let Some(location) = led_away(&edge.shared.names.now(), &request) => {
            (Kind::None, request.into_response(moved(location)))
        }
        Ok(Host::Site) if let Some(response) = trust_page(&edge, &request, &context) => {
            (Kind::Site, request.into_response(response))
        }
        Ok(Host::Site) => {
            request.extensions_mut().insert(context.id);
            request.extensions_mut().insert(Asker(context.visitor));
            let response = edge.site.serve(request, &context, next).await;
            (
                Kind::Site,
                response.inspect_err(|e| {
                    watched.answered(Kind::Site, e.as_response_error().status_code());
                })?,
            )
        }
        Ok(Host::Files(folder)) => {
            let response = files::serve(&folder, &mut request).await;
            (Kind::Files, request.into_response(response))
        }
        Ok(Host::Proxy(proxy)) => {
            let response = proxy.serve(&mut request, &context).await;
            (Kind::Proxy, request.into_response(response))
        }
        Err(Misdirected) => {
            let response = Misdirected::answer(&context);
            (Kind::None, request.into_response(response))
        }
    };
    watched.answered(kind, response.status());
    let mut response = parted(as_version_knows(response), &edge.shared.leaving);
    if let (true, Some(promise)) = (
        kind != Kind::None || response.status().is_redirection(),
        promise,
    ) {
        let name = header::STRICT_TRANSPORT_SECURITY;
        // One alone counts (RFC 6797 section 8.1): a program behind says nothing else.
        response.headers_mut().insert(name, promise);
    }
    Ok(in_flight::until_sent(
        entered, &peer, is_head, watched, response,
    ))
}

/// HTTP/1.0 knows no chunks (RFC 9112 section 6.1): where no length is known, the end of the connection ends the
/// answer.
fn as_version_knows(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let is_old = response.request().version() < Version::HTTP_11;
    if is_old && response.response().body().size() == BodySize::Stream {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    response
}

/// Says that an answer is the last one of its connection, where the process takes its leave. HTTP/2 has its own way.
fn parted(mut response: ServiceResponse<BoxBody>, leaving: &Leaving) -> ServiceResponse<BoxBody> {
    let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS
        || response.request().version() > Version::HTTP_11;
    if leaving.has_begun() && !goes_on {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    response
}

/// The answer to a request that no host is to see.
fn refused(request: &ServiceRequest, context: &RequestContext) -> Option<HttpResponse> {
    let is_valid = match host_of(request.head()) {
        Some(host) => host.is_empty() || redirect::is_valid_host(host),
        // There is one, and it is no text.
        None => !request.headers().contains_key(header::HOST),
    };
    let text = if !is_valid {
        "The name of the server in this request is none. Check the address."
    } else if !has_path(request) {
        "What is asked for in this request is no address. Check it."
    } else {
        return None;
    };
    let id = context.id.to_string();
    let status = StatusCode::BAD_REQUEST;
    Some(plain_page::error(status, "Bad request", text, Some(&id)))
}

/// Whether a request is for a path, or for none where the method allows that (RFC 9113 section 8.3.1, RFC 9112 section
/// 3.2).
fn has_path(request: &ServiceRequest) -> bool {
    match *request.method() {
        Method::CONNECT => true,
        Method::OPTIONS if request.path() == "*" => true,
        _ => request.path().starts_with('/'),
    }
}

/// The answer to who has as many requests under way as one may, or when all together have.
fn too_many(limited: &Limited, context: &RequestContext) -> HttpResponse {
    limited.note(context.visitor, LimitKind::Requests, Timestamp::now());
    let text = "Too much was asked for at the same time. Wait a moment, and load this once more.";
    let id = context.id.to_string();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = plain_page::error(status, "Too many requests at once", text, Some(&id));
    let soon = header::HeaderValue::from_static("2");
    response.headers_mut().insert(header::RETRY_AFTER, soon);
    response
}

/// The page about the machine's own authority, for who is on the same network.
fn trust_page(
    edge: &Edge,
    request: &ServiceRequest,
    context: &RequestContext,
) -> Option<HttpResponse> {
    edge.trust_page.answer(request, context.visitor?)
}

/// Where the site is really, if the request has another of its names.
fn led_away(names: &Names, request: &ServiceRequest) -> Option<String> {
    let target = request.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    other_names::location(names, host_of(request.head())?, target)
}

/// What the name that was asked for promises.
fn promised(promises: &Promises, request: &ServiceRequest) -> Option<header::HeaderValue> {
    promises.of(&name_of_authority(host_of(request.head())?)?)
}

/// The answer to an authority that wants to know whether a name leads here (RFC 8555 section 8.3).
fn proof(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text)
}

/// The answer to the doctor, who wants to know whether this site answers, and what it has seen.
fn testimony(edge: &Edge, asked: Testimony) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    match asked {
        Testimony::Proof(text) => response.content_type("text/plain").body(text),
        Testimony::Seen => response.json(edge.seen()),
    }
}

/// Sends on for good. 308 keeps the method; not to be remembered, because the owner may change their mind.
fn moved(location: String) -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .finish()
}

/// The only answer to plain HTTP, but for a proof.
fn to_https(request: &ServiceRequest, https_port: u16) -> HttpResponse {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match redirect::to_https(host_of(request.head()), target, https_port) {
        Some(location) => moved(location),
        None => HttpResponse::BadRequest()
            .content_type("text/plain; charset=utf-8")
            .body("This site is served over HTTPS, and the request named no host to go to.\n"),
    }
}
