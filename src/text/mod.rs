//! Text: Markdown, sanitising, highlighting, slugs, addresses, dates, front matter.
//!
//! Everything here is a pure function of its input: no database, no files, no clock.

pub mod address;
pub(crate) mod attributes;
#[cfg(test)]
mod blog_tests;
pub mod date;
pub(crate) mod escape;
pub mod excerpt;
pub mod front_matter;
pub mod highlight;
pub mod line;
pub mod markdown;
pub mod packed;
pub mod slug;
