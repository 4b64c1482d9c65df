//! Tags: all of them, and the posts of one.

pub mod queries;
pub mod routes;
pub mod views;
