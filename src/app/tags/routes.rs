//! `GET /tags`, `GET /tags/{slug}`

use actix_web::{HttpResponse, web};

use super::{
    queries,
    views::{TagPage, TagsPage},
};
use crate::{
    app::{
        lists::{Cursor, Screen, format_query, read_screen, summary},
        posts::{
            queries::Of,
            views::{tag_href, tag_link},
        },
        visit::Visit,
    },
    base::{Error, Result},
};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/tags", web::get().to(list))
        .route("/tags/{slug}", web::get().to(show));
}

async fn list(visit: Visit) -> Result<HttpResponse> {
    let tags = visit.app.database.read(queries::list_tags).await?;
    let shell = visit.shell("Tags", "");
    visit.public_page(&TagsPage {
        shell,
        tags: tags.iter().map(tag_link).collect(),
    })
}

async fn show(
    visit: Visit,
    slug: web::Path<String>,
    cursor: web::Query<Cursor>,
) -> Result<HttpResponse> {
    let (from, limit) = (cursor.parse()?, visit.site.posts_per_page);
    let path = tag_href(&slug);
    let of = path.clone();
    let (name, screen) = visit
        .app
        .database
        .read(move |connection| {
            let (id, name) = queries::find_tag(connection, &slug)?;
            let Screen {
                items,
                newer,
                older,
            } = read_screen(connection, Of::Tag(id), from, limit, &of)?;
            if items.is_empty() {
                return Err(Error::NotFound);
            }
            let posts = items
                .into_iter()
                .map(|post| summary(connection, post))
                .collect::<Result<_>>()?;
            Ok((
                name,
                Screen {
                    items: posts,
                    newer,
                    older,
                },
            ))
        })
        .await?;
    let mut shell = visit.shell(&name, "");
    (shell.path, shell.query) = (path, format_query(from));
    visit.public_page(&TagPage {
        shell,
        name,
        posts: screen.items,
        newer: screen.newer,
        older: screen.older,
    })
}
