//! What a post's page and a page's page need.

use askama::Template;

use crate::app::layout::{Link, Shell};
use crate::{base::Timestamp, text::address::Address};

use super::post::Tag;

/// A post, as visitors see it.
#[derive(Template)]
#[template(path = "posts/post.html")]
pub struct PostPage {
    /// The frame.
    pub shell: Shell,
    /// The title; may be empty.
    pub title: String,
    /// The text, sanitised already.
    pub html: String,
    /// When it was published.
    pub published: Option<Timestamp>,
    /// When it was last changed, if that was a day or more after it was published.
    pub updated: Option<Timestamp>,
    /// Its by-line.
    pub authors: Vec<String>,
    /// Its tags.
    pub tags: Vec<Link>,
    /// How long it takes to read, in minutes; 0 is not printed.
    pub minutes: usize,
    /// The post before it in time.
    pub previous: Option<Link>,
    /// The post after it in time.
    pub next: Option<Link>,
    /// Where it is edited, for those who may.
    pub edit_href: Option<String>,
    /// Whether only editors can see it.
    pub is_draft: bool,
}

/// A page outside of the blog: "About".
#[derive(Template)]
#[template(path = "posts/page.html")]
pub struct PagePage {
    /// The frame.
    pub shell: Shell,
    /// The title; may be empty.
    pub title: String,
    /// The text, sanitised already.
    pub html: String,
    /// Where it is edited, for those who may.
    pub edit_href: Option<String>,
    /// Whether only editors can see it.
    pub is_draft: bool,
}

/// The link to a tag's page.
pub fn tag_link(tag: &Tag) -> Link {
    Link {
        title: tag.name.clone(),
        href: tag_href(&tag.slug),
    }
}

/// The address of a tag's page.
pub fn tag_href(slug: &str) -> String {
    Address::from_stored(format!("/tags/{slug}")).href()
}
