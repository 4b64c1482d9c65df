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
    base::{Error, Id, Result, Timestamp},
    db::hash_of,
    text::attributes::attributes,
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
        .id(permanent_id("feed", site.id))
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
        .id(permanent_id("post", post.id))
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
    let (mut out, mut from) = (String::with_capacity(html.len()), 0);
    for attribute in attributes(html) {
        let is_address = matches!(attribute.name, "src" | "href" | "poster" | "cite");
        // With two slashes it is another host (RFC 3986 section 4.2), and browsers read \ as /.
        let is_path =
            attribute.value.starts_with('/') && !attribute.value[1..].starts_with(['/', '\\']);
        if is_address && is_path {
            out.push_str(&html[from..attribute.value_at.start]);
            out.push_str(base_url);
            from = attribute.value_at.start;
        }
    }
    out.push_str(&html[from..]);
    out
}

/// What a feed or an entry is called for ever, whatever its address and its host become (RFC 4287
/// section 4.2.6): a UUID of one's own making (RFC 9562 section 5.8) from the database's id.
fn permanent_id(kind: &str, id: Id) -> String {
    let hash = hash_of(format!("webstead {kind} {id}").as_bytes());
    // Version 8, and the variant's two bits as 10.
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        &hash[..8],
        &hash[8..12],
        &hash[12..15],
        &hash[15..18],
        &hash[18..30],
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_our_own_are_whole_in_the_feed_and_all_else_is_as_it_was() {
        for (html, expected) in [
            ("<a href=\"/x\">x</a>", "<a href=\"https://e.org/x\">x</a>"),
            ("<a href=\"/\">x</a>", "<a href=\"https://e.org/\">x</a>"),
            (
                "<img alt=\"/a\" src=\"/media/a.jpg\">",
                "<img alt=\"/a\" src=\"https://e.org/media/a.jpg\">",
            ),
            (
                "<video poster=\"/p.jpg\" src=\"/v.mp4\"></video>",
                "<video poster=\"https://e.org/p.jpg\" src=\"https://e.org/v.mp4\"></video>",
            ),
            (
                "<q cite=\"/source\">x</q>",
                "<q cite=\"https://e.org/source\">x</q>",
            ),
            ("<a href=\"//cdn/x\">x</a>", "<a href=\"//cdn/x\">x</a>"),
            ("<a href=\"/\\cdn/x\">x</a>", "<a href=\"/\\cdn/x\">x</a>"),
            ("<a href=\"#a\">x</a>", "<a href=\"#a\">x</a>"),
            ("<a href=\"b/c\">x</a>", "<a href=\"b/c\">x</a>"),
            (
                "<code> href=\"/x\" src=\"/y\"</code>",
                "<code> href=\"/x\" src=\"/y\"</code>",
            ),
        ] {
            assert_eq!(absolute(html, "https://e.org"), expected);
        }
    }

    #[test]
    fn ids_are_uuids_that_depend_on_nothing_but_the_database() {
        let id = permanent_id("post", Id(7));
        assert_eq!(id, permanent_id("post", Id(7)));
        assert_ne!(id, permanent_id("post", Id(8)));
        assert_ne!(id, permanent_id("feed", Id(7)));
        let uuid = id.strip_prefix("urn:uuid:").expect("a UUID");
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(uuid.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
    }
}
