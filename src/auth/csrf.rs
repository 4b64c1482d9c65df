//! Refuses requests that change something and come from another site (CSRF).
//!
//! The browser says where a request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata) where it knows
//! that header, else `Origin` (RFC 6454). A request that says neither is refused as well: every browser
//! since 2020 sends one of them with a form.

use actix_web::{
    body::BoxBody,
    dev::{RequestHead, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
};

use crate::base::Error;

/// Middleware: lets safe methods and this site's own forms pass.
pub async fn refuse_other_sites(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if !is_safe && !is_same_origin(&request) {
        return Ok(request.error_response(Error::Forbidden(
            "This form was not sent from this site, so nothing was done. \
             Open the page here and send it again."
                .into(),
        )));
    }
    next.call(request).await
}

/// The host that a request is for: `:authority` of HTTP/2 (RFC 9113 section 8.3.1), else the Host header.
pub fn host_of(head: &RequestHead) -> Option<&str> {
    head.uri
        .authority()
        .map(actix_web::http::uri::Authority::as_str)
        .or_else(|| head.headers().get(header::HOST)?.to_str().ok())
}

fn is_same_origin(request: &ServiceRequest) -> bool {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    if let Some(site) = text("sec-fetch-site") {
        // "none": the person's own doing, such as a reload of a form's result.
        return site == "same-origin" || site == "none";
    }
    match (text(header::ORIGIN.as_str()), host_of(request.head())) {
        (Some(origin), Some(host)) => origin
            .strip_prefix("https://")
            .is_some_and(|sender| sender.eq_ignore_ascii_case(host)),
        _ => false,
    }
}
