//! The home page: the newest posts.

pub mod routes;
pub mod views;
