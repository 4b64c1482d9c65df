//! The site's settings.

pub mod queries;
pub mod routes;
pub mod views;
