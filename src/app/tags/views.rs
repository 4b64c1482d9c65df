//! What the pages about tags need.

use askama::Template;

use crate::app::layout::{Link, Shell};
use crate::app::lists::Summary;

/// All tags.
#[derive(Template)]
#[template(path = "tags/tags.html")]
pub struct TagsPage {
    /// The frame.
    pub shell: Shell,
    /// Tags in the order of their names.
    pub tags: Vec<Link>,
}

/// The posts with one tag, newest first.
#[derive(Template)]
#[template(path = "tags/tag.html")]
pub struct TagPage {
    /// The frame.
    pub shell: Shell,
    /// The tag's name.
    pub name: String,
    /// One page of posts.
    pub posts: Vec<Summary>,
    /// Where the newer posts are.
    pub newer: Option<String>,
    /// Where the older posts are.
    pub older: Option<String>,
}
