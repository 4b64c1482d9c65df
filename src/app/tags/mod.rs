//! Tags, and the posts that have them.

pub mod views;
