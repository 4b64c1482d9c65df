//! The Atom feed (RFC 4287): the newest posts, whole.

use atom_syndication::{
    Category, ContentBuilder, EntryBuilder, Feed, FeedBuilder, FixedDateTime, Link, Person, Text,
};
use rusqlite::Connection;

use crate::{
    app::{
        layout::Site,
        posts::{
            post::Post,
            queries::{self, Direction, Of, Place},
        },
    },
    base::{Error, Result, Timestamp},
};

/// Posts in the feed.
const MAX_ENTRIES: usize = 20;
/// HTML of a post that the feed carries; longer ones have their summary only, so that the feed stays
/// small enough to be asked for every hour.
const MAX_CONTENT_BYTES: usize = 64 * 1024;

/// The newest posts, whole.
pub(super) fn newest(connection: &Connection) -> Result<Vec<Post>> {
    queries::list_posts(
        connection,
        Of::All,
        Place::TOP,
        Direction::Older,
        MAX_ENTRIES,
    )?
    .into_iter()
    .map(|listed| queries::find_post(connection, listed.id))
    .collect()
}

/// The feed as XML.
pub(super) fn write(site: &Site, base_url: &str, posts: &[Post]) -> Result<String> {
    let newest = posts.iter().map(changed_at).max().unwrap_or(Timestamp(0));
    let feed = FeedBuilder::default()
        .title(Text::plain(site.title.clone()))
        .subtitle((!site.tagline.is_empty()).then(|| Text::plain(site.tagline.clone())))
        .id(format!("{base_url}/"))
        .lang(Some(site.language.clone()))
        .updated(date(newest))
        .generator(Some(atom_syndication::Generator {
            value: "Webstead".into(),
            uri: None,
            version: Some(env!("CARGO_PKG_VERSION").into()),
        }))
        .links(vec![
            link(base_url, "/", "alternate", "text/html"),
            link(base_url, "/feed.xml", "self", "application/atom+xml"),
        ])
        .entries(
            posts
                .iter()
                .map(|post| entry(site, base_url, post))
                .collect::<Vec<_>>(),
        )
        .build();
    to_xml(&feed)
}

fn entry(site: &Site, base_url: &str, post: &Post) -> atom_syndication::Entry {
    let href = format!("{base_url}{}", post.content.address.href());
    let html = post.html();
    let content = (html.len() <= MAX_CONTENT_BYTES).then(|| {
        ContentBuilder::default()
            .content_type(Some("html".into()))
            .base(Some(href.clone()))
            .value(Some(absolute(&html, base_url)))
            .build()
    });
    let authors = if post.content.authors.is_empty() {
        vec![site.title.clone()]
    } else {
        post.content.authors.clone()
    };
    EntryBuilder::default()
        .title(Text::plain(post.content.title.clone()))
        .id(href.clone())
        .links(vec![link("", &href, "alternate", "text/html")])
        .published(post.content.published_at.map(date))
        .updated(date(changed_at(post)))
        .authors(
            authors
                .into_iter()
                .map(|name| Person {
                    name,
                    ..Person::default()
                })
                .collect::<Vec<_>>(),
        )
        .categories(
            post.content
                .tags
                .iter()
                .map(|tag| Category {
                    term: tag.clone(),
                    scheme: None,
                    label: None,
                })
                .collect::<Vec<_>>(),
        )
        .summary(Some(Text::plain(post.summary().to_owned())))
        .content(content)
        .build()
}

/// When a reader should look again: published, or edited here after that.
fn changed_at(post: &Post) -> Timestamp {
    post.content
        .published_at
        .unwrap_or(post.created_at)
        .max(post.updated_at)
}

/// Addresses on our own site, in full: feed readers show the text elsewhere.
fn absolute(html: &str, base_url: &str) -> String {
    html.replace("src=\"/", &format!("src=\"{base_url}/"))
        .replace("href=\"/", &format!("href=\"{base_url}/"))
}

fn link(base_url: &str, path: &str, rel: &str, mime_type: &str) -> Link {
    Link {
        href: format!("{base_url}{path}"),
        rel: rel.into(),
        mime_type: Some(mime_type.into()),
        ..Link::default()
    }
}

fn date(time: Timestamp) -> FixedDateTime {
    FixedDateTime::parse_from_rfc3339(&time.rfc3339()).unwrap_or_default()
}

fn to_xml(feed: &Feed) -> Result<String> {
    let bytes = feed.write_to(Vec::new()).map_err(Error::internal)?;
    let xml = String::from_utf8(bytes).map_err(Error::internal)?;
    // One of these anywhere, and a reader refuses the whole feed.
    Ok(xml.replace(|c| !is_xml(c), "\u{fffd}"))
}

/// Whether XML 1.0 can carry a character (section 2.2, `Char`).
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
