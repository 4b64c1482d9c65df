//! What the pages that list posts share: where a list goes on, and a post as one entry of it.

use rusqlite::Connection;
use serde::Deserialize;

use super::{
    layout::Link,
    posts::{
        queries::{self, Direction, ListedPost, Of, Place},
        views::tag_link,
    },
};
use crate::base::{Error, Id, Result, Timestamp};

/// `?before=TIME.ID` or `?after=TIME.ID`: where a list goes on.
///
/// A place and not a page's number, so that page 10,000 costs what page 1 costs, and a new post does
/// not move everything.
#[derive(Debug, Default, Deserialize)]
pub struct Cursor {
    before: Option<String>,
    after: Option<String>,
}

impl Cursor {
    /// The place and direction that the query names; without one, the top.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not one that we made.
    pub fn parse(&self) -> Result<(Place, Direction)> {
        match (&self.before, &self.after) {
            (None, None) => Ok((Place::TOP, Direction::Older)),
            (Some(text), None) => Ok((parse_place(text)?, Direction::Older)),
            (None, Some(text)) => Ok((parse_place(text)?, Direction::Newer)),
            (Some(_), Some(_)) => Err(Error::NotFound),
        }
    }
}

/// A place as [`Cursor`] reads it.
pub fn format_place(place: Place) -> String {
    format!("{}.{}", place.at, place.id)
}

/// The query that leads to a place, written as we write it; empty for the top.
pub fn format_query((place, direction): (Place, Direction)) -> String {
    match direction {
        Direction::Older if place == Place::TOP => String::new(),
        Direction::Older => format!("?before={}", format_place(place)),
        Direction::Newer => format!("?after={}", format_place(place)),
    }
}

fn parse_place(text: &str) -> Result<Place> {
    let (at, id) = text.split_once('.').ok_or(Error::NotFound)?;
    match (at.parse(), id.parse::<Id>()) {
        (Ok(at), Ok(id)) => Ok(Place { at, id }),
        _ => Err(Error::NotFound),
    }
}

/// One screen of a list, and the addresses of the screens beside it.
pub struct Screen<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The screen with newer ones, if there are any.
    pub newer: Option<String>,
    /// The screen with older ones, if there are any.
    pub older: Option<String>,
}

/// Reads one screen of posts; `path` is the list's own address.
pub fn read_screen(
    connection: &Connection,
    of: Of,
    (from, direction): (Place, Direction),
    limit: usize,
    path: &str,
) -> Result<Screen<ListedPost>> {
    // One more than is shown tells whether the list goes on.
    let mut posts = queries::list_posts(connection, of, from, direction, limit + 1)?;
    let (has_newer, has_older) = cut(&mut posts, limit, direction, from == Place::TOP);
    let place_of = |post: &ListedPost| {
        format_place(Place {
            at: post.published_at.0,
            id: post.id,
        })
    };
    Ok(Screen {
        newer: posts
            .first()
            .filter(|_| has_newer)
            .map(|p| format!("{path}?after={}", place_of(p))),
        older: posts
            .last()
            .filter(|_| has_older)
            .map(|p| format!("{path}?before={}", place_of(p))),
        items: posts,
    })
}

/// Cuts a list that was read with one entry more than is shown, and tells whether there are newer and
/// older ones beside it. `is_start`: it was read from where the list begins.
pub fn cut<T>(
    items: &mut Vec<T>,
    limit: usize,
    direction: Direction,
    is_start: bool,
) -> (bool, bool) {
    let goes_on = items.len() > limit;
    match direction {
        Direction::Older => {
            items.truncate(limit);
            (!is_start, goes_on)
        }
        Direction::Newer => {
            items.drain(..items.len().saturating_sub(limit));
            (goes_on, true)
        }
    }
}

/// A post in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The title; may be empty.
    pub title: String,
    /// Its address.
    pub href: String,
    /// Its first words, or its description; plain text.
    pub description: String,
    /// When it was published.
    pub published: Option<Timestamp>,
    /// Its by-line.
    pub authors: Vec<String>,
    /// Its tags.
    pub tags: Vec<Link>,
}

/// A listed post with its authors and tags, as the lists show it.
pub fn summary(connection: &Connection, post: ListedPost) -> Result<Summary> {
    Ok(Summary {
        href: post.address.href(),
        title: post.title,
        description: post.summary,
        published: Some(post.published_at),
        authors: queries::authors_of(connection, post.id)?,
        tags: queries::tags_of(connection, post.id)?
            .iter()
            .map(tag_link)
            .collect(),
    })
}
