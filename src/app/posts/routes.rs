//! Every address that no other feature has: a post, a page, or what they were called before.

use actix_web::{HttpRequest, HttpResponse, http::header};
use percent_encoding::percent_decode_str;

use super::{
    post::{Kind, Post, Tag},
    queries::{self, AtAddress, ListedPost, Place},
    views::{PagePage, PostPage, tag_link},
};
use crate::{
    app::{
        layout::Link,
        visit::{PUBLIC, Visit},
    },
    base::{Error, Result},
    text::{attributes::attributes, escape},
};

/// Words that people read in a minute (Brysbaert 2019, doi:10.1016/j.jml.2019.104047: 238).
const WORDS_A_MINUTE: usize = 238;
/// A post that was saved this much later than it was published says so.
const UPDATED_AFTER_S: i64 = 24 * 3600;

enum Found {
    Moved(String),
    Post(Box<Shown>),
}

struct Shown {
    post: Post,
    tags: Vec<Tag>,
    html: String,
    older: Option<ListedPost>,
    newer: Option<ListedPost>,
}

/// Shows what is at the address of the request, or redirects to where it is now.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Gone`] for what was published and is in the trash.
pub async fn show(request: HttpRequest, visit: Visit) -> Result<HttpResponse> {
    if request.method() != actix_web::http::Method::GET {
        return Err(Error::NotFound);
    }
    let path = percent_decode_str(request.path())
        .decode_utf8()
        .map_err(|_| Error::NotFound)?;
    let (path, is_editor) = (path.into_owned(), visit.session.is_some());
    let found = visit
        .app
        .database
        .read(move |connection| {
            let at = queries::find_at_address(connection, &path)?.ok_or(Error::NotFound)?;
            find_shown(connection, &at, is_editor)
        })
        .await?;
    match found {
        Found::Moved(location) => Ok(HttpResponse::MovedPermanently()
            .insert_header((header::LOCATION, location))
            .insert_header((header::CACHE_CONTROL, PUBLIC))
            .finish()),
        Found::Post(shown) => page(&visit, *shown),
    }
}

fn find_shown(connection: &rusqlite::Connection, at: &AtAddress, is_editor: bool) -> Result<Found> {
    if !at.is_published && !is_editor {
        // Visitors have never seen it, so it is not gone for them either.
        return Err(Error::NotFound);
    }
    if at.is_trashed {
        return Err(Error::Gone);
    }
    if !at.is_current {
        return Ok(Found::Moved(at.current.href()));
    }
    let post = queries::find_post(connection, at.id)?;
    let (older, newer) = match (post.content.kind, post.content.published_at) {
        (Kind::Post, Some(time)) => queries::neighbours(
            connection,
            Place {
                at: time.0,
                id: post.id,
            },
        )?,
        _ => (None, None),
    };
    let html = post.html();
    Ok(Found::Post(Box::new(Shown {
        tags: queries::tags_of(connection, at.id)?,
        post,
        html,
        older,
        newer,
    })))
}

fn page(visit: &Visit, shown: Shown) -> Result<HttpResponse> {
    let Shown {
        post,
        tags,
        html,
        older,
        newer,
    } = shown;
    let mut shell = visit.shell(&post.content.title, post.summary());
    shell.path = post.content.address.href();
    shell.og_image = first_image(&html, &visit.base_url);
    shell.published = post.content.published_at;
    let edit_href = visit
        .session
        .as_ref()
        .map(|_| format!("/admin/posts/{}", post.id));
    let is_draft = post.content.published_at.is_none();
    let since = post
        .content
        .published_at
        .map(|published| published.max(post.created_at));
    let updated = since
        .is_some_and(|since| post.updated_at.0 - since.0 >= UPDATED_AFTER_S)
        .then_some(post.updated_at);
    if post.content.kind == Kind::Page {
        return visit.public_page(&PagePage {
            shell,
            title: post.content.title,
            html,
            edit_href,
            is_draft,
        });
    }
    shell.og_type = "article";
    let link = |post: ListedPost| Link {
        href: post.address.href(),
        title: post.title,
    };
    visit.public_page(&PostPage {
        shell,
        title: post.content.title,
        html,
        published: post.content.published_at,
        updated,
        authors: post.content.authors,
        tags: tags.iter().map(tag_link).collect(),
        minutes: post.rendered.words.div_ceil(WORDS_A_MINUTE),
        previous: older.map(link),
        next: newer.map(link),
        edit_href,
        is_draft,
    })
}

/// The whole address of the first picture of a text that is our own, for link previews.
fn first_image(html: &str, base_url: &str) -> Option<String> {
    let source = attributes(html)
        .filter(|attribute| attribute.element == "img" && attribute.name == "src")
        .find(|attribute| attribute.value.starts_with("/media/"))?;
    Some(format!("{base_url}{}", escape::decode(source.value)))
}

#[cfg(test)]
mod tests {
    use super::first_image;

    #[test]
    fn the_picture_for_link_previews_is_the_first_of_our_own_with_its_address_as_it_is() {
        for (html, expected) in [
            ("<p>none</p>", None),
            ("<img src=\"https://cdn.example/media/a.jpg\">", None),
            ("<video src=\"/media/a.mp4\"></video>", None),
            (
                "<pre><code>&lt;img src=\"/media/a.jpg\"></code></pre>",
                None,
            ),
            (
                "<video src=\"/media/a.mp4\"></video><img alt=\"x\" src=\"/media/a&amp;b.jpg\">\
                 <img src=\"/media/c.jpg\">",
                Some("https://e.org/media/a&b.jpg"),
            ),
        ] {
            let found = first_image(html, "https://e.org");
            assert_eq!(found.as_deref(), expected, "{html}");
        }
    }
}
