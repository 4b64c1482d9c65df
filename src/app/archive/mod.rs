//! The archive: every published post, a page for each year.

pub mod views;
