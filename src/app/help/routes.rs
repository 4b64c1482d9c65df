//! `GET /help`, `GET /help/{chapter}`

use actix_web::{HttpResponse, web};

use super::views::HelpPage;
use crate::{
    app::{layout::Link, visit::Visit},
    assets::Files,
    base::{Error, Result},
    text::markdown::{Options, render},
};

/// Adds the routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/help", web::get().to(first))
        .route("/help/{chapter}", web::get().to(show));
}

/// A chapter is `assets/manual/NN-name.md`; its first line is its title.
struct Chapter {
    name: String,
    title: String,
    markdown: String,
}

impl Chapter {
    fn href(&self) -> String {
        format!("/help/{}", self.name)
    }
}

/// All chapters in the order of their numbers.
fn chapters() -> Vec<Chapter> {
    let mut files: Vec<_> = Files::iter()
        .filter(|file| file.starts_with("manual/"))
        .collect();
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let bytes = Files::get(file)?.data;
            let source = String::from_utf8_lossy(&bytes).into_owned();
            let (title, markdown) = source.strip_prefix("# ")?.split_once('\n')?;
            let name = file.strip_prefix("manual/")?.strip_suffix(".md")?;
            let name = name
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .trim_start_matches('-');
            Some(Chapter {
                name: name.into(),
                title: title.trim().into(),
                markdown: markdown.into(),
            })
        })
        .collect()
}

async fn first(visit: Visit) -> Result<HttpResponse> {
    page(&visit, None).await
}

async fn show(visit: Visit, chapter: web::Path<String>) -> Result<HttpResponse> {
    page(&visit, Some(&chapter)).await
}

async fn page(visit: &Visit, name: Option<&str>) -> Result<HttpResponse> {
    let all = chapters();
    let chapter = match name {
        None => all.first(),
        Some(name) => all.iter().find(|chapter| chapter.name == name),
    };
    let chapter = chapter.ok_or(Error::NotFound)?;
    let markdown = chapter.markdown.clone();
    let html = tokio::task::spawn_blocking(move || render(&markdown, &Options::default()).html)
        .await
        .map_err(Error::internal)?;
    let mut shell = visit.shell(&chapter.title, "");
    shell.path = chapter.href();
    visit.public_page(&HelpPage {
        shell,
        chapters: all
            .iter()
            .map(|c| Link {
                title: c.title.clone(),
                href: c.href(),
            })
            .collect(),
        title: chapter.title.clone(),
        html,
    })
}
