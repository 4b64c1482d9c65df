//! What the archive's pages need.

use askama::Template;

use crate::app::layout::{Link, Shell};
use crate::base::Timestamp;

/// The years in which something was published.
#[derive(Template)]
#[template(path = "archive/archive.html")]
pub struct ArchivePage {
    /// The frame.
    pub shell: Shell,
    /// Years, newest first.
    pub years: Vec<Link>,
}

/// The posts of one year.
#[derive(Template)]
#[template(path = "archive/year.html")]
pub struct YearPage {
    /// The frame.
    pub shell: Shell,
    /// The year, in the site's zone.
    pub year: i16,
    /// Its months, newest first.
    pub months: Vec<Month>,
    /// The year before it in which something was published.
    pub previous_year: Option<Link>,
    /// The year after it in which something was published.
    pub next_year: Option<Link>,
    /// Where the newer posts of this year are, when they do not fit on one page.
    pub newer: Option<String>,
    /// Where the older posts of this year are.
    pub older: Option<String>,
}

/// A month and its posts.
#[derive(Clone, Debug)]
pub struct Month {
    /// `December`.
    pub name: String,
    /// Its posts, newest first.
    pub posts: Vec<Dated>,
}

/// A post in the archive.
#[derive(Clone, Debug)]
pub struct Dated {
    /// The title; may be empty.
    pub title: String,
    /// Its address.
    pub href: String,
    /// When it was published.
    pub published: Timestamp,
}
