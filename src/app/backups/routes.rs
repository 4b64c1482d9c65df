//! `/admin/backups`

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{
    live::LiveBackups,
    views::{BackupsPage, row_of},
};
use crate::{
    app::{
        layout::Notice,
        visit::{Visit, see_other},
    },
    auth::guards::Owner,
    base::Result,
};

/// Backups on the page.
const SHOWN: usize = 60;

/// The backups of the running server, as a handler takes them.
pub(super) type Live = web::Data<dyn LiveBackups>;

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    super::place::configure(routes);
    routes.service(
        web::resource("/admin/backups")
            .route(web::get().to(show))
            .route(web::post().to(begin)),
    );
}

#[derive(Deserialize)]
struct Done {
    done: Option<String>,
}

async fn show(
    visit: Visit,
    _owner: Owner,
    live: Live,
    done: web::Query<Done>,
) -> Result<HttpResponse> {
    let seen = live.seen().await;
    let mut shell = visit.private_shell("Backups");
    if done.done.as_deref() == Some("begun") && seen.doing.is_some() {
        shell.notice = Some(Notice::good(
            "A backup is being made. You can go on working meanwhile.",
            None,
        ));
    }
    let rows = seen.backups.iter().take(SHOWN).map(row_of).collect();
    visit.private_page(&BackupsPage {
        shell,
        rows,
        more: seen.backups.len().saturating_sub(SHOWN),
        seen,
    })
}

#[derive(Deserialize)]
struct Begin {
    /// Whether the backups that are there are gone on with.
    take_over: Option<String>,
}

async fn begin(_owner: Owner, live: Live, form: Option<web::Form<Begin>>) -> HttpResponse {
    live.begin(form.is_some_and(|form| form.into_inner().take_over.is_some()));
    see_other("/admin/backups?done=begun")
}
