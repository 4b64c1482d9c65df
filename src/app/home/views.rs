//! What the first page, and every list of posts, needs.

use askama::Template;

use crate::app::layout::{Link, Shell};
use crate::base::Timestamp;

/// The first page: recent posts, newest first.
#[derive(Template)]
#[template(path = "home/home.html")]
pub struct HomePage {
    /// The frame.
    pub shell: Shell,
    /// One page of posts.
    pub posts: Vec<Summary>,
    /// Where the newer posts are.
    pub newer: Option<String>,
    /// Where the older posts are.
    pub older: Option<String>,
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
