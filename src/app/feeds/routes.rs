//! `GET /feed.xml`, `/sitemap.xml`, `/sitemap-{part}.xml`, `/robots.txt`

use actix_web::{HttpResponse, http::header, web};

use super::{atom, sitemap};
use crate::{
    app::visit::{PUBLIC, Visit},
    base::Result,
};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/feed.xml", web::get().to(feed))
        .route("/sitemap.xml", web::get().to(sitemap_index))
        .route("/sitemap-{part}.xml", web::get().to(sitemap_part))
        .route("/robots.txt", web::get().to(robots));
}

async fn feed(visit: Visit) -> Result<HttpResponse> {
    let (site, base_url) = (visit.site, visit.base_url);
    let xml = visit
        .app
        .database
        .read(move |connection| atom::write(&site, &base_url, &atom::newest(connection)?))
        .await?;
    Ok(send("application/atom+xml; charset=utf-8", xml))
}

async fn sitemap_index(visit: Visit) -> Result<HttpResponse> {
    let (site, base_url) = (visit.site, visit.base_url);
    let xml = visit
        .app
        .database
        .read(move |connection| {
            sitemap::write_index(&base_url, &sitemap::list_parts(connection, &site)?)
        })
        .await?;
    Ok(send("application/xml; charset=utf-8", xml))
}

async fn sitemap_part(visit: Visit) -> Result<HttpResponse> {
    let (site, base_url, path) = (visit.site, visit.base_url, visit.path);
    let xml = visit
        .app
        .database
        .read(move |connection| {
            let posts = sitemap::read_part(connection, &site, &path)?;
            sitemap::write_part(&base_url, &posts, path == sitemap::PAGES_PART)
        })
        .await?;
    Ok(send("application/xml; charset=utf-8", xml))
}

async fn robots(visit: Visit) -> HttpResponse {
    // A rule is the beginning of addresses, and $ is their end (RFC 9309 section 2.2.3): /administration
    // may be a page of the site.
    let rules: String = ["/admin", "/sign-in"]
        .iter()
        .flat_map(|path| ["$", "/", "?"].map(|end| format!("Disallow: {path}{end}\n")))
        .collect();
    let text = format!(
        "User-agent: *\n{rules}\nSitemap: {}/sitemap.xml\n",
        visit.base_url
    );
    send("text/plain; charset=utf-8", text)
}

fn send(content_type: &'static str, body: String) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, PUBLIC))
        .body(body)
}
