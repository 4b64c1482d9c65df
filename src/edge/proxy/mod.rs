//! A host that is another program, on this machine or beside it.
//!
//! A request goes to the program as it came, without what is between neighbours and with what is known of
//! the visitor; the answer comes back the same way, a piece at a time. Connections are kept and used again.
//! A program that cannot be reached is left out while there is another one. Asked again is only what surely
//! was not done: a request that never left, or one that changes nothing.

mod body;
mod headers;
mod reach;
mod resolver;
mod settings;
mod tls;
mod upstreams;
mod websocket;

use std::{error::Error as _, path::Path, pin::pin, sync::Arc, time::Duration};

use actix_web::{
    HttpMessage as _, HttpResponse,
    body::BoxBody,
    dev::{Payload, ServiceRequest},
    http::{Method, StatusCode, header as visitor_header},
};
use futures_util::future::join_all;
use hyper::{
    Request, Response, Version,
    body::Incoming,
    http::{
        Uri,
        header::{self, HeaderValue},
    },
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;

use self::{
    body::{Answered, Sending, Sent},
    headers::Visitor,
    resolver::Resolver,
    upstreams::{Load, Upstream, Upstreams},
};
use super::{plain_page, request_context::RequestContext};
use crate::{base::Result, net::connector::Within};

pub(super) use self::settings::Settings;

/// Time for a connection to a program; it is in this house.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Unused connections that are kept for each program.
const MAX_IDLE: usize = 64;
/// Bytes of an answer's head, and of what is read at once: what a visitor may send in one.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// Programs that are tried for one request, each of which may take its time to be not there.
const MOST_TRIES: usize = 4;
/// Time for the answer to a health check.
const CHECK: Duration = Duration::from_secs(3);

/// A visitor who sends more slowly than this, in bytes a second, is not waited for.
const LEAST_UPLOAD_PER_S: u64 = 64;

/// A host that is one or more other programs.
pub(super) struct Proxy {
    /// The name of the host.
    name: String,
    client: Client<Within<HttpsConnector<HttpConnector<Resolver>>>, Sending>,
    resolver: Resolver,
    upstreams: Upstreams,
    keep_host: Option<bool>,
    health: Option<String>,
    answer_timeout: Duration,
    /// Bytes of a body that must have gone through in that time, if the answer is to be waited for longer.
    least_upload: u64,
}

/// Why there is no answer of the program.
enum Failure {
    /// It was not reached, so it was not asked.
    Unreached(String),
    /// It was reached, and did not answer.
    Broken(String),
    /// It did not begin to answer in time.
    Slow,
    /// The visitor's own request broke off.
    Visitor,
}

impl Proxy {
    /// A host of this name with these settings, and files below `data` where they are not absolute. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::base::Error::Invalid) if its certificate cannot be read or there is nothing to trust.
    pub(super) fn new(name: &str, settings: &Settings, data: &Path) -> Result<Arc<Self>> {
        let file = settings.certificate.as_ref().map(|file| data.join(file));
        let tls = if settings.has_tls() {
            tls::client(file.as_deref())?
        } else {
            tls::none()?
        };
        let resolver = Resolver::default();
        let mut tcp = HttpConnector::new_with_resolver(resolver.clone());
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = Within::new(CONNECT * 2, connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(MOST_HEAD_BYTES)
            .build(connector);
        Ok(Arc::new(Self {
            name: name.to_owned(),
            client,
            resolver,
            upstreams: Upstreams::new(settings.proxy.iter().cloned()),
            keep_host: settings.keep_host,
            health: settings.health.clone(),
            answer_timeout: Duration::from_secs(settings.answer_timeout_s),
            least_upload: LEAST_UPLOAD_PER_S * settings.answer_timeout_s,
        }))
    }

    /// The program's answer, or a page that says why there is none.
    pub(super) async fn serve(
        &self,
        request: &mut ServiceRequest,
        context: &RequestContext,
    ) -> HttpResponse {
        // TRACE would show the cookies that a script may not see.
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            let text = "This server makes no tunnels, and says nobody what they asked.";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return plain_page::error(status, "Not allowed", text, Some(&context.id.to_string()));
        }
        if headers::has_been_here(request.headers()) {
            log::warn!(
                "request {}: {} leads back to this server",
                context.id,
                self.name
            );
            let text = "The program behind this address is this server itself, so the request would go round \
                        for ever.";
            let id = context.id.to_string();
            return plain_page::error(StatusCode::LOOP_DETECTED, "It goes round", text, Some(&id));
        }
        let is_socket =
            websocket::is_wanted(request.method(), request.version(), request.headers());
        let mut payload = request.take_payload();
        let body = if is_socket {
            Sent::nothing()
        } else {
            match body_length(request, &payload) {
                BodyLength::None => Sent::nothing(),
                BodyLength::Known(length) => Sent::from_visitor(payload.take(), Some(length)),
                BodyLength::Unknown => Sent::from_visitor(payload.take(), None),
            }
        };
        let is_safe = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::OPTIONS
        );
        // There may be only one: it gets a second chance.
        let mut chances = self.upstreams.all().len().clamp(2, MOST_TRIES);
        let mut was_broken = false;
        let mut unreached: Option<Arc<Upstream>> = None;
        loop {
            let others = self.upstreams.choose(unreached.as_deref());
            let Some(upstream) = others.or_else(|| self.upstreams.choose(None)) else {
                return failed(&Failure::Unreached("no upstream".into()), context);
            };
            let load = upstream.load();
            let outcome = self
                .ask(upstream, request, body.clone(), is_socket, context)
                .await;
            let failure = match outcome {
                Ok(answer) => {
                    upstream.answered();
                    return finish(answer, payload, is_socket, load, context).await;
                }
                Err(failure) => failure,
            };
            let may_again = match &failure {
                Failure::Unreached(_) => {
                    self.upstreams.failed(upstream);
                    unreached = Some(Arc::clone(upstream));
                    chances -= 1;
                    chances > 0
                }
                // A connection that was kept may have ended just now: that is nobody's fault, once.
                Failure::Broken(why) => {
                    log::debug!("{} broke off: {why}", upstream.base);
                    let is_first = !was_broken;
                    was_broken = true;
                    is_first && is_safe
                }
                Failure::Slow => {
                    self.upstreams.failed(upstream);
                    false
                }
                Failure::Visitor => false,
            };
            if !(may_again && body.is_whole()) {
                return failed(&failure, context);
            }
        }
    }

    async fn ask(
        &self,
        upstream: &Upstream,
        request: &ServiceRequest,
        body: Sent,
        is_socket: bool,
        context: &RequestContext,
    ) -> std::result::Result<Response<Incoming>, Failure> {
        let sent = body.clone();
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        // What cannot be sent says nothing of the program.
        let uri = address(&upstream.base, target).map_err(|_| Failure::Visitor)?;
        let host = self
            .host_for(upstream, &context.host)
            .ok_or(Failure::Visitor)?;
        let id = context.id.to_string();
        let visitor = Visitor {
            address: request.peer_addr(),
            trusted_proxy: context.trusted_proxy,
            list: context.list,
            host: &context.host,
            request_id: &id,
        };
        let mut headers = headers::to_upstream(request.headers(), &visitor, host);
        if is_socket {
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if body.has_no_length() {
            // The client sends no such body with GET unless it is told to.
            let chunked = HeaderValue::from_static("chunked");
            headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        let mut asked = Request::builder()
            .method(request.method().as_str())
            .uri(uri)
            .version(Version::HTTP_11)
            .body(Sending::from(body))
            .map_err(|_| Failure::Visitor)?;
        *asked.headers_mut() = headers;
        let mut answer = pin!(self.client.request(asked));
        let answered = loop {
            let before = sent.bytes();
            match timeout(self.answer_timeout, &mut answer).await {
                Ok(answered) => break answered,
                // The program cannot answer what it does not have yet.
                Err(_) if sent.bytes() - before >= self.least_upload => {}
                Err(_) => return Err(Failure::Slow),
            }
        };
        match answered {
            Ok(answer) => Ok(answer),
            Err(e) if e.is_connect() => Err(Failure::Unreached(causes(&e))),
            Err(e) if is_from_visitor(&e) => Err(Failure::Visitor),
            Err(e) => Err(Failure::Broken(causes(&e))),
        }
    }

    /// Which host a program is asked for.
    fn host_for(&self, upstream: &Upstream, asked: &str) -> Option<HeaderValue> {
        let authority = upstream.base.authority()?;
        // A server behind HTTPS expects the name that its certificate has.
        let has_own_name = upstream.base.scheme_str() == Some("https")
            && authority.host().parse::<std::net::IpAddr>().is_err();
        let host = if self.keep_host.unwrap_or(!has_own_name) {
            asked
        } else {
            authority.as_str()
        };
        HeaderValue::try_from(host).ok()
    }

    /// Asks every program whether it is well, if there is a way to ask.
    pub(super) async fn check(&self) {
        let Some(path) = &self.health else { return };
        let all = self.upstreams.all().iter().map(|upstream| async {
            let status = self.check_one(upstream, path).await;
            upstream.checked(status.is_some_and(|status| status < 400));
        });
        join_all(all).await;
    }

    async fn check_one(&self, upstream: &Upstream, path: &str) -> Option<u16> {
        let request = Request::get(address(&upstream.base, path).ok()?)
            .header(header::HOST, self.host_for(upstream, &self.name)?)
            .header(header::USER_AGENT, "Webstead health check")
            .body(Sending::from(Sent::nothing()))
            .ok()?;
        let answer = timeout(CHECK, self.client.request(request))
            .await
            .ok()?
            .ok()?;
        Some(answer.status().as_u16())
    }

    /// Every program with whether it was well when it was asked last; `None` if it never was.
    pub(super) fn state(&self) -> impl Iterator<Item = (String, Option<bool>)> {
        let all = self.upstreams.states();
        all.map(|(upstream, is_well)| (upstream.base.to_string(), is_well))
    }
}

enum BodyLength {
    None,
    Known(u64),
    Unknown,
}

/// How long a request's body will be (RFC 9112 section 6.3; over HTTP/2 a length need not be said).
fn body_length(request: &ServiceRequest, payload: &Payload) -> BodyLength {
    let headers = request.headers();
    let said = headers.get(visitor_header::CONTENT_LENGTH);
    if let Some(length) = said.and_then(|value| value.to_str().ok()?.parse().ok()) {
        return if length == 0 {
            BodyLength::None
        } else {
            BodyLength::Known(length)
        };
    }
    let may_have_one = headers.contains_key(visitor_header::TRANSFER_ENCODING)
        || (request.version() == actix_web::http::Version::HTTP_2
            && !matches!(payload, Payload::None));
    if may_have_one {
        BodyLength::Unknown
    } else {
        BodyLength::None
    }
}

fn address(base: &Uri, target: &str) -> std::result::Result<Uri, hyper::http::Error> {
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(target.parse()?);
    Ok(Uri::from_parts(parts)?)
}

async fn finish(
    answer: Response<Incoming>,
    payload: Payload,
    is_socket: bool,
    load: Load,
    context: &RequestContext,
) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    if status == StatusCode::SWITCHING_PROTOCOLS {
        if !is_socket {
            return failed(
                &Failure::Broken("it switched protocols unasked".into()),
                context,
            );
        }
        let joined = websocket::join(answer, payload, load).await;
        return joined.unwrap_or_else(|e| failed(&Failure::Broken(e.to_string()), context));
    }
    // A length beside chunks counts for nothing (RFC 9112 section 6.3).
    let is_chunked = answer.headers().contains_key(header::TRANSFER_ENCODING);
    let said = answer
        .headers()
        .get(header::CONTENT_LENGTH)
        .filter(|_| !is_chunked);
    let length = said.and_then(|value| value.to_str().ok()?.parse().ok());
    let (parts, body) = answer.into_parts();
    let mut response = HttpResponse::new(status);
    headers::to_visitor(&parts.headers, response.headers_mut());
    let has_body = !(status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED);
    if !has_body {
        return response;
    }
    response.set_body(BoxBody::new(Answered::new(body, length, load)))
}

/// The page for a visitor who gets no answer of the program.
fn failed(failure: &Failure, context: &RequestContext) -> HttpResponse {
    let host = &context.host;
    let (status, heading, text) = match failure {
        Failure::Unreached(why) | Failure::Broken(why) => {
            log::warn!("request {}: {host} gave no answer: {why}", context.id);
            let text = "The program behind this address gives no answer at the moment. It may be \
                        starting; try again in a minute.";
            (StatusCode::BAD_GATEWAY, "Not available", text)
        }
        Failure::Slow => {
            log::warn!("request {}: {host} gave no answer in time", context.id);
            let text = "The program behind this address did not answer in time. What you sent may have \
                        arrived all the same; look before you send it again.";
            (StatusCode::GATEWAY_TIMEOUT, "No answer in time", text)
        }
        Failure::Visitor => {
            let text = "The request broke off before it was complete. Send it again.";
            (StatusCode::BAD_REQUEST, "Incomplete request", text)
        }
    };
    let mut response = plain_page::error(status, heading, text, Some(&context.id.to_string()));
    if status == StatusCode::BAD_GATEWAY {
        let soon = visitor_header::HeaderValue::from_static("10");
        response
            .headers_mut()
            .insert(visitor_header::RETRY_AFTER, soon);
    }
    response
}

/// Whether sending failed because the visitor's body did.
fn is_from_visitor(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && error.is_user()
        {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error with its causes, which say more than it does.
fn causes(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
