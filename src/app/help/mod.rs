//! The manual, served at `/help`.

pub mod routes;
pub mod views;
