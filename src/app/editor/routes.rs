//! `/admin`, `/admin/posts`, `/admin/preview`, `/admin/trash`

use actix_web::web;

use super::{list, pages, save, trash};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/admin", web::get().to(list::show))
        .route("/admin/trash", web::get().to(trash::list))
        .route("/admin/preview", web::post().to(pages::preview))
        .route("/admin/posts/new", web::get().to(pages::new))
        .route("/admin/posts", web::post().to(save::create))
        .service(
            web::resource("/admin/posts/{id}")
                .route(web::get().to(pages::edit))
                .route(web::post().to(save::update)),
        )
        .route("/admin/posts/{id}/trash", web::post().to(trash::trash))
        .route("/admin/posts/{id}/restore", web::post().to(trash::restore))
        .route("/admin/posts/{id}/delete", web::post().to(trash::delete));
}
