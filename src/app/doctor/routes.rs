//! `/admin/doctor`

use actix_web::{HttpResponse, web};

use super::{
    live::LiveDoctor,
    views::{DoctorPage, Result as Shown},
};
use crate::{
    app::visit::{Visit, see_other},
    auth::guards::Owner,
    base::Result,
};

const PAGE: &str = "/admin/doctor";

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route(PAGE, web::get().to(show))
        .route(PAGE, web::post().to(examine));
}

async fn show(
    visit: Visit,
    _owner: Owner,
    doctor: web::Data<dyn LiveDoctor>,
) -> Result<HttpResponse> {
    visit.private_page(&DoctorPage {
        shell: visit.private_shell("Doctor"),
        result: doctor.last().map(|found| Shown::of(&found)),
    })
}

/// Looks, which takes some seconds, and leads to what was found.
async fn examine(_owner: Owner, doctor: web::Data<dyn LiveDoctor>) -> HttpResponse {
    doctor.into_inner().examine().await;
    see_other(PAGE)
}
