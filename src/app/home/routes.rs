//! `GET /`

use actix_web::{HttpResponse, web};

use super::views::HomePage;
use crate::{
    app::{
        lists::{Cursor, Screen, format_query, read_screen, summary},
        posts::queries::Of,
        visit::Visit,
    },
    base::Result,
};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes.route("/", web::get().to(show));
}

async fn show(visit: Visit, cursor: web::Query<Cursor>) -> Result<HttpResponse> {
    let (from, limit) = (cursor.parse()?, visit.site.posts_per_page);
    let screen = visit
        .app
        .database
        .read(move |connection| {
            let Screen {
                items,
                newer,
                older,
            } = read_screen(connection, Of::All, from, limit, "/")?;
            let posts = items
                .into_iter()
                .map(|post| summary(connection, post))
                .collect::<Result<_>>()?;
            Ok(Screen {
                items: posts,
                newer,
                older,
            })
        })
        .await?;
    let mut shell = visit.shell("", &visit.site.tagline);
    shell.query = format_query(from);
    visit.public_page(&HomePage {
        shell,
        posts: screen.items,
        newer: screen.newer,
        older: screen.older,
    })
}
