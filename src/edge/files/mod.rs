//! Files of a folder, as they lie on the disk.
//!
//! `/` and `/a/` are answered with `index.html`, `/a` with `a` or `a.html`, and `/a` is redirected to `/a/`
//! where that is a folder with an index. Beside `style.css` may lie `style.css.br`, `.zst` or `.gz`, which is
//! sent to who accepts it, unless it is older. Hidden files are not served, nor what lies outside of the
//! folder.
//!
//! A host of files answers with its `404.html` where there is nothing, lists folders if its owner wants that,
//! and may answer every address without a file with its `index.html` (a single-page application).

mod beneath;
mod body;
mod caching;
mod conditions;
mod find;
mod folder;
mod forbidden;
mod hot;
mod listing;
mod path;
mod range;
mod root;
mod send;

use std::io::{self, ErrorKind};

use actix_web::{
    HttpResponse,
    body::BoxBody,
    dev::ServiceRequest,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
};

use tokio::sync::Semaphore;

use self::{
    beneath::Patience,
    find::{Found, find},
    hot::Known,
    path::Wanted,
};
use super::{
    compression::Accepted,
    plain_page::{self, STYLE},
};

pub(super) use self::folder::{Folder, Settings};
pub(super) use self::forbidden::from_the_browser;

/// What a host may have in its folder for addresses that lead nowhere.
const NOT_FOUND: &str = "/404.html";
/// What a single-page application is in its folder.
const SINGLE_PAGE: &str = "/index.html";
/// Listings at once, until they are sent: one may have a megabyte.
static LISTINGS: Semaphore = Semaphore::const_new(16);

/// The answer of a host of files to any request.
pub(super) async fn serve(folder: &Folder, request: &mut ServiceRequest) -> HttpResponse {
    match *request.method() {
        Method::GET => {}
        // The protocol below leaves the body out.
        Method::HEAD => head_as_get(request),
        // RFC 9110 section 9.3.7
        Method::OPTIONS => return allowing(StatusCode::NO_CONTENT),
        _ => return allowing(StatusCode::METHOD_NOT_ALLOWED),
    }
    if let Some(file) = answer(folder, request).await {
        return file;
    }
    let fallback = if folder.single_page {
        SINGLE_PAGE
    } else {
        NOT_FOUND
    };
    let page = match Wanted::parse(fallback) {
        Some(wanted) => look(folder, &wanted, request).await,
        None => Ok(None),
    };
    match page {
        Ok(Some(Found::File(file))) if folder.single_page => send::answer(*file, folder, request),
        Ok(Some(Found::File(file))) => send::not_found(*file, folder),
        _ => plain_page::error(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is nothing at this address. It may have been typed wrongly, or what was here is gone.",
            None,
        ),
    }
}

/// The answer to HEAD is made like that to GET (RFC 9110 section 9.3.2), but for a range, which HEAD does not have
/// (section 14.2).
pub(super) fn head_as_get(request: &mut ServiceRequest) {
    let head = request.head_mut();
    head.method = Method::GET;
    head.headers_mut().remove(header::RANGE);
}

/// The answer to a GET with a file of `folder`; `None` if there is none for this address.
pub(super) async fn answer(folder: &Folder, request: &ServiceRequest) -> Option<HttpResponse> {
    let wanted = Wanted::parse(request.path())?;
    match look(folder, &wanted, request).await {
        Ok(Some(Found::File(file))) => Some(send::answer(*file, folder, request)),
        Ok(Some(Found::Folder)) => Some(to_folder(request)),
        Ok(Some(Found::Listing(open))) => Some(list(open, request.path()).await),
        Ok(None) => None,
        Err(e) if e.kind() != ErrorKind::PermissionDenied => {
            let shown = folder.root.path().display();
            log::warn!("{} in {shown} cannot be opened: {e}", request.path());
            let text = "This file cannot be read at the moment. Try again in a minute.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let mut response = plain_page::error(status, "Not available", text, None);
            let soon = HeaderValue::from_static("10");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
            Some(response)
        }
        Err(e) => {
            log::warn!(
                "{} in {}: {e}; make it readable for the user that the program runs as",
                request.path(),
                folder.root.path().display()
            );
            let text = "This file is there, and the server has no permission to read it.";
            Some(plain_page::error(
                StatusCode::FORBIDDEN,
                "Not readable",
                text,
                None,
            ))
        }
    }
}

/// Finds a file: at once if the system has it in memory, else without keeping others waiting.
async fn look(
    folder: &Folder,
    wanted: &Wanted,
    request: &ServiceRequest,
) -> io::Result<Option<Found>> {
    let accepted = Accepted::of(request.headers());
    match folder.hot.get(wanted, accepted) {
        Some(Known::File(file)) => return Ok(Some(Found::File(file))),
        Some(Known::Nothing) => return Ok(None),
        None => {}
    }
    let mut found = match find(folder, wanted, accepted, Patience::None) {
        Err(e) if e.kind() == ErrorKind::WouldBlock => {
            let (folder, wanted) = (folder.clone(), wanted.clone());
            let find = move || find(&folder, &wanted, accepted, Patience::Any);
            let found = tokio::task::spawn_blocking(find).await;
            found.unwrap_or_else(|e| Err(io::Error::other(e)))
        }
        found => found,
    };
    match &mut found {
        Ok(Some(Found::File(file))) => folder.hot.keep(wanted, accepted, file),
        Ok(None) => folder.hot.keep_none(wanted, accepted),
        _ => {}
    }
    found
}

async fn list(open: std::fs::File, address: &str) -> HttpResponse {
    let Ok(turn) = LISTINGS.try_acquire() else {
        let text =
            "Many folders are being listed at the moment. Wait a moment, and load this once more.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut response = plain_page::error(status, "Busy", text, None);
        let soon = HeaderValue::from_static("2");
        response.headers_mut().insert(header::RETRY_AFTER, soon);
        return response;
    };
    let path = address.to_owned();
    let page = tokio::task::spawn_blocking(move || listing::page(open, &path, STYLE)).await;
    let page = page.unwrap_or_else(|e| Err(io::Error::other(e)));
    match page {
        Ok(text) => {
            let mut response = plain_page::html(StatusCode::OK, String::new());
            let caching = HeaderValue::from_static("public, no-cache");
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, caching);
            response.set_body(BoxBody::new(body::Listed::new(text, turn)))
        }
        Err(e) => {
            log::warn!("{address} cannot be listed: {e}");
            let text = "This folder cannot be listed at the moment.";
            plain_page::error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Not readable",
                text,
                None,
            )
        }
    }
}

/// What may be done with files (RFC 9110 section 10.2.1).
fn allowing(status: StatusCode) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::ALLOW, "GET, HEAD, OPTIONS"))
        .finish()
}

/// A folder's address ends with a slash, so that what its pages name lies in it.
fn to_folder(request: &ServiceRequest) -> HttpResponse {
    let query = request.uri().query();
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    HttpResponse::MovedPermanently()
        .insert_header((header::LOCATION, format!("{}/{query}", request.path())))
        .finish()
}
