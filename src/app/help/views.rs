//! What the manual's pages need.

use askama::Template;

use crate::app::layout::{Link, Shell};

/// A chapter of the manual.
#[derive(Template)]
#[template(path = "help/help.html")]
pub struct HelpPage {
    /// The frame.
    pub shell: Shell,
    /// All chapters, in order.
    pub chapters: Vec<Link>,
    /// The title of this one.
    pub title: String,
    /// Its text, safe already.
    pub html: String,
}
