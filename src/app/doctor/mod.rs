//! The way from a visitor to the site, looked at for its owner.

pub mod live;
pub mod routes;
pub mod views;
