//! The sitemap (<https://www.sitemaps.org/protocol.html>): an index, and a part for each year.

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use rusqlite::Connection;

use crate::{
    app::{
        archive::queries::{end_of, list_years, start_of},
        layout::Site,
        posts::queries::{self, Direction, ListedPost, Of, Place},
    },
    base::{Error, Id, Result, Timestamp},
};

/// Addresses in one part. The protocol allows 50,000; ours are rendered on a Pi.
const MAX_IN_PART: usize = 5_000;
/// Parts of one year; a year with more posts than fit is cut, newest first.
const MAX_PARTS: u16 = 1_000;
/// The part with the first page and the pages.
pub(super) const PAGES_PART: &str = "/sitemap-pages.xml";
const NAMESPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

/// The parts of the sitemap: the pages, then each year, in as many parts as it needs.
pub(super) fn list_parts(connection: &Connection, site: &Site) -> Result<Vec<String>> {
    let mut parts = vec![PAGES_PART.to_owned()];
    for year in list_years(connection, &site.zone)? {
        let start = start_of(year, &site.zone);
        let mut place = Some(end_of(year, &site.zone));
        let mut number = 1;
        while let Some(from) = place {
            let first = queries::list_posts(connection, Of::All, from, Direction::Older, 1)?.pop();
            if first.is_none_or(|post| post.published_at.0 < start.at) {
                break;
            }
            parts.push(format!("/sitemap-{year}-{number}.xml"));
            number += 1;
            place = skip(connection, from)?;
        }
    }
    Ok(parts)
}

/// The place after a part's worth of posts.
fn skip(connection: &Connection, from: Place) -> Result<Option<Place>> {
    use rusqlite::OptionalExtension;
    let place = connection
        .prepare_cached(
            "SELECT published_at, id FROM posts WHERE kind = 'post' AND published_at IS NOT NULL \
             AND trashed_at IS NULL AND (published_at, id) < (?1, ?2) \
             ORDER BY published_at DESC, id DESC LIMIT 1 OFFSET ?3",
        )?
        .query_row([from.at, from.id.0, MAX_IN_PART as i64 - 1], |row| {
            Ok(Place {
                at: row.get(0)?,
                id: Id(row.get(1)?),
            })
        })
        .optional()?;
    Ok(place)
}

/// The posts of one part; `part` is a path that [`list_parts`] gave.
///
/// # Errors
/// [`Error::NotFound`] if there is no such part.
pub(super) fn read_part(
    connection: &Connection,
    site: &Site,
    part: &str,
) -> Result<Vec<ListedPost>> {
    if part == PAGES_PART {
        return queries::list_pages(connection);
    }
    let (year, number) = parse_part(part).ok_or(Error::NotFound)?;
    let (start, mut place) = (start_of(year, &site.zone), end_of(year, &site.zone));
    for _ in 1..number {
        place = skip(connection, place)?.ok_or(Error::NotFound)?;
    }
    let mut posts = queries::list_posts(connection, Of::All, place, Direction::Older, MAX_IN_PART)?;
    posts.retain(|post| post.published_at.0 >= start.at);
    if posts.is_empty() {
        Err(Error::NotFound)
    } else {
        Ok(posts)
    }
}

/// Year and number of `/sitemap-2019-1.xml`.
fn parse_part(part: &str) -> Option<(i16, u16)> {
    let (year, number) = part
        .strip_prefix("/sitemap-")?
        .strip_suffix(".xml")?
        .rsplit_once('-')?;
    let (year, number) = (year.parse().ok()?, number.parse().ok()?);
    ((-9999..=9999).contains(&year) && (1..=MAX_PARTS).contains(&number)).then_some((year, number))
}

/// `<sitemapindex>` of the parts.
pub(super) fn write_index(base_url: &str, parts: &[String]) -> Result<String> {
    write("sitemapindex", |xml| {
        for part in parts {
            xml.create_element("sitemap")
                .write_inner_content(|entry| text(entry, "loc", &format!("{base_url}{part}")))?;
        }
        Ok(())
    })
}

/// `<urlset>` of addresses; the first page is in the part of the pages.
pub(super) fn write_part(base_url: &str, posts: &[ListedPost], with_home: bool) -> Result<String> {
    write("urlset", |xml| {
        if with_home {
            xml.create_element("url")
                .write_inner_content(|entry| text(entry, "loc", &format!("{base_url}/")))?;
        }
        for post in posts {
            xml.create_element("url").write_inner_content(|entry| {
                text(entry, "loc", &format!("{base_url}{}", post.address.href()))?;
                text(entry, "lastmod", &last_changed(post).rfc3339())
            })?;
        }
        Ok(())
    })
}

fn last_changed(post: &ListedPost) -> Timestamp {
    post.updated_at.max(post.published_at)
}

type Xml = Writer<Vec<u8>>;

fn write(root: &str, content: impl FnOnce(&mut Xml) -> std::io::Result<()>) -> Result<String> {
    let mut xml = Writer::new(Vec::new());
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))
        .map_err(Error::internal)?;
    xml.create_element(root)
        .with_attribute(("xmlns", NAMESPACE))
        .write_inner_content(content)
        .map_err(Error::internal)?;
    String::from_utf8(xml.into_inner()).map_err(Error::internal)
}

fn text(xml: &mut Xml, name: &str, value: &str) -> std::io::Result<()> {
    xml.create_element(name)
        .write_text_content(BytesText::new(value))
        .map(drop)
}
