//! The archive: every post, by year and month.

pub mod queries;
pub mod routes;
pub mod views;
