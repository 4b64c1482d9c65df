//! `GET /admin/disk`, `POST /admin/disk/check`

use actix_web::{HttpResponse, web};

use super::views::{CheckRow, DayRow, DiskPage, bytes};
use crate::{
    app::visit::{Visit, see_other},
    auth::guards::Owner,
    base::Result,
    db::Trouble,
    jobs::disk::DiskKeeper,
};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/admin/disk", web::get().to(show))
        .route("/admin/disk/check", web::post().to(check));
}

async fn show(visit: Visit, _owner: Owner, keeper: web::Data<DiskKeeper>) -> Result<HttpResponse> {
    let ledger = keeper.ledger();
    let space = keeper.health().space().map(|space| {
        let used = space.total.saturating_sub(space.free);
        (
            bytes(space.free),
            bytes(space.total),
            used / 1_000_000,
            space.total / 1_000_000,
        )
    });
    visit.private_page(&DiskPage {
        shell: visit.private_shell("Disk"),
        space,
        troubles: keeper
            .health()
            .troubles()
            .iter()
            .map(Trouble::text)
            .collect(),
        is_checking: keeper.is_asked(),
        days: ledger.days.iter().rev().map(DayRow::of).collect(),
        last_full: ledger.last_made_full().map(|check| check.at),
        checks: ledger.checks.iter().rev().cloned().map(CheckRow).collect(),
    })
}

async fn check(_owner: Owner, keeper: web::Data<DiskKeeper>) -> HttpResponse {
    keeper.ask();
    see_other("/admin/disk")
}
