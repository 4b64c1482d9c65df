//! Turns every error into a page of the site, and logs each failure once, with the id that the
//! visitor was shown.

use std::{any::Any, panic::AssertUnwindSafe};

use actix_web::{
    FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{Method, StatusCode, header},
    middleware::Next,
};
use askama::Template;
use futures_util::FutureExt;

use super::views::{BareErrorPage, ErrorPage};
use crate::{
    app::{
        layout::Link,
        users::views::SignInPage,
        visit::{PRIVATE, Visit, see_other},
    },
    base::{Error, RequestId, RequestIds},
    text::address::Address,
};

/// Middleware: lets the application answer, and answers in its place if it fails or panics.
pub async fn pages(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // Only its words are kept: actix needs the request itself for its own while it is routed.
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let id = id_of(request.request());
    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let response = match outcome {
        Ok(outcome) => outcome?,
        Err(panic) => return Err(after_panic(id, &method, &path, panic.as_ref())),
    };
    if !is_bare_error(response.response()) {
        return Ok(response);
    }
    let (http, response) = response.into_parts();
    let response = match response.error().and_then(|e| e.as_error::<Error>()) {
        Some(error) => page(&http, error).await,
        None => page_of_status(&http, response.status()).await,
    };
    Ok(ServiceResponse::new(http, response))
}

/// The answer to a request whose handler panicked: the request is lost with it, the site is not.
fn after_panic(
    id: RequestId,
    method: &Method,
    path: &str,
    panic: &(dyn Any + Send),
) -> actix_web::Error {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    log::error!("request {id}: {method} {path}: panic: {text}");
    let error = Error::Internal("panic".into());
    let told = told(&error);
    let page = BareErrorPage {
        status: 500,
        heading: told.heading.into(),
        message: told.message,
        request_id: Some(id.to_string()),
    };
    let response = send(
        StatusCode::INTERNAL_SERVER_ERROR,
        page.render(),
        told.heading,
    );
    InternalError::from_response(error, response).into()
}

/// What the edge calls the request.
fn id_of(http: &HttpRequest) -> RequestId {
    let id = http.extensions().get().copied();
    id.unwrap_or_else(|| RequestIds::new().next())
}

/// An error that no handler has made a page for, and that a person may see.
fn is_bare_error(response: &HttpResponse) -> bool {
    let status = response.status();
    // These answer a program that asked for a part of a file (RFC 9110 sections 13 and 14.2).
    if [
        StatusCode::PRECONDITION_FAILED,
        StatusCode::RANGE_NOT_SATISFIABLE,
    ]
    .contains(&status)
    {
        return false;
    }
    let is_page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    (status.is_client_error() || status.is_server_error()) && !is_page
}

struct Told {
    heading: &'static str,
    message: String,
    go_to: Option<Link>,
}

async fn page(http: &HttpRequest, error: &Error) -> HttpResponse {
    let status = error.status_code();
    if let Error::SignedOut { kept_form } = error {
        if http.method() != Method::GET {
            return sign_in_form(http, kept_form.clone()).await;
        }
        let target = http
            .uri()
            .path_and_query()
            .map_or("/admin", |target| target.as_str());
        let target: String =
            percent_encoding::utf8_percent_encode(target, percent_encoding::NON_ALPHANUMERIC)
                .collect();
        return see_other(format!("/sign-in?return_to={target}"));
    }
    let request_id = status.is_server_error().then(|| {
        let id = id_of(http);
        log::error!("request {id}: {} {}: {error}", http.method(), http.path());
        id.to_string()
    });
    let mut response = render(http, status, told(error), request_id).await;
    if let Error::TooMany { retry_after_s } = error {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, (*retry_after_s).into());
    }
    if matches!(error, Error::Busy(_)) {
        response.headers_mut().insert(header::RETRY_AFTER, 2.into());
    }
    response
}

/// The page for an error of actix's own, such as a form that cannot be parsed.
async fn page_of_status(http: &HttpRequest, status: StatusCode) -> HttpResponse {
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Error::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(
            "This is more than the site takes in one piece. Nothing was saved; \
             go back, make it shorter, and send it again."
                .into(),
        ),
        _ if status.is_client_error() => Error::Invalid(
            "The form that arrived was incomplete or damaged, so nothing was done. \
             Go back and send it again."
                .into(),
        ),
        _ => Error::Internal(format!("a bare answer with status {status}")),
    };
    page(http, &error).await
}

fn told(error: &Error) -> Told {
    let (heading, message) = match error {
        Error::NotFound => (
            "Not found",
            "There is nothing at this address. It may have been typed wrongly, or never existed."
                .into(),
        ),
        Error::Gone => ("Gone", "What was at this address has been removed.".into()),
        Error::SignedOut { .. } => ("You are signed out", "Sign in first.".into()),
        Error::Forbidden(text) => ("That is not allowed", text.clone()),
        Error::TooMany { retry_after_s } => (
            "Too many tries",
            format!("Please wait {retry_after_s} seconds, and then try again."),
        ),
        Error::Invalid(text) => ("That did not work", text.clone()),
        Error::TooLarge(text) => ("Too large", text.clone()),
        Error::Conflict(_) => (
            "Somebody was faster",
            "What this page showed has changed in the meantime, so nothing was done. \
             Go back, reload the page, and try again."
                .into(),
        ),
        Error::CannotSave(text) => ("Not saved", text.clone()),
        Error::Busy(_) => (
            "The site is busy",
            "Please try again in a few seconds.".into(),
        ),
        Error::Damaged(_) | Error::Database(_) | Error::Io { .. } | Error::Internal(_) => (
            "Something broke here",
            "This is our fault, not yours. It has been noted, and trying again may help.".into(),
        ),
    };
    let go_to = matches!(error, Error::SignedOut { .. }).then(|| Link {
        title: "Sign in".into(),
        href: "/sign-in".into(),
    });
    Told {
        heading,
        message,
        go_to,
    }
}

/// The sign-in form for somebody whose session ended: it carries what they were sending.
async fn sign_in_form(http: &HttpRequest, kept_form: Option<String>) -> HttpResponse {
    let Ok(visit) = Visit::from_request(http, &mut Payload::None).await else {
        return see_other("/sign-in");
    };
    let error = kept_form.is_none().then(|| {
        "Your session has ended, so nothing was changed. Sign in, and then do it again.".to_owned()
    });
    let page = SignInPage {
        shell: visit.private_shell("Sign in"),
        name: String::new(),
        error,
        return_to: if kept_form.is_some() {
            http.path().to_owned()
        } else {
            "/admin".to_owned()
        },
        kept_form,
    };
    visit.private_page(&page).map_or_else(
        |_| see_other("/sign-in"),
        |mut response| {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            response
        },
    )
}

async fn render(
    http: &HttpRequest,
    status: StatusCode,
    told: Told,
    request_id: Option<String>,
) -> HttpResponse {
    let Told {
        heading,
        message,
        go_to,
    } = told;
    let visit = Visit::from_request(http, &mut Payload::None).await;
    let rendered = match visit {
        Ok(visit) => {
            let mut shell = visit.shell(heading, "");
            // The address may be anything; the page must not repeat it as its own.
            shell.path = Address::from_stored(visit.path.clone()).href();
            shell.is_private = true;
            ErrorPage {
                shell,
                status: status.as_u16(),
                heading: heading.into(),
                message,
                request_id,
                go_to,
            }
            .render()
        }
        Err(_) => BareErrorPage {
            status: status.as_u16(),
            heading: heading.into(),
            message,
            request_id,
        }
        .render(),
    };
    send(status, rendered, heading)
}

fn send(status: StatusCode, rendered: askama::Result<String>, heading: &str) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, PRIVATE))
        .body(rendered.unwrap_or_else(|_| heading.to_owned()))
}
