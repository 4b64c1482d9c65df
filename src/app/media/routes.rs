//! `GET /media/{hash}/{name}`, `GET /assets/{path}`, the icons.

use actix_files::NamedFile;
use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, ContentDisposition, DispositionParam, DispositionType, HeaderValue},
    web,
};

use super::queries::{Medium, find_medium};
use crate::{
    app::visit::App,
    assets,
    base::{Error, Result},
};

/// The address carries the hash of the content, so what is there never changes (RFC 8246).
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Icons have fixed addresses.
const A_DAY: &str = "public, max-age=86400";
/// An SVG or a PDF is a document of somebody's; it may show itself and do nothing else.
const SANDBOX: &str =
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox";

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/media/{hash}/{name}", web::get().to(medium))
        .route("/assets/{path:.+}", web::get().to(asset))
        .route("/favicon.ico", web::get().to(|| icon("img/favicon.ico")))
        .route("/favicon.svg", web::get().to(|| icon("img/favicon.svg")))
        .route(
            "/apple-touch-icon.png",
            web::get().to(|| icon("img/apple-touch-icon.png")),
        );
}

async fn medium(
    request: HttpRequest,
    app: web::Data<App>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let hash = path.into_inner().0;
    let medium = app
        .database
        .read(move |connection| find_medium(connection, &hash))
        .await?;
    let file = app.media.path(&medium.hash);
    let opened =
        web::block(move || NamedFile::open(&file).map_err(|e| Error::io("opening", &file, e)))
            .await
            .map_err(Error::internal)??;
    let content_type = medium.content_type.parse().map_err(Error::internal)?;
    let mut response = opened
        .set_content_type(content_type)
        .set_content_disposition(disposition(&medium))
        .into_response(&request);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOREVER));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(SANDBOX),
    );
    Ok(response)
}

/// Pictures, sound, film, PDF and plain text are shown; everything else is saved, never run.
fn disposition(medium: &Medium) -> ContentDisposition {
    let kind = medium.content_type.as_str();
    let is_shown = ["image/", "audio/", "video/"]
        .iter()
        .any(|start| kind.starts_with(start))
        || matches!(kind, "application/pdf" | "text/plain");
    ContentDisposition {
        disposition: if is_shown {
            DispositionType::Inline
        } else {
            DispositionType::Attachment
        },
        parameters: if is_shown {
            vec![]
        } else {
            vec![DispositionParam::Filename(medium.name.clone())]
        },
    }
}

async fn asset(path: web::Path<String>) -> Result<HttpResponse> {
    send(assets::find(&path), FOREVER)
}

async fn icon(name: &'static str) -> Result<HttpResponse> {
    send(assets::named(name), A_DAY)
}

fn send(asset: Option<assets::Asset>, caching: &'static str) -> Result<HttpResponse> {
    let asset = asset.ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(asset.content_type)
        .insert_header((header::CACHE_CONTROL, caching))
        .body(asset.bytes))
}
