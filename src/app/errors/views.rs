//! What the pages for errors need.

use askama::Template;

use crate::app::layout::{Link, Shell};

/// An error inside of the site's frame.
#[derive(Template)]
#[template(path = "errors/error.html")]
pub struct ErrorPage {
    /// The frame.
    pub shell: Shell,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words.
    pub heading: String,
    /// What it means and what to do; plain text.
    pub message: String,
    /// What finds it in the log.
    pub request_id: Option<String>,
    /// A place to go from here, beside the first page.
    pub go_to: Option<Link>,
}

/// An error when the site's frame cannot be had, because the database does not answer.
#[derive(Template)]
#[template(path = "errors/bare.html")]
pub struct BareErrorPage {
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words.
    pub heading: String,
    /// What it means and what to do; plain text.
    pub message: String,
    /// What finds it in the log.
    pub request_id: Option<String>,
}
