//! Files of a folder, as they lie on the disk.
//!
//! `/` and `/a/` are answered with `index.html`, `/a` with `a` or `a.html`, and `/a` is redirected to `/a/`
//! where that is a folder with an index. Beside `style.css` may lie `style.css.br`, `.zst` or `.gz`, which is
//! sent to who accepts it, unless it is older. Hidden files are not served, nor what lies outside of the
//! folder.

mod beneath;
mod body;
mod conditions;
mod find;
mod path;
mod range;
mod send;

use std::{
    io::{self, ErrorKind},
    path::Path,
};

use actix_web::{HttpResponse, dev::ServiceRequest, http::header};

use self::{
    beneath::Patience,
    find::{Found, find},
    path::Wanted,
};
use super::compression::Accepted;

/// The answer to a GET with a file below `folder`; `None` if there is none for this address.
pub(super) async fn answer(folder: &Path, request: &ServiceRequest) -> Option<HttpResponse> {
    let wanted = Wanted::parse(request.path())?;
    let accepted = Accepted::of(request.headers());
    let mut found = find(folder, &wanted, accepted, Patience::None);
    if matches!(&found, Err(e) if e.kind() == ErrorKind::WouldBlock) {
        let folder = folder.to_path_buf();
        let look = move || find(&folder, &wanted, accepted, Patience::Any);
        found = tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|e| Err(io::Error::other(e)));
    }
    match found {
        Ok(Some(Found::File(file))) => Some(send::answer(*file, request)),
        Ok(Some(Found::Folder)) => Some(to_folder(request)),
        Ok(None) => None,
        Err(e) => {
            log::warn!(
                "{} in {}: {e}; make it readable for the user that the program runs as",
                request.path(),
                folder.display()
            );
            Some(HttpResponse::Forbidden().body("This file cannot be read.\n"))
        }
    }
}

/// A folder's address ends with a slash, so that what its pages name lies in it.
fn to_folder(request: &ServiceRequest) -> HttpResponse {
    let query = request.uri().query();
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    HttpResponse::MovedPermanently()
        .insert_header((header::LOCATION, format!("{}/{query}", request.path())))
        .finish()
}
