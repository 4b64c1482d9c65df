//! Pages of the edge's own, for hosts that have none of ours: an error, a list of files.
//!
//! They bring their style along, because every address of such a host is its owner's. The policy names
//! that style by its hash and allows nothing else (CSP level 3 section 6.7.3.3).

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use askama::Template;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// The style of these pages.
pub(super) const STYLE: &str = include_str!("../../templates/edge/plain.css");

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = BASE64.encode(&Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::try_from(policy).expect("Base64 is ASCII")
});

#[derive(Template)]
#[template(path = "edge/error.html")]
struct ErrorPage<'a> {
    status: u16,
    heading: &'a str,
    message: &'a str,
    request_id: Option<&'a str>,
    style: &'static str,
}

/// An error with what it means for the visitor; nothing that keeps it longer than that.
pub(super) fn error(
    status: StatusCode,
    heading: &str,
    message: &str,
    request_id: Option<&str>,
) -> HttpResponse {
    let page = ErrorPage {
        status: status.as_u16(),
        heading,
        message,
        request_id,
        style: STYLE,
    };
    let text = page.render().unwrap_or_else(|_| heading.to_owned());
    let mut response = html(status, text);
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// A page with [`STYLE`] in it.
pub(super) fn html(status: StatusCode, text: String) -> HttpResponse {
    let mut response = HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(text);
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}
