//! The first page: recent posts.

pub mod views;
