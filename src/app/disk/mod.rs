//! The disk under the site: the owner's page.

pub mod routes;
pub mod views;
