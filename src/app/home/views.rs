//! What the first page needs.

use askama::Template;

use crate::app::layout::Shell;
use crate::app::lists::Summary;

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
