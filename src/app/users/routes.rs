//! `/setup`, `/sign-in`, `/sign-out`, `/admin/account`, `/admin/sessions`

use actix_web::web;

use super::{account, setup, sign_in};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .service(
            web::resource("/setup")
                .route(web::get().to(setup::show))
                .route(web::post().to(setup::save)),
        )
        .service(
            web::resource("/sign-in")
                .route(web::get().to(sign_in::show))
                .route(web::post().to(sign_in::sign_in)),
        )
        .route("/sign-out", web::post().to(sign_in::sign_out))
        .route("/admin/account", web::get().to(account::show))
        .route(
            "/admin/account/password",
            web::post().to(account::change_password),
        )
        .route(
            "/admin/sessions/revoke-others",
            web::post().to(account::revoke_others),
        )
        .route(
            "/admin/sessions/{id}/revoke",
            web::post().to(account::revoke),
        );
}
